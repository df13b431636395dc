"""From what is observed to what a status says. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from cpod_jupyter.api import meta
from cpod_jupyter.api.cpodjob import CPodJobCondition
from cpod_jupyter.api.finetune import FineTunePhase
from cpod_jupyter.api.resources import Object
from cpod_jupyter.operator import pods as words

Conditions = list[dict[str, Any]]

_ORDER = {kind.value: position for position, kind in enumerate(CPodJobCondition)}

_RESTARTED = "Restarted"
_DEADLINE = "DeadlineExceeded"
_HELD_UP = "ContainerWaiting"
UNSCHEDULABLE = "Unschedulable"
TROUBLE = frozenset({UNSCHEDULABLE, _HELD_UP, _RESTARTED})
"""Reasons of Running that a person is warned of."""


def ended(job: Object) -> Literal["Succeeded", "Failed", ""]:
    """How a Job (batch/v1: Complete, Failed) or a Kubeflow job (Succeeded, Failed) ended, if it did."""
    if meta.is_true(job, "Failed"):
        return "Failed"
    if meta.is_true(job, "Succeeded") or meta.is_true(job, "Complete"):
        return "Succeeded"
    return ""


def ending_message(job: Object, pods: Sequence[Object], remembered: str = "") -> str:
    """Why a job failed: its containers' last words, those remembered from pods that are gone, or its own.

    A deadline is the job's to tell: its containers only know that they were ended.
    """
    condition = meta.condition(job, "Failed") or {}
    own = str(condition.get("message") or condition.get("reason") or "the job failed and gives no reason")
    if past_deadline(job):
        return own
    return words.failure(pods) or remembered or own


def past_deadline(job: Object) -> bool:
    """Whether a job failed because its time was up.

    A batch Job gives that as its reason. Kubeflow's kinds have one reason for every failure (training-operator v1.9,
    JobFailedReason), so it is told by the clock: whatever goes on until its deadline is ended by nothing else.
    """
    condition = meta.condition(job, "Failed") or {}
    if condition.get("reason") == _DEADLINE:
        return True
    seconds = (job["spec"].get("runPolicy") or {}).get("activeDeadlineSeconds") if "spec" in job else None
    started, failed = (job.get("status") or {}).get("startTime"), condition.get("lastTransitionTime")
    if not (seconds and started and failed):
        return False
    return (meta.parse_time(str(failed)) - meta.parse_time(str(started))).total_seconds() >= float(seconds)


@dataclass(frozen=True)
class Work:
    """What the job under a CPodJob does, as one condition."""

    type: CPodJobCondition
    status: bool
    reason: str
    message: str


def observe(job: Object, pods: Sequence[Object], conditions: Conditions) -> Work:
    """Where the work stands.

    `conditions` are the CPodJob's so far: a restarted container's last words are kept in Running, for
    the pod may be gone when the job gives up (Kubeflow, cleanPodPolicy Running).
    """
    running = next((entry for entry in conditions if entry.get("type") == CPodJobCondition.RUNNING), {})
    remembered = str(running.get("message") or "") if running.get("reason") == _RESTARTED else ""
    outcome = ended(job)
    if outcome == "Failed":
        reason = _DEADLINE if past_deadline(job) else "JobFailed"
        return Work(CPodJobCondition.FAILED, True, reason, ending_message(job, pods, remembered))
    if outcome == "Succeeded":
        return Work(CPodJobCondition.SUCCEEDED, True, "JobSucceeded", f"the {job['kind']} ended well")
    if sentence := words.unschedulable(pods):
        return Work(CPodJobCondition.RUNNING, False, UNSCHEDULABLE, sentence)
    if reason := words.held_up(pods):
        return Work(CPodJobCondition.RUNNING, False, _HELD_UP, reason)
    if (words.restarts(pods) or words.any_failed(pods)) and (last_words := words.failure(pods) or remembered):
        return Work(CPodJobCondition.RUNNING, words.any_running(pods), _RESTARTED, last_words)
    if words.any_running(pods) or words.all_ended(pods):  # ended pods are not the end of the job: it says so itself
        return Work(CPodJobCondition.RUNNING, True, "JobRunning", f"the {job['kind']} is running")
    return Work(CPodJobCondition.RUNNING, False, "Starting", "the pods are being started")


def with_work(conditions: Conditions, work: Work) -> Conditions:
    """The conditions with what was observed; what has ended does not run."""
    result = set_condition(conditions, work.type, work.status, work.reason, work.message)
    has_run = any(entry["type"] == CPodJobCondition.RUNNING for entry in result)
    if work.type is not CPodJobCondition.RUNNING and has_run:
        result = set_condition(result, CPodJobCondition.RUNNING, False, work.reason, "")
    return result


def set_condition(
    conditions: Conditions, kind: CPodJobCondition, status: bool, reason: str, message: str = ""
) -> Conditions:
    """As `meta.with_condition`, with the furthest condition that holds as the last: kubectl's column State."""
    result = meta.with_condition(conditions, kind.value, status, reason, message, updated=True)
    return sorted(result, key=lambda entry: (entry["status"] == "True", _ORDER.get(entry["type"], 0)))


def is_finished(cpodjob: Object) -> bool:
    return meta.is_true(cpodjob, CPodJobCondition.SUCCEEDED) or meta.is_true(cpodjob, CPodJobCondition.FAILED)


def finetune_status(cpodjob: Object) -> dict[str, Any]:
    """A FineTune's status from its CPodJob's conditions."""

    def message(kind: CPodJobCondition) -> str:
        return str((meta.condition(cpodjob, kind) or {}).get("message") or "")

    if meta.is_true(cpodjob, CPodJobCondition.FAILED):
        return {"phase": FineTunePhase.FAILED.value, "failureMessage": message(CPodJobCondition.FAILED)}
    if meta.is_true(cpodjob, CPodJobCondition.SUCCEEDED):
        result = str((cpodjob.get("status") or {}).get("modelStorage") or "")
        return {"phase": FineTunePhase.SUCCEEDED.value, "failureMessage": "", "modelStorage": result}
    if meta.is_true(cpodjob, CPodJobCondition.RUNNING):
        return {"phase": FineTunePhase.RUNNING.value, "failureMessage": ""}
    running = meta.condition(cpodjob, CPodJobCondition.RUNNING) or {}
    if running.get("reason") == UNSCHEDULABLE:
        return {"phase": FineTunePhase.PENDING.value, "failureMessage": str(running.get("message") or "")}
    trouble = str(running.get("message") or "") if running.get("reason") in TROUBLE else ""
    return {"phase": FineTunePhase.DATA_PREPARING.value, "failureMessage": trouble}
