"""The rows that a fine-tune learns from and is evaluated with: found, judged one by one, counted. No torch here: a bad
row is reported in a second.

What a row may be is said in `api/rows`, which a preflight judges rows by too. Rows are read from their files as often
as they are needed and never held: a data set may be larger than the memory.
"""

from __future__ import annotations

import hashlib
import math
import random
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from cpod_jupyter.api.rows import SUFFIXES, BadRow, Example, data_files, examples_of, most_tokens, split_of
from cpod_jupyter.errors import WorkFailed
from cpod_jupyter.runtime.report import progress

REPORTED_ROWS = 1000
"""More bad rows than a person would read are only counted."""


class Row(NamedTuple):
    """An example and its place, `train.jsonl row 3` (from 1; in JSON Lines that of the line)."""

    place: str
    example: Example


@dataclass(frozen=True)
class DataSet:
    """A whole data set: at least one row to learn from, every row sound."""

    directory: Path
    train_files: list[Path]
    eval_files: list[Path]
    format: str
    kind: str
    """`conversations`, `texts` or `preferences`."""
    sha256: str
    """Over the files' bytes, in the order of their names."""
    rows: int
    """To learn from."""
    longest: int
    """Tokens of the longest row at most, whatever the tokenizer."""
    eval_rows: int = 0
    duplicates: int = 0
    """Rows to learn from that are the same as an earlier one."""
    leaked: int = 0
    """Rows to evaluate with that are among those to learn from."""
    held_out: frozenset[int] = field(default_factory=frozenset)
    """Marks of the rows that are taken out of the training files to evaluate with."""
    most: int = 0
    """How many rows of each sort are used; 0 for all."""

    def train(self) -> Iterator[Row]:
        """The rows to learn from."""
        rows = (row for row in _read(self.directory, self.train_files, self.format) if not self._held_out(row))
        return _first(rows, self.most)

    def evaluation(self) -> Iterator[Row]:
        """The rows to evaluate with."""
        rows = _read(self.directory, self.eval_files or self.train_files, self.format)
        return _first((row for row in rows if self.eval_files or self._held_out(row)), self.most)

    def _held_out(self, row: Row) -> bool:
        return bool(self.held_out) and _mark(row.example) in self.held_out

    def summary(self) -> str:
        """`120 conversations, 12 more to evaluate with; 3 are there twice`."""
        parts = [f"{self.rows:,} {self.kind if self.rows > 1 else self.kind[:-1]}"]
        if self.eval_rows:
            parts[0] += f", {self.eval_rows:,} more to evaluate with"
        if self.duplicates:
            parts.append(f"{self.duplicates:,} are the same as an earlier one")
        if self.leaked:
            parts.append(f"{self.leaked:,} of those to evaluate with are among those to learn from")
        return "; ".join(parts)


def read_data(
    directory: Path, *, format: str = "auto", val_size: float = 0.0, seed: int = 42, most: int = 0, called: str = ""
) -> DataSet:
    """Every row of every file below a directory, looked at once.

    Files or folders that are called `validation` (or `valid`, `val`, `dev`, `eval`) are to evaluate with, those called
    `test` are kept apart, where there are others.

    Args:
        format: one of `api.rows.FORMATS`, or `auto`, by each row's fields.
        val_size: rows that are taken out of those to learn from to evaluate with: a share below 1, or a number. Rows
            that are the same stay together, so that none is on both sides.
        most: rows of each sort that are used; 0 for all.
        called: its name in messages.

    Raises:
        WorkFailed: there is no such directory, no file or no row in it, or rows are wrong; the message then
            names each of them with its file, row and fault.
    """
    name = called or str(directory)
    if not directory.is_dir():
        raise WorkFailed(f"the data set {name} is not a directory")
    splits = _splits(directory, name)
    look = _Look(directory, format, len(splits.train) + len(splits.eval))
    marks = look.at(splits.train)
    eval_marks = look.at(splits.eval)
    look.raise_faults(name)
    if not marks:
        raise WorkFailed(f"the data set {name} has no rows: its files are empty")
    if val_size and splits.eval:
        raise WorkFailed(f"val_size is set, and the data set {name} has rows to evaluate with ({splits.eval[0].name})")
    held_out = _held_out(marks[: most or None], val_size, seed) if val_size else frozenset()
    learnt = array("Q", (mark for mark in marks if mark not in held_out))[: most or None]
    evaluated = [mark for mark in marks if mark in held_out] if val_size else list(eval_marks)
    known = set(learnt)
    return DataSet(
        directory,
        splits.train,
        splits.eval,
        format,
        look.kind,
        look.digest.hexdigest(),
        rows=len(learnt),
        longest=look.longest,
        eval_rows=len(evaluated[: most or None]),
        duplicates=len(learnt) - len(known),
        leaked=sum(mark in known for mark in evaluated[: most or None]),
        held_out=held_out,
        most=most,
    )


class _Splits(NamedTuple):
    train: list[Path]
    eval: list[Path]


def _splits(directory: Path, name: str) -> _Splits:
    files = data_files(directory)
    if not files:
        raise WorkFailed(f"the data set {name} has no file that ends in {', '.join(SUFFIXES)}")
    train = [file for file in files if split_of(file.relative_to(directory)) == "train"]
    if not train:
        return _Splits(files, [])
    return _Splits(train, [file for file in files if split_of(file.relative_to(directory)) == "eval"])


class _Look:
    """A first look at every row: its faults, its mark, the longest, and the digest of the files."""

    def __init__(self, directory: Path, format: str, files: int) -> None:
        self.kind = ""
        self.digest = hashlib.sha256()
        self.longest = 0
        self._directory = directory
        self._format = format
        self._files = files
        self._done = 0
        self._rows = 0
        self._wrong = 0
        self._faults: list[str] = []

    def at(self, files: list[Path]) -> array[int]:
        """The marks of the sound rows."""
        marks = array("Q")
        for file in files:
            progress("validate", self._done, self._files, "files")
            with file.open("rb") as stream:
                while chunk := stream.read(1 << 20):
                    self.digest.update(chunk)
            for place, example in _judged(self._directory, file, self._format):
                self._rows += 1
                if isinstance(example, BadRow):
                    self._fault(f"{place}: {example}")
                elif example.kind != (self.kind or example.kind):
                    self._fault(f"{place}: it is one of {example.kind}, and those before it are {self.kind}")
                else:
                    self.kind = example.kind
                    self.longest = max(self.longest, most_tokens(example))
                    marks.append(_mark(example))
            self._done += 1
        progress("validate", self._done, self._files, "files")
        return marks

    def raise_faults(self, name: str) -> None:
        """WorkFailed where there are any."""
        if not self._wrong:
            return
        lines = [f"{self._wrong} of {self._rows} rows of the data set {name} are wrong, correct them and start again:"]
        lines += [f"  {fault}" for fault in self._faults]
        if self._wrong > len(self._faults):
            lines.append(f"  and {self._wrong - len(self._faults)} more")
        raise WorkFailed("\n".join(lines))

    def _fault(self, told: str) -> None:
        self._wrong += 1
        if len(self._faults) < REPORTED_ROWS:
            self._faults.append(told)


def _judged(directory: Path, file: Path, format: str) -> Iterator[tuple[str, Example | BadRow]]:
    """Each row of a file: its place, and what it is read as or why it cannot be. Raises WorkFailed."""
    relative = file.relative_to(directory)
    try:
        for number, example in examples_of(file, format):
            yield f"{relative} row {number}", example
    except OSError as error:
        raise WorkFailed(f"the file {file} can't be read: {error.strerror or error}") from error
    except ValueError as error:  # UnicodeDecodeError and pyarrow's ArrowInvalid are ValueErrors
        raise WorkFailed(f"the file {file} is broken: {error}") from error


def _read(directory: Path, files: list[Path], format: str) -> Iterator[Row]:
    """The rows of files that were looked at before."""
    for file in files:
        for place, example in _judged(directory, file, format):
            if isinstance(example, BadRow):
                raise WorkFailed(f"{place} has changed while it was read: {example}")
            yield Row(place, example)


def _first(rows: Iterator[Row], most: int) -> Iterator[Row]:
    for count, row in enumerate(rows):
        if most and count >= most:
            return
        yield row


def _mark(example: Example) -> int:
    """The same for the same example, and hardly for two: 64 bits."""
    return int.from_bytes(hashlib.blake2b(repr(example).encode(), digest_size=8).digest())


def _held_out(marks: array[int], val_size: float, seed: int) -> frozenset[int]:
    """The marks of so many rows, drawn by `seed`. Raises WorkFailed where too few would be left."""
    kinds = sorted(set(marks))
    wanted = math.ceil(val_size * len(kinds)) if val_size < 1 else int(val_size)
    if wanted >= len(kinds):
        raise WorkFailed(f"val_size {val_size:g} leaves none of {len(kinds)} different rows to learn from")
    return frozenset(random.Random(seed).sample(kinds, wanted))
