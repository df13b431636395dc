"""Tables: the columns that `kubectl get` prints, made by the server (meta.k8s.io/v1, Table)."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterable
from typing import Any

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import Object
from cpod_jupyter.engine.kinds import ServedKind

Cell = str | int | float | bool | None
Column = tuple[str, str, int, Callable[[Object], Cell]]
"""Name, type, priority (above 0: only with `-o wide`), and how the cell is read off an object."""


def age(stamp: str | None) -> str:
    """How long ago, as kubectl shortens it (duration.HumanDuration)."""
    if not stamp:
        return "<unknown>"
    seconds = int((dt.datetime.now(dt.UTC) - meta.parse_time(stamp)).total_seconds())
    if seconds < 120:
        return f"{max(seconds, 0)}s"
    minutes = seconds // 60
    if minutes < 10:
        return f"{minutes}m{seconds % 60}s" if seconds % 60 else f"{minutes}m"
    if minutes < 180:
        return f"{minutes}m"
    hours = minutes // 60
    if hours < 8:
        return f"{hours}h{minutes % 60}m" if minutes % 60 else f"{hours}h"
    if hours < 48:
        return f"{hours}h"
    return f"{hours // 24}d" if hours >= 192 or not hours % 24 else f"{hours // 24}d{hours % 24}h"


def at(obj: Any, path: str) -> Any:
    """The value at a printer column's JSONPath: fields, `[-1:]`, `[0]`, `[*]` and `[?(@.a=='b')]`."""
    values = [obj]
    for name, bracket in re.findall(r"\.?([A-Za-z0-9_\-/\\.]+?)?(?=\.|\[|$)(?:\[([^\]]*)\])?", path.strip("{}")):
        if name:
            key = name.replace("\\.", ".")
            values = [value[key] for value in values if isinstance(value, dict) and key in value]
        if bracket:
            values = [item for value in values if isinstance(value, list) for item in _picked(value, bracket)]
    if not values:
        return None
    return values[0] if len(values) == 1 else ",".join(str(value) for value in values)


def _picked(items: list[Any], bracket: str) -> list[Any]:
    if bracket == "*":
        return items
    if bracket == "-1:":
        return items[-1:]
    if re.fullmatch(r"-?\d+", bracket):
        return items[int(bracket) :][:1]
    if match := re.fullmatch(r"\?\(@\.([A-Za-z0-9_.]+)\s*==\s*['\"]([^'\"]*)['\"]\)", bracket):
        return [item for item in items if str(at(item, match[1])) == match[2]]
    return []


def _spec(path: str) -> Callable[[Object], Cell]:
    def read(obj: Object) -> Cell:
        value = at(obj, path)
        return value if isinstance(value, (str, int, float, bool)) else None

    return read


def _since(path: str) -> Callable[[Object], Cell]:
    return lambda obj: age(at(obj, path))


_age = _since(".metadata.creationTimestamp")


_NAME: Column = ("Name", "string", 0, _spec(".metadata.name"))
_AGE: Column = ("Age", "string", 0, _age)


def _containers(pod: Object) -> list[dict[str, Any]]:
    return list((pod.get("status") or {}).get("containerStatuses") or [])


def _pod_ready(pod: Object) -> Cell:
    ready = sum(bool(status.get("ready")) for status in _containers(pod))
    return f"{ready}/{len(pod['spec'].get('containers') or [])}"


def _pod_status(pod: Object) -> Cell:
    """The word that kubectl prints: the most telling reason there is."""
    status = pod.get("status") or {}
    word = status.get("reason") or status.get("phase") or "Unknown"
    for index, item in enumerate(status.get("initContainerStatuses") or []):
        state = item.get("state") or {}
        done = (state.get("terminated") or {}).get("exitCode") == 0
        if not done:
            detail = (state.get("terminated") or state.get("waiting") or {}).get("reason")
            total = len(pod["spec"].get("initContainers") or [])
            return f"Init:{detail}" if detail and detail != "PodInitializing" else f"Init:{index}/{total}"
    for item in _containers(pod):
        state = item.get("state") or {}
        reason = (state.get("waiting") or state.get("terminated") or {}).get("reason")
        word = reason or word
    if pod["metadata"].get("deletionTimestamp"):
        return "Terminating"
    return str(word)


def _pod_restarts(pod: Object) -> Cell:
    return sum(int(status.get("restartCount") or 0) for status in _containers(pod))


def _job_status(job: Object) -> Cell:
    if meta.is_true(job, "Complete"):
        return "Complete"
    if meta.is_true(job, "Failed"):
        return "Failed"
    return "Suspended" if meta.is_true(job, "Suspended") else "Running"


def _completions(job: Object) -> Cell:
    done = (job.get("status") or {}).get("succeeded") or 0
    return f"{done}/{job['spec'].get('completions') or 1}"


def _node_status(node: Object) -> Cell:
    return "Ready" if meta.is_true(node, "Ready") else "NotReady"


def _ports(service: Object) -> Cell:
    ports = service["spec"].get("ports") or []
    return ",".join(f"{port.get('port')}/{port.get('protocol', 'TCP')}" for port in ports) or "<none>"


def _event_object(event: Object) -> Cell:
    about = event.get("involvedObject") or {}
    return f"{str(about.get('kind', '')).lower()}/{about.get('name', '')}"


_COLUMNS: dict[str, tuple[Column, ...]] = {
    "/pods": (
        _NAME,
        ("Ready", "string", 0, _pod_ready),
        ("Status", "string", 0, _pod_status),
        ("Restarts", "integer", 0, _pod_restarts),
        _AGE,
        ("IP", "string", 1, _spec(".status.podIP")),
        ("Node", "string", 1, _spec(".spec.nodeName")),
    ),
    "batch/jobs": (_NAME, ("Status", "string", 0, _job_status), ("Completions", "string", 0, _completions), _AGE),
    "/nodes": (
        _NAME,
        ("Status", "string", 0, _node_status),
        _AGE,
        ("Version", "string", 0, _spec(".status.nodeInfo.kubeletVersion")),
    ),
    "/namespaces": (_NAME, ("Status", "string", 0, _spec(".status.phase")), _AGE),
    "/services": (
        _NAME,
        ("Type", "string", 0, _spec(".spec.type")),
        ("Cluster-IP", "string", 0, _spec(".spec.clusterIP")),
        ("Port(s)", "string", 0, _ports),
        _AGE,
    ),
    "/persistentvolumeclaims": (
        _NAME,
        ("Status", "string", 0, _spec(".status.phase")),
        ("Volume", "string", 0, _spec(".spec.volumeName")),
        ("Capacity", "string", 0, _spec(".status.capacity.storage")),
        _AGE,
    ),
    "/configmaps": (_NAME, ("Data", "integer", 0, lambda obj: len(obj.get("data") or {})), _AGE),
    "/secrets": (
        _NAME,
        ("Type", "string", 0, _spec(".type")),
        ("Data", "integer", 0, lambda obj: len(obj.get("data") or {})),
        _AGE,
    ),
    "/events": (
        ("Last Seen", "string", 0, lambda obj: age(obj.get("lastTimestamp"))),
        ("Type", "string", 0, _spec(".type")),
        ("Reason", "string", 0, _spec(".reason")),
        ("Object", "string", 0, _event_object),
        ("Message", "string", 0, _spec(".message")),
    ),
    "apiextensions.k8s.io/customresourcedefinitions": (
        _NAME,
        ("Created At", "string", 0, _spec(".metadata.creationTimestamp")),
    ),
}


def columns(kind: ServedKind) -> tuple[Column, ...]:
    """The columns of a kind: its own, else name and age."""
    if kind.key in _COLUMNS:
        return _COLUMNS[kind.key]
    if not kind.columns:
        return (_NAME, _AGE)
    printed: list[Column] = [_NAME]
    for column in kind.columns:
        path = str(column["jsonPath"])
        read = _since(path) if column["type"] == "date" else _spec(path)
        printed.append((column["name"], column["type"], int(column.get("priority") or 0), read))
    return tuple(printed)


def table(kind: ServedKind, objects: Iterable[Object], metadata: dict[str, Any], include: str, head: bool) -> Object:
    """The Table of some objects; `include` is None, Metadata or Object, `head` whether columns are defined."""
    shown = columns(kind)
    rows = []
    for obj in objects:
        row: dict[str, Any] = {"cells": [read(obj) for _, _, _, read in shown]}
        if include == "Object":
            row["object"] = obj
        elif include != "None":
            row["object"] = partial(obj)
        rows.append(row)
    definitions = [
        {
            "name": name,
            "type": type_,
            "format": "name" if name == "Name" else "",
            "description": "",
            "priority": priority,
        }
        for name, type_, priority, _ in shown
    ]
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "columnDefinitions": definitions if head else [],
        "rows": rows,
    }


def partial(obj: Object) -> Object:
    """The object's metadata alone (PartialObjectMetadata)."""
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": obj["metadata"]}
