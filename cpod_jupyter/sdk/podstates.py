"""The pods of a job as a display shows them: which each is, how far it has come, what it uses. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import Object
from cpod_jupyter.sdk.pods import Family, containers_of, place_of
from cpod_jupyter.sdk.usage import Use

EVENTS = 5
"""Events that are shown at most."""


@dataclass(frozen=True)
class PodState:
    """One pod. `place` is `worker-1`; `phase` the pod's, or why its container waits; `cpu` in cores, `memory` in bytes,
    None where the cluster does not tell."""

    place: str
    phase: str
    node: str = ""
    restarts: int = 0
    cpu: float | None = None
    memory: int | None = None


def pod_states(family: Family, use: Mapping[str, Use]) -> tuple[PodState, ...]:
    """The newest pod of each place, by role and index."""
    newest: dict[str, Object] = {}
    for pod in family.pods():
        newest.setdefault(place_of(pod), pod)
    return tuple(_state(place, pod, use.get(meta.name_of(pod))) for place, pod in newest.items())


def _state(place: str, pod: Object, use: Use | None) -> PodState:
    phase = str((pod.get("status") or {}).get("phase") or "Pending")
    containers = containers_of(pod)
    waits = [str((item.get("state") or {}).get("waiting", {}).get("reason") or "") for item in containers]
    shown = next((reason for reason in waits if reason and reason != "PodInitializing"), "")
    if meta.is_going(pod):
        shown = "Terminating"
    over = phase in ("Succeeded", "Failed")
    return PodState(
        place,
        phase if over or not shown else shown,
        str(pod["spec"].get("nodeName") or ""),
        sum(int(item.get("restartCount") or 0) for item in containers),
        None if over or use is None else use.cpu,
        None if over or use is None else use.memory,
    )


def events_in_words(family: Family) -> tuple[str, ...]:
    """The warnings about an object and what was made for it, each once, the newest last: `worker-1: Back-off …`."""
    names = {meta.name_of(pod): place_of(pod) for pod in family.pods()}
    found: dict[str, int] = {}
    for event in family.told(warnings=True):
        about = str((event.get("involvedObject") or {}).get("name") or "")
        who = f"{names[about]}: " if about in names and len(names) > 1 else ""
        text = f"{who}{str(event.get('message') or event.get('reason') or '').strip()}"
        count = found.pop(text, 0)
        found[text] = count + int(event.get("count") or 1)
    words = [f"{text} ({count} times)" if count > 1 else text for text, count in found.items() if text]
    return tuple(words[-EVENTS:])
