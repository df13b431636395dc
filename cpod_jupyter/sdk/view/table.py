"""Tables, as HTML and as text."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from html import escape

from cpod_jupyter.sdk.view import theme

_WIDE = 30
"""Characters from which a cell may break into lines."""


def html(columns: Sequence[str], rows: Sequence[Sequence[str]], *, pills: Collection[int] = ()) -> str:
    """A themed table; the cells of the columns in `pills` are shown as phases."""
    return theme.block(inner(columns, rows, pills=pills))


def inner(columns: Sequence[str], rows: Sequence[Sequence[str]], *, pills: Collection[int] = ()) -> str:
    """The table alone, for a block that has more."""
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "".join(f"<tr>{''.join(_cell(cell, at in pills) for at, cell in enumerate(row))}</tr>" for row in rows)
    return f'<table class="cpod-table"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def _cell(text: str, pill: bool) -> str:
    shown = theme.pill(text, theme.tone_of_word(text)) if pill and text else escape(text)
    return f'<td class="cpod-wide">{shown}</td>' if len(text) > _WIDE else f"<td>{shown}</td>"


def note(text: str) -> str:
    """One line instead of an empty table."""
    return theme.block(f'<span class="cpod-dim">{escape(text)}</span>')


def text(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns aligned by spaces, as kubectl prints them."""
    lines = [[column.upper() for column in columns], *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(line[at]) for line in lines) for at in range(len(columns))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )
