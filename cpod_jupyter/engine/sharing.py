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
        if isinstance(value, dict):
            made = {self.shared(name): self.shared(item) for name, item in value.items()}
            found = self._found.setdefault(("{", *((name, *_identity(item)) for name, item in made.items())), made)
        elif isinstance(value, list):
            items = [self.shared(item) for item in value]
            found = self._found.setdefault(("[", *(_identity(item) for item in items)), items)
        elif isinstance(value, str):
            found = self._found.setdefault(value, value)
        return found  # type: ignore[no-any-return]


def _identity(value: Any) -> tuple[type, Any]:
    """Tells shared values apart: containers and texts, which stay in the table, by their place; others by value."""
    return type(value), id(value) if isinstance(value, (dict, list, str)) else value
