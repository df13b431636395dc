"""Structural schemas: validate, prune and default (Kubernetes, "Specifying a structural schema").

One implementation for two uses: the embedded engine admits objects by it, and a notebook cell is
checked by it before anything is sent, so both say the same thing. The engine keeps a `Node` for each
kind; the functions here take a schema as it is written.
"""

from __future__ import annotations

from typing import Any

from cpod_jupyter.api.nodes import (
    EMBEDDED,
    ENVELOPE,
    INT_OR_STRING,
    LIST_KEYS,
    LIST_TYPE,
    OR_BOOLEAN,
    PRESERVE,
    Node,
    Schema,
)
from cpod_jupyter.api.problem import Path, Problem, nearest
from cpod_jupyter.api.validation import faults
from cpod_jupyter.api.validation import unknown as unknown_fields

__all__ = [
    "EMBEDDED", "ENVELOPE", "INT_OR_STRING", "LIST_KEYS", "LIST_TYPE", "OR_BOOLEAN", "PRESERVE", "Node", "Path",
    "Problem", "Schema", "defaulted", "faults", "nearest", "problems", "pruned", "unknown_fields",
]  # fmt: skip


def problems(schema: Schema, value: Any, *, unknown: bool = False) -> list[Problem]:
    """Every fault of a value; with `unknown`, fields that the schema does not name are faults too."""
    node = Node(schema)
    return [*faults(node, value), *(unknown_fields(node, value) if unknown else [])]


def pruned(schema: Schema, value: Any) -> Any:
    """The object without the fields that the schema does not name; apiVersion, kind and metadata stay."""
    return Node(schema).pruned(value, root=True)


def defaulted(schema: Schema, value: Any) -> Any:
    """The object with the schema's defaults filled in; those inside an absent object are not."""
    return Node(schema).defaulted(value)
