"""The walk of a value along its schema, with every fault on the way (Kubernetes, "Validation" of
custom resources)."""

from __future__ import annotations

from typing import Any

from cpod_jupyter.api.checks import Check, invalid
from cpod_jupyter.api.nodes import ENVELOPE, OR_BOOLEAN, Node
from cpod_jupyter.api.problem import Path, Problem, dotted, nearest, quoted, shown

Chain = tuple[Any, ...]
"""A path as (everything before it, last part): cheap to extend, made flat when there is a fault."""

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
}
_EXPECTED = {"object": "a mapping", "array": "a list", "integer": "an integer"}


def flat(chain: Chain) -> Path:
    """The path of a chain."""
    parts: list[str | int] = []
    while chain:
        chain, part = chain
        parts.append(part)
    return tuple(reversed(parts))


def faults(node: Node, value: Any, path: Chain = ()) -> list[Problem]:
    """Every fault of a value, but for fields that the schema does not name."""
    found: list[Problem] = []
    _value(node, value, path, found)
    return found


def _value(node: Node, value: Any, path: Chain, found: list[Problem]) -> None:
    if value is None:
        if node.kind and not node.nullable:
            found.append(_wrong_type(node, value, path))
        return
    kind = node.kind
    if node.int_or_string:
        if not (_is_a(value, "integer") or isinstance(value, str)):
            found.append(_wrong_type(node, value, path))
            return
    elif kind and not _is_a(value, kind):
        if isinstance(value, bool) and OR_BOOLEAN in node.schema:
            return
        found.append(_wrong_type(node, value, path))
        return
    if node.choices is not None:
        _run((node.choices,), value, path, found)
    if isinstance(value, dict):
        _object(node, value, path, found)
    elif isinstance(value, list):
        _list(node, value, path, found)
    elif isinstance(value, str):
        if node.strings:
            _run(node.strings, value, path, found)
    elif node.numbers and not isinstance(value, bool):
        _run(node.numbers, value, path, found)
    if node.junctors:
        _junctors(node, value, path, found)


def _run(checks: tuple[Check, ...], value: Any, path: Chain, found: list[Problem]) -> None:
    for check in checks:
        fault = check(value)
        if fault is not None:
            found.append(fault.at(flat(path)))


def _is_a(value: Any, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    if kind == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _TYPES.get(kind, (object,)))


def _type_of(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, float) and value.is_integer():
        return "integer"
    return next(kind for kind in ("boolean", *_TYPES) if _is_a(value, kind))


def _wrong_type(node: Node, value: Any, path: Chain) -> Problem:
    wanted, given = ("integer,string" if node.int_or_string else node.kind), _type_of(value)
    expected = "an integer or a string" if node.int_or_string else _EXPECTED.get(node.kind, f"a {node.kind}")
    body = f'must be of type {wanted}: "{given}"'
    message = f"must be {expected}, not {shown(value)}"
    return invalid(given, body, message, "FieldValueTypeInvalid").at(flat(path))


def _object(node: Node, value: dict[str, Any], path: Chain, found: list[Problem]) -> None:
    for name in node.required:
        if name not in value:
            found.append(Problem((*flat(path), name), "FieldValueRequired", "is required", ""))
    if node.embedded:
        for name in ENVELOPE[:2]:
            if not value.get(name):
                found.append(Problem((*flat(path), name), "FieldValueRequired", "is required", "must not be empty"))
    if node.mappings:
        _run(node.mappings, value, path, found)
    properties = node.properties
    for name, item in value.items():
        child = node.field(name)
        if child is None or (item is None and not child.nullable and name in properties):
            continue  # the server drops a null for a field that may be absent
        _value(child, item, (path, name), found)


def _list(node: Node, value: list[Any], path: Chain, found: list[Problem]) -> None:
    if node.lists:
        _run(node.lists, value, path, found)
    items = node.items
    if items is not None:
        for index, item in enumerate(value):
            _value(items, item, (path, index), found)
    if node.list_type == "set":
        _unique([quoted(item) for item in value], value, "the value", path, found)
    elif node.list_type == "map" and node.keys:
        keys = [
            {name: item.get(name) for name in node.keys} if isinstance(item, dict) else {"": index}
            for index, item in enumerate(value)
        ]
        _unique([quoted(key) for key in keys], keys, f"the {'/'.join(node.keys)}", path, found)


def _unique(texts: list[str], values: list[Any], what: str, path: Chain, found: list[Problem]) -> None:
    if len(set(texts)) == len(texts):
        return
    seen: set[str] = set()
    for index, text in enumerate(texts):
        if text in seen:
            place = (*flat(path), index)
            found.append(Problem(place, "FieldValueDuplicate", f"repeats {what} of an earlier item", text))
        seen.add(text)


_WORDS = {
    "allOf": "must validate all the schemas (allOf)",
    "anyOf": "must validate at least one schema (anyOf)",
    "oneOf": "must validate one and only one schema (oneOf)",
    "not": "must not validate the schema (not)",
}


def _junctors(node: Node, value: Any, path: Chain, found: list[Problem]) -> None:
    for name, alternatives in node.junctors:
        results = [faults(alternative, value, path) for alternative in alternatives]
        fitting = sum(not result for result in results)
        good = {
            "allOf": fitting == len(results),
            "anyOf": fitting > 0,
            "oneOf": fitting == 1,
            "not": fitting == 0,
        }[name]
        if good:
            continue
        words = _WORDS[name] + (f". Found {fitting or 'none'} valid" if name == "oneOf" else "")
        place = flat(path)
        found.append(Problem(place, "FieldValueInvalid", words, f'"": "{dotted(place)}" {words}'))
        if not fitting and name in ("anyOf", "oneOf"):
            closest = min(results, key=len)
            found.extend(closest)
        elif name == "allOf":
            found.extend(problem for result in results for problem in result)


def unknown(node: Node, value: Any, path: Chain = (), *, root: bool = True) -> list[Problem]:
    """The fields of a value that the schema does not name and that pruning would drop."""
    found: list[Problem] = []
    if isinstance(value, list) and node.items is not None:
        for index, item in enumerate(value):
            found += unknown(node.items, item, (path, index), root=False)
    elif isinstance(value, dict):
        for name, item in value.items():
            child = node.field(name)
            if child is not None:
                found += unknown(child, item, (path, name), root=False)
            elif not node.open and not ((root or node.embedded) and name in ENVELOPE):
                hint = nearest(name, node.properties)
                found.append(Problem(flat((path, name)), "FieldValueUnknown", f"unknown field{hint}"))
    return found
