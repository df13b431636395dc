"""batch/v1 Jobs: pods until enough of them have succeeded, or too many have failed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import EVENTS, JOBS, PODS, Object
from cpod_jupyter.control.api import KubeApi
from cpod_jupyter.control.controller import Controller, Key, Recorder, to_controller, to_itself
from cpod_jupyter.engine.controllers import job_indexes, job_policy
from cpod_jupyter.engine.controllers import pods as podset
from cpod_jupyter.errors import NotFound

FIRST_DELAY, LONGEST_DELAY = 10.0, 600.0
"""Seconds between a failure and the next attempt, doubling (Jobs, "Pod backoff failure policy")."""
_DEFAULT_BACKOFF_LIMIT = 6
MANAGER = "kubernetes.io/job-controller"
"""`managedBy` of the Jobs that are this controller's; without one they are too."""


@dataclass(frozen=True)
class Outcome:
    """A Job is decided: `kind` is the condition it ends with, Complete or Failed."""

    kind: str
    reason: str
    message: str


def job_pod(job: Object, existing: Sequence[Object]) -> Object:
    """The next pod of a Job, with a name that no pod of it has: made twice, it is the same."""
    taken = {meta.name_of(pod) for pod in existing}
    number = len(existing)
    while (name := _pod_name(job, number)) in taken:
        number += 1
    labels = {
        "batch.kubernetes.io/job-name": meta.name_of(job),
        "batch.kubernetes.io/controller-uid": meta.uid_of(job),
        "job-name": meta.name_of(job),
        "controller-uid": meta.uid_of(job),
    }
    return podset.from_template(job["spec"]["template"], job, name, labels)


def _pod_name(job: Object, number: int) -> str:
    return f"{meta.name_of(job)[:57]}-{meta.spec_hash([meta.uid_of(job), number])[:5]}"


def wanted_pods(job: Object, succeeded: int) -> int:
    """How many pods should be active now. Without `completions`, the first success means that work runs out."""
    spec = job["spec"]
    parallelism = int(spec.get("parallelism", 1))
    completions = spec.get("completions")
    if completions is None and "parallelism" not in spec:
        completions = 1
    if completions is None:
        return 0 if succeeded else parallelism
    return max(0, min(parallelism, int(completions) - succeeded))


def decide(job: Object, pods: Sequence[Object], now: dt.datetime) -> Outcome | None:
    """Whether the Job has succeeded or failed; None while it is under way."""
    spec, status = job["spec"], job.get("status") or {}
    # one that is asked to end, as by suspension, does not count for the way it ends
    failed = [pod for pod in pods if podset.phase(pod) == podset.FAILED and not meta.is_going(pod)]
    if (ending := job_policy.fatal(job, failed)) is not None:
        pod, sentence = ending
        message = f"{sentence}: {podset.failure(pod).sentence(meta.name_of(pod))}"
        return Outcome("Failed", "PodFailurePolicy", message)
    failed = job_policy.counted(job, failed)
    active = [pod for pod in pods if podset.is_active(pod)]
    limit = int(spec.get("backoffLimit", _DEFAULT_BACKOFF_LIMIT))
    tries = sum(podset.restarts(pod) for pod in active)
    in_place = spec["template"]["spec"].get("restartPolicy") == "OnFailure"
    if len(failed) > limit or (in_place and tries > 0 and tries >= max(limit, 1)):
        return Outcome("Failed", "BackoffLimitExceeded", _exceeded(failed, active))
    deadline = spec.get("activeDeadlineSeconds")
    if deadline is not None and status.get("startTime") and _since(status["startTime"], now) >= float(deadline):
        message = f"Job was active longer than the specified deadline of {deadline} s"
        return Outcome("Failed", "DeadlineExceeded", message)
    if job_indexes.is_indexed(job):
        ended = job_indexes.verdict(job, pods)
        return Outcome(*ended) if ended else None
    succeeded = sum(podset.phase(pod) == podset.SUCCEEDED for pod in pods)
    if succeeded and wanted_pods(job, succeeded) == 0 and (spec.get("completions") is not None or not active):
        return Outcome("Complete", "CompletionsReached", "Reached expected number of succeeded pods")
    return None


def _exceeded(failed: Sequence[Object], active: Sequence[Object]) -> str:
    """The condition's message: that the limit is reached, and how the last pod failed."""
    sentence = "Job has reached the specified backoff limit"
    if failed:
        last = max(failed, key=podset.finished_at)
        return f"{sentence}: {podset.failure(last).sentence(meta.name_of(last))}"
    for pod in active:
        how = podset.last_failure(pod)
        if how is not None:
            return f"{sentence}: {how.sentence(meta.name_of(pod))}"
    return sentence


def retry_delay(pods: Sequence[Object], now: dt.datetime) -> float:
    """Seconds to wait before the next pod, for the failures since the last success."""
    ended = sorted((pod for pod in pods if podset.finished_at(pod)), key=podset.finished_at, reverse=True)
    failures = 0
    for pod in ended:
        if podset.phase(pod) != podset.FAILED:
            break
        failures += 1
    if not failures:
        return 0.0
    delay: float = min(FIRST_DELAY * 2.0 ** (failures - 1), LONGEST_DELAY)
    return max(0.0, delay - _since(podset.finished_at(ended[0]), now))


def _since(stamp: str, now: dt.datetime) -> float:
    return (now - meta.parse_time(stamp)).total_seconds()


def job_status(job: Object, pods: Sequence[Object], outcome: Outcome | None) -> dict[str, Any]:
    """The whole status. A decided Job gets its last condition once none of its pods is left running."""
    old = job.get("status") or {}
    suspended = bool(job["spec"].get("suspend"))
    running = [pod for pod in pods if podset.phase(pod) not in (podset.SUCCEEDED, podset.FAILED)]
    conditions = list(old.get("conditions") or [])
    status: dict[str, Any] = {
        "active": sum(podset.is_active(pod) for pod in pods),
        "ready": sum(podset.is_ready(pod) for pod in pods),
        "terminating": sum(meta.is_going(pod) for pod in running),
        "succeeded": sum(podset.phase(pod) == podset.SUCCEEDED for pod in pods),
        "failed": sum(podset.phase(pod) == podset.FAILED for pod in pods),
    }
    if job_indexes.is_indexed(job):
        done, lost = job_indexes.completed(job, pods), job_indexes.failed(job, pods)
        status |= {"succeeded": len(done), "completedIndexes": job_indexes.written(done)}
        if job["spec"].get("backoffLimitPerIndex") is not None:
            status["failedIndexes"] = job_indexes.written(lost)
    if suspended or meta.is_true(job, "Suspended"):
        reason, message = ("JobSuspended", "Job suspended") if suspended else ("JobResumed", "Job resumed")
        conditions = meta.with_condition(conditions, "Suspended", suspended, reason, message)
    if not suspended:
        status["startTime"] = old.get("startTime") or meta.now()
    if outcome is not None:
        target = "SuccessCriteriaMet" if outcome.kind == "Complete" else "FailureTarget"
        conditions = meta.with_condition(conditions, target, True, outcome.reason, outcome.message)
        if not running:
            conditions = meta.with_condition(conditions, outcome.kind, True, outcome.reason, outcome.message)
            if outcome.kind == "Complete":
                status["completionTime"] = old.get("completionTime") or meta.now()
    if conditions:
        status["conditions"] = conditions
    return status


def is_finished(job: Object) -> bool:
    return meta.is_true(job, "Complete") or meta.is_true(job, "Failed")


class JobReconciler:
    def __init__(self, api: KubeApi) -> None:
        self._api = api
        self._events = Recorder(api, "job-controller", EVENTS)

    def reconcile(self, key: Key) -> float | None:
        try:
            job = self._api.get(JOBS, key.name, key.namespace)
        except NotFound:
            return None
        if meta.is_going(job) or job["spec"].get("managedBy", MANAGER) != MANAGER:
            return None
        if is_finished(job):
            return self._expire(job)
        pods = podset.owned(self._api, job)
        now = dt.datetime.now(dt.UTC)
        outcome = self._decided(job) or decide(job, pods, now)
        again = None
        if outcome is not None or job["spec"].get("suspend"):
            podset.delete(self._api, [pod for pod in pods if podset.is_active(pod)])
        else:
            again = self._scale(job, pods, now)
        self._write_status(job, podset.owned(self._api, job), outcome)
        return again

    @staticmethod
    def _decided(job: Object) -> Outcome | None:
        """What was decided before, while its pods are still ending: a decision is not taken back."""
        for target, kind in (("SuccessCriteriaMet", "Complete"), ("FailureTarget", "Failed")):
            condition = meta.condition(job, target)
            if condition is not None and condition.get("status") == "True":
                return Outcome(kind, str(condition.get("reason")), str(condition.get("message") or ""))
        return None

    def _scale(self, job: Object, pods: list[Object], now: dt.datetime) -> float | None:
        """Have as many pods active as are wanted; seconds until there is something to do, if time alone tells."""
        active = [pod for pod in pods if podset.is_active(pod)]
        ending = [pod for pod in pods if meta.is_going(pod) and podset.phase(pod) != podset.SUCCEEDED]
        if job["spec"].get("podReplacementPolicy") != "Failed":
            ending = []  # a pod that is asked to end is replaced at once
        occupied = [*active, *ending]
        if job_indexes.is_indexed(job):
            settled = len(job_indexes.completed(job, pods)) + len(job_indexes.failed(job, pods))
        else:
            settled = sum(podset.phase(pod) == podset.SUCCEEDED for pod in pods)
        wanted = wanted_pods(job, settled)
        again = []
        if len(active) > wanted and job["spec"].get("completions") is not None:
            podset.delete(self._api, active[wanted:])
        elif len(occupied) < wanted:
            again = self._create(job, pods, occupied, wanted - len(occupied), now)
        deadline = job["spec"].get("activeDeadlineSeconds")
        if deadline is not None:
            started = (job.get("status") or {}).get("startTime")
            again.append(max(0.05, float(deadline) - (_since(started, now) if started else 0.0)))
        return min(again, default=None)

    def _create(
        self, job: Object, pods: list[Object], occupied: list[Object], number: int, now: dt.datetime
    ) -> list[float]:
        """Make pods; the seconds to wait for those that failed too lately to be tried again."""
        indexes: list[int | None] = [None] * number
        if job_indexes.is_indexed(job):
            indexes = list(job_indexes.open_indexes(job, pods, occupied))
        alone = job["spec"].get("backoffLimitPerIndex") is not None
        seen, waits = list(pods), []
        for index in indexes:
            tried = [pod for pod in seen if job_indexes.index_of(pod) == index] if alone else seen
            delay = retry_delay(tried, now)
            if delay > 0:
                waits.append(delay)
                continue
            if number == 0:
                break
            wanted = job_pod(job, pods) if index is None else job_indexes.indexed_pod(job, index, pods)
            pod = self._api.create(PODS, wanted)
            pods.append(pod)
            number -= 1
            self._events.normal(job, "SuccessfulCreate", f"Created pod: {meta.name_of(pod)}")
        return waits

    def _write_status(self, job: Object, pods: list[Object], outcome: Outcome | None) -> None:
        status = job_status(job, pods, outcome)
        if status == job.get("status"):
            return
        written = self._api.replace(JOBS, {**job, "status": status}, subresource="status")
        if outcome is None or not is_finished(written):
            return
        if outcome.kind == "Complete":
            self._events.normal(job, "Completed", "Job completed")
        else:
            self._events.warning(job, outcome.reason, outcome.message)

    def _expire(self, job: Object) -> float | None:
        """Delete a finished Job when its time to live is over; else the seconds until then."""
        ttl = job["spec"].get("ttlSecondsAfterFinished")
        if ttl is None:
            return None
        end = meta.condition(job, "Complete") or meta.condition(job, "Failed")
        assert end is not None
        left = float(ttl) - _since(str(end["lastTransitionTime"]), dt.datetime.now(dt.UTC))
        if left > 0:
            return left
        self._api.delete(JOBS, meta.name_of(job), meta.namespace_of(job), uid=meta.uid_of(job))
        return None


def job_controller(api: KubeApi) -> Controller:
    """Runs batch/v1 Jobs."""
    return Controller("job", JobReconciler(api).reconcile, {JOBS: to_itself, PODS: to_controller("Job")}, workers=2)
