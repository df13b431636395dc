"""Files fetched so that whoever is killed in the middle goes on where it stopped.

A file is written under DIR/.parts and moved to its place when it is whole. There also stands which version of the
source each file is of (an ETag, a time of change): of another version nothing is kept. DIR/.parts stays, so that who
is killed while what was fetched is checked need not fetch it again. Several files come at once.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from cpod_jupyter.errors import DoesNotFit, TemporaryFailure, WorkFailed
from cpod_jupyter.runtime.files import files_in
from cpod_jupyter.runtime.report import log, progress

_AT_ONCE = 4
_TRIES = 5
"""Failures of one file without a byte in between, after which the whole download fails."""
_DELAY_SECONDS = 0.5
_REPORT_SECONDS = 0.5
_PARTS = ".parts"


class SourceChanged(TemporaryFailure):
    """The source is not any more what it was when the download began: what is there of it is of no use."""


@dataclass(frozen=True)
class Part:
    """One file to fetch."""

    name: str
    """Where it goes, relative to the directory."""
    size: int | None
    """Bytes, or None where the source does not tell."""
    version: str
    """Changes when the content does; empty where the source does not tell, and then it begins anew each time."""
    read: Callable[[int], AbstractContextManager[Iterator[bytes]]]
    """The bytes from an offset on. Raises TemporaryFailure when they break off, SourceChanged, WorkFailed."""


def require_space(directory: Path, total: int, there: int, source: str) -> None:
    """Raise DoesNotFit when the disk of `directory` has no room for what of `total` bytes is not there yet."""
    free = shutil.disk_usage(directory).free
    if total - there > free:
        raise DoesNotFit(
            f"{source}: {total / 1e9:.1f} GB don't fit, the disk has {free / 1e9:.1f} GB free",
            needed=total,
        )


def fetch_parts(parts: Sequence[Part], directory: Path, source: str) -> None:
    """Bring all parts into `directory`, and take away what else is there. Raises what their readers raise."""
    _require_names(parts, source)
    parts_dir = directory / _PARTS
    parts_dir.mkdir(parents=True, exist_ok=True)
    files = [_File(part, directory) for part in parts]
    _remove_strangers(files, directory)
    there = sum(file.begin() for file in files)
    sizes = [part.size for part in parts]
    total = 0 if None in sizes else sum(size or 0 for size in sizes)
    require_space(directory, total, there, source)
    meter = _Meter(there, total)
    stop = threading.Event()
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="fetch") as pool:
        try:
            for _ in pool.map(lambda file: file.fetch(meter, stop), files):
                pass
        finally:
            stop.set()  # the others need not finish what fails as a whole
    meter.tell()


def _require_names(parts: Sequence[Part], source: str) -> None:
    if not parts:
        raise WorkFailed(f"{source}: there is nothing there")
    for part in parts:
        path = PurePosixPath(part.name)
        if path.is_absolute() or ".." in path.parts or not path.parts or "\0" in part.name:
            raise WorkFailed(f"{source}: {part.name!r} is no name for a file below a directory")


def _remove_strangers(files: Sequence[_File], directory: Path) -> None:
    """What an earlier try fetched and the source has no more."""
    targets = {file.target for file in files}
    for path in files_in(directory):
        if path not in targets:
            path.unlink()
    ours = {path for file in files for path in (file.data, file.note)}
    for path in (directory / _PARTS).iterdir():
        if path not in ours:
            path.unlink()


class _Meter:
    """Counts bytes of all files, and reports them now and then."""

    def __init__(self, done: int, total: int) -> None:
        self._lock = threading.Lock()
        self._done, self._total = done, total
        self._told = 0.0
        self.tell()

    def add(self, count: int) -> None:
        with self._lock:
            self._done += count
            due = time.monotonic() - self._told >= _REPORT_SECONDS
        if due:
            self.tell()

    def tell(self) -> None:
        with self._lock:
            self._told = time.monotonic()
            progress("download", self._done, self._total, "B")


class _File:
    """One part on its way to the disk."""

    def __init__(self, part: Part, directory: Path) -> None:
        key = hashlib.sha256(part.name.encode()).hexdigest()[:24]
        self.part = part
        self.target = directory / part.name
        self.data = directory / _PARTS / f"{key}.data"
        self.note = directory / _PARTS / f"{key}.json"

    def begin(self) -> int:
        """Throw away what is of another version; how many bytes are there."""
        wanted = {"name": self.part.name, "size": self.part.size, "version": self.part.version}
        if not self.part.version or self._noted() != wanted:
            self.target.unlink(missing_ok=True)
            self.data.unlink(missing_ok=True)
            draft = self.note.with_suffix(".new")
            draft.write_text(json.dumps(wanted), "utf-8")
            os.replace(draft, self.note)
        return self._size()

    def _noted(self) -> object:
        try:
            return json.loads(self.note.read_text("utf-8"))
        except (OSError, ValueError):
            return None

    def _size(self) -> int:
        for path in (self.target, self.data):
            if path.is_file():
                return path.stat().st_size
        return 0

    def fetch(self, meter: _Meter, stop: threading.Event) -> None:
        """Until it is whole, with further tries as long as each brings something."""
        failures = 0
        while not self.target.is_file() and not stop.is_set():
            before = self._size()
            try:
                self._append(meter, stop)
            except SourceChanged:
                raise
            except TemporaryFailure as error:
                failures = 0 if self._size() > before else failures + 1
                if failures >= _TRIES:
                    raise
                log(f"{self.part.name} broke off after {self._size()} bytes, trying again: {error}")
                stop.wait(_DELAY_SECONDS * 2**failures)

    def _append(self, meter: _Meter, stop: threading.Event) -> None:
        offset = self.data.stat().st_size if self.data.is_file() else 0
        if offset and not self.part.version:
            meter.add(-offset)
            self.data.unlink()
            offset = 0
        size = self.part.size
        if size is None or offset < size or not self.data.is_file():
            with self.part.read(offset) as chunks, self.data.open("ab") as file:
                for chunk in chunks:
                    file.write(chunk)
                    meter.add(len(chunk))
                    if stop.is_set():
                        return
        arrived = self.data.stat().st_size
        if size is not None and arrived < size:
            raise TemporaryFailure(f"{arrived} of {size} bytes came")
        if size is not None and arrived > size:
            meter.add(-arrived)
            self.data.unlink()
            raise SourceChanged(f"{self.part.name}: {arrived} bytes came, and {size} were announced")
        self.target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(self.data, self.target)
