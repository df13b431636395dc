"""`%cpod` alone: where you are, and what there is."""

from __future__ import annotations

from html import escape
from typing import Any

from cpod_jupyter.sdk import Session
from cpod_jupyter.sdk.listing import EVENT_COLUMNS
from cpod_jupyter.sdk.view import table, theme


class Overview:
    """A session in a line, and the table of what is in its namespace."""

    def __init__(self, session: Session) -> None:
        self.where = session.where()
        self.listing = session.ls()

    def __repr__(self) -> str:
        return f"{self.where}\n{self.listing!r}"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        below = self.listing._repr_mimebundle_()["text/html"].removeprefix(theme.STYLE)
        html = theme.block(f'<span class="cpod-dim">{escape(self.where)}</span>') + below
        return {"text/plain": repr(self), "text/html": html}


class Outcomes:
    """What became of submitted manifests: `kind/name created`, one a line."""

    def __init__(self, rows: list[tuple[str, str]]) -> None:
        self.rows = rows

    def __repr__(self) -> str:
        return "\n".join(f"{title} {outcome}" for title, outcome in self.rows)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/plain": repr(self), "text/html": table.html(("object", "outcome"), self.rows)}


class Events:
    """Events as a table, the oldest first."""

    def __init__(self, rows: list[tuple[str, ...]], title: str) -> None:
        self.rows = rows
        self.title = title

    def __repr__(self) -> str:
        return table.text(EVENT_COLUMNS, self.rows) if self.rows else f"no events about {self.title}"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        html = table.html(EVENT_COLUMNS, self.rows) if self.rows else table.note(repr(self))
        return {"text/plain": repr(self), "text/html": html}
