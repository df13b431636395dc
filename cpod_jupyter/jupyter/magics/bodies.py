"""Where in a body of YAML the cursor stands, while the body is being written and cannot be parsed yet. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_KEY = re.compile(r"""(?P<quote>["']?)(?P<key>[\w./-]+)(?P=quote)\s*:(?:\s+(?P<rest>.*))?$""")
_FLOW_KEY = re.compile(r"""\s*["']?([\w./-]+)["']?\s*:\s(.*)$""")
ITEM = "-"
"""In a path: an item of a list."""

Path = tuple[str, ...]


@dataclass(frozen=True)
class Spot:
    """What is being written: with `key`, the value of that field; without, the name of a field of what is at `path`."""

    path: Path
    key: str = ""


@dataclass(frozen=True)
class _Entry:
    """A key or a dash, the column in which it stands, and what follows a key on its line."""

    column: int
    name: str
    rest: str = ""


def spot(lines: Sequence[str]) -> Spot | None:
    """Where the end of the last line is, in the document that it belongs to; None in text and in comments."""
    entries: list[_Entry] = []
    for line in lines[:-1]:
        if line.rstrip() == "---":
            entries.clear()
        elif line.strip() and not line.lstrip().startswith("#"):
            entries += _entries(line)
    column, own = 0, _entries(lines[-1], last=True)
    above = [*entries, *own]
    last = lines[-1]
    if own and own[-1].name != ITEM:
        column = own[-1].column
        parents = _parents(above[:-1], column)
        if parents is None:
            return None
        return _in_flow(own[-1].rest, (*parents, own[-1].name), Spot(parents, own[-1].name))
    text = last.lstrip(" -")
    column = len(last) - len(text)
    parents = _parents(above, column)
    if parents is None:
        return None
    return _in_flow(text, parents, Spot(parents))


def top_level(lines: Sequence[str], key: str) -> str:
    """The value that the last line's document gives a key at its top; empty when it does not."""
    found = ""
    for line in lines:
        if line.rstrip() == "---":
            found = ""
        if match := re.match(rf"{key}:\s+(\S+)", line):
            found = match[1]
    return found


def _entries(line: str, *, last: bool = False) -> list[_Entry]:
    """The dashes and the key that a line begins with; of the last, a key only once its colon and a space are there."""
    found, column = [], len(line) - len(line.lstrip())
    while dash := re.match(r"-(\s+|$)", line[column:]):
        found.append(_Entry(column, ITEM))
        column += dash.end()
    key = _KEY.match(line[column:])
    if key and not (last and key["rest"] is None):
        found.append(_Entry(column, key["key"], (key["rest"] or "") if last else (key["rest"] or "").strip()))
    return found


def _parents(entries: Sequence[_Entry], column: int) -> Path | None:
    """The keys above something in a column, the outermost first; None when it stands inside a text."""
    found: list[str] = []
    dash = False  # whether what is looked from is itself an item: its key may stand in the same column
    for entry in reversed(entries):
        inside = entry.column < column or (dash and entry.column == column and entry.name != ITEM)
        if not inside:
            continue
        if entry.name != ITEM and entry.rest and not entry.rest.startswith("#"):
            return None  # its value began on its own line: a block of text, or a flow that goes on
        found.insert(0, entry.name)
        column, dash = entry.column, entry.name == ITEM
    return tuple(found)


def _in_flow(text: str, path: Path, outside: Spot) -> Spot | None:
    """The same inside `{…}` and `[…]` on the last line; `outside` when none of them is open."""
    if text.lstrip().startswith(("|", ">", "#")) or ("{{" in text and "}}" not in text.rpartition("{{")[2]):
        return None
    stack: list[tuple[str, Path]] = []
    quote, piece, here = "", "", path
    for letter in text:
        if quote:
            quote = "" if letter == quote else quote
            piece += letter
        elif letter in "\"'":
            quote = letter
            piece += letter
        elif letter in "{[":
            key = _FLOW_KEY.match(piece + " ")
            here = (*here, key[1]) if key and stack and stack[-1][0] == "{" else here
            here = (*here, ITEM) if stack and stack[-1][0] == "[" else here
            stack.append((letter, here))
            piece = ""
        elif letter in "}]" and stack:
            stack.pop()
            here = stack[-1][1] if stack else path
            piece = ""
        elif letter == "," and stack:
            here, piece = stack[-1][1], ""
        else:
            piece += letter
    if not stack:
        return outside
    kind, here = stack[-1]
    if kind == "[":
        return Spot((*here, ITEM), ITEM)
    key = _FLOW_KEY.match(piece)
    return Spot(here, key[1]) if key else Spot(here)
