"""The base of the kinds' pydantic models, and how one becomes a CustomResourceDefinition."""

from __future__ import annotations

import copy
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from cpod_jupyter.api.liststructure import annotate, for_definition
from cpod_jupyter.api.nodes import RULES
from cpod_jupyter.api.resources import Object, Resource
from cpod_jupyter.api.schema import INT_OR_STRING, PRESERVE

_FROM_KUBERNETES = "x-cpod-kubernetes-model"
_MANY = "x-cpod-many"
_QUANTITIES = {
    "limits", "requests", "hard", "used", "capacity", "allocatable", "overhead", "default", "defaultRequest",
    "max", "min", "maxLimitRequestRatio", "allocatedResources",
}  # fmt: skip
"""Maps of quantities in the built-in types, whose values may be numbers as well as strings."""
_ONE_QUANTITY = {"sizeLimit", "divisor"}
"""Single quantities, which may be numbers too."""
_KEPT = (
    "type", "description", "enum", "default", "format", "pattern", "minimum", "maximum", "minLength", "maxLength",
    "minItems", "maxItems", "nullable", PRESERVE, INT_OR_STRING, "x-kubernetes-list-type", "x-kubernetes-list-map-keys",
)  # fmt: skip


class KubeModel(BaseModel):
    """A part of a kind: Python names in snake case, JSON names in camel case."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True)


def kubernetes_type(name: str, description: str = "", *, many: bool = False) -> Any:
    """A field whose schema is that of a built-in Kubernetes type, such as `V1PodTemplateSpec`.

    The value stays a plain dictionary, or with `many` a list of them; the schema comes from the
    official client's models.
    """
    extra: dict[str, Any] = {_FROM_KUBERNETES: name, _MANY: many}
    return Field(default=None, description=description, json_schema_extra=extra)


@dataclass(frozen=True)
class Column:
    """A column that `kubectl get` prints (CustomResourceColumnDefinition)."""

    name: str
    json_path: str
    type: str = "string"


@dataclass(frozen=True)
class Rule:
    """A rule that the API server checks on every write of an object (`x-kubernetes-validations`).

    The expression is CEL over the whole object: `self`, and where an object changes `oldSelf`; of the metadata it
    sees the name only. A rule that uses `oldSelf` is not checked when an object is made. Lists that an expression
    goes through need a `maxItems` (`Field(max_length=…)`), and strings that it compares with one another a
    `maxLength`, for a server refuses a definition whose rules it estimates to be too dear.
    """

    expression: str
    message: str
    """Why the change is refused and what to do instead, in one line."""
    field_path: str = ".spec"
    """The field that the refusal names."""
    reason: Literal["FieldValueInvalid", "FieldValueForbidden", "FieldValueRequired"] = "FieldValueForbidden"

    def to_schema(self) -> dict[str, str]:
        return {
            "rule": self.expression,
            "message": self.message,
            "reason": self.reason,
            "fieldPath": self.field_path,
        }


def fixed_spec(unless: str, message: str) -> Rule:
    """The rule that a spec cannot be changed, unless the expression on `oldSelf` holds."""
    return Rule(f"self.spec == oldSelf.spec || {unless}", message)


def crd(
    resource: Resource,
    spec: type[BaseModel],
    status: type[BaseModel],
    columns: tuple[Column, ...],
    rules: tuple[Rule, ...] = (),
) -> Object:
    """The CustomResourceDefinition (apiextensions.k8s.io/v1) of one kind with one version.

    A kind with rules wants a `spec`, so that the rules can speak of it.
    """
    schema: dict[str, Any] = {
        "type": "object",
        "description": (spec.__doc__ or "").strip(),
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": structural(spec),
            "status": structural(status),
        },
    }
    if rules:
        schema["required"] = ["spec"]
        schema[RULES] = [rule.to_schema() for rule in rules]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": resource.qualified},
        "spec": {
            "group": resource.group,
            "scope": "Namespaced" if resource.namespaced else "Cluster",
            "names": {
                "plural": resource.plural,
                "singular": resource.singular,
                "kind": resource.kind,
                "listKind": f"{resource.kind}List",
                "shortNames": list(resource.short_names),
                "categories": list(resource.categories),
            },
            "versions": [
                {
                    "name": resource.version,
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": schema},
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [
                        {"name": column.name, "type": column.type, "jsonPath": column.json_path} for column in columns
                    ],
                }
            ],
        },
    }


def structural(model: type[BaseModel]) -> dict[str, Any]:
    """The structural OpenAPI v3 schema of a pydantic model: no references, no null alternatives."""
    document = model.model_json_schema(by_alias=True)
    schema = _convert(document, document.get("$defs", {}), ())
    annotate(model.__name__, schema)
    return schema


@functools.cache
def _kubernetes_schema(name: str) -> dict[str, Any]:
    from kubernetes import client  # 0.2 s, and only who writes schemas needs it

    return structural(getattr(client, name))


def kubernetes_schema(name: str) -> dict[str, Any]:
    """The structural schema of a built-in type, by the official client's model (`V1Pod`)."""
    return copy.deepcopy(_kubernetes_schema(name))


def built_in_schema(kind: str) -> dict[str, Any]:
    """The structural schema of a kind that Kubernetes itself brings (`Pod`)."""
    prefix = "Core" if kind == "Event" else ""  # the client has an Event of another group beside it
    return kubernetes_schema(f"{prefix}V1{kind}")


def _convert(node: Mapping[str, Any], definitions: Mapping[str, Any], seen: tuple[str, ...]) -> dict[str, Any]:
    if _FROM_KUBERNETES in node:
        schema: dict[str, Any] = for_definition(kubernetes_schema(node[_FROM_KUBERNETES]))
        if node.get(_MANY):
            schema = {"type": "array", "items": schema}
        return {**schema, "description": node.get("description", "")}
    if "$ref" in node:
        name = str(node["$ref"]).rsplit("/", 1)[-1]
        if name in seen:  # a recursive type has no structural form
            return {"type": "object", PRESERVE: True}
        target = _convert(definitions[name], definitions, (*seen, name))
        annotate(name, target)
        return {**target, **{key: node[key] for key in ("description", "default") if node.get(key) is not None}}
    alternatives = [item for item in node.get("anyOf") or node.get("allOf") or [] if item.get("type") != "null"]
    if len(alternatives) == 1:
        merged = {**_convert(alternatives[0], definitions, seen)}
        merged.update({key: node[key] for key in _KEPT if key in node and node[key] is not None})
        return merged
    if any(item.get("format") == "binary" for item in alternatives):
        return {"type": "string"}  # base64, which the kinds' strategies look at
    if alternatives:
        kinds = {item.get("type") for item in alternatives}
        extra = {key: node[key] for key in ("description",) if key in node}
        return {**extra, INT_OR_STRING: True} if kinds == {"integer", "string"} else {**extra, PRESERVE: True}
    result = {key: node[key] for key in _KEPT if key in node and node[key] is not None}
    if "openapi_types" in str(result.get("description", "")):
        del result["description"]  # the generator's boilerplate, not a description
    if "const" in node:
        result["enum"] = [node["const"]]
    if "items" in node:
        result["items"] = _convert(node["items"], definitions, seen)
    if "properties" in node:
        result["properties"] = {key: _convert(item, definitions, seen) for key, item in node["properties"].items()}
        for key, item in result["properties"].items():
            if key in _QUANTITIES and item.get("additionalProperties") == {"type": "string"}:
                item["additionalProperties"] = {INT_OR_STRING: True}
            elif key in _ONE_QUANTITY and item.get("type") == "string":
                item[INT_OR_STRING] = True
                del item["type"]
    if node.get("required"):
        result["required"] = list(node["required"])
    additional = node.get("additionalProperties")
    if isinstance(additional, Mapping) and additional:
        result["additionalProperties"] = _convert(additional, definitions, seen)
    elif additional is True or additional == {}:
        result[PRESERVE] = True
    if not set(result) - {"description"}:
        result[PRESERVE] = True
    return result
