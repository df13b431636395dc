"""What has become of a PyTorchJob: pure (training-operator v1.9, common JobStatus)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cpod_jupyter.api import meta
from cpod_jupyter.api.kubeflow import LABEL_JOB_NAME, LABEL_REPLICA_INDEX, LABEL_REPLICA_TYPE
from cpod_jupyter.api.resources import Object
from cpod_jupyter.engine.controllers import pods as podset
from cpod_jupyter.engine.controllers.torch_env import MASTER, WORKER, has_master, is_elastic, replicas

RETRYABLE_FROM = 128
"""restartPolicy ExitCode: 1 to 127 are permanent failures, 128 and more (signals) are tried again."""
_DEFAULT_RESTART_POLICY = "OnFailure"
_ROLES = {"master": MASTER, "worker": WORKER}


@dataclass(frozen=True)
class Verdict:
    """The condition that holds now: Created, Running, Restarting, Suspended, Succeeded or Failed."""

    kind: str
    reason: str
    message: str

    @property
    def ends(self) -> bool:
        return self.kind in ("Succeeded", "Failed")


def is_finished(job: Object) -> bool:
    return meta.is_true(job, "Succeeded") or meta.is_true(job, "Failed")


def restart_policy(job: Object, role: str) -> str:
    """Always, OnFailure, Never or ExitCode, of a role's replicas."""
    return str(job["spec"]["pytorchReplicaSpecs"][role].get("restartPolicy") or _DEFAULT_RESTART_POLICY)


def replica_of(pod: Object) -> tuple[str, int]:
    """The role and index that a pod's labels give."""
    labels = pod["metadata"].get("labels") or {}
    return _ROLES.get(str(labels.get(LABEL_REPLICA_TYPE)), WORKER), int(labels.get(LABEL_REPLICA_INDEX, 0))


def may_retry(job: Object, pod: Object) -> bool:
    """Whether a failed pod is to be replaced."""
    policy = restart_policy(job, replica_of(pod)[0])
    if policy == "ExitCode":
        return podset.failure(pod).exit_code >= RETRYABLE_FROM
    return policy in ("Always", "OnFailure")


def judge(job: Object, pods: Sequence[Object], recreated: int, now: dt.datetime) -> Verdict:
    """What the job is now, of its pods. `recreated` counts the failed pods that were replaced."""
    name, run_policy = meta.name_of(job), job["spec"].get("runPolicy") or {}
    failed = [pod for pod in pods if podset.phase(pod) == podset.FAILED and not podset.is_ending(pod)]
    if _succeeded(job, pods):
        return Verdict("Succeeded", "PyTorchJobSucceeded", f"PyTorchJob {name} is successfully completed.")
    for pod in failed:
        if not may_retry(job, pod):
            why = podset.failure(pod).sentence(meta.name_of(pod))
            return Verdict("Failed", "PyTorchJobFailed", f"PyTorchJob {name} has failed: {why}")
    tries = recreated + sum(podset.restarts(pod) for pod in pods)
    limit = run_policy.get("backoffLimit")
    if limit is not None and (tries > 0 or failed) and tries + len(failed) >= max(int(limit), 1):
        message = f"PyTorchJob {name} has failed because it has reached the specified backoff limit{_last_words(pods)}"
        return Verdict("Failed", "PyTorchJobFailed", message)
    started, deadline = (job.get("status") or {}).get("startTime"), run_policy.get("activeDeadlineSeconds")
    if started and deadline is not None and (now - meta.parse_time(started)).total_seconds() >= float(deadline):
        message = f"PyTorchJob {name} has failed because it was active longer than specified deadline of {deadline} s"
        return Verdict("Failed", "PyTorchJobFailed", message)
    if failed:
        why = podset.failure(failed[0]).sentence(meta.name_of(failed[0]))
        return Verdict("Restarting", "PyTorchJobRestarting", f"PyTorchJob {name} is restarting: {why}")
    for pod in pods:
        stuck = podset.trouble(pod)
        if stuck is not None and stuck[0] == "CrashLoopBackOff":
            return Verdict("Restarting", "PyTorchJobRestarting", f"PyTorchJob {name} is restarting: {stuck[1]}")
    lead = MASTER if has_master(job) else WORKER
    if any(podset.phase(pod) == podset.RUNNING and replica_of(pod)[0] == lead for pod in pods):
        return Verdict("Running", "PyTorchJobRunning", f"PyTorchJob {name} is running.")
    return Verdict("Created", "PyTorchJobCreated", f"PyTorchJob {name} is created.")


def _succeeded(job: Object, pods: Sequence[Object]) -> bool:
    """The Master is done; without one all workers are; of an elastic job, any worker."""
    done = [replica_of(pod) for pod in pods if podset.phase(pod) == podset.SUCCEEDED]
    if has_master(job):
        return (MASTER, 0) in done
    if is_elastic(job):
        return bool(done)
    wanted = len(replicas(job))
    return 0 < wanted <= len(set(done))


def _last_words(pods: Sequence[Object]) -> str:
    for pod in pods:
        how = podset.failure(pod) if podset.phase(pod) == podset.FAILED else podset.last_failure(pod)
        if how is not None:
            return f": {how.sentence(meta.name_of(pod))}"
    return ""


def job_status(job: Object, pods: Sequence[Object], verdict: Verdict) -> dict[str, Any]:
    """The whole status. Running, Restarting and the terminal conditions exclude each other."""
    old = job.get("status") or {}
    name = meta.name_of(job)
    conditions = list(old.get("conditions") or [])
    if meta.condition(job, "Created") is None:
        conditions = _set(conditions, "Created", True, "PyTorchJobCreated", f"PyTorchJob {name} is created.")
    if meta.is_true(job, "Suspended") and verdict.kind != "Suspended":
        conditions = _set(conditions, "Suspended", False, "PyTorchJobResumed", f"PyTorchJob {name} is resumed.")
    if verdict.kind != "Created":
        for other in ("Running", "Restarting"):
            if other != verdict.kind and meta.is_true({"status": {"conditions": conditions}}, other):
                conditions = _set(conditions, other, False, verdict.reason, verdict.message)
        # the condition that holds comes last: it is what `kubectl get` shows as the job's state
        kept = [entry for entry in conditions if entry["type"] != verdict.kind]
        changed = _set(conditions, verdict.kind, True, verdict.reason, verdict.message)
        conditions = [*kept, next(entry for entry in changed if entry["type"] == verdict.kind)]
    status: dict[str, Any] = {
        **old,
        "conditions": conditions,
        "replicaStatuses": _replica_statuses(job, pods),
        "observedGeneration": int(job["metadata"].get("generation") or 0),
    }
    if verdict.kind == "Suspended":
        status.pop("startTime", None)
    else:
        status["startTime"] = old.get("startTime") or meta.now()
    if verdict.ends:
        status["completionTime"] = old.get("completionTime") or meta.now()
    return status


def _set(conditions: list[dict[str, Any]], kind: str, status: bool, reason: str, message: str) -> list[dict[str, Any]]:
    return meta.with_condition(conditions, kind, status, reason, message, updated=True)


def _replica_statuses(job: Object, pods: Sequence[Object]) -> dict[str, Any]:
    result = {}
    for role in (MASTER, WORKER):
        if job["spec"]["pytorchReplicaSpecs"].get(role) is None:
            continue
        phases = [podset.phase(pod) for pod in pods if replica_of(pod)[0] == role]
        selector = f"{LABEL_JOB_NAME}={meta.name_of(job)},{LABEL_REPLICA_TYPE}={role.lower()}"
        result[role] = {
            "active": sum(phase == podset.RUNNING for phase in phases),
            "succeeded": phases.count(podset.SUCCEEDED),
            "failed": phases.count(podset.FAILED),
            "selector": selector,
        }
    return result
