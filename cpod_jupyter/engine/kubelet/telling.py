"""Events that tell what happened to a pod's containers, read off its status as it was and as it is."""

from __future__ import annotations

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import Object
from cpod_jupyter.control.controller import Recorder
from cpod_jupyter.engine.kubelet.status import Status


def say_what_happened(events: Recorder, pod: Object, new: Status) -> None:
    """Events for containers that started, failed to, or wait to start again since the pod's old status."""
    old = {
        entry["name"]: entry
        for kind in ("initContainerStatuses", "containerStatuses")
        for entry in (pod.get("status") or {}).get(kind) or []
    }
    for entry in [*(new.get("initContainerStatuses") or []), *new["containerStatuses"]]:
        name, before = entry["name"], old.get(entry["name"]) or {}
        fresh = before.get("restartCount", -1) != entry["restartCount"] or "waiting" in (before.get("state") or {})
        ended = entry["state"].get("terminated") or {}
        waiting = entry["state"].get("waiting") or {}
        if ended.get("reason") == "StartError" and before.get("state") != entry["state"]:
            events.warning(pod, "Failed", f"Error: {ended.get('message')}")
        elif fresh and not waiting:
            events.normal(pod, "Created", f"Created container: {name}")
            events.normal(pod, "Started", f"Started container {name}")
        if waiting.get("reason") == "CrashLoopBackOff" and before.get("state") != entry["state"]:
            where = f"{meta.name_of(pod)}_{meta.namespace_of(pod)}({meta.uid_of(pod)})"
            events.warning(pod, "BackOff", f"Back-off restarting failed container {name} in pod {where}")
    if new.get("reason") and new["reason"] != (pod.get("status") or {}).get("reason"):
        events.warning(pod, str(new["reason"]), str(new.get("message") or ""))
