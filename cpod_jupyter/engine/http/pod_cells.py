"""What a table says of a pod."""

from __future__ import annotations

from typing import Any

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import Object
from cpod_jupyter.engine.http.cells import AGE, NAME, NONE, Cell, Column, age, column, value


def _statuses(pod: Object, kind: str = "containerStatuses") -> list[dict[str, Any]]:
    return list((pod.get("status") or {}).get(kind) or [])


def _ready(pod: Object) -> Cell:
    always = {each["name"] for each in pod["spec"].get("initContainers") or [] if each.get("restartPolicy") == "Always"}
    beside = [each for each in _statuses(pod, "initContainerStatuses") if each.get("name") in always]
    ready = sum(bool(each.get("ready")) for each in [*_statuses(pod), *beside])
    return f"{ready}/{len(pod['spec'].get('containers') or []) + len(always)}"


def _status(pod: Object) -> Cell:
    """The word that tells most: of an init container that is not done, of a container, of the pod."""
    status = pod.get("status") or {}
    word = str(status.get("reason") or status.get("phase") or "Unknown")
    if any(condition.get("reason") == "SchedulingGated" for condition in status.get("conditions") or []):
        word = "SchedulingGated"
    initial = _initial_status(pod)
    if initial:
        word = initial
    else:
        for each in reversed(_statuses(pod)):
            word = _reason(each) or word
        if word == "Completed" and any(each.get("ready") for each in _statuses(pod)):
            word = "Running"
    if meta.is_going(pod):
        return "Terminating" if status.get("phase") not in ("Succeeded", "Failed") else word
    return word


def _initial_status(pod: Object) -> str:
    """`Init:…` while an init container is not done; empty after that."""
    specs = {each["name"]: each for each in pod["spec"].get("initContainers") or []}
    for index, each in enumerate(_statuses(pod, "initContainerStatuses")):
        state = each.get("state") or {}
        ended = state.get("terminated")
        if (ended or {}).get("exitCode") == 0 and ended:
            continue
        if specs.get(each.get("name"), {}).get("restartPolicy") == "Always" and each.get("started"):
            continue
        if ended:
            return f"Init:{_reason(each)}"
        waiting = (state.get("waiting") or {}).get("reason")
        if waiting and waiting != "PodInitializing":
            return f"Init:{waiting}"
        return f"Init:{index}/{len(specs)}"
    return ""


def _reason(status: dict[str, Any]) -> str:
    """Why a container waits or ended; empty while it runs."""
    state = status.get("state") or {}
    if ended := state.get("terminated"):
        if ended.get("reason"):
            return str(ended["reason"])
        return f"Signal:{ended['signal']}" if ended.get("signal") else f"ExitCode:{ended.get('exitCode')}"
    return str((state.get("waiting") or {}).get("reason") or "")


def _restarts(pod: Object) -> Cell:
    """How often its containers were started again, and when that last was."""
    statuses = _statuses(pod)
    times = sum(int(each.get("restartCount") or 0) for each in statuses)
    ends = [((each.get("lastState") or {}).get("terminated") or {}).get("finishedAt") for each in statuses]
    last = max(filter(None, ends), default=None)
    return f"{times} ({age(last)} ago)" if times and last else str(times)


def _gates(pod: Object) -> Cell:
    gates = pod["spec"].get("readinessGates") or []
    if not gates:
        return NONE
    held = {
        item.get("type") for item in (pod.get("status") or {}).get("conditions") or [] if item.get("status") == "True"
    }
    return f"{sum(gate.get('conditionType') in held for gate in gates)}/{len(gates)}"


POD_COLUMNS: tuple[Column, ...] = (
    NAME,
    column("Ready", _ready),
    column("Status", _status),
    column("Restarts", _restarts),
    AGE,
    column("IP", value(".status.podIP", NONE), wide=True),
    column("Node", value(".spec.nodeName", NONE), wide=True),
    column("Nominated Node", value(".status.nominatedNodeName", NONE), wide=True),
    column("Readiness Gates", _gates, wide=True),
)
