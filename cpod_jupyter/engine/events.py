"""Events in the form of events.k8s.io/v1 over the store of the core ones: two forms of the same objects, as in the
API server (kubernetes/pkg/apis/events/v1/conversion.go)."""

from __future__ import annotations

from typing import Any

from cpod_jupyter.api.resources import Object, Resource
from cpod_jupyter.errors import Invalid

EVENTS_V1 = Resource("events.k8s.io", "v1", "events", "Event", short_names=("ev",))
_NAMES = {
    "note": "message",
    "regarding": "involvedObject",
    "reportingController": "reportingComponent",
    "deprecatedSource": "source",
    "deprecatedFirstTimestamp": "firstTimestamp",
    "deprecatedLastTimestamp": "lastTimestamp",
    "deprecatedCount": "count",
}
"""Field in events.k8s.io/v1 → field in v1, where they differ."""
_BACK = {core: name for name, core in _NAMES.items()}
_REQUIRED = ("eventTime", "reportingController", "reportingInstance", "action", "reason", "type")
_NOTE_LENGTH = 1024
"""Bytes."""


def to_core(event: Any) -> Any:
    """An event as it is stored. Fields that neither form has stay, for the schema to judge."""
    if not isinstance(event, dict) or event.get("apiVersion", EVENTS_V1.api_version) != EVENTS_V1.api_version:
        return event
    return {**{_NAMES.get(name, name): value for name, value in event.items()}, "apiVersion": "v1"}


def from_core(event: Object) -> Object:
    """An event in the form of events.k8s.io/v1, where the time is never missing."""
    shown = {_BACK.get(name, name): value for name, value in event.items()}
    first = event.get("firstTimestamp") or event["metadata"].get("creationTimestamp")
    time = event.get("eventTime") or (first and first.replace("Z", ".000000Z"))
    return {**shown, "apiVersion": EVENTS_V1.api_version, "eventTime": time}


def check_new(event: Any) -> None:
    """What a new event must have in this form; the core form asks for less. Raises Invalid."""
    if not isinstance(event, dict):
        return  # what is no object is refused as for every kind
    faults = [(name, "FieldValueRequired", "Required value") for name in _REQUIRED if not event.get(name)]
    if event.get("type") not in (None, "", "Normal", "Warning"):
        text = f'Invalid value: "{event["type"]}": must be Normal or Warning'
        faults.append(("type", "FieldValueInvalid", text))
    if len(str(event.get("note") or "").encode()) > _NOTE_LENGTH:
        faults.append(("note", "FieldValueInvalid", f"Invalid value: can have at most {_NOTE_LENGTH} bytes"))
    if faults:
        name = str((event.get("metadata") or {}).get("name") or "")
        causes = [{"reason": reason, "message": text, "field": field} for field, reason, text in faults]
        listed = ", ".join(f"{field}: {text}" for field, _, text in faults)
        details = {"name": name, "group": EVENTS_V1.group, "kind": EVENTS_V1.kind, "causes": causes}
        raise Invalid(f'Event.events.k8s.io "{name}" is invalid: {listed}', details)


def core_fields(selector: str) -> str:
    """A field selector on this form as one on the stored form."""
    parts = []
    for part in selector.split(","):
        first, dot, rest = part.strip().partition(".")
        bare = first.split("=")[0].rstrip("!")
        parts.append(f"{_NAMES.get(bare, bare)}{first[len(bare) :]}{dot}{rest}")
    return ",".join(parts)
