"""Structural schemas: validate, prune and default (Kubernetes, "Specifying a structural schema").

One implementation for two uses: the embedded engine admits objects by it, and a notebook cell is
checked by it before anything is sent, so both say the same thing.
"""

from __future__ import annotations

import copy
import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cpod_jupyter.api.liststructure import DUPLICATES

Schema = Mapping[str, Any]
Path = tuple[str | int, ...]

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
}
PRESERVE = "x-kubernetes-preserve-unknown-fields"
INT_OR_STRING = "x-kubernetes-int-or-string"
_QUANTITY = re.compile(r"[+-]?[0-9.]+([eE][+-]?[0-9]+|[a-zA-Z]{0,2})")


@dataclass(frozen=True)
class Problem:
    """One fault. `reason` is a StatusCause's: FieldValueRequired, FieldValueInvalid,
    FieldValueTypeInvalid, FieldValueNotSupported or FieldValueUnknown."""

    path: Path
    reason: str
    message: str

    @property
    def field(self) -> str:
        """The place in the API's notation: `spec.containers[0].image`."""
        text = ""
        for part in self.path:
            text += f"[{part}]" if isinstance(part, int) else (f".{part}" if text else part)
        return text or "<root>"


def problems(schema: Schema, value: Any, *, unknown: bool = False, path: Path = ()) -> Iterator[Problem]:
    """Every fault of a value; with `unknown`, fields that the schema does not name are faults too."""
    if value is None:
        if not schema.get("nullable"):
            yield Problem(path, "FieldValueTypeInvalid", f"must be {_expected(schema)}, not null")
        return
    if schema.get(INT_OR_STRING):
        if isinstance(value, bool) or not isinstance(value, (int, str)):
            yield Problem(path, "FieldValueTypeInvalid", f"must be an integer or a string, not {_shown(value)}")
        elif isinstance(value, str) and schema.get("pattern"):
            yield from _pattern(schema, value, path)
        return
    kind = schema.get("type")
    if kind and not _is_a(value, kind):
        yield Problem(path, "FieldValueTypeInvalid", f"must be {_expected(schema)}, not {_shown(value)}")
        return
    if "enum" in schema and value not in schema["enum"]:
        yield Problem(path, "FieldValueNotSupported", _unsupported(value, schema["enum"]))
    if isinstance(value, dict):
        yield from _object(schema, value, unknown, path)
    elif isinstance(value, list):
        yield from _array(schema, value, unknown, path)
    elif isinstance(value, str):
        yield from _string(schema, value, path)
    elif not isinstance(value, bool):
        yield from _number(schema, value, path)


def _is_a(value: Any, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    if kind == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _TYPES[kind])


def _expected(schema: Schema) -> str:
    kind = str(schema.get("type", "a value"))
    return {"object": "a mapping", "array": "a list", "integer": "an integer"}.get(kind, f"a {kind}")


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    words = {bool: "the boolean", str: "the string", int: "the number", float: "the number"}
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return f"{words.get(type(value), 'the value')} {text[:80]}"


def nearest(word: str, choices: Any) -> str:
    """`; did you mean "x"?` for the choice most like the word, or nothing."""
    lowered = {str(choice).lower(): str(choice) for choice in choices}
    found = difflib.get_close_matches(word.lower(), list(lowered), n=1, cutoff=0.6)
    return f'; did you mean "{lowered[found[0]]}"?' if found else ""


def _unsupported(value: Any, choices: Any) -> str:
    listed = ", ".join(f'"{choice}"' for choice in choices)
    return f'"{value}" is not one of {listed}{nearest(str(value), choices)}'


def _object(schema: Schema, value: dict[str, Any], unknown: bool, path: Path) -> Iterator[Problem]:
    properties: Mapping[str, Any] = schema.get("properties") or {}
    for name in schema.get("required") or []:
        if name not in value:
            yield Problem((*path, name), "FieldValueRequired", "is required")
    limit = schema.get("maxProperties")
    if limit is not None and len(value) > limit:
        yield Problem(path, "FieldValueInvalid", f"must have at most {limit} entries")
    additional = schema.get("additionalProperties")
    for name, item in value.items():
        if name in properties:
            if item is None and not properties[name].get("nullable"):
                continue  # the API server drops a null for a field that may be absent
            yield from problems(properties[name], item, unknown=unknown, path=(*path, name))
        elif isinstance(additional, Mapping):
            yield from problems(additional, item, unknown=unknown, path=(*path, name))
        elif unknown and not _open(schema):
            yield Problem((*path, name), "FieldValueUnknown", f"unknown field{nearest(name, properties)}")


def _open(schema: Schema) -> bool:
    """Whether fields that the schema does not name are kept."""
    if schema.get(PRESERVE) or schema.get("additionalProperties"):
        return True
    return not schema.get("properties") and schema.get("type") != "object"


def _array(schema: Schema, value: list[Any], unknown: bool, path: Path) -> Iterator[Problem]:
    if len(value) < schema.get("minItems", 0):
        yield Problem(path, "FieldValueInvalid", f"must have at least {schema['minItems']} items")
    if len(value) > schema.get("maxItems", len(value)):
        yield Problem(path, "FieldValueInvalid", f"must have at most {schema['maxItems']} items")
    items = schema.get("items") or {}
    for index, item in enumerate(value):
        yield from problems(items, item, unknown=unknown, path=(*path, index))
    keys = schema.get("x-kubernetes-list-map-keys")
    if schema.get("x-kubernetes-list-type") != "map" or not keys or schema.get(DUPLICATES):
        return
    seen: set[tuple[Any, ...]] = set()
    for index, item in enumerate(value):
        key = tuple(repr(item.get(name)) for name in keys) if isinstance(item, dict) else ()
        if key in seen:
            yield Problem((*path, index), "FieldValueDuplicate", f"repeats the {'/'.join(keys)} of an earlier item")
        seen.add(key)


def _pattern(schema: Schema, value: str, path: Path) -> Iterator[Problem]:
    pattern = schema.get("pattern")
    if pattern and not re.search(pattern, value):
        yield Problem(path, "FieldValueInvalid", f"must match {pattern}, and {value!r} does not")


def _string(schema: Schema, value: str, path: Path) -> Iterator[Problem]:
    yield from _pattern(schema, value, path)
    if len(value) < schema.get("minLength", 0):
        yield Problem(path, "FieldValueInvalid", f"must have at least {schema['minLength']} characters")
    if len(value) > schema.get("maxLength", len(value)):
        yield Problem(path, "FieldValueInvalid", f"must have at most {schema['maxLength']} characters")
    if schema.get("format") == "quantity" and not _QUANTITY.fullmatch(value):
        yield Problem(path, "FieldValueInvalid", f"must be a quantity such as 2, 500m or 1.5Gi, not {value!r}")


def _number(schema: Schema, value: float, path: Path) -> Iterator[Problem]:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and (value < low or (schema.get("exclusiveMinimum") and value == low)):
        yield Problem(path, "FieldValueInvalid", f"must be at least {low}, not {value}")
    if high is not None and (value > high or (schema.get("exclusiveMaximum") and value == high)):
        yield Problem(path, "FieldValueInvalid", f"must be at most {high}, not {value}")


def pruned(schema: Schema, value: Any, *, root: bool = True) -> Any:
    """The value without the fields that the schema does not name; at the root, apiVersion, kind and
    metadata always stay. A null for a field that may not be null goes as well."""
    if isinstance(value, list):
        items = schema.get("items")
        return [pruned(items, item, root=False) for item in value] if items else value
    if not isinstance(value, dict):
        return value
    properties = schema.get("properties") or {}
    additional = schema.get("additionalProperties")
    result = {}
    for name, item in value.items():
        if root and name in ("apiVersion", "kind", "metadata"):
            result[name] = item
        elif name in properties:
            if item is not None or properties[name].get("nullable"):
                result[name] = pruned(properties[name], item, root=False)
        elif isinstance(additional, Mapping):
            result[name] = pruned(additional, item, root=False)
        elif _open(schema):
            result[name] = item
    return result


def defaulted(schema: Schema, value: Any) -> Any:
    """The value with the schema's defaults filled in; defaults inside an absent object are not."""
    if isinstance(value, list):
        items = schema.get("items")
        return [defaulted(items, item) for item in value] if items else value
    if not isinstance(value, dict):
        return value
    properties = schema.get("properties") or {}
    result = dict(value)
    for name, child in properties.items():
        if result.get(name) is None and "default" in child and not (name in result and child.get("nullable")):
            result[name] = copy.deepcopy(child["default"])
        if name in result:
            result[name] = defaulted(child, result[name])
    additional = schema.get("additionalProperties")
    if isinstance(additional, Mapping):
        for name, item in result.items():
            if name not in properties:
                result[name] = defaulted(additional, item)
    return result
