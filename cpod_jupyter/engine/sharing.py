"""Equal parts of objects kept once: definitions say the same of a pod template, some thousand fields, each time."""

from __future__ import annotations

from typing import Any, TypeVar

T = TypeVar("T")


class Parts:
    """JSON values by what they are made of. What is handed out is shared, and must never be changed."""

    def __init__(self) -> None:
        self._found: dict[Any, Any] = {}

    def shared(self, value: T) -> T:
        """An equal value whose parts are shared with those of all values before it."""
        found: Any = value
        table = self._found
        if isinstance(value, dict):
            made: dict[Any, Any] = {}
            key: list[Any] = ["{"]
            for name, item in value.items():  # a loop that calls little: an engine that starts goes round it a lot
                kind = type(item)
                if kind is dict or kind is list:
                    item = self.shared(item)
                elif kind is str:
                    item = table.setdefault(item, item)
                made[table.setdefault(name, name)] = item
                key += (name, kind, id(item) if kind in _IN_TABLE else item)
            found = table.setdefault(tuple(key), made)
        elif isinstance(value, list):
            items = [self.shared(item) for item in value]
            found = table.setdefault(("[", *(_identity(item) for item in items)), items)
        elif isinstance(value, str):
            found = table.setdefault(value, value)
        return found  # type: ignore[no-any-return]


_IN_TABLE = frozenset((dict, list, str))


def _identity(value: Any) -> tuple[type, Any]:
    """Tells shared values apart: containers and texts, which stay in the table, by their place; others by value."""
    return type(value), id(value) if isinstance(value, (dict, list, str)) else value
