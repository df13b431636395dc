"""A log on the disk: its lines by number, of all places or of one, and what is found in it."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from cpod_jupyter.errors import BadRequest, Expired, Timeout
from cpod_jupyter.jupyter.server.log import search
from cpod_jupyter.jupyter.server.log.search import Query, Searches
from cpod_jupyter.jupyter.server.log.spool import BLOCK, LONGEST, Spool
from cpod_jupyter.sdk.history import LogLine

LINES = 3 * BLOCK + 100


@pytest.fixture
def spool() -> Iterator[Spool]:
    """Three ranks that take turns, but that `late` comes in the third block, with every hundredth line."""
    found = Spool()
    for start in range(0, LINES, 100):
        found.append([line(number) for number in range(start, min(start + 100, LINES))])
    yield found
    found.close()


def line(number: int) -> LogLine:
    late = number >= 2 * BLOCK and number % 100 == 0
    return LogLine("late" if late else f"worker-{number % 3}", f"line {number} of Zürich")


def rows_of(place: str) -> list[int]:
    return [number for number in range(LINES) if line(number).place == place]


def test_lines_are_read_by_number_wherever_they_are(spool: Spool) -> None:
    assert spool.count() == LINES
    for first in (0, 1, BLOCK - 2, 2 * BLOCK, LINES - 3):
        rows = spool.rows(first, 5)
        assert [row.number for row in rows] == list(range(first, min(first + 5, LINES)))
        assert [(row.place, row.text) for row in rows] == [line(row.number) for row in rows]
    assert spool.rows(LINES, 5) == []


@pytest.mark.parametrize("place", ["worker-0", "worker-2", "late"])
def test_the_lines_of_a_place_are_numbered_among_themselves(spool: Spool, place: str) -> None:
    numbers = rows_of(place)
    assert spool.count(place) == len(numbers)
    for first in (0, len(numbers) // 2, len(numbers) - 2):
        rows = spool.rows(first, 4, place)
        assert [row.number for row in rows] == numbers[first : first + 4]
        assert {row.place for row in rows} == {place}
    assert spool.rows(len(numbers), 4, place) == []
    assert (spool.count("nobody"), spool.rows(0, 4, "nobody")) == (0, [])


def test_lines_are_as_a_terminal_shows_them_and_of_bounded_length(spool: Spool) -> None:
    spool.append([LogLine("", " 1%|\r50%|#\r99%|##"), LogLine("", "\x1b[31mred\x1b[0m"), LogLine("", "x" * 10_000)])
    texts = [row.text for row in spool.rows(LINES, 3)]
    assert texts == ["99%|##", "red", "x" * LONGEST + " … (10,000 characters)"]


def test_nobody_else_can_open_it_and_it_ends_when_it_is_closed(spool: Spool) -> None:
    for number in spool.duplicates():
        assert os.fstat(number).st_nlink == 0  # it has no name, and its room goes with the process
        assert os.fstat(number).st_mode & 0o077 == 0
        os.close(number)
    spool.close()
    with pytest.raises(Expired, match="ask again"):
        spool.rows(0, 1)


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        (Query("LINE 77 "), [77]),
        (Query("LINE 77 ", case=True), []),
        (Query("line 1.. of"), []),
        (Query(r"^line 1\d\d of Z.rich$", regex=True), list(range(100, 200))),
        (Query("zÜRICH"), list(range(LINES))),
        (Query("x*", regex=True), []),
        (Query("line 3071 "), [3071]),
        (Query("line 3072 "), [3072]),
    ],
    ids=("text", "case", "no expression", "expression", "letters", "nothing", "end of a block", "begin of a block"),
)
def test_a_text_or_an_expression_is_found(spool: Spool, query: Query, numbers: list[int]) -> None:
    assert list(Searches(spool).find(query).rows) == numbers


def test_what_is_found_of_a_place_is_told_in_its_own_rows(spool: Spool) -> None:
    found = Searches(spool).find(Query(r"line \d00 ", regex=True, place="worker-1"))
    assert [spool.rows(row, 1, "worker-1")[0].number for row in found.rows] == [100, 400, 700]
    assert list(Searches(spool).find(Query("line", place="nobody")).rows) == []


def test_a_search_goes_on_with_what_comes(spool: Spool) -> None:
    searches = Searches(spool)
    assert list(searches.find(Query("more", place="worker-1")).rows) == []
    spool.append([LogLine("worker-0", "more"), LogLine("worker-1", "more"), LogLine("new", "more")])
    found = searches.find(Query("more", place="worker-1"))
    assert list(found.rows) == [len(rows_of("worker-1"))]
    assert list(searches.find(Query("more")).rows) == [LINES, LINES + 1, LINES + 2]


def test_a_bounded_number_is_found(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "MOST", 10)
    found = Searches(spool).find(Query("line"))
    assert (list(found.rows), found.more) == (list(range(10)), True)


def test_what_is_no_expression_is_told_in_words(spool: Spool) -> None:
    with pytest.raises(BadRequest, match="no regular expression: missing \\)"):
        Searches(spool).find(Query("(", regex=True))


def test_an_expression_that_would_take_for_ever_is_stopped(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    spool.append([LogLine("worker-0", "a" * 64)])
    monkeypatch.setattr(search, "SECONDS", 1.0)
    with pytest.raises(Timeout, match="took longer than 1 s"):
        Searches(spool).find(Query("(a+)+$b", regex=True))
