"""Sets of fields in the form that `managedFields` has them (FieldsV1), from objects and their schemas.

A set is a tree of dictionaries: `f:NAME` is a field, `k:{KEYS}` an item of a list that is a map, `v:VALUE` one of a
list that is a set. A key whose value is empty, or has `.` in it, is itself in the set; one with only other keys in it
merely leads to them (structured-merge-diff, fieldpath; metav1 FieldsV1). Trees never change once made: they are shared.

The rules by schema are those of structured-merge-diff: a scalar, an atomic list or map and an empty one are leaves;
what the schema does not describe is a granular map or an atomic list.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from cpod_jupyter.api.liststructure import ALWAYS, MAP_TYPE
from cpod_jupyter.api.schema import LIST_KEYS, LIST_TYPE, Schema

Fields = dict[str, Any]
"""A set of fields, as a tree."""

_SELF = "."
_LEAF: Fields = {}
_ANY: Schema = {}
_MISSING: Any = object()


# ---- sets

_known: dict[str, Fields] = {}
_KNOWN_SETS = 2048


def shared(fields: Fields) -> Fields:
    """The same set, as one tree for all objects that have it: pods of a kind do, and a tree takes several KiB."""
    text = json.dumps(fields, separators=(",", ":"))
    found = _known.get(text)
    if found is None:
        if len(_known) >= _KNOWN_SETS:
            _known.clear()
        found = _known[text] = fields
    return found


def union(first: Fields, second: Fields) -> Fields:
    """What is in either."""
    result = dict(first)
    for key, inner in second.items():
        if key not in result:
            result[key] = inner
        elif key != _SELF:
            result[key] = _joined(result[key], inner)
    return result


def _joined(first: Fields, second: Fields) -> Fields:
    if not first or not second:
        other = first or second
        return {_SELF: _LEAF, **other} if other else _LEAF
    return union(first, second)


def difference(first: Fields, second: Fields) -> Fields:
    """What is in the first and not in the second."""
    result: Fields = {}
    for key, inner in first.items():
        if key == _SELF:
            continue
        if key not in second:
            result[key] = inner
            continue
        other = second[key]
        _put(result, key, _is_member(inner) and not _is_member(other), difference(inner, other))
    return result


def intersection(first: Fields, second: Fields) -> Fields:
    """What is in both."""
    result: Fields = {}
    for key, inner in first.items():
        if key == _SELF or key not in second:
            continue
        other = second[key]
        _put(result, key, _is_member(inner) and _is_member(other), intersection(inner, other))
    return result


def _is_member(inner: Fields) -> bool:
    return not inner or _SELF in inner


def _put(result: Fields, key: str, member: bool, inner: Fields) -> None:
    if inner:
        result[key] = {_SELF: _LEAF, **inner} if member else inner
    elif member:
        result[key] = _LEAF


def paths(fields: Fields, prefix: str = "") -> Iterator[str]:
    """The members as error messages write them: `.spec.containers[name="a"].image`."""
    elements = sorted(key for key in fields if key != _SELF)
    for key in elements:
        if _is_member(fields[key]):
            yield prefix + _written(key)
    for key in elements:
        yield from paths(fields[key], prefix + _written(key))


def _written(key: str) -> str:
    kind, _, text = key.partition(":")
    if kind == "f":
        return f".{text}"
    if kind == "v":
        return f"[={text}]"
    if kind == "k":
        named = json.loads(text)
        return "[" + ",".join(f"{name}={json.dumps(named[name], ensure_ascii=False)}" for name in sorted(named)) + "]"
    return f"[{text}]"


# ---- schemas


def child_schema(schema: Schema, name: str) -> Schema:
    """The schema of a field of an object."""
    properties = schema.get("properties")
    if properties and name in properties:
        found: Schema = properties[name]
        return found
    additional = schema.get("additionalProperties")
    return additional if isinstance(additional, Mapping) else _ANY


def is_granular(schema: Schema, value: Any) -> bool:
    """Whether parts of the value have owners of their own."""
    if isinstance(value, dict):
        return schema.get(MAP_TYPE) != "atomic"
    return isinstance(value, list) and schema.get(LIST_TYPE) in ("map", "set")


def item_key(schema: Schema, item: Any) -> str:
    """The path element of a list's item: `k:{"name":"a"}` or `v:"a"`. Keys that are absent have their defaults."""
    if schema.get(LIST_TYPE) == "set" or not isinstance(item, dict):
        return "v:" + _json(item)
    properties = (schema.get("items") or _ANY).get("properties") or _ANY
    named = {}
    for name in schema.get(LIST_KEYS) or ():
        value = item.get(name)
        if value is None:
            value = (properties.get(name) or _ANY).get("default")
        if value is not None:
            named[name] = value
    if len(named) == 1:  # by far the most frequent, and quicker
        [(name, value)] = named.items()
        if type(value) is str and value.isascii() and value.isprintable() and '"' not in value and "\\" not in value:
            return f'k:{{"{name}":"{value}"}}'
    return "k:" + _json(named)


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=False)


def items_by_key(schema: Schema, items: list[Any]) -> dict[str, list[Any]]:
    """The items of a list under their path elements; more than one where a key comes twice."""
    result: dict[str, list[Any]] = {}
    for item in items:
        result.setdefault(item_key(schema, item), []).append(item)
    return result


# ---- objects


def fields_of(schema: Schema, value: Any) -> Fields:
    """The fields that a configuration sets, as an applier owns them: fields that the schema names are members only
    where they are leaves, keys of maps and items of lists always."""
    result: Fields = {}
    if isinstance(value, dict):
        properties = schema.get("properties") or _ANY
        for name, item in value.items():
            child = child_schema(schema, name)
            member = item is None or item == {} or name not in properties or not is_granular(child, item)
            _put(result, f"f:{name}", member, fields_of(child, item) if is_granular(child, item) else _LEAF)
    elif isinstance(value, list):
        child = schema.get("items") or _ANY
        for key, items in items_by_key(schema, value).items():
            single = len(items) == 1 and is_granular(child, items[0])
            _put(result, key, True, fields_of(child, items[0]) if single else _LEAF)
    return result


def with_named_members(schema: Schema, fields: Fields) -> Fields:
    """The set in which every field that the schema names and that leads to a member is one itself."""
    properties = schema.get("properties") or _ANY
    result: Fields = {}
    for key, inner in fields.items():
        if key == _SELF:
            continue
        name = key[2:]
        child = child_schema(schema, name) if key.startswith("f:") else schema.get("items") or _ANY
        member = _is_member(inner) or (key.startswith("f:") and name in properties)
        _put(result, key, member, with_named_members(child, inner))
    return result


def everything(schema: Schema, value: Any) -> Fields:
    """What there is below a value that came, or went, as a whole."""
    if not value or not is_granular(schema, value):
        return _LEAF
    result: Fields = {_SELF: _LEAF}
    if isinstance(value, dict):
        for name, item in value.items():
            result[f"f:{name}"] = everything(child_schema(schema, name), item)
    else:
        child = schema.get("items") or _ANY
        for key, items in items_by_key(schema, value).items():
            result[key] = everything(child, items[0]) if len(items) == 1 else _LEAF
    return result


Comparison = tuple[Fields | None, Fields | None]
"""What the second of two values changes or adds, and what it removes, below a path element; None is nothing."""


def compare(schema: Schema, old: Any, new: Any) -> Comparison:
    """The difference between two values at the same place."""
    if old is _MISSING and schema.get(ALWAYS) and is_granular(schema, new):
        old = type(new)()  # Go's empty value, which was there before
    if old is _MISSING:
        return everything(schema, new), None
    if new is _MISSING:
        return None, everything(schema, old)
    if old == new:
        return None, None
    if type(old) is not type(new):
        return _LEAF, everything(schema, old) or None
    if not is_granular(schema, new):
        return _LEAF, None
    changed: Fields = {}
    removed: Fields = {}
    if isinstance(new, dict):
        for name in new if new.keys() >= old.keys() else {**old, **new}:
            before, after = old.get(name, _MISSING), new.get(name, _MISSING)
            if before is not after:
                _note(f"f:{name}", compare(child_schema(schema, name), before, after), changed, removed)
    else:
        _compare_lists(schema, old, new, changed, removed)
    return changed or None, removed or None


def _note(key: str, found: Comparison, changed: Fields, removed: Fields) -> None:
    if found[0] is not None:
        changed[key] = found[0]
    if found[1] is not None:
        removed[key] = found[1]


def _compare_lists(schema: Schema, old: list[Any], new: list[Any], changed: Fields, removed: Fields) -> None:
    child = schema.get("items") or _ANY
    before, after = items_by_key(schema, old), items_by_key(schema, new)
    for key in {**before, **after}:
        left, right = before.get(key, []), after.get(key, [])
        if len(left) <= 1 and len(right) <= 1:
            found = compare(child, left[0] if left else _MISSING, right[0] if right else _MISSING)
            _note(key, found, changed, removed)
        elif left != right:  # a key that comes twice is one leaf
            _note(key, (_LEAF if right else None, _LEAF if left and len(right) < 2 else None), changed, removed)
