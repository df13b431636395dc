"""A window of an object's log, and what is found in it."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, Any

from cpod_jupyter.errors import CpodError
from cpod_jupyter.jupyter.server.address import Address
from cpod_jupyter.jupyter.server.base import Handler, answered

if TYPE_CHECKING:
    from cpod_jupyter.jupyter.server.log.keeper import Log
    from cpod_jupyter.jupyter.server.log.search import Found, Query
    from cpod_jupyter.jupyter.server.log.spool import Row

_ROWS = 1000
"""Rows of one answer."""
_QUERY_CHARACTERS = 1000


class WindowHandler(Handler):
    """GET: rows `first` to `first + count` of the log (of a `place`; the last ones where `first` is negative), with
    where `text` stands in them; how many rows there are, and whether more may come."""

    @answered
    async def get(self) -> None:
        address, query = Address.of(self.query()), _query(self)
        first, count = _number(self, "first", -1), min(max(1, _number(self, "count", 200)), _ROWS)
        found = await self.in_thread(lambda hub: _window(hub.logs.log(address), query, first, count))
        self.give(found)


class FindHandler(Handler):
    """GET: the next row from `row` on, or with `back` the one before, in which `text` stands: a text, or with `regex`
    a regular expression of Python; with `case` in this case only. Past the end it goes on from the beginning."""

    @answered
    async def get(self) -> None:
        address, query = Address.of(self.query()), _query(self)
        if not query.text:
            raise CpodError("text is missing: what is looked for")
        row, back = _number(self, "row", 0), _truth(self, "back")
        found = await self.in_thread(lambda hub: _found(hub.logs.log(address).searches.find(query), row, back))
        self.give(found)


def _query(handler: Handler) -> Query:
    from cpod_jupyter.jupyter.server.log.search import Query

    text, place = handler.get_query_argument("text", "", strip=False), handler.get_query_argument("place", "")
    if len(text) > _QUERY_CHARACTERS:
        raise CpodError(f"text is longer than {_QUERY_CHARACTERS:,} characters")
    return Query(text, _truth(handler, "regex"), _truth(handler, "case"), place)


def _number(handler: Handler, key: str, default: int) -> int:
    given = handler.get_query_argument(key, "")
    try:
        return int(given) if given else default
    except ValueError as error:
        raise CpodError(f'{key} "{given}" is no whole number') from error


def _truth(handler: Handler, key: str) -> bool:
    return handler.get_query_argument(key, "") == "true"


def _window(log: Log, query: Query, first: int, count: int) -> dict[str, Any]:
    whole = log.whole  # asked first: the rows are then all
    found = log.searches.find(query) if query.text else None
    there = log.spool.count(query.place)
    start = max(0, there - count) if first < 0 else min(first, there)
    rows = log.spool.rows(start, count, query.place)
    return {
        "first": start,
        "rows": _marked(rows, start, query, found),
        "count": there,
        "places": log.spool.places,
        "whole": whole,
        "note": log.note,
        "found": None if found is None else {"count": len(found.rows), "more": found.more},
    }


def _marked(rows: list[Row], first: int, query: Query, found: Found | None) -> list[list[Any]]:
    """Each row with where the query stands in it. Only in rows in which it was found: in those an expression has come
    to its end before."""
    from cpod_jupyter.jupyter.server.log import seek

    if found is None:
        return [list(row) for row in rows]
    pattern = query.pattern()
    low, high = bisect_left(found.rows, first), bisect_left(found.rows, first + len(rows))
    hits = set(found.rows[low:high])
    return [
        [*row, _in_script(row.text, seek.spans(pattern, row.text)) if first + at in hits else []]
        for at, row in enumerate(rows)
    ]


def _in_script(text: str, spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Places in a text as JavaScript counts them: in units of UTF-16."""
    if text.isascii():
        return spans

    def units(end: int) -> int:
        return len(text[:end].encode("utf-16-le", "surrogatepass")) // 2

    return [(units(start), units(end)) for start, end in spans]


def _found(found: Found, row: int, back: bool) -> dict[str, Any]:
    rows: array[int] = found.rows
    at = bisect_right(rows, row) - 1 if back else bisect_left(rows, max(row, 0))
    if row < 0 and back:
        at = -1
    at = at % len(rows) if rows else -1
    return {"row": rows[at] if rows else None, "at": at + 1, "count": len(rows), "more": found.more}
