"""What has become of a training job: pure (training-operator v1.9, common JobStatus)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cpod_jupyter.api import meta
from cpod_jupyter.api.kubeflow import LABEL_JOB_NAME, LABEL_OPERATOR, LABEL_REPLICA_TYPE
from cpod_jupyter.api.resources import Object
from cpod_jupyter.engine.controllers import pods as podset
from cpod_jupyter.engine.controllers.training.kind import TrainingJob


@dataclass(frozen=True)
class Verdict:
    """The condition that holds now: Created, Running, Restarting, Suspended, Succeeded or Failed.

    `limit`: the job failed by a limit of its run policy, so that what still runs is ended.
    """

    kind: str
    reason: str
    message: str
    limit: bool = False

    @property
    def ends(self) -> bool:
        return self.kind in ("Succeeded", "Failed")


def suspended(job: TrainingJob) -> Verdict:
    return Verdict("Suspended", job.kind.reason("Suspended"), f"{job.kind.resource.kind} {job.name} is suspended.")


def invalid(job: TrainingJob, faults: Sequence[str]) -> Verdict:
    """A job that upstream's webhook refuses; here it fails, and says why."""
    kind = job.kind.resource.kind
    return Verdict(
        "Failed", job.kind.reason("FailedValidation"), f"{kind} failed validation because {'; '.join(faults)}"
    )


def judge(job: TrainingJob, pods: Sequence[Object], recreated: int, now: dt.datetime) -> Verdict:
    """What the job is now, of its pods. `recreated` counts the failed pods that were replaced."""
    if job.kind.succeeded(job, {job.replica_of(pod) for pod in pods if podset.phase(pod) == podset.SUCCEEDED}):
        return _verdict(job, "Succeeded", job.kind.words.succeeded)
    failed = [pod for pod in pods if podset.phase(pod) == podset.FAILED and not meta.is_going(pod)]
    final = [pod for pod in failed if not job.may_retry(pod) and not job.kind.tolerates(job, job.replica_of(pod)[0])]
    if final:
        return _because(job, "Failed", job.kind.words.failed, final)
    beyond = _beyond_limits(job, pods, failed, recreated, now)
    if beyond is not None:
        return Verdict("Failed", job.kind.reason("Failed"), beyond, limit=True)
    again = [pod for pod in failed if job.may_retry(pod)]
    if again:
        return _because(job, "Restarting", job.kind.words.restarting, again)
    looping = [pod for pod in pods if (podset.trouble(pod) or ("", ""))[0] == "CrashLoopBackOff"]
    if looping:
        return _because(job, "Restarting", job.kind.words.restarting, looping)
    if job.kind.is_running(job, {job.replica_of(pod) for pod in pods if podset.phase(pod) == podset.RUNNING}):
        return _verdict(job, "Running", job.kind.words.running)
    return _verdict(job, "Created", job.kind.words.created)


def _verdict(job: TrainingJob, kind: str, words: str, **more: object) -> Verdict:
    name = job.kind.resource.kind
    place = f"{name} {job.namespace}/{job.name}"
    return Verdict(kind, job.kind.reason(kind), words.format(job=f"{name} {job.name}", place=place, **more))


def _because(job: TrainingJob, kind: str, words: str, pods: Sequence[Object]) -> Verdict:
    """Of the first role that failed, how many replicas did; and in addition to upstream's words, how."""
    role = job.replica_of(pods[0])[0]
    count = sum(job.replica_of(pod)[0] == role for pod in pods)
    said = _verdict(job, kind, words, count=count, role=role)
    return Verdict(said.kind, said.reason, said.message + (_last_words(pods) or "."))


def _beyond_limits(
    job: TrainingJob, pods: Sequence[Object], failed: Sequence[Object], recreated: int, now: dt.datetime
) -> str | None:
    """Why the job is over by its backoffLimit or activeDeadlineSeconds; None when it is not."""
    tries = recreated + sum(podset.restarts(pod) for pod in pods)
    limit = job.policy.get("backoffLimit")
    if limit is not None and (tries > 0 or failed) and tries + len(failed) >= max(int(limit), 1):
        return f"Job {job.name} has failed because it has reached the specified backoff limit{_last_words(pods)}"
    started, deadline = job.status.get("startTime"), job.policy.get("activeDeadlineSeconds")
    if started and deadline is not None and (now - meta.parse_time(started)).total_seconds() >= float(deadline):
        return f"Job {job.name} has failed because it was active longer than specified deadline of {deadline} s"
    return None


def _last_words(pods: Sequence[Object]) -> str:
    for pod in pods:
        how = podset.failure(pod) if podset.phase(pod) == podset.FAILED else podset.last_failure(pod)
        if how is not None:
            return f": {how.sentence(meta.name_of(pod))}"
    return ""


_EXCLUDES = {"Running": "Restarting", "Restarting": "Running"}


def job_status(job: TrainingJob, pods: Sequence[Object], verdict: Verdict) -> dict[str, Any]:
    """The whole status. Running and Restarting take each other's place; at the end, Running is False."""
    old = job.status
    conditions = [dict(entry) for entry in old.get("conditions") or []]
    if meta.condition(job.obj, "Created") is None:
        created = _verdict(job, "Created", job.kind.words.created)
        conditions = _set(conditions, "Created", True, created.reason, created.message)
    if meta.is_true(job.obj, "Suspended") and verdict.kind != "Suspended":
        message = f"{job.kind.resource.kind} {job.name} is resumed."
        conditions = _set(conditions, "Suspended", False, job.kind.reason("Resumed"), message)
    if verdict.kind in _EXCLUDES:
        conditions = [entry for entry in conditions if entry["type"] != _EXCLUDES[verdict.kind]]
    elif verdict.kind != "Created":
        for entry in [entry for entry in conditions if entry["type"] in _EXCLUDES and entry["status"] == "True"]:
            why = verdict if verdict.kind == "Suspended" else Verdict(entry["type"], entry["reason"], entry["message"])
            conditions = _set(conditions, entry["type"], False, why.reason, why.message)
    # the condition that holds comes last: it is what `kubectl get` shows as the job's state
    if verdict.kind != "Created" or len(conditions) == 1:
        changed = _set(conditions, verdict.kind, True, verdict.reason, verdict.message)
        kept = [entry for entry in changed if entry["type"] != verdict.kind]
        conditions = [*kept, *(entry for entry in changed if entry["type"] == verdict.kind)]
    counts = _replica_statuses(job, pods, verdict)
    status: dict[str, Any] = {
        **old,
        **job.kind.extra_status(job),
        "conditions": conditions,
        "replicaStatuses": counts,
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


def _replica_statuses(job: TrainingJob, pods: Sequence[Object], verdict: Verdict) -> dict[str, Any]:
    """Counts by role. Pods that still run when the job has succeeded count as succeeded, as upstream has it."""
    result: dict[str, dict[str, Any]] = {}
    for role in job.specs:
        own = [pod for pod in pods if job.replica_of(pod)[0] == role]
        phases = [podset.phase(pod) for pod in own]
        active = sum(podset.phase(pod) == podset.RUNNING and not meta.is_going(pod) for pod in own)
        succeeded = phases.count(podset.SUCCEEDED)
        if verdict.kind == "Succeeded":
            active, succeeded = 0, succeeded + active
        labels = {LABEL_JOB_NAME: job.name, LABEL_OPERATOR: job.kind.operator, LABEL_REPLICA_TYPE: role.lower()}
        result[role] = {
            "active": active,
            "succeeded": succeeded,
            "failed": phases.count(podset.FAILED),
            "selector": ",".join(f"{key}={labels[key]}" for key in sorted(labels)),
        }
    return result


def is_unchanged(new: dict[str, Any], old: dict[str, Any]) -> bool:
    """Whether a status says nothing new. What a CRD of someone else's prunes from replica statuses does not count:
    written again and again, it would be new for ever."""

    def comparable(status: dict[str, Any]) -> dict[str, Any]:
        replicas = status.get("replicaStatuses") or {}
        counts = {role: {key: entry.get(key) or 0 for key in _COUNTS} for role, entry in replicas.items()}
        return {**status, "replicaStatuses": counts, "lastReconcileTime": None}

    return comparable(new) == comparable(old)


_COUNTS = ("active", "succeeded", "failed")
