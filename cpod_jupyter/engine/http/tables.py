"""Tables: what `kubectl get` prints, made by the server (meta.k8s.io/v1, Table)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from cpod_jupyter.api.resources import Object
from cpod_jupyter.engine.events import to_core
from cpod_jupyter.engine.http.cells import AGE, NAME, Column, since, value
from cpod_jupyter.engine.http.columns import COLUMNS
from cpod_jupyter.engine.kinds import ServedKind


def columns(kind: ServedKind) -> tuple[Column, ...]:
    """The columns of a kind: its own, else name and age."""
    if kind.key in COLUMNS:
        return COLUMNS[kind.key]
    if not kind.columns:
        return (NAME, AGE)
    printed: list[Column] = [NAME]
    for each in kind.columns:
        path = str(each["jsonPath"])
        read = since(path) if each["type"] == "date" else value(path)
        printed.append((each["name"], each["type"], int(each.get("priority") or 0), read))
    return tuple(printed)


def table(kind: ServedKind, objects: Iterable[Object], metadata: dict[str, Any], include: str, head: bool) -> Object:
    """The Table of some objects; `include` is None, Metadata or Object, `head` whether columns are defined."""
    shown = columns(kind)
    rows = []
    for obj in objects:
        told = to_core(obj) if kind.stored_as else obj
        row: dict[str, Any] = {"cells": [read(told) for _, _, _, read in shown]}
        if include == "Object":
            row["object"] = obj
        elif include != "None":
            row["object"] = partial(obj)
        rows.append(row)
    told_of = {each["name"]: str(each.get("description") or "") for each in kind.columns}
    definitions = [
        {
            "name": name,
            "type": type_,
            "format": "name" if name == "Name" else "",
            "description": told_of.get(name, ""),
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
