"""Chat data sets: JSON Lines, read and judged row by row. No torch here: a bad row is reported in a second.

What a row may be is said in `api/chatrows.py`, which a preflight judges rows by too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from cpod_jupyter.api.chatrows import Message, data_files, numbered_rows, parse_row
from cpod_jupyter.errors import WorkFailed
from cpod_jupyter.runtime.report import progress

REPORTED_ROWS = 1000
"""More bad rows than a person would read are only counted."""


@dataclass(frozen=True)
class Row:
    """A conversation and its place, `train.jsonl row 3` (1-based line)."""

    place: str
    messages: list[Message]


@dataclass(frozen=True)
class ChatData:
    """A whole data set: at least one row, every row sound."""

    rows: list[Row]
    sha256: str
    """Over the files' bytes, in the order of their names."""

    def first(self, rows: int) -> ChatData:
        """The first rows alone; all of them for 0."""
        return replace(self, rows=self.rows[:rows]) if rows else self


def read_chat_data(directory: Path, called: str = "") -> ChatData:
    """All rows of every `*.jsonl` under `directory`; `called` is its name in messages.

    Raises:
        WorkFailed: there is no such directory, no file or no row in it, or rows are wrong; the message then
            names each of them with its file, line and fault.
    """
    name = called or str(directory)
    if not directory.is_dir():
        raise WorkFailed(f"the data set {name} is not a directory")
    files = data_files(directory)
    if not files:
        raise WorkFailed(f"the data set {name} has no *.jsonl file")
    rows: list[Row] = []
    faults: list[str] = []
    digest = hashlib.sha256()
    for done, file in enumerate(files):
        progress("validate", done, len(files), "files")
        for number, line in _lines(file, digest):
            place = f"{file.relative_to(directory)} row {number}"
            messages = parse_row(line)
            if isinstance(messages, str):
                faults.append(f"{place}: {messages}")
            else:
                rows.append(Row(place, messages))
    progress("validate", len(files), len(files), "files")
    if faults:
        raise WorkFailed(_fault_report(name, faults, len(rows) + len(faults)))
    if not rows:
        raise WorkFailed(f"the data set {name} has no rows: its files are empty")
    return ChatData(rows, digest.hexdigest())


def _lines(file: Path, digest: hashlib._Hash) -> Iterator[tuple[int, bytes]]:
    """Each line that isn't blank, with its number; every byte goes through `digest`."""

    def digested(stream: Iterable[bytes]) -> Iterator[bytes]:
        for line in stream:
            digest.update(line)
            yield line

    with file.open("rb") as stream:
        yield from numbered_rows(digested(stream))


def _fault_report(name: str, faults: list[str], rows: int) -> str:
    lines = [f"{len(faults)} of {rows} rows of the data set {name} are wrong, correct them and start again:"]
    lines += [f"  {fault}" for fault in faults[:REPORTED_ROWS]]
    if len(faults) > REPORTED_ROWS:
        lines.append(f"  and {len(faults) - REPORTED_ROWS} more")
    return "\n".join(lines)
