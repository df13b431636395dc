"""Merge a configuration into an object by its schema, and take away what is no longer applied.

The rules are those of structured-merge-diff (merge/update.go, typed/merge.go): maps merge by key, lists by their keys
or as sets, atomic values are replaced; what the manager applied before, leaves out now and nobody else owns goes.
"""

from __future__ import annotations

from typing import Any

from cpod_jupyter.api.resources import Object
from cpod_jupyter.api.schema import INT_OR_STRING, LIST_KEYS, LIST_TYPE, PRESERVE, Schema
from cpod_jupyter.engine.fieldsets import (
    Fields,
    child_schema,
    difference,
    fields_of,
    intersection,
    is_granular,
    item_key,
    items_by_key,
    paths,
    union,
    with_named_members,
)

_ANY: Schema = {}
_GONE: Any = object()


def merged(schema: Schema, live: Any, config: Any) -> Any:
    """The live value with the configuration merged into it; neither is changed."""
    if not is_granular(schema, config):
        if config is None and is_granular(schema, live) and live:
            return live  # a null says nothing of the parts
        return config
    if type(live) is not type(config) or not is_granular(schema, live):
        live = type(config)()
    if isinstance(config, dict):
        result = dict(live)
        for name, item in config.items():
            child = child_schema(schema, name)
            result[name] = merged(child, live[name], item) if name in live else item
        return result
    return _merged_list(schema, live, config)


def _merged_list(schema: Schema, live: list[Any], config: list[Any]) -> list[Any]:
    """Items in the order of the configuration, the others where they were among them."""
    child = schema.get("items") or _ANY
    before = items_by_key(schema, live)
    wanted = [(item_key(schema, item), item) for item in config]
    wanted_keys = {key for key, _ in wanted}
    shared = iter([key for key, _ in wanted if key in before])
    next_shared = next(shared, None)
    rest = iter(wanted)
    result: list[Any] = []

    def take(until: str | None) -> None:
        for key, item in rest:
            old = before.get(key, ())
            result.append(merged(child, old[0], item) if len(old) == 1 else item)
            if key == until:
                return

    for item in live:
        key = item_key(schema, item)
        if key not in wanted_keys:
            result.append(item)
        elif key == next_shared:
            take(key)
            next_shared = next(shared, None)
    take(None)
    return result


def without(schema: Schema, value: Any, gone: Fields) -> Any:
    """The value without the members of a set; what loses its last part goes as well."""
    if not gone or not value:
        return value
    if not is_granular(schema, value):
        return _GONE
    if isinstance(value, dict):
        kept = {}
        for name, item in value.items():
            left = _left(child_schema(schema, name), item, gone.get(f"f:{name}"))
            if left is not _GONE:
                kept[name] = left
        return kept or _GONE
    child = schema.get("items") or _ANY
    found = [_left(child, item, gone.get(item_key(schema, item))) for item in value]
    return [item for item in found if item is not _GONE] or _GONE


def _left(schema: Schema, item: Any, gone: Fields | None) -> Any:
    if gone is None:
        return item
    return _GONE if not gone or "." in gone else without(schema, item, gone)


def pruned_by_owner(schema: Schema, value: Object, last: Fields, owned: Fields) -> Object:
    """The merged object without what `last`, the manager's former set, has and `owned`, all sets of now, has not.

    Parts that are nobody's stay as long as what holds them does.
    """
    if not last:
        return value

    def members(obj: Any) -> Fields:
        return with_named_members(schema, fields_of(schema, {} if obj is _GONE else obj))

    last = with_named_members(schema, last)
    everything = members(value)
    bare = without(schema, value, last)
    restored = without(
        schema, value, difference(everything, union(members(bare), with_named_members(schema, owned)))
    )  # fmt: skip
    result = without(schema, value, intersection(difference(everything, members(restored)), last))
    return {} if result is _GONE else result


def faults(schema: Schema, config: Any, path: str = "") -> list[str]:
    """Why a configuration cannot be merged by the schema: unknown fields, items without keys, keys that come twice."""
    if isinstance(config, dict) and not schema.get(INT_OR_STRING):
        return _map_faults(schema, config, path)
    if not isinstance(config, list):
        return []
    child = schema.get("items") or _ANY
    found: list[str] = []
    if schema.get(LIST_TYPE) not in ("map", "set"):
        for index, item in enumerate(config):
            found += faults(child, item, f"{path}[{index}]")
        return found
    for index, item in enumerate(config):
        if schema[LIST_TYPE] == "map":
            found += _key_faults(schema, index, item, path)
    if found:
        return found
    for key, items in items_by_key(schema, config).items():
        if len(items) > 1:
            found.append(f"{path}: duplicate entries for key {_named(key)}")
        found += faults(child, items[0], path + _named(key))
    return found


def _named(key: str) -> str:
    return next(paths({key: {}}))


def _map_faults(schema: Schema, config: dict[str, Any], path: str) -> list[str]:
    properties = schema.get("properties")
    open_ = bool(schema.get(PRESERVE) or schema.get("additionalProperties")) or (
        not properties and schema.get("type") != "object"
    )
    found = []
    for name, item in config.items():
        if not open_ and name not in (properties or _ANY):
            found.append(f"{path}.{name}: field not declared in schema")
        else:
            found += faults(child_schema(schema, name), item, f"{path}.{name}")
    return found


def _key_faults(schema: Schema, index: int, item: Any, path: str) -> list[str]:
    properties = (schema.get("items") or _ANY).get("properties") or _ANY
    if not isinstance(item, dict):
        return [f"{path}: element {index}: associative list with keys may not have non-map elements"]
    return [
        f"{path}: element {index}: associative list with keys has an element that omits key field "
        f'"{name}" (and doesn\'t have default value)'
        for name in schema.get(LIST_KEYS) or ()
        if item.get(name) is None and "default" not in (properties.get(name) or _ANY)
    ]
