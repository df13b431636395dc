"""`%cpod` alone: where you are, and what there is."""

from __future__ import annotations

from html import escape
from typing import Any

from cpod_jupyter.sdk import Session
from cpod_jupyter.sdk.listing import EVENT_COLUMNS
from cpod_jupyter.sdk.view import table, theme

_COLOURS = """<style>
.cpod pre.cpod-code{max-height:none}
.cpod-code .nt{color:var(--jp-mirror-editor-keyword-color,#2b7de0)}
.cpod-code .s,.cpod-code .s1,.cpod-code .s2{color:var(--jp-mirror-editor-string-color,#c0503c)}
.cpod-code .c1{color:var(--jp-mirror-editor-comment-color,#6a8a8a);font-style:italic}
</style>"""
"""JupyterLab's own colours of code, with fallbacks that read on light and on dark pages."""


class Overview:
    """A session in a line, where it was chosen, and the table of what is in its namespace."""

    def __init__(self, session: Session) -> None:
        self.where = f"{session.where()}; {session.gpus_in_words()}"
        self.chosen = session.chosen.words
        self.listing = session.ls()

    def __repr__(self) -> str:
        return "\n".join(filter(None, (self.where, self.chosen, repr(self.listing))))

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        below = self.listing._repr_mimebundle_()["text/html"].removeprefix(theme.STYLE)
        lines = "<br>".join(escape(line) for line in (self.where, self.chosen) if line)
        html = theme.block(f'<span class="cpod-dim">{lines}</span>') + below
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


class Code:
    """A text for machines, in colour on a page and as it is elsewhere."""

    def __init__(self, text: str, language: str) -> None:
        self.text = text
        self.language = language

    def __repr__(self) -> str:
        return self.text

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        from pygments import highlight
        from pygments.formatters import HtmlFormatter
        from pygments.lexers import get_lexer_by_name

        code = highlight(self.text, get_lexer_by_name(self.language), HtmlFormatter(nowrap=True))
        html = theme.block(f'{_COLOURS}<pre class="cpod-log cpod-code">{code}</pre>')
        return {"text/plain": self.text, "text/html": html}
