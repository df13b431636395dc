"""What is uploaded: a dataset's rows or a model's files, checked, counted and hashed before anything leaves.

Nothing is held in memory or written here: what is large is read twice, once to check it and once to send it, and what
changed in between is refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from cpod_jupyter.api.rows import BadRow, numbered_lines, parse_line, read_row, rows_of
from cpod_jupyter.errors import CpodError, PreflightFailed
from cpod_jupyter.sdk.words import amount

SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet")
"""Files of rows that are understood."""
ROWS_FILE = "rows.jsonl"
_MODEL_FILES = ("config.json", "adapter_config.json")
_CHUNK = 1 << 20
_SHOWN_FAULTS = 20

Line = tuple[str, bytes | str]
"""Where a row stands in its source (`row 3`), and the row as a line of JSON, or what is wrong with it."""


@dataclass(frozen=True)
class File:
    """One file: its name relative to the folder of all, its size in bytes, and its bytes, as often as asked."""

    name: str
    size: int
    chunks: Callable[[], Iterator[bytes]]


@dataclass(frozen=True)
class Content:
    """What becomes a DataSetStorage or a ModelStorage."""

    kind: Literal["dataset", "model"]
    called: str
    """What it was made from, for a person."""
    files: tuple[File, ...]
    sha256: str
    """As the runtime's download reckons it: of the one file, or over the sorted hashes of all."""
    rows: int = 0
    place: Path | None = None
    """Where a model's files lie on this machine."""

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)

    @property
    def summary(self) -> str:
        """`120 rows, 34 kB`."""
        count, what = (self.rows, "row") if self.kind == "dataset" else (len(self.files), "file")
        return f"{count:,} {what}{'s' if count != 1 else ''}, {amount(self.size)}"

    @property
    def name(self) -> str:
        """The name that the content itself decides: `data-` and the first digits of its hash."""
        return f"{'data' if self.kind == 'dataset' else 'model'}-{self.sha256[:10]}"


def is_table(value: Any) -> bool:
    """Whether it is a pandas DataFrame or a `datasets.Dataset`; neither library is loaded to find out."""
    module = type(value).__module__.split(".")[0]
    return (module == "pandas" and type(value).__name__ == "DataFrame") or (
        module == "datasets" and type(value).__name__.endswith(("Dataset", "DatasetDict"))
    )


def is_data(value: Any) -> bool:
    """Whether a value stands for rows: a table, a list of mappings, or a path."""
    if isinstance(value, (list, tuple)):
        return bool(value) and all(isinstance(row, Mapping) for row in value)
    return isinstance(value, Path) or is_table(value)


def dataset_content(data: Any) -> Content:
    """The rows of a DataFrame, a list of mappings, a `datasets.Dataset`, or a file or folder of JSONL, JSON, CSV or
    Parquet. Raises PreflightFailed that names each bad row, CpodError for what holds no rows."""
    called, lines = _lines_of(data)
    digest, size, rows, faults, bad = hashlib.sha256(), 0, 0, list[str](), 0
    for place, line in lines():
        rows += 1
        if told := line if isinstance(line, str) else _fault_in(line):
            bad += 1
            if len(faults) < _SHOWN_FAULTS:
                faults.append(f"{place}: {told}")
        if isinstance(line, bytes):
            digest.update(line + b"\n")
            size += len(line) + 1
    if bad > len(faults):
        faults.append(f"and {bad - len(faults)} more of {rows} rows")
    if faults:
        raise PreflightFailed(f"the dataset from {called}", faults)
    if not rows:
        raise CpodError(f"{called} has no rows to upload")

    def chunks() -> Iterator[bytes]:
        for _, line in lines():
            if isinstance(line, str):
                raise CpodError(f"{called} changed while it was uploaded; run this again")
            yield line + b"\n"

    return Content("dataset", called, (File(ROWS_FILE, size, chunks),), digest.hexdigest(), rows)


def model_content(path: str | Path) -> Content:
    """The files of a folder that holds a whole model, or one GGUF file; hidden files are left out.

    Raises CpodError when there is no model in it.
    """
    place = Path(path).expanduser().resolve()
    if not place.exists():
        raise CpodError(f"there is no file or folder {place}")
    paths = _visible(place) if place.is_dir() else [place]
    names = [file.relative_to(place).as_posix() if place.is_dir() else file.name for file in paths]
    weights = any(name.endswith(".safetensors") for name in names)
    if not ("config.json" in names and weights) and not any(name.endswith(".gguf") for name in names):
        what = "an adapter alone, which is no model" if "adapter_config.json" in names else "no model"
        raise CpodError(f"{place} holds {what}: config.json and *.safetensors are needed, or a GGUF file")
    hashes = sorted(_sha256_of(file) for file in paths)
    whole = hashes[0] if len(hashes) == 1 else hashlib.sha256("\n".join(hashes).encode()).hexdigest()
    files = tuple(_stored(name, file) for name, file in zip(names, paths, strict=True))
    return Content("model", str(place), files, whole, place=place)


def _stored(name: str, path: Path) -> File:
    return File(name, path.stat().st_size, lambda: _read(path))


def _read(path: Path) -> Iterator[bytes]:
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            yield chunk


def _sha256_of(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _visible(folder: Path) -> list[Path]:
    """Its files, hidden ones left out (`.env`, `.git`, a download in the making), sorted by their relative names."""
    relative = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return [folder / path for path in sorted(relative) if not any(part.startswith(".") for part in path.parts)]


# ---- rows


def _lines_of(data: Any) -> tuple[str, Callable[[], Iterator[Line]]]:
    """What the data are called, and their rows, as often as asked."""
    if isinstance(data, (str, Path)):
        return _path_lines(Path(data).expanduser())
    name = type(data).__name__
    if is_table(data) and name.endswith("DatasetDict"):
        splits = ", ".join(map(str, data))
        raise CpodError(f"a {name} has several splits ({splits}): upload one of them, data['train'] for instance")
    if is_table(data) and name == "DataFrame":
        columns = [str(column) for column in data.columns]
        return "a DataFrame", lambda: _encoded(
            dict(zip(columns, row, strict=True)) for row in data.itertuples(index=False, name=None)
        )
    if is_table(data):
        return "a Dataset", lambda: _encoded(data)
    if isinstance(data, (list, tuple)):
        return "a list of rows", lambda: _encoded(data)
    raise CpodError(
        f"a {name} cannot be uploaded: it must be a DataFrame, a list of dicts, a datasets.Dataset, or the path of a "
        f"file ({', '.join(SUFFIXES)}) or folder"
    )


def _path_lines(path: Path) -> tuple[str, Callable[[], Iterator[Line]]]:
    if not path.exists():
        raise CpodError(f"there is no file or folder {path.resolve()}")
    if path.is_file():
        if path.suffix.lower() not in SUFFIXES:
            raise CpodError(f"{path}: rows are read from files that end in {', '.join(SUFFIXES)}")
        return path.name, lambda: _file_lines(path, "")
    files = [file for file in _visible(path) if file.suffix.lower() in SUFFIXES]
    if any(file.name in _MODEL_FILES for file in files):
        raise CpodError(f"{path} holds a model, not rows; to upload it as one add --model (in Python: model=True)")
    if not files:
        raise CpodError(f"{path} has no file that ends in {', '.join(SUFFIXES)}")
    return f"{path.resolve().name}/", lambda: _folder_lines(path, files)


def _folder_lines(path: Path, files: Iterable[Path]) -> Iterator[Line]:
    for file in files:
        yield from _file_lines(file, f"{file.relative_to(path).as_posix()} ")


def _file_lines(path: Path, prefix: str) -> Iterator[Line]:
    """The rows of one file; `prefix` is put before their places. Raises CpodError when it cannot be read."""
    try:
        if path.suffix.lower() not in (".jsonl", ".ndjson"):
            yield from _encoded((row for _, row in rows_of(path)), prefix)
            return
        with path.open("rb") as stream:
            for number, line in numbered_lines(stream):
                yield f"{prefix}row {number}", line.strip()
    except OSError as error:
        raise CpodError(f"{path} cannot be read: {error.strerror or error}") from error
    except ValueError as error:  # UnicodeDecodeError and pyarrow's ArrowInvalid are ValueErrors
        raise CpodError(f"{path} cannot be read as {path.suffix[1:]}: {error}") from error


def _fault_in(line: bytes) -> str:
    """What the trainer would say of a row; empty when it is sound."""
    try:
        read_row(parse_line(line))
    except BadRow as fault:
        return str(fault)
    return ""


def _encoded(rows: Iterable[Any], prefix: str = "") -> Iterator[Line]:
    """Each row as a line of JSON, without its fields that are missing, or why it cannot be one."""
    for number, row in enumerate(rows, 1):
        place = f"{prefix}row {number}"
        if isinstance(row, BadRow):
            yield place, str(row)
            continue
        if not isinstance(row, Mapping):
            yield place, f"it is a {type(row).__name__}, not an object with fields"
            continue
        fields = {str(key): value for key, value in row.items() if not _is_missing(value)}
        try:
            yield place, json.dumps(fields, ensure_ascii=False, allow_nan=False, default=_plain).encode()
        except (TypeError, ValueError) as error:
            yield place, f"it cannot be written as JSON: {error}"


def _is_missing(value: Any) -> bool:
    """None, and what pandas writes where a row has no value: NaN, NA, NaT."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, float) and value != value


def _plain(value: Any) -> Any:
    """NumPy's arrays and numbers, and moments, as JSON has them. Raises TypeError for anything else."""
    for method in ("tolist", "isoformat"):
        if callable(convert := getattr(value, method, None)):
            return convert()
    raise TypeError(f"a {type(value).__name__} is no value of JSON")
