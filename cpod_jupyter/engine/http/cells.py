"""How a cell of a table is read off an object, and how times and lists look in one."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterable
from typing import Any

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import Object
from cpod_jupyter.engine.selectors import selector_text

Cell = str | int | float | bool | None
Read = Callable[[Object], Cell]
Column = tuple[str, str, int, Read]
"""Name, type, priority (above 0: only with `-o wide`), and how the cell is read off an object."""

NONE, UNKNOWN, UNSET = "<none>", "<unknown>", "<unset>"


def human(span: dt.timedelta) -> str:
    """A duration as kubectl shortens it: two units while the second one still says something."""
    seconds = max(int(span.total_seconds()), 0)
    if seconds < 120:
        return f"{seconds}s"
    minutes = seconds // 60
    if minutes < 10:
        return f"{minutes}m{seconds % 60}s" if seconds % 60 else f"{minutes}m"
    if minutes < 180:
        return f"{minutes}m"
    hours = minutes // 60
    if hours < 8:
        return f"{hours}h{minutes % 60}m" if minutes % 60 else f"{hours}h"
    if hours < 48:
        return f"{hours}h"
    days = hours // 24
    if hours < 192:
        return f"{days}d{hours % 24}h" if hours % 24 else f"{days}d"
    if days < 730:
        return f"{days}d"
    years = days // 365
    return f"{years}y{days % 365}d" if years < 8 and days % 365 else f"{years}y"


def age(stamp: str | None) -> str:
    """How long ago."""
    return human(dt.datetime.now(dt.UTC) - meta.parse_time(stamp)) if stamp else UNKNOWN


def at(obj: Any, path: str) -> Any:
    """The value at a printer column's JSONPath: fields, `[-1:]`, `[0]`, `[*]` and `[?(@.a=='b')]`."""
    values = [obj]
    for name, bracket in re.findall(r"\.?([A-Za-z0-9_\-/\\.]+?)?(?=\.|\[|$)(?:\[([^\]]*)\])?", path.strip("{}")):
        if name:
            key = name.replace("\\.", ".")
            values = [value[key] for value in values if isinstance(value, dict) and key in value]
        if bracket:
            values = [item for value in values if isinstance(value, list) for item in _picked(value, bracket)]
    if not values:
        return None
    return values[0] if len(values) == 1 else ",".join(str(value) for value in values)


def _picked(items: list[Any], bracket: str) -> list[Any]:
    if bracket == "*":
        return items
    if bracket == "-1:":
        return items[-1:]
    if re.fullmatch(r"-?\d+", bracket):
        return items[int(bracket) :][:1]
    if match := re.fullmatch(r"\?\(@\.([A-Za-z0-9_.]+)\s*==\s*['\"]([^'\"]*)['\"]\)", bracket):
        return [item for item in items if str(at(item, match[1])) == match[2]]
    return []


def value(path: str, otherwise: Cell = None) -> Read:
    """Reads what is at a path, or gives `otherwise`."""

    def read(obj: Object) -> Cell:
        found = at(obj, path)
        return found if isinstance(found, (str, int, float, bool)) and found != "" else otherwise

    return read


def since(path: str) -> Read:
    """Reads how long ago the time at a path is."""
    return lambda obj: age(at(obj, path))


def count(path: str) -> Read:
    """Reads how many items or entries there are at a path."""
    return lambda obj: len(at(obj, path) or ())


def number(path: str) -> Read:
    return lambda obj: at(obj, path) or 0


def joined(parts: Iterable[Any], otherwise: str = NONE) -> str:
    """Texts with commas between them."""
    return ",".join(str(part) for part in parts if part not in (None, "")) or otherwise


def selector(path: str) -> Read:
    """Reads a label selector, or a plain map of labels, as text."""

    def read(obj: Object) -> Cell:
        found = at(obj, path) or {}
        is_structured = "matchLabels" in found or "matchExpressions" in found
        return selector_text(found if is_structured else {"matchLabels": found}) or NONE

    return read


def column(name: str, read: Read, *, type_: str = "string", wide: bool = False) -> Column:
    return (name, type_, int(wide), read)


NAME = column("Name", value(".metadata.name"))
AGE = column("Age", since(".metadata.creationTimestamp"))
CREATED = column("Created At", value(".metadata.creationTimestamp"), type_="date")
