"""Rows from files: JSON Lines, JSON, CSV, Parquet and Arrow, and the directories that `datasets` and the hub make."""

from __future__ import annotations

import csv
import gzip
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from io import BufferedReader
from pathlib import Path, PurePath
from typing import Any, Literal

from cpod_jupyter.api.rows.examples import BadRow, Example
from cpod_jupyter.api.rows.formats import read_row

SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet", ".arrow")
"""Of files with rows; those of text may have `.gz` behind it."""
_TEXT = SUFFIXES[:5]
_NO_ROWS = ("dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json")
"""What `datasets` writes beside the rows (Dataset.save_to_disk)."""
_CACHE = "cache-"
"""Beginning of the names of files that `datasets` keeps results in."""

Split = Literal["train", "eval", "test"]
_SPLITS: dict[str, Split] = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev", "eval", "evaluation"), "eval"),
    **dict.fromkeys(("test", "testing"), "test"),
}
_WORDS = re.compile(r"[a-z]+")
_LONGEST_FIELD = 1 << 30
"""Characters of a field of a CSV file: the library's own bound is 128 KiB, and texts are longer."""


def data_files(directory: Path) -> list[Path]:
    """The files with rows below a directory, in the order of their names; hidden ones (a download in the making) are
    left out."""
    found = []
    for path in directory.rglob("*"):
        hidden = any(part.startswith(".") for part in path.relative_to(directory).parts)
        aside = hidden or path.name.startswith(_CACHE) or path.name in _NO_ROWS
        if not aside and suffix_of(path) and path.is_file():
            found.append(path)
    return sorted(found)


def suffix_of(path: PurePath) -> str:
    """Which of SUFFIXES a file's name ends with; empty for any other."""
    name = path.name.lower()
    plain = name.removesuffix(".gz")
    suffix = PurePath(plain).suffix
    return suffix if suffix in (_TEXT if plain != name else SUFFIXES) else ""


def split_of(relative: PurePath) -> Split:
    """What a file is for, by the words of its name, or of the folder it lies in (Hugging Face hub, "Structure your
    repository"): rows to train on, unless it is called `validation` (`valid`, `val`, `dev`, `eval`) or `test`."""
    for part in reversed(relative.parts):
        for word in reversed(_WORDS.findall(part.lower())):
            if word in _SPLITS:
                return _SPLITS[word]
    return "train"


def rows_of(path: Path) -> Iterator[tuple[int, Mapping[str, Any] | BadRow]]:
    """Each row of a file with its number from 1 (in JSON Lines that of the line), or what is wrong with it.

    Raises OSError where the file cannot be read, and ValueError where it is broken as a whole.
    """
    return _READERS[suffix_of(path)](path)


def examples_of(path: Path, format: str = "auto") -> Iterator[tuple[int, Example | BadRow]]:
    """What each row of a file is read as, with its number, or what is wrong with it. Raises as `rows_of`."""
    for number, row in rows_of(path):
        try:
            yield number, row if isinstance(row, BadRow) else read_row(row, format)
        except BadRow as fault:
            yield number, fault


def numbered_lines(lines: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """Each line that isn't blank, with its number from 1, without the byte order mark of some editors."""
    for number, line in enumerate(lines, start=1):
        if number == 1:
            line = line.removeprefix(b"\xef\xbb\xbf")
        if line.strip():
            yield number, line


def parse_line(line: bytes) -> Mapping[str, Any]:
    """The row in a line of JSON. Raises BadRow."""
    try:
        row = json.loads(line)
    except UnicodeDecodeError:
        raise BadRow("the line is not UTF-8") from None
    except ValueError as error:
        raise BadRow(f"invalid JSON: {error}") from None
    if not isinstance(row, Mapping):
        raise BadRow("the row is not a JSON object")
    return row


def _open(path: Path) -> gzip.GzipFile | BufferedReader:
    return gzip.open(path, "rb") if path.name.lower().endswith(".gz") else path.open("rb")


def _json_lines(path: Path) -> Iterator[tuple[int, Mapping[str, Any] | BadRow]]:
    with _open(path) as stream:
        for number, line in numbered_lines(stream):
            try:
                yield number, parse_line(line)
            except BadRow as fault:
                yield number, fault


def _json(path: Path) -> Iterator[tuple[int, Mapping[str, Any] | BadRow]]:
    """A list of rows, alone or as the one list of an object; or JSON Lines, which the hub often has under this name."""
    with _open(path) as stream:
        text = stream.read().decode("utf-8-sig")
    try:
        found = json.loads(text)
    except ValueError as error:
        try:
            json.loads(text.lstrip().partition("\n")[0])
        except ValueError:
            raise error from None
        yield from _json_lines(path)
        return
    if isinstance(found, Mapping):
        lists = [value for value in found.values() if isinstance(value, list)]
        found = lists[0] if len(found) == 1 and lists else [found]
    if not isinstance(found, list):
        raise ValueError("it is no list of rows; for a row a line, call it .jsonl")
    for number, row in enumerate(found, start=1):
        yield number, row if isinstance(row, Mapping) else BadRow("the row is not a JSON object")


def _csv(path: Path) -> Iterator[tuple[int, Mapping[str, Any] | BadRow]]:
    """Rows by their heading."""
    delimiter = "\t" if suffix_of(path) == ".tsv" else ","
    with _open(path) as stream:
        lines = (line.decode("utf-8-sig" if first else "utf-8") for first, line in _firsts(stream))
        csv.field_size_limit(_LONGEST_FIELD)
        try:
            for number, row in enumerate(csv.DictReader(lines, delimiter=delimiter), start=1):
                if row.get(None):
                    yield number, BadRow("the row has more fields than the heading")
                else:
                    yield number, {key: value for key, value in row.items() if value is not None}
        except csv.Error as error:
            raise ValueError(str(error)) from error


def _firsts(stream: Iterable[bytes]) -> Iterator[tuple[bool, bytes]]:
    first = True
    for line in stream:
        yield first, line
        first = False


def _parquet(path: Path) -> Iterator[tuple[int, Mapping[str, Any] | BadRow]]:
    import pyarrow.parquet

    with pyarrow.parquet.ParquetFile(path) as file:
        yield from _numbered(row for batch in file.iter_batches(batch_size=1024) for row in batch.to_pylist())


def _arrow(path: Path) -> Iterator[tuple[int, Mapping[str, Any] | BadRow]]:
    """Arrow's streaming format, as `datasets` writes it, or its file format."""
    import pyarrow

    with pyarrow.memory_map(str(path)) as source:
        try:
            batches: Iterable[Any] = pyarrow.ipc.open_stream(source)
        except pyarrow.ArrowInvalid:
            file = pyarrow.ipc.open_file(source)
            batches = (file.get_batch(index) for index in range(file.num_record_batches))
        yield from _numbered(row for batch in batches for row in batch.to_pylist())


def _numbered(rows: Iterable[Mapping[str, Any]]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    return enumerate(rows, start=1)


_READERS: dict[str, Callable[[Path], Iterator[tuple[int, Mapping[str, Any] | BadRow]]]] = {
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".json": _json,
    ".csv": _csv,
    ".tsv": _csv,
    ".parquet": _parquet,
    ".arrow": _arrow,
}
