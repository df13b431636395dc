"""Structural schemas: faults with their place, pruning, defaults; and the CRDs made from the kinds."""

from __future__ import annotations

from typing import Any

import pytest

from cpod_jupyter.api import meta
from cpod_jupyter.api.crds import engine_crds
from cpod_jupyter.api.resources import BROUGHT
from cpod_jupyter.api.schema import defaulted, problems, pruned

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 5, "pattern": "^[a-z]+$"},
        "count": {"type": "integer", "minimum": 1, "default": 1},
        "port": {"x-kubernetes-int-or-string": True},
        "tags": {"type": "object", "additionalProperties": {"type": "string"}},
        "items": {"type": "array", "items": {"type": "object", "properties": {"key": {"type": "string"}}}},
        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
    },
    "required": ["name"],
}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param({"name": "abc", "port": "http"}, [], id="well"),
        pytest.param({}, ["name: is required"], id="required"),
        pytest.param({"name": 3}, ["name: must be a string, not the number 3"], id="type"),
        pytest.param({"name": "a", "count": True}, ["count: must be an integer, not the boolean true"], id="boolean"),
        pytest.param({"name": "a", "count": 0}, ["count: must be at least 1, not 0"], id="minimum"),
        pytest.param({"name": "a", "cuont": 1}, ['cuont: unknown field; did you mean "count"?'], id="unknown"),
        pytest.param({"name": "a", "tags": {"x": 1}}, ["tags.x: must be a string, not the number 1"], id="map"),
        pytest.param(
            {"name": "a", "items": [{"kee": "v"}]}, ['items[0].kee: unknown field; did you mean "key"?'], id="list"
        ),
        pytest.param({"name": "a", "free": {"any": {"thing": 1}}}, [], id="free"),
        pytest.param(
            {"name": "a", "port": 1.5}, ["port: must be an integer or a string, not the number 1.5"], id="port"
        ),
        pytest.param({"name": "abcdef"}, ["name: must have at most 5 characters"], id="long"),
    ],
)
def test_each_fault_is_said_with_its_place(value: dict[str, Any], expected: list[str]) -> None:
    assert [f"{item.field}: {item.message}" for item in problems(SCHEMA, value, unknown=True)] == expected


def test_pruning_drops_what_the_schema_does_not_name() -> None:
    value = {"kind": "X", "name": "a", "bogus": 1, "items": [{"key": "k", "bogus": 1}], "free": {"x": 1}, "tags": None}
    assert pruned(SCHEMA, value) == {"kind": "X", "name": "a", "items": [{"key": "k"}], "free": {"x": 1}}


def test_defaults_are_filled_in_where_nothing_is() -> None:
    assert defaulted(SCHEMA, {"name": "a"}) == {"name": "a", "count": 1}
    assert defaulted(SCHEMA, {"name": "a", "count": 7})["count"] == 7


def _nodes(schema: dict[str, Any]) -> list[dict[str, Any]]:
    found = [schema]
    for child in (schema.get("properties") or {}).values():
        found += _nodes(child)
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            found += _nodes(schema[key])
    return found


@pytest.fixture(scope="module")
def definitions() -> dict[str, dict[str, Any]]:
    return {meta.name_of(definition): definition for definition in engine_crds()}


@pytest.mark.parametrize("name", [resource.qualified for resource in BROUGHT])
def test_every_definition_is_structural(definitions: dict[str, dict[str, Any]], name: str) -> None:
    definition = definitions[name]
    schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    for node in _nodes(schema):
        assert not {"$ref", "anyOf", "allOf", "oneOf", "title"} & set(node), node
        known = node.get("type") or node.get("x-kubernetes-int-or-string")
        assert known or node.get("x-kubernetes-preserve-unknown-fields"), node
    if not definition["spec"]["names"]["plural"].endswith(
        "trainingruntimes"
    ):  # which have no status, upstream's neither
        assert definition["spec"]["versions"][0]["subresources"]["status"] == {}
