"""One object as a line of a live list, as data: JupyterLab's sidebar draws it. Pure.

A list of thousands is sent whole once and then by what changes, so a line is small: long texts are cut.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypedDict

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import FINETUNES, Object, Resource
from cpod_jupyter.sdk.kinds import word_of
from cpod_jupyter.sdk.listing import about
from cpod_jupyter.sdk.preflight.asks import PRODUCT, pods_of
from cpod_jupyter.sdk.states import State, Status, status_of
from cpod_jupyter.sdk.view import theme

DETAIL, REASON = 200, 400
"""Characters at most."""

_ODD = (ArithmeticError, AttributeError, KeyError, TypeError, ValueError)
"""What comes of reading an object that is not as its kind has it."""


class Row(TypedDict):
    """What `labextension/src/rows.ts` describes. `created` is RFC 3339; `gpus` is empty where none are asked for."""

    kind: str
    name: str
    namespace: str
    phase: str
    tone: str
    final: bool
    created: str
    gpus: str
    detail: str
    reason: str


def key_of(resource: Resource, obj: Object) -> str:
    """What tells a line of a namespace's list from the others: `finetune/facts`."""
    return f"{word_of(resource)}/{meta.name_of(obj)}"


def of_object(obj: Object, resource: Resource) -> Row:
    """The line of an object, from the object alone. One that is not as its kind has it gets a line all the same: its
    server took it."""
    try:
        status = status_of(obj, resource)
    except _ODD:
        status = Status(State.PENDING, "Unknown", "its status is not as its kind has it")
    return {
        "kind": word_of(resource),
        "name": meta.name_of(obj),
        "namespace": meta.namespace_of(obj),
        "phase": status.phase,
        "tone": theme.tone(status.state),
        "final": status.state.final,
        "created": str(obj["metadata"].get("creationTimestamp") or ""),
        "gpus": _said(lambda: _gpus(resource, obj)),
        "detail": _cut(_said(lambda: about(obj)), DETAIL),
        "reason": _cut(status.message, REASON),
    }


def _said(say: Callable[[], str]) -> str:
    try:
        return say()
    except _ODD:
        return ""


def _gpus(resource: Resource, obj: Object) -> str:
    """`16`, or `16 NVIDIA-H100`: of all pods together."""
    spec = obj.get("spec") or {}
    if resource == FINETUNES:
        count, products = int(spec.get("gpuCount") or 0), [str(spec.get("gpuProduct") or "")]
    else:
        groups = [group for group in pods_of(resource, obj) if group.gpus]
        count = sum(group.replicas * group.gpus for group in groups)
        products = [str((group.spec.get("nodeSelector") or {}).get(PRODUCT) or "") for group in groups]
    return " ".join([str(count), *sorted({product for product in products if product})]) if count else ""


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
