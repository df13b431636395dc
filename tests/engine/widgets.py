"""A small definition of a kind of its own, and its objects, for the tests of definitions."""

from __future__ import annotations

from typing import Any

import pytest

from cpod_jupyter.api.resources import Resource
from cpod_jupyter.errors import Invalid

RULE = "x-kubernetes-validations"
BY_NAME: dict[str, Any] = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}
WIDGETS = Resource("example.com", "v1", "widgets", "Widget")
NAME = "widgets.example.com"


def string(**more: Any) -> dict[str, Any]:
    return {"type": "string", **more}


def obj(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def array(items: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "array", "items": items, **more}


def version(name: str = "v1", spec: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    spec = spec or obj(color=string(), size={"type": "integer"})
    return {"name": name, "served": True, "storage": True, "schema": {"openAPIV3Schema": obj(spec=spec)}, **more}


def definition(
    *versions: dict[str, Any], plural: str = "widgets", kind: str = "Widget", **names: Any
) -> dict[str, Any]:
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.example.com"},
        "spec": {
            "group": "example.com",
            "scope": "Namespaced",
            "names": {"plural": plural, "kind": kind, **names},
            "versions": list(versions) or [version()],
        },
    }


def widget(name: str = "w", **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "default"}, "spec": spec}


def causes(error: pytest.ExceptionInfo[Invalid]) -> dict[str, str]:
    return {cause["field"]: cause["message"] for cause in error.value.details["causes"]}
