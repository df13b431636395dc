"""One vocabulary for how far an object has come, whatever its kind calls it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import (
    CPODJOBS,
    DATASETSTORAGES,
    FINETUNES,
    INFERENCES,
    INFERENCESERVICES,
    JOBS,
    MODELSTORAGES,
    PODS,
    TRAINING_KINDS,
    TRAINJOBS,
    Object,
    Resource,
    of_object,
)


class State(StrEnum):
    """How far an object has come. READY is a deployment's good end: it stays."""

    PENDING = "Pending"
    PREPARING = "Preparing"
    RUNNING = "Running"
    READY = "Ready"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    DELETED = "Deleted"

    @property
    def final(self) -> bool:
        """Whether following ends here."""
        return self in (State.READY, State.SUCCEEDED, State.FAILED, State.DELETED)

    @property
    def good(self) -> bool:
        return self in (State.READY, State.SUCCEEDED)


@dataclass(frozen=True)
class Status:
    """An object's state, its kind's own word for it, and what the object says about it."""

    state: State
    phase: str
    message: str = ""

    def __str__(self) -> str:
        return f"{self.phase}: {self.message}" if self.message else self.phase


_STORAGE_STATES = {"": State.PENDING, "downloading": State.RUNNING, "done": State.SUCCEEDED, "fail": State.FAILED}
_FINETUNE_STATES = {
    "": State.PENDING,
    "Pending": State.PENDING,
    "DataPreparing": State.PREPARING,
    "Running": State.RUNNING,
    "Succeeded": State.SUCCEEDED,
    "Failed": State.FAILED,
}


def status_of(obj: Object, resource: Resource | None = None) -> Status:
    """The state of an object, from its status alone."""
    resource = resource or of_object(obj)
    status = obj.get("status") or {}
    if meta.is_going(obj):
        return Status(State.DELETED, "Deleting")
    if resource in (MODELSTORAGES, DATASETSTORAGES):
        if is_behind(obj):
            return Status(State.PENDING, "Pending")
        phase = str(status.get("phase") or "")
        state = _STORAGE_STATES.get(phase.lower(), State.RUNNING)
        return Status(state, phase or "Pending", str(status.get("failureMessage") or ""))
    if resource in (FINETUNES, PODS):
        phase = str(status.get("phase") or "")
        state = _FINETUNE_STATES.get(phase, State.RUNNING)
        message = status.get("failureMessage") or status.get("message") or ""
        return Status(state, phase or "Pending", str(message))
    if resource == INFERENCES:
        return _inference(status)
    if resource in (CPODJOBS, *TRAINING_KINDS):
        return _job(obj)
    if resource == TRAINJOBS:
        return _train_job(obj, status)
    if resource == INFERENCESERVICES:
        return _service(obj, status)
    if resource == JOBS:
        return _batch_job(obj, status)
    return Status(State.RUNNING, str(status.get("phase") or ""))


def is_behind(obj: Object) -> bool:
    """Whether the status is still of an earlier spec: the operator has not seen the edit yet (API conventions,
    "observedGeneration"). A status without it is another operator's, and taken as it is."""
    observed = int((obj.get("status") or {}).get("observedGeneration") or 0)
    return 0 < observed < int(obj["metadata"].get("generation") or 0)


def _inference(status: dict[str, Any]) -> Status:
    message = str(status.get("failureMessage") or "")
    if status.get("ready"):
        return Status(State.READY, "Ready", message)
    if not status.get("dataReady"):
        return Status(State.PREPARING if status else State.PENDING, "DataPreparing" if status else "Pending", message)
    return Status(State.RUNNING, "Starting", message)


def _job(obj: Object) -> Status:
    """From Kubeflow-like conditions, the last word first."""
    for kind, state in (
        ("Failed", State.FAILED),
        ("Succeeded", State.SUCCEEDED),
        ("Running", State.RUNNING),
    ):
        if meta.is_true(obj, kind):
            said = (meta.condition(obj, kind) or {}).get("message") if state is State.FAILED else ""
            return Status(state, kind, str(said or ""))
    if meta.is_true(obj, "Suspended"):
        return Status(State.PENDING, "Suspended", "suspended; it runs on when runPolicy.suspend is false")
    for kind in ("Restarting", "Queuing"):  # Queuing is KubeDL's: its job waits for its queue
        if meta.is_true(obj, kind):
            said = str((meta.condition(obj, kind) or {}).get("message") or "")
            return Status(State.RUNNING if kind == "Restarting" else State.PENDING, kind, said)
    preparing = meta.condition(obj, "DataPreparing")
    if preparing is not None and preparing.get("status") != "True":
        return Status(State.PREPARING, "DataPreparing", str(preparing.get("message") or ""))
    created = meta.condition(obj, "Created")
    return Status(State.PENDING, "Created" if created else "Pending")


def _train_job(obj: Object, status: dict[str, Any]) -> Status:
    """From the conditions of Kubeflow Trainer, which has none for a job that runs; then its jobs' counts tell."""
    if meta.is_true(obj, "Failed"):
        return Status(State.FAILED, "Failed", str((meta.condition(obj, "Failed") or {}).get("message") or ""))
    if meta.is_true(obj, "Complete"):
        return Status(State.SUCCEEDED, "Succeeded")
    if (obj.get("spec") or {}).get("suspend"):
        return Status(State.PENDING, "Suspended", "suspended; it runs on when spec.suspend is false")
    if meta.is_true(obj, "Waiting"):
        return Status(State.PENDING, "Waiting", str((meta.condition(obj, "Waiting") or {}).get("message") or ""))
    active = [str(job["name"]) for job in status.get("jobsStatus") or [] if job.get("active")]
    if not active:
        return Status(State.PENDING, "Created" if status.get("jobsStatus") else "Pending")
    if all(name.endswith("-initializer") for name in active):
        return Status(State.PREPARING, "Initializing", f"{' and '.join(active)} at work")
    return Status(State.RUNNING, "Running")


def _service(obj: Object, status: dict[str, Any]) -> Status:
    """KServe's, from its condition Ready; why it is not is told by the one that Ready waits for."""
    if meta.is_true(obj, "Ready"):
        return Status(State.READY, "Ready")
    if not status.get("conditions"):
        return Status(State.PENDING, "Pending")
    waits = [entry for entry in status["conditions"] if entry.get("status") == "False" and entry.get("message")]
    return Status(State.RUNNING, "Starting", str(waits[0]["message"]) if waits else "")


def _batch_job(obj: Object, status: dict[str, Any]) -> Status:
    if meta.is_true(obj, "Failed"):
        return Status(State.FAILED, "Failed", str((meta.condition(obj, "Failed") or {}).get("message") or ""))
    if meta.is_true(obj, "Complete"):
        return Status(State.SUCCEEDED, "Succeeded")
    if meta.is_true(obj, "Suspended"):
        return Status(State.PENDING, "Suspended", "suspended; it runs on when spec.suspend is false")
    return Status(State.RUNNING, "Running") if status.get("active") else Status(State.PENDING, "Pending")


def result_of(obj: Object) -> str:
    """The ModelStorage that a job's result became; empty when there is none."""
    return str((obj.get("status") or {}).get("modelStorage") or "")
