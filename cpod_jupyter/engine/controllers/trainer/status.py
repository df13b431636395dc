"""What has become of a TrainJob, by its Jobs: pure (Kubeflow Trainer v2.3, TrainJobStatus; JobSet's policies)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import Object
from cpod_jupyter.api.trainjob import LABEL_REPLICATED_JOB
from cpod_jupyter.engine.controllers.trainer.jobs import Part

COMPLETE, FAILED, SUSPENDED, WAITING = "Complete", "Failed", "Suspended", "Waiting"
"""Types of conditions. Waiting is this engine's own, while there is no such runtime; it goes when there is."""


@dataclass(frozen=True)
class Verdict:
    """What holds now: Complete, Failed, Suspended, Waiting, or nothing of these (an empty kind): it is under way."""

    kind: str = ""
    reason: str = ""
    message: str = ""

    @property
    def ends(self) -> bool:
        return self.kind in (COMPLETE, FAILED)


def is_finished(job: Object) -> bool:
    return meta.is_true(job, COMPLETE) or meta.is_true(job, FAILED)


def step_of(job: Object) -> str:
    return str((job["metadata"].get("labels") or {}).get(LABEL_REPLICATED_JOB, ""))


def is_ready(job: Object) -> bool:
    """Whether all pods of a Job are ready, or have succeeded (JobSet's Ready)."""
    status = job.get("status") or {}
    done = int(status.get("ready") or 0) + int(status.get("succeeded") or 0)
    return done >= int(job["spec"].get("parallelism") or 1)


def may_run(job: Object, jobs: Mapping[str, Object]) -> bool:
    """Whether all that a Job needs is there."""
    for name, state in Part.of_job(job).needs:
        needed = jobs.get(name)
        if needed is None:
            return False
        if not (meta.is_true(needed, "Complete") or (state == "Ready" and is_ready(needed))):
            return False
    return True


def judge(train_job: Object, jobs: Sequence[Object], now: dt.datetime) -> Verdict:
    """What the TrainJob is now. A failed Job is the whole's failure, in the words of its pod."""
    for job in jobs:
        if meta.is_true(job, "Failed"):
            said = str((meta.condition(job, "Failed") or {}).get("message") or "it failed")
            return Verdict(FAILED, "FailedJobs", f"the job {meta.name_of(job)} failed: {said}")
    deciding = [(Part.of_job(job), job) for job in jobs if Part.of_job(job).decides]
    done = [meta.is_true(job, "Complete") for _, job in deciding]
    whole = bool(deciding) and len(jobs) >= deciding[0][0].of
    if whole and (all(done) or (deciding[0][0].decides == "Any" and any(done))):
        return Verdict(COMPLETE, "AllJobsCompleted", "the TrainJob's jobs have completed")
    left = seconds_left(train_job, now)
    if left is not None and left <= 0:
        limit = train_job["spec"]["activeDeadlineSeconds"]
        return Verdict(FAILED, "DeadlineExceeded", f"the TrainJob was active longer than the deadline of {limit} s")
    if train_job["spec"].get("suspend"):
        return Verdict(SUSPENDED, "Suspended", "TrainJob is suspended")
    return Verdict()


def seconds_left(train_job: Object, now: dt.datetime) -> float | None:
    """Until activeDeadlineSeconds are over, since the start or the last resumption; None without a limit."""
    limit = train_job["spec"].get("activeDeadlineSeconds")
    if not limit or train_job["spec"].get("suspend"):
        return None
    begun = str(train_job["metadata"].get("creationTimestamp") or meta.now())
    resumed = meta.condition(train_job, SUSPENDED)
    if resumed is not None and resumed["status"] == "False":
        begun = str(resumed["lastTransitionTime"])
    elif resumed is not None:
        return float(limit)  # it is about to be resumed
    return float(limit) - (now - meta.parse_time(begun)).total_seconds()


def new_status(train_job: Object, jobs: Sequence[Object], verdict: Verdict) -> dict[str, Any]:
    """The whole status."""
    old = train_job.get("status") or {}
    conditions = [dict(entry) for entry in old.get("conditions") or [] if entry["type"] != WAITING]
    if verdict.kind != SUSPENDED and meta.is_true(train_job, SUSPENDED) and not train_job["spec"].get("suspend"):
        conditions = meta.with_condition(conditions, SUSPENDED, False, "Resumed", "TrainJob is resumed")
    if verdict.kind:
        before = old.get("conditions") if verdict.kind == WAITING else conditions
        conditions = meta.with_condition(before, verdict.kind, True, verdict.reason, verdict.message)
    generation = int(train_job["metadata"].get("generation") or 1)
    was = {entry["type"]: entry for entry in old.get("conditions") or []}
    marked = []
    for entry in conditions:
        same = {**entry, "observedGeneration": None} == {**was.get(entry["type"], {}), "observedGeneration": None}
        seen = was[entry["type"]].get("observedGeneration", generation) if same else generation
        marked.append({**entry, "observedGeneration": seen})
    suspended = bool(train_job["spec"].get("suspend"))
    counts = [_counts(job, suspended) for job in sorted(jobs, key=step_of)]
    status = {**old, "conditions": marked, "jobsStatus": counts or old.get("jobsStatus") or []}
    return {name: value for name, value in status.items() if value}


def _counts(job: Object, suspended: bool) -> dict[str, Any]:
    """How many Jobs of a step are what; of each step there is one here."""
    status = job.get("status") or {}
    done, failed = meta.is_true(job, "Complete"), meta.is_true(job, "Failed")
    over = done or failed
    return {
        "name": step_of(job),
        "ready": int(not over and bool(status.get("active")) and is_ready(job)),
        "succeeded": int(done),
        "failed": int(failed),
        "active": int(not over and bool(status.get("active"))),
        "suspended": int(not over and suspended and bool(job["spec"].get("suspend"))),
    }
