"""From what runs to a Pod's status: pure (Kubernetes, "Pod Lifecycle")."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import Object
from cpod_jupyter.engine.kubelet.network import HOST_IP
from cpod_jupyter.engine.kubelet.plan import ContainerReport, PodReport

Status = dict[str, Any]


@dataclass(frozen=True)
class ProbeState:
    """What probes say of a container. Without a probe of the kind, running is enough."""

    ready: bool = True
    started: bool = True


@dataclass(frozen=True)
class Observed:
    """A pod as it is: its report, its address, and what probes say by container name."""

    report: PodReport
    pod_ip: str
    probes: Mapping[str, ProbeState] = field(default_factory=dict)


def phase(report: PodReport, has_init: bool) -> str:
    """Pending, Running, Succeeded or Failed."""
    if report.ended:
        if report.reason or any(c.terminated is None or c.terminated["exitCode"] for c in report.containers):
            return "Failed"
        return "Succeeded"
    begun = all(c.state.get("running") or c.terminated or c.last_state for c in report.containers)
    initialized = not has_init or _initialized(report)
    return "Running" if begun and initialized else "Pending"


def _initialized(report: PodReport) -> bool:
    return all(c.passed or (not c.sidecar and _succeeded(c)) for c in report.init_containers)


def _succeeded(container: ContainerReport) -> bool:
    return container.terminated is not None and container.terminated["exitCode"] == 0


def pod_status(pod: Object, observed: Observed) -> Status:
    """The whole status of a pod that was started; transition times are kept from the status it has."""
    report = observed.report
    old = pod.get("status") or {}
    images = {c["name"]: str(c.get("image") or "") for c in _specs(pod)}
    current = phase(report, bool(report.init_containers))
    probes = {
        c.name: observed.probes.get(c.name, ProbeState()) for c in report.all_containers() if _is_probed(c, report)
    }
    apps = [_container_status(c, images, probes.get(c.name), current) for c in report.containers]
    init = [_container_status(c, images, probes.get(c.name), current) for c in report.init_containers]
    status: Status = {
        **{key: old[key] for key in ("qosClass", "nominatedNodeName") if key in old},
        "phase": current,
        "conditions": _conditions(old.get("conditions"), report, [*_sidecars(report, init), *apps], current),
        "hostIP": HOST_IP,
        "hostIPs": [{"ip": HOST_IP}],
        "podIP": observed.pod_ip,
        "podIPs": [{"ip": observed.pod_ip}],
        "startTime": old.get("startTime") or meta.now(),
        "containerStatuses": apps,
    }
    if init:
        status["initContainerStatuses"] = init
    if report.reason:
        status["reason"], status["message"] = report.reason, report.message
    return status


def _is_probed(container: ContainerReport, report: PodReport) -> bool:
    """Whether it is there to serve: a container or a sidecar, not what only prepares the pod."""
    return container.sidecar or container in report.containers


def _sidecars(report: PodReport, statuses: list[Status]) -> list[Status]:
    return [entry for entry, c in zip(statuses, report.init_containers, strict=True) if c.sidecar]


def waiting_status(pod: Object, reason: str, message: str) -> Status:
    """The status of a pod that can't be started yet, and why."""
    old = pod.get("status") or {}
    state = {"waiting": {"reason": reason, "message": message}}

    def container(spec: Mapping[str, Any]) -> Status:
        return {
            "name": spec["name"],
            "image": str(spec.get("image") or ""),
            "imageID": "",
            "ready": False,
            "started": False,
            "restartCount": 0,
            "state": state,
            "lastState": {},
        }

    apps = [container(spec) for spec in pod["spec"]["containers"]]
    status: Status = {
        **old,
        "phase": "Pending",
        "hostIP": HOST_IP,
        "hostIPs": [{"ip": HOST_IP}],
        "startTime": old.get("startTime") or meta.now(),
        "conditions": _not_ready(old.get("conditions"), apps, initialized=not pod["spec"].get("initContainers")),
        "containerStatuses": apps,
    }
    if pod["spec"].get("initContainers"):
        status["initContainerStatuses"] = [container(spec) for spec in pod["spec"]["initContainers"]]
    return status


def lost_status(pod: Object) -> Status:
    """The status of a pod that ran and of which this machine has no trace."""
    old = pod.get("status") or {}
    apps = old.get("containerStatuses") or []
    return {
        **old,
        "phase": "Failed",
        "reason": "PodLost",
        "message": "the engine's records of this pod are gone, and with them the pod",
        "conditions": _not_ready(old.get("conditions"), apps, initialized=True),
        "containerStatuses": [{**status, "ready": False} for status in apps],
    }


def _specs(pod: Object) -> list[dict[str, Any]]:
    return [*(pod["spec"].get("initContainers") or []), *pod["spec"]["containers"]]


def _container_status(
    report: ContainerReport, images: Mapping[str, str], probes: ProbeState | None, current: str
) -> Status:
    """One containerStatus; an init container that is no sidecar (no probes) is ready once it has completed."""
    if probes is None:
        ready = _succeeded(report)
        started = report.running
    else:
        started = report.running and probes.started and not report.starting
        ready = started and probes.ready and (current == "Running" or report.sidecar)
    image = images.get(report.name, "")
    return {
        "name": report.name,
        "image": image,
        "imageID": image,
        "containerID": f"process://{report.pid}" if report.pid else "",
        "ready": ready,
        "started": started,
        "restartCount": report.restart_count,
        "state": report.state,
        "lastState": report.last_state,
    }


def _conditions(old: list[Status] | None, report: PodReport, apps: list[Status], current: str) -> list[Status]:
    initialized = _initialized(report)
    if current in ("Succeeded", "Failed"):
        reason = "PodCompleted" if current == "Succeeded" else "PodFailed"
        result = _set(old, "PodScheduled", True)
        result = _set(result, "Initialized", initialized, reason if current == "Succeeded" else "")
        result = _set(result, "ContainersReady", False, reason)
        return _set(result, "Ready", False, reason)
    if all(status["ready"] for status in apps):
        result = old or []
        for kind in ("PodScheduled", "Initialized", "ContainersReady", "Ready"):
            result = _set(result, kind, True)
        return result
    return _not_ready(old, apps, initialized)


def _not_ready(old: list[Status] | None, apps: list[Status], initialized: bool) -> list[Status]:
    unready = " ".join(str(status["name"]) for status in apps if not status.get("ready"))
    why = ("ContainersNotReady", f"containers with unready status: [{unready}]")
    result = _set(old, "PodScheduled", True)
    if initialized:
        result = _set(result, "Initialized", True)
    else:
        message = "init containers have not all completed"
        result = _set(result, "Initialized", False, "ContainersNotInitialized", message)
    result = _set(result, "ContainersReady", False, *why)
    return _set(result, "Ready", False, *why)


def _set(conditions: list[Status] | None, kind: str, status: bool, reason: str = "", message: str = "") -> list[Status]:
    """One condition set, empty words left out as Kubernetes does."""
    result = meta.with_condition(conditions, kind, status, reason, message)
    return [{key: value for key, value in entry.items() if value != ""} for entry in result]
