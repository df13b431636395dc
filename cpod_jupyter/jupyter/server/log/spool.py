"""A log on the disk: its lines by number, of all places or of one, however many there are.

Two files without a name, which go with the process, whatever ends it, and which nobody else can open:

    text    the lines, each with its newline
    index   for each line eight bytes, in the machine's own order: where it begins in `text`, and its place in the
            lowest 16 bits

In memory there is only, for each `BLOCK` lines, how many lines of each place come before them.
"""

from __future__ import annotations

import os
import tempfile
import threading
from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from cpod_jupyter.errors import Expired
from cpod_jupyter.sdk.history import LogLine
from cpod_jupyter.sdk.metrics.parser import last_state

BLOCK = 1024
PLACE_BITS = 16
ENTRY = 8
"""Bytes of a line in the index."""
LONGEST = 8000
"""Characters of a line that are kept."""
_PLACES: int = 2**PLACE_BITS - 1


class Row(NamedTuple):
    """A line: its number in the whole log, from 0, its place and its text."""

    number: int
    place: str
    text: str


class Spool:
    """One thread appends, any may read. A row is the number of a line among those of a place, from 0."""

    def __init__(self) -> None:
        self._text = tempfile.TemporaryFile(prefix="cpod-log-")  # noqa: SIM115
        self._index = tempfile.TemporaryFile(prefix="cpod-log-")  # noqa: SIM115
        self._lock = threading.RLock()
        self._closed = False
        self._size = 0
        self._lines = 0
        self._counts: dict[str, int] = {}
        """The lines of each place, the places in the order in which they came."""
        self._before: dict[str, array[int]] = {}
        """Of each place, how many lines of it come before each block."""

    @property
    def size(self) -> int:
        """Bytes on the disk."""
        return self._size + self._lines * ENTRY

    @property
    def places(self) -> list[str]:
        return list(self._counts)

    def count(self, place: str = "") -> int:
        """The lines of a place, "" for all."""
        return self._counts.get(place, 0) if place else self._lines

    def append(self, lines: Sequence[LogLine]) -> None:
        """Put lines behind those that are there, as a terminal would show them. Raises OSError, Expired."""
        texts, entries, at = bytearray(), array("Q"), self._size
        numbers = {place: number for number, place in enumerate(self._counts)}
        for line in lines:
            number = numbers.setdefault(line.place, len(numbers))
            entries.append((at + len(texts)) << PLACE_BITS | min(number, _PLACES))
            texts += _shown(line.text).encode("utf-8", "replace") + b"\n"
        with self._lock:
            self._check()
            self._text.write(texts)
            self._text.flush()
            self._index.write(entries.tobytes())
            self._index.flush()
            for line in lines:
                self._counted(line.place)
            self._size += len(texts)

    def _counted(self, place: str) -> None:
        if place not in self._counts:
            self._counts[place] = 0
            self._before[place] = array("Q", bytes(8 * -(-self._lines // BLOCK)))
        if self._lines % BLOCK == 0:
            for each, before in self._before.items():
                before.append(self._counts[each])
        self._counts[place] += 1
        self._lines += 1

    def rows(self, first: int, count: int, place: str = "") -> list[Row]:
        """The rows of a place from one on; fewer where there are no more. Raises Expired."""
        with self._lock:
            self._check()
            numbers = self._numbers(first, count, place) if place else range(first, min(first + count, self._lines))
            places = self.places
            return [Row(number, places[at], text) for number, at, text in self._read(numbers)]

    def duplicates(self) -> tuple[int, int]:
        """File descriptors of text and index of one's own, to be closed. Raises Expired."""
        with self._lock:
            self._check()
            return os.dup(self._text.fileno()), os.dup(self._index.fileno())

    def close(self) -> None:
        """Let it go, with its room on the disk."""
        with self._lock:
            self._closed = True
            self._text.close()
            self._index.close()

    def _check(self) -> None:
        if self._closed:
            raise Expired("this log is not kept here any more; ask again")

    def _numbers(self, first: int, count: int, place: str) -> list[int]:
        """The numbers of the lines that are rows of a place."""
        before = self._before.get(place, array("Q"))
        if not first < self.count(place):
            return []
        wanted, found = self.places.index(place), array("Q")
        block = bisect_right(before, first) - 1
        skip = first - before[block]
        while len(found) < skip + count and block < len(before):
            after = before[block + 1] if block + 1 < len(before) else self.count(place)
            if after > before[block]:
                entries = enumerate(self._entries(block * BLOCK, BLOCK), block * BLOCK)
                found.extend(number for number, entry in entries if _place(entry) == wanted)
            block += 1
        return list(found[skip : skip + count])

    def _read(self, numbers: Sequence[int]) -> Iterator[tuple[int, int, str]]:
        """Number, place and text of lines in the order of their numbers; those that follow each other at once."""
        at = 0
        while at < len(numbers):
            end = at + 1
            while end < len(numbers) and numbers[end] == numbers[end - 1] + 1:
                end += 1
            entries = self._entries(numbers[at], end - at + 1)
            start = entries[0] >> PLACE_BITS
            stop = entries[end - at] >> PLACE_BITS if len(entries) > end - at else self._size
            texts = os.pread(self._text.fileno(), stop - start, start).decode("utf-8", "replace").split("\n")
            yield from zip(numbers[at:end], map(_place, entries), texts, strict=False)
            at = end

    def _entries(self, first: int, count: int) -> array[int]:
        return array("Q", os.pread(self._index.fileno(), count * ENTRY, first * ENTRY))


def _place(entry: int) -> int:
    return entry & _PLACES


def _shown(text: str) -> str:
    """A line without colours, and of one that was written over, what is seen in the end."""
    if "\r" in text or "\x1b" in text or "\b" in text:
        text = last_state(text)
    if len(text) > LONGEST:
        text = f"{text[:LONGEST]} … ({len(text):,} characters)"
    return text.replace("\n", " ")
