"""ConfigMaps and Secrets: what is marked immutable stays as it is (Kubernetes, "Immutable ConfigMaps")."""

from __future__ import annotations

from collections.abc import Iterator

from cpod_jupyter.api.resources import Object
from cpod_jupyter.api.schema import Problem
from cpod_jupyter.engine.strategies.faults import forbidden

_DATA = ("data", "binaryData")


def immutable_change(old: Object, new: Object) -> Iterator[Problem]:
    """Faults of a change of an object that says `immutable: true`."""
    if not old.get("immutable"):
        return
    if not new.get("immutable"):
        yield forbidden(("immutable",), "field is immutable when `immutable` is set")
    for field in _DATA:
        if (old.get(field) or {}) != (new.get(field) or {}):
            yield forbidden((field,), "field is immutable when `immutable` is set")
