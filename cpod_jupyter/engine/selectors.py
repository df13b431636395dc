"""Label and field selectors, as the query parameters of lists and watches have them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from cpod_jupyter.api.resources import Object
from cpod_jupyter.errors import BadRequest

Matches = Callable[[Object], bool]

_KEY = r"(?:[A-Za-z0-9.-]+/)?[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
_REQUIREMENT = re.compile(
    rf"\s*(?:(?P<absent>!)\s*(?P<absent_key>{_KEY})"
    rf"|(?P<key>{_KEY})\s*(?:(?P<operator>==|=|!=)\s*(?P<value>[A-Za-z0-9._-]*)"
    rf"|(?P<set>in|notin)\s*\((?P<values>[^)]*)\))?)\s*"
)
_EVERYWHERE = ("metadata.name", "metadata.namespace")
_FIELDS = {
    "/pods": (
        "status.phase", "spec.nodeName", "spec.restartPolicy", "spec.serviceAccountName", "spec.schedulerName",
        "status.podIP",
    ),
    "/events": (
        "involvedObject.kind", "involvedObject.name", "involvedObject.namespace", "involvedObject.uid",
        "involvedObject.resourceVersion", "involvedObject.fieldPath", "involvedObject.apiVersion", "reason", "type",
        "source", "reportingComponent",
    ),
    "/secrets": ("type",),
    "/namespaces": ("status.phase",),
    "/nodes": ("spec.unschedulable",),
    "batch/jobs": ("status.successful",),
}  # fmt: skip


def label_selector(text: str) -> Matches:
    """What `labelSelector` means. Raises BadRequest for bad syntax."""
    requirements: list[Callable[[dict[str, str]], bool]] = []
    position = 0
    while position < len(text):
        match = _REQUIREMENT.match(text, position)
        if match is None or match.end() == position or text[match.end() : match.end() + 1] not in ("", ","):
            raise BadRequest(f"unable to parse requirement in the label selector {text!r} at character {position}")
        requirements.append(_requirement(match))
        position = match.end() + 1
    return lambda obj: all(holds(obj["metadata"].get("labels") or {}) for holds in requirements)


def _requirement(match: re.Match[str]) -> Callable[[dict[str, str]], bool]:
    if match["absent"]:
        key = match["absent_key"]
        return lambda labels: key not in labels
    key, operator, value = match["key"], match["operator"], match["value"]
    if match["set"]:
        values = {part.strip() for part in match["values"].split(",")}
        if match["set"] == "in":
            return lambda labels: key in labels and labels[key] in values
        return lambda labels: labels.get(key) not in values
    if operator == "!=":
        return lambda labels: labels.get(key) != value
    if operator:
        return lambda labels: labels.get(key) == value
    return lambda labels: key in labels


def selector_text(selector: Any) -> str:
    """A LabelSelector as one text, as `labelSelector` takes it; what is text already stays as it is."""
    if not isinstance(selector, dict):
        return str(selector or "")
    parts = [f"{key}={value}" for key, value in sorted((selector.get("matchLabels") or {}).items())]
    for rule in selector.get("matchExpressions") or []:
        key, operator, values = rule.get("key"), str(rule.get("operator")), ",".join(rule.get("values") or [])
        plain = {"Exists": f"{key}", "DoesNotExist": f"!{key}"}
        parts.append(plain.get(operator) or f"{key} {operator.lower()} ({values})")
    return ",".join(parts)


def field_selector(text: str, kind: str, declared: tuple[str, ...] = ()) -> Matches:
    """What `fieldSelector` means for a kind key and the fields that its definition declares.

    Raises BadRequest for a field that cannot be selected by.
    """
    requirements: list[tuple[str, bool, str]] = []
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        match = re.fullmatch(r"([A-Za-z0-9_.\[\]-]+)\s*(==|=|!=)\s*(.*)", part)
        if match is None:
            raise BadRequest(f"invalid field selector {part!r}: FIELD=VALUE or FIELD!=VALUE is expected")
        name, operator, value = match[1], match[2], match[3]
        if name not in _EVERYWHERE and name not in (*_FIELDS.get(kind, ()), *declared):
            raise BadRequest(f'"{name}" is not a known field selector: only {", ".join(_selectable(kind, declared))}')
        requirements.append((name, operator != "!=", value))
    return lambda obj: all((_field(obj, name) == value) is wanted for name, wanted, value in requirements)


def _selectable(kind: str, declared: tuple[str, ...]) -> list[str]:
    return [f'"{name}"' for name in (*_EVERYWHERE, *_FIELDS.get(kind, ()), *declared)]


def _field(obj: Object, path: str) -> str:
    if path == "source":
        return str((obj.get("source") or {}).get("component", ""))
    value: Any = obj
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    if value is None and path == "status.successful":
        return str((obj.get("status") or {}).get("succeeded", 0))
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)
