"""Whether a definition's schema is structural (Kubernetes, "Specifying a structural schema").

The rules and their texts are those of apiextensions-apiserver: `pkg/apiserver/schema/validation.go`, and
the schema part of `pkg/apis/apiextensions/validation/validation.go`. A schema comes here with its field
types checked already (`schema_of_schemas`).
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Any

from cpod_jupyter.api.nodes import RULES
from cpod_jupyter.api.patterns import compiled
from cpod_jupyter.api.problem import Path, Problem, quoted
from cpod_jupyter.api.schema import EMBEDDED, INT_OR_STRING, LIST_KEYS, LIST_TYPE, OR_BOOLEAN, PRESERVE, Node, faults

Schema = Mapping[str, Any]

MAP_TYPE = "x-kubernetes-map-type"
_TYPES = ("array", "boolean", "integer", "number", "object", "string")
_SCALARS = ("boolean", "integer", "number", "string")
_UNSUPPORTED = ("$ref", "$schema", "additionalItems", "definitions", "dependencies", "id", "patternProperties")
_EITHER = [{"type": "integer"}, {"type": "string"}]
_STRUCTURE = {
    "type": "must be empty to be structural", "additionalProperties": "must be undefined to be structural",
    "default": "must be undefined to be structural", "title": "must be empty to be structural",
    "description": "must be empty to be structural", "nullable": "must be false to be structural",
    "externalDocs": "must be undefined to be structural", PRESERVE: "must be false to be structural",
    EMBEDDED: "must be false to be structural", INT_OR_STRING: "must be false to be structural",
    LIST_KEYS: "must be empty to be structural", LIST_TYPE: "must be undefined to be structural",
    MAP_TYPE: "must be undefined to be structural", RULES: "must be empty to be structural",
}  # fmt: skip
"""What only the schema itself may say, and not what stands under allOf, anyOf, oneOf and not."""
_DEPTH = 100


def required(path: Path, text: str = "") -> Problem:
    return Problem(path, "FieldValueRequired", text or "is required", text)


def invalid(path: Path, value: Any, text: str) -> Problem:
    return Problem(path, "FieldValueInvalid", text, f"{quoted(value)}: {text}")


def forbidden(path: Path, text: str) -> Problem:
    return Problem(path, "FieldValueForbidden", text)


def unsupported(path: Path, value: Any, choices: tuple[str, ...]) -> Problem:
    listed = ", ".join(quoted(choice) for choice in sorted(choices))
    return Problem(
        path, "FieldValueNotSupported", f"must be one of {listed}", f"{quoted(value)}: supported values: {listed}"
    )


def key(path: Path, part: str, name: str) -> Path:
    """`properties[name]`, as the server writes the key of a map."""
    return (*path, f"{part}[{name}]")


def structural_problems(schema: Schema, path: Path) -> Iterator[Problem]:
    """Every rule that a version's schema breaks."""
    yield from _check(schema, path, "root")


def _check(schema: Schema, path: Path, level: str, depth: int = 0) -> Iterator[Problem]:
    if depth > _DEPTH:
        yield forbidden(path, f"a schema may be nested {_DEPTH} levels deep")
        return
    yield from _generic(schema, path)
    yield from _types(schema, path, level)
    yield from _lists(schema, path)
    if "default" in schema:
        yield from _default(schema, path, level)
    if level == "root" or schema.get(EMBEDDED):
        yield from _envelope(schema, path, level)
    for name, child in (schema.get("properties") or {}).items():
        yield from _check(child, key(path, "properties", name), "field", depth + 1)
    if isinstance(items := schema.get("items"), Mapping):
        yield from _check(items, (*path, "items"), "item", depth + 1)
    additional = schema.get("additionalProperties")
    if additional is not None and level == "root":
        yield forbidden((*path, "additionalProperties"), "must not be used at the root")
    if isinstance(additional, Mapping):
        yield from _check(additional, (*path, "additionalProperties"), "field", depth + 1)
    yield from _junctors(schema, schema, path, depth)


def _generic(schema: Schema, path: Path) -> Iterator[Problem]:
    for name in _UNSUPPORTED:
        if schema.get(name):
            yield forbidden((*path, name), f"{name} is not supported")
    if schema.get("uniqueItems"):
        text = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"
        yield forbidden((*path, "uniqueItems"), text)
    if schema.get(PRESERVE) is False:
        yield invalid((*path, PRESERVE), False, "must be true or undefined")
    additional = schema.get("additionalProperties")
    if schema.get("properties") and (additional is False or isinstance(additional, Mapping)):
        yield forbidden((*path, "additionalProperties"), "additionalProperties and properties are mutual exclusive")
    if pattern := schema.get("pattern"):
        try:
            compiled(pattern)
        except ValueError as error:
            text = f"must be a valid regular expression, but isn't: {error}"
            yield invalid((*path, "pattern"), pattern, text)


def _types(schema: Schema, path: Path, level: str) -> Iterator[Problem]:
    kind, where = schema.get("type") or "", (*path, "type")
    if kind and kind not in _TYPES:
        yield unsupported(where, kind, _TYPES)
    if kind == "array" and schema.get("items") is None:
        yield required((*path, "items"), "must be specified")
    if schema.get(EMBEDDED):
        text = "must be object if x-kubernetes-embedded-resource is true"
        if not kind:
            yield required(where, text)
        elif kind != "object":
            yield invalid(where, kind, text)
    elif not kind and not schema.get(INT_OR_STRING) and not schema.get(PRESERVE):
        words = {"root": "at the root", "item": "for specified array items", "field": "for specified object fields"}
        yield required(where, f"must not be empty {words[level]}")
    if level == "root" and kind and kind != "object":
        yield invalid(where, kind, "must be object at the root")
    if schema.get(INT_OR_STRING):
        for name in (PRESERVE, EMBEDDED):
            if schema.get(name):
                yield invalid((*path, name), True, "must be false if x-kubernetes-int-or-string is true")
        if kind:
            yield forbidden(where, "must be empty if x-kubernetes-int-or-string is true")
    if schema.get(EMBEDDED) and not schema.get(PRESERVE) and not schema.get("properties"):
        text = (
            "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields"
        )
        yield required((*path, "properties"), text)


def _envelope(schema: Schema, path: Path, level: str) -> Iterator[Problem]:
    properties = schema.get("properties") or {}
    for name in ("kind", "apiVersion"):
        if name in properties and properties[name].get("type") != "string":
            place = (*key(path, "properties", name), "type")
            yield invalid(place, properties[name].get("type") or "", "must be string")
    if (metadata := properties.get("metadata")) is None:
        return
    place = key(path, "properties", "metadata")
    if metadata.get("type") != "object":
        yield invalid((*place, "type"), metadata.get("type") or "", "must be object")
    if level != "root":
        return
    said = {name for name, value in metadata.items() if value and name not in ("type", "description", "properties")}
    if said or not set(metadata.get("properties") or {}) <= {"name", "generateName"}:
        yield forbidden(
            place, "must not specify anything other than name and generateName, but metadata is implicitly specified"
        )


def _lists(schema: Schema, path: Path) -> Iterator[Problem]:
    kind = schema.get("type")
    map_type, list_type, keys = schema.get(MAP_TYPE), schema.get(LIST_TYPE), schema.get(LIST_KEYS) or []
    if map_type is not None:
        if kind != "object":
            yield invalid((*path, "type"), kind or "", "must be object if x-kubernetes-map-type is specified")
        if map_type not in ("granular", "atomic"):
            yield unsupported((*path, MAP_TYPE), map_type, ("granular", "atomic"))
    if list_type is None:
        if keys:
            yield required((*path, LIST_TYPE), "must be map if x-kubernetes-list-map-keys is non-empty")
        return
    if kind != "array":
        yield invalid((*path, "type"), kind or "", "must be array if x-kubernetes-list-type is specified")
    if list_type not in ("atomic", "map", "set"):
        yield unsupported((*path, LIST_TYPE), list_type, ("atomic", "map", "set"))
    items = schema.get("items")
    if not isinstance(items, Mapping):
        return
    if list_type == "map":
        yield from _map_keys(keys, items, path)
    elif keys:
        yield invalid((*path, LIST_TYPE), list_type, "must be map if x-kubernetes-list-map-keys is non-empty")
    if list_type == "set":
        whole = items.get(LIST_TYPE) == "atomic" or items.get(MAP_TYPE) == "atomic"
        if items.get("nullable"):
            yield forbidden((*path, "items", "nullable"), "cannot be nullable when x-kubernetes-list-type is set")
        if not whole and items.get("type") in ("object", "array"):
            text = "must be atomic as item of a list with x-kubernetes-list-type=set"
            yield invalid((*path, "items", MAP_TYPE if items.get("type") == "object" else LIST_TYPE), None, text)


def _map_keys(keys: list[str], items: Schema, path: Path) -> Iterator[Problem]:
    place = (*path, LIST_KEYS)
    if not keys:
        yield required(place, "must not be empty if x-kubernetes-list-type is map")
    if items.get("type") != "object":
        yield invalid(
            (*path, "items", "type"),
            items.get("type") or "",
            "must be object if parent array's x-kubernetes-list-type is map",
        )
        return
    properties, needed = items.get("properties") or {}, items.get("required") or []
    for index, name in enumerate(keys):
        if keys.index(name) != index:
            yield Problem((*place, index), "FieldValueDuplicate", "repeats an earlier key", quoted(name))
            continue
        if name not in properties:
            text = "entries must all be names of item properties"
            yield invalid((*place, index), name, text)
            continue
        item = key((*path, "items"), "properties", name)
        if properties[name].get("type") not in _SCALARS and not properties[name].get(INT_OR_STRING):
            text = "must be a scalar type if parent array's x-kubernetes-list-type is map"
            yield invalid((*item, "type"), properties[name].get("type") or "", text)
        if name not in needed and properties[name].get("default") is None:
            text = "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property"
            yield required((*item, "default"), text)


def _default(schema: Schema, path: Path, level: str) -> Iterator[Problem]:
    default, place = schema["default"], (*path, "default")
    if level == "root":
        yield forbidden(place, "must not be set at the root")
        return
    node = Node(schema)
    trimmed = node.pruned(default)
    if trimmed != default:
        yield invalid(place, default, "must not have unknown fields")
        return
    for problem in faults(node, node.defaulted(default)):
        yield Problem((*place, *problem.path), problem.reason, problem.message, problem.detail)


def _junctors(value: Schema, schema: Schema, path: Path, depth: int) -> Iterator[Problem]:
    """allOf, anyOf, oneOf and not of a value validation, which `schema` gives the structure for."""
    either = bool(schema.get(INT_OR_STRING))
    for name in ("allOf", "anyOf", "oneOf"):
        for index, nested in enumerate(value.get(name) or []):
            if either and name == "anyOf" and value["anyOf"] == _EITHER:
                continue
            if either and name == "allOf" and nested.get("anyOf") == _EITHER:
                nested = {part: said for part, said in nested.items() if part != "anyOf"}
            yield from _nested(nested, schema, (*path, name, index), depth + 1)
    if isinstance(value.get("not"), Mapping):
        yield from _nested(value["not"], schema, (*path, "not"), depth + 1)


def _nested(value: Schema, schema: Schema, path: Path, depth: int) -> Iterator[Problem]:
    if depth > _DEPTH:
        yield forbidden(path, f"a schema may be nested {_DEPTH} levels deep")
        return
    for name, text in _STRUCTURE.items():
        if value.get(name):
            yield forbidden((*path, name), text)
    if pattern := value.get("pattern"):
        yield from _generic({"pattern": pattern}, path)
    for name, nested in (value.get("properties") or {}).items():
        place = key(path, "properties", name)
        if name == "metadata":
            yield forbidden(place, "must not be specified in a nested context")
        declared = (schema.get("properties") or {}).get(name)
        if declared is None:
            yield required(place, "must be specified outside of allOf, anyOf, oneOf and not as well")
            continue
        yield from _nested(nested, declared, place, depth + 1)
    if isinstance(nested := value.get("items"), Mapping):
        declared = schema.get("items")
        if isinstance(declared, Mapping):
            yield from _nested(nested, declared, (*path, "items"), depth + 1)
        else:
            yield required((*path, "items"), "must be specified outside of allOf, anyOf, oneOf and not as well")
    yield from _junctors(value, schema, path, depth)


@functools.cache
def schema_of_schemas() -> Schema:
    """The schema of JSONSchemaProps, which holds itself: for a `Node` only, not to be written out."""
    text, flag, whole, number = (
        {"type": "string"},
        {"type": "boolean"},
        {"type": "integer", "format": "int64"},
        {"type": "number"},
    )
    texts, anything = {"type": "array", "items": text}, {PRESERVE: True}
    props: dict[str, Any] = {"type": "object", "properties": {}}
    some, named = {"type": "array", "items": props}, {"type": "object", "additionalProperties": props}
    rule = dict.fromkeys(("rule", "message", "messageExpression", "reason", "fieldPath"), text)
    fields: dict[str, Any] = {
        **dict.fromkeys(("$ref", "$schema", "description", "format", "id", "pattern", "title", "type"), text),
        **dict.fromkeys((LIST_TYPE, MAP_TYPE), text),
        **dict.fromkeys(("exclusiveMaximum", "exclusiveMinimum", "nullable", "uniqueItems"), flag),
        **dict.fromkeys((PRESERVE, EMBEDDED, INT_OR_STRING), flag),
        **dict.fromkeys(("maxItems", "minItems", "maxLength", "minLength", "maxProperties", "minProperties"), whole),
        **dict.fromkeys(("maximum", "minimum", "multipleOf"), number),
        **dict.fromkeys(("allOf", "anyOf", "oneOf"), some),
        **dict.fromkeys(("properties", "definitions", "patternProperties"), named),
        **dict.fromkeys(("required", LIST_KEYS), texts),
        **dict.fromkeys(("default", "example", "dependencies", "additionalItems"), anything),
        "enum": {"type": "array", "items": {**anything, "nullable": True}},
        "not": props,
        "items": props,
        "externalDocs": {"type": "object", "properties": {"description": text, "url": text}},
        RULES: {
            "type": "array",
            "items": {"type": "object", "properties": {**rule, "optionalOldSelf": flag}, "required": ["rule"]},
        },
    }
    fields["additionalProperties"] = {**props, "properties": fields, OR_BOOLEAN: True}
    props["properties"] = fields
    return props
