"""The contexts that one can work in: those of the kubeconfig, and the engine on this machine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from cpod_jupyter import local
from cpod_jupyter.client.connection import configured_contexts
from cpod_jupyter.sdk.connect import ENGINE, means_engine
from cpod_jupyter.sdk.view import table

COLUMNS = ("", "context", "server", "namespace")


@dataclass(frozen=True)
class ContextInfo:
    """A context by its name; `current` is the one that is meant when none is named."""

    name: str
    server: str
    namespace: str
    current: bool = False


class Contexts(Sequence[ContextInfo]):
    """All contexts, shown as a table."""

    def __init__(self, rows: Sequence[ContextInfo]) -> None:
        self._rows = list(rows)

    def __getitem__(self, index: Any) -> Any:
        return self._rows[index]

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[ContextInfo]:
        return iter(self._rows)

    def _table(self) -> list[tuple[str, ...]]:
        return [("*" if row.current else "", row.name, row.server, row.namespace) for row in self._rows]

    def to_dicts(self) -> list[dict[str, Any]]:
        """The same for programs."""
        return [
            {"name": row.name, "server": row.server, "namespace": row.namespace, "current": row.current}
            for row in self._rows
        ]

    def __repr__(self) -> str:
        return table.text(COLUMNS, self._table())

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/plain": repr(self), "text/html": table.html(COLUMNS, self._table())}


def contexts(chosen: str | None = None) -> Contexts:
    """The engine and the kubeconfig's contexts. `chosen` is the one that is worked in; left out, the one that a
    session without a context takes. Starts no engine."""
    running = local.find()
    is_engine = means_engine(chosen)
    rows = [ContextInfo(ENGINE, running.url if running else "(not running)", "default", is_engine)]
    for name, server, namespace, current in configured_contexts():
        marked = not is_engine and (name == chosen if chosen else current)
        rows.append(ContextInfo(name, server, namespace, marked))
    return Contexts(rows)
