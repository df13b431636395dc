"""A schema made ready for use: what one place of it says, worked out once and kept.

Nodes are made when a value first needs them, so a definition of two megabytes costs nothing until an
object comes, and then only as much as the object reaches of it.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from cpod_jupyter.api import checks

Schema = Mapping[str, Any]

PRESERVE = "x-kubernetes-preserve-unknown-fields"
INT_OR_STRING = "x-kubernetes-int-or-string"
EMBEDDED = "x-kubernetes-embedded-resource"
LIST_TYPE = "x-kubernetes-list-type"
LIST_KEYS = "x-kubernetes-list-map-keys"
RULES = "x-kubernetes-validations"
OR_BOOLEAN = "x-cpod-or-boolean"
"""Of `additionalProperties` in the schema of schemas: a boolean will do as well."""
DUPLICATES = "x-cpod-duplicates"
"""Marks a list map in which the API server lets a key come twice, though it merges by it."""
JUNCTORS = ("allOf", "anyOf", "oneOf", "not")

ENVELOPE = ("apiVersion", "kind", "metadata")
"""The fields of every object, which are kept whatever its schema says."""

_EITHER = [{"type": "integer"}, {"type": "string"}]


class Node:
    """One place of a structural schema. Not changed after it is made, but for the parts it keeps."""

    __slots__ = (
        "_additional", "_children", "_items", "_junctors", "additional", "choices", "defaults", "embedded",
        "int_or_string", "keys", "kind", "list_type", "lists", "mappings", "nullable", "numbers", "open", "properties",
        "required", "schema", "strings",
    )  # fmt: skip

    def __init__(self, schema: Schema) -> None:
        get = schema.get
        additional = get("additionalProperties")
        self.schema = schema
        self.kind: str = get("type") or ""
        self.nullable = bool(get("nullable"))
        self.int_or_string = bool(get(INT_OR_STRING))
        self.embedded = bool(get(EMBEDDED))
        self.properties: Mapping[str, Schema] = get("properties") or {}
        self.required: tuple[str, ...] = tuple(get("required") or ())
        self.additional: Schema | None = additional if isinstance(additional, Mapping) else None
        preserves = bool(get(PRESERVE) or additional is True or self.additional is not None)
        self.open = preserves or (not self.properties and self.kind != "object")
        self.defaults: tuple[tuple[str, Any, bool], ...] = tuple(
            (name, child["default"], bool(child.get("nullable")))
            for name, child in self.properties.items()
            if child.get("default") is not None
        )
        self.list_type: str = get(LIST_TYPE) or ""
        self.keys: tuple[str, ...] = () if get(DUPLICATES) else tuple(get(LIST_KEYS) or ())
        self.choices = checks.choices(schema)
        self.strings = checks.strings(schema) if self.kind == "string" or not self.kind else ()
        self.numbers = checks.numbers(schema) if self.kind in ("integer", "number", "") else ()
        self.lists = checks.lists(schema)
        self.mappings = checks.mappings(schema)
        self._children: dict[str, Node] = {}
        self._additional: Node | None = None
        self._items: Node | None = None
        self._junctors: tuple[tuple[str, tuple[Node, ...]], ...] | None = (
            None if any(name in schema for name in JUNCTORS) else ()
        )

    # ---- parts, made on the way

    def field(self, name: str) -> Node | None:
        """The node for a field of an object: a declared one's, or that of additional ones."""
        node = self._children.get(name)
        if node is not None:
            return node
        if name in self.properties:
            node = self._children[name] = Node(self.properties[name])
            return node
        if self.additional is not None and self._additional is None:
            self._additional = Node(self.additional)
        return self._additional

    @property
    def items(self) -> Node | None:
        """The node for the items of a list."""
        if self._items is None and isinstance(items := self.schema.get("items"), Mapping):
            self._items = Node(items)
        return self._items

    @property
    def junctors(self) -> tuple[tuple[str, tuple[Node, ...]], ...]:
        """`allOf`, `anyOf`, `oneOf` and `not`, without the one that only repeats int-or-string."""
        if self._junctors is None:
            found: list[tuple[str, tuple[Node, ...]]] = []
            for name in JUNCTORS:
                schemas = self.schema.get(name) or []
                schemas = [schemas] if isinstance(schemas, Mapping) else schemas
                if schemas and not (self.int_or_string and name == "anyOf" and schemas == _EITHER):
                    found.append((name, tuple(Node(schema) for schema in schemas)))
            self._junctors = tuple(found)
        return self._junctors

    # ---- pruning

    def pruned(self, value: Any, *, root: bool = False) -> Any:
        """The value without the fields that the schema does not name; the same one when there are none.

        At the root and in embedded objects apiVersion, kind and metadata stay. A null for a field that
        may not be null goes as well.
        """
        if isinstance(value, list):
            return self._pruned_list(value)
        if not isinstance(value, dict):
            return value
        whole = root or self.embedded
        result: dict[str, Any] | None = None
        for name, item in value.items():
            declared = name in self.properties
            if whole and not declared and name in ENVELOPE:
                continue
            node = self.field(name)
            kept = item
            if node is not None:
                gone = item is None and declared and not node.nullable and node.schema.get("default") is None
                kept = item if gone else node.pruned(item)
            else:
                gone = not self.open
            if gone or kept is not item:
                result = dict(value) if result is None else result
                if gone:
                    del result[name]
                else:
                    result[name] = kept
        return value if result is None else result

    def _pruned_list(self, value: list[Any]) -> list[Any]:
        items = self.items
        if items is None:
            return value
        result = [items.pruned(item) for item in value]
        return value if all(map(_same, result, value)) else result

    # ---- defaults

    def defaulted(self, value: Any) -> Any:
        """The value with the schema's defaults filled in, the same one when there are none to fill in.

        Defaults of what is inside an absent object are not filled in.
        """
        if isinstance(value, list):
            return self._defaulted_list(value)
        if not isinstance(value, dict):
            return value
        result: dict[str, Any] | None = None
        for name, default, nullable in self.defaults:
            if value.get(name) is None and not (nullable and name in value):
                result = dict(value) if result is None else result
                result[name] = copy.deepcopy(default)
        for name, item in (value if result is None else dict(result)).items():
            if not isinstance(item, (dict, list)) and item is not None:
                continue
            node = self.field(name)
            if node is None:
                continue
            filled = node.defaulted(node.instead(item, declared=name in self.properties))
            if filled is not item:
                result = dict(value) if result is None else result
                result[name] = filled
        return value if result is None else result

    def decoded(self, obj: dict[str, Any]) -> dict[str, Any]:
        """A stored object as it is read: without what the schema does not name, and with its defaults."""
        result: dict[str, Any] = self.defaulted(self.pruned(obj, root=True))
        return result

    def instead(self, item: Any, *, declared: bool) -> Any:
        """An entry of a map or a list: its schema's default in place of a null."""
        if item is None and not declared and not self.nullable and self.schema.get("default") is not None:
            return copy.deepcopy(self.schema["default"])
        return item

    def _defaulted_list(self, value: list[Any]) -> list[Any]:
        items = self.items
        if items is None:
            return value
        result = [items.defaulted(items.instead(item, declared=False)) for item in value]
        return value if all(map(_same, result, value)) else result


def _same(one: Any, other: Any) -> bool:
    return one is other
