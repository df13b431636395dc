"""What controllers ask of the pods they own: pure questions, and a pod of a template."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import PODS, Object
from cpod_jupyter.control.api import KubeApi
from cpod_jupyter.errors import NotFound

SUCCEEDED, FAILED, RUNNING, PENDING = "Succeeded", "Failed", "Running", "Pending"


@dataclass(frozen=True)
class Failure:
    """How a pod failed, by its first container that did."""

    exit_code: int
    reason: str
    message: str

    def sentence(self, pod: str) -> str:
        """For a person: `pod x-worker-0 exited with 3 (Error): out of memory at step 7`."""
        how = f"exited with {self.exit_code}" if self.exit_code else "failed"
        why = f" ({self.reason})" if self.reason else ""
        return f"pod {pod} {how}{why}" + (f": {self.message.strip()}" if self.message.strip() else "")


def phase(pod: Object) -> str:
    return str((pod.get("status") or {}).get("phase") or PENDING)


def is_active(pod: Object) -> bool:
    """Neither ended nor being deleted."""
    return phase(pod) not in (SUCCEEDED, FAILED) and not meta.is_going(pod)


def is_ready(pod: Object) -> bool:
    return meta.is_true(pod, "Ready") and not meta.is_going(pod)


def statuses(pod: Object) -> list[dict[str, Any]]:
    """The statuses of all containers, init containers first."""
    status = pod.get("status") or {}
    return [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]


def restarts(pod: Object) -> int:
    return sum(int(status.get("restartCount") or 0) for status in statuses(pod))


def finished_at(pod: Object) -> str:
    """When the pod's last container ended; empty when none has."""
    ends = [((status.get("state") or {}).get("terminated") or {}).get("finishedAt", "") for status in statuses(pod)]
    return max(ends, default="")


def failure(pod: Object) -> Failure:
    """How a failed pod failed; of a pod that failed as a whole, its own reason and message."""
    status = pod.get("status") or {}
    for entry in statuses(pod):
        ended = (entry.get("state") or {}).get("terminated") or {}
        if ended.get("exitCode"):
            reason = str(status.get("reason") or ended.get("reason") or "")
            message = str(ended.get("message") or status.get("message") or "")
            return Failure(int(ended["exitCode"]), reason, message)
    return Failure(0, str(status.get("reason") or ""), str(status.get("message") or ""))


def last_failure(pod: Object) -> Failure | None:
    """How the latest failed run of a container ended, in a pod that restarts its containers."""
    for entry in statuses(pod):
        for state in (entry.get("state"), entry.get("lastState")):
            ended = (state or {}).get("terminated") or {}
            if ended.get("exitCode"):
                return Failure(int(ended["exitCode"]), str(ended.get("reason") or ""), str(ended.get("message") or ""))
    return None


def trouble(pod: Object) -> tuple[str, str] | None:
    """Why a pod that should run does not: reason and message, in Kubernetes' words; None when it is merely starting."""
    if phase(pod) == FAILED:
        how = failure(pod)
        return how.reason or "PodFailed", how.sentence(meta.name_of(pod))
    scheduled = meta.condition(pod, "PodScheduled")
    if scheduled is not None and scheduled.get("status") == "False":
        return str(scheduled.get("reason") or "Unschedulable"), str(scheduled.get("message") or "")
    for entry in statuses(pod):
        waiting = (entry.get("state") or {}).get("waiting") or {}
        reason = str(waiting.get("reason") or "")
        if reason == "CrashLoopBackOff":
            last = last_failure(pod)
            said = last.sentence(meta.name_of(pod)) if last else str(waiting.get("message") or "")
            return reason, f"{said}; restarted {entry.get('restartCount')} times"
        if reason not in ("", "ContainerCreating", "PodInitializing"):
            return reason, str(waiting.get("message") or "")
    return None


def from_template(
    template: Mapping[str, Any], owner: Object, name: str, labels: Mapping[str, str], **spec: Any
) -> Object:
    """A pod of a PodTemplateSpec, owned and labelled; `spec` fields replace the template's."""
    metadata = template.get("metadata") or {}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": meta.namespace_of(owner),
            "labels": {**(metadata.get("labels") or {}), **labels},
            "annotations": dict(metadata.get("annotations") or {}),
            "ownerReferences": [meta.owner_reference(owner)],
        },
        "spec": {**copy.deepcopy(dict(template.get("spec") or {})), **spec},
    }


def owned(api: KubeApi, owner: Object) -> list[Object]:
    """The pods that an object controls, by name."""
    found = api.list(PODS, meta.namespace_of(owner)).items
    return sorted((pod for pod in found if meta.is_controlled_by(pod, owner)), key=meta.name_of)


def delete(api: KubeApi, doomed: Iterable[Object]) -> None:
    """Ask for the end of pods; those already ending or gone are left alone."""
    for pod in doomed:
        if meta.is_going(pod):
            continue
        try:
            api.delete(PODS, meta.name_of(pod), meta.namespace_of(pod), uid=meta.uid_of(pod))
        except NotFound:
            continue
