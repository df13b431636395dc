"""The probes of every pod that runs: started, replaced and stopped as containers are."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from cpod_jupyter.api.resources import Object
from cpod_jupyter.control.controller import Key, Recorder
from cpod_jupyter.engine.kubelet.plan import ContainerReport, PodPlan, PodReport
from cpod_jupyter.engine.kubelet.probes import Prober, Target
from cpod_jupyter.engine.kubelet.status import ProbeState

Run = tuple[str, str, int]
"""One run of a container: pod uid, container name, restart count."""


class PodProbes:
    """Thread-safe. `changed` is called with a pod's key when its readiness may have changed."""

    def __init__(self, events: Recorder, changed: Callable[[Key], None]) -> None:
        self._events = events
        self._changed = changed
        self._lock = threading.Lock()
        self._probers: dict[Run, Prober] = {}

    def follow(self, pod: Object, plan: PodPlan, report: PodReport) -> Mapping[str, ProbeState]:
        """Probe what runs now, and no more what doesn't; what the probes say, by container."""
        specs = {
            str(spec["name"]): spec for spec in [*pod["spec"]["containers"], *(pod["spec"].get("initContainers") or [])]
        }
        wanted: dict[Run, ContainerReport] = {
            (plan.uid, container.name, container.restart_count): container
            for container in [*report.containers, *(c for c in report.init_containers if c.sidecar)]
            if container.running and not (container.starting or report.ended) and Prober.wanted(specs[container.name])
        }
        plans = {container.name: container for container in [*plan.containers, *plan.init_containers]}
        with self._lock:
            for run in [run for run in self._probers if run[0] == plan.uid and run not in wanted]:
                self._probers.pop(run).stop()
            for run, container in wanted.items():
                if run not in self._probers:
                    target = Target(specs[container.name], plans[container.name], plan.pod_ip)
                    self._probers[run] = self._prober(pod, plan, target, container)
            return {run[1]: self._probers[run].state for run in wanted}

    def _prober(self, pod: Object, plan: PodPlan, target: Target, container: ContainerReport) -> Prober:
        key = Key(plan.namespace, plan.name)
        return Prober(
            target,
            container,
            plan.grace_seconds,
            was_ready=_was_ready(pod, container),
            changed=lambda: self._changed(key),
            unhealthy=lambda message: self._events.warning(pod, "Unhealthy", message),
            killing=lambda message: self._events.normal(pod, "Killing", message),
        )

    def forget(self, uid: str) -> None:
        """Probe a pod no more."""
        with self._lock:
            for run in [run for run in self._probers if run[0] == uid]:
                self._probers.pop(run).stop()

    def stop(self) -> None:
        with self._lock:
            for prober in self._probers.values():
                prober.stop()
            self._probers.clear()


def _was_ready(pod: Object, container: ContainerReport) -> bool:
    """Whether the pod's status has this very run as ready: an engine that starts again takes its word."""
    status = pod.get("status") or {}
    statuses: list[dict[str, Any]] = status.get("containerStatuses") or []
    statuses = [*statuses, *(status.get("initContainerStatuses") or [])]
    return any(
        entry["name"] == container.name
        and entry.get("ready")
        and entry.get("restartCount") == container.restart_count
        and entry.get("state") == container.state
        for entry in statuses
    )
