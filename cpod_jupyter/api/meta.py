"""Small pure functions over API objects: names, owners, conditions, times, events."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import re
from typing import Any

from cpod_jupyter.api.resources import Object

NAME_PATTERN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
"""RFC 1123 subdomain, as Kubernetes wants object names."""


def now() -> str:
    """The time in the API's form: RFC 3339, whole seconds, UTC."""
    return dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_time(text: str) -> dt.datetime:
    """A time of the API, with or without a fraction of a second."""
    return dt.datetime.fromisoformat(text.replace("Z", "+00:00"))


def name_of(obj: Object) -> str:
    return str(obj["metadata"]["name"])


def namespace_of(obj: Object) -> str:
    return str(obj["metadata"].get("namespace", ""))


def uid_of(obj: Object) -> str:
    return str(obj["metadata"].get("uid", ""))


def is_going(obj: Object) -> bool:
    """Whether it is being deleted, and only waits for its finalizers or its grace period."""
    return bool(obj["metadata"].get("deletionTimestamp"))


def spec_hash(spec: Any) -> str:
    """Ten hexadecimal digits that differ when a specification does."""
    return hashlib.sha256(json.dumps(spec, sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:10]


def owner_reference(owner: Object) -> dict[str, Any]:
    """The reference a child carries to the object that controls it."""
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": name_of(owner),
        "uid": uid_of(owner),
        "controller": True,
        "blockOwnerDeletion": True,
    }


def controller_of(obj: Object) -> dict[str, Any] | None:
    """The owner reference marked `controller`, if there is one."""
    for reference in obj["metadata"].get("ownerReferences") or []:
        if reference.get("controller"):
            return dict(reference)
    return None


def is_controlled_by(obj: Object, owner: Object) -> bool:
    reference = controller_of(obj)
    return reference is not None and reference.get("uid") == uid_of(owner)


def condition(obj: Object, kind: str) -> dict[str, Any] | None:
    """The condition of that type in the object's status."""
    for entry in (obj.get("status") or {}).get("conditions") or []:
        if entry.get("type") == kind:
            return dict(entry)
    return None


def is_true(obj: Object, kind: str) -> bool:
    entry = condition(obj, kind)
    return entry is not None and entry.get("status") == "True"


def with_condition(
    conditions: list[dict[str, Any]] | None,
    kind: str,
    status: bool,
    reason: str,
    message: str = "",
    *,
    updated: bool = False,
) -> list[dict[str, Any]]:
    """The list with one condition set; its transition time moves only when its status does.

    `updated` adds Kubeflow's `lastUpdateTime` (training-operator JobCondition).
    """
    entry: dict[str, Any] = {
        "type": kind,
        "status": "True" if status else "False",
        "reason": reason,
        "message": message,
    }
    result = [dict(old) for old in conditions or []]
    for index, old in enumerate(result):
        if old.get("type") != kind:
            continue
        if all(old.get(key) == entry[key] for key in ("status", "reason", "message")):
            return result
        same = old.get("status") == entry["status"]
        entry["lastTransitionTime"] = old.get("lastTransitionTime", now()) if same else now()
        if updated:
            entry["lastUpdateTime"] = now()
        result[index] = entry
        return result
    entry["lastTransitionTime"] = now()
    if updated:
        entry["lastUpdateTime"] = now()
    return [*result, entry]


def event(about: Object, kind: str, reason: str, message: str, component: str) -> Object:
    """A core/v1 Event about an object; `kind` is Normal or Warning.

    The name is made from what is said, so that saying it again is one event, counted.
    """
    metadata = about["metadata"]
    namespace = metadata.get("namespace") or "default"
    digest = spec_hash([uid_of(about), kind, reason, message, component])
    stamp = now()
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{name_of(about)[:200]}.{digest}", "namespace": namespace},
        "involvedObject": {
            "apiVersion": about["apiVersion"],
            "kind": about["kind"],
            "name": name_of(about),
            "namespace": metadata.get("namespace", ""),
            "uid": uid_of(about),
            "resourceVersion": str(metadata.get("resourceVersion", "")),
        },
        "type": kind,
        "reason": reason,
        "message": message[:1024],
        "source": {"component": component},
        "reportingComponent": component,
        "reportingInstance": component,
        "firstTimestamp": stamp,
        "lastTimestamp": stamp,
        "count": 1,
    }
