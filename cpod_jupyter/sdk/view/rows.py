"""A list that shows itself as a table."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, TypeVar

from cpod_jupyter.sdk.view import table

T = TypeVar("T")


class Rows(Sequence[T]):
    """Items, each a line of a table. `empty` is what is said when there is none."""

    columns: ClassVar[tuple[str, ...]]
    empty: str = ""

    def __init__(self, items: Sequence[T]) -> None:
        self._items = list(items)

    def __getitem__(self, index: Any) -> Any:
        return self._items[index]

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[T]:
        return iter(self._items)

    @abstractmethod
    def rows(self) -> list[tuple[str, ...]]:
        """The lines of the table."""

    def __repr__(self) -> str:
        return table.text(self.columns, self.rows()) if self._items else self.empty

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        html = table.html(self.columns, self.rows()) if self._items else table.note(self.empty)
        return {"text/plain": repr(self), "text/html": html}
