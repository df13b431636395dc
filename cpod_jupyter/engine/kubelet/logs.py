"""Reading a container's log, as `kubectl logs` asks for it."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import os
import re
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from cpod_jupyter.engine.kubelet.crilog import Entry, parse_entry, time_stamp
from cpod_jupyter.engine.kubelet.watcher import PodWatcher
from cpod_jupyter.errors import BadRequest

_BLOCK = 2**18
_SAFETY_SECONDS = 1.0
"""A follower looks again after this time, should the watcher miss a change (a directory that is just made)."""


@dataclass(frozen=True)
class LogRequest:
    """What is asked of a log (core/v1 PodLogOptions). `since` leaves out what is older."""

    container: str
    follow: bool = False
    previous: bool = False
    timestamps: bool = False
    since: dt.datetime | None = None
    tail_lines: int | None = None
    limit_bytes: int | None = None


class Joiner:
    """Makes text of entries: partial ones are joined, and lines of two streams are kept apart."""

    def __init__(self, timestamps: bool) -> None:
        self._timestamps = timestamps
        self._open: bytes | None = None
        """The stream whose line has not ended yet."""

    def text(self, entry: Entry) -> bytes:
        out = b""
        if self._open not in (None, entry.stream):
            out, self._open = b"\n", None
        if self._timestamps and self._open is None:
            out += entry.stamp + b" "
        self._open = None if entry.whole else entry.stream
        return out + entry.text + (b"\n" if entry.whole else b"")


class LogFile:
    """One run's log, across its rotation."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._rest = b""
        self._pending = [file for file in (path.with_name(path.name + ".1"), path) if file.exists()]

    def skip_to_last(self, lines: int) -> None:
        """Leave out all but the last lines."""
        for index in reversed(range(len(self._pending))):
            offset, found = _last_lines(self._pending[index], lines)
            lines -= found
            if lines <= 0 or index == 0:
                self._pending = self._pending[index:]
                self._file = self._pending.pop(0).open("rb")
                self._file.seek(offset)
                return

    def entries(self) -> Iterator[Entry]:
        """What there is to read, to the present end; call it again for more."""
        while True:
            if self._file is None and not self._open_next():
                return
            assert self._file is not None
            while block := self._file.read(_BLOCK):
                *lines, self._rest = (self._rest + block).split(b"\n")
                yield from _parsed(lines)
            if not self._pending and not self._rotated():
                return
            yield from _parsed((self._rest + self._file.read()).split(b"\n"))
            self._close()

    def _open_next(self) -> bool:
        path = self._pending.pop(0) if self._pending else self._path
        try:
            self._file = path.open("rb")
        except FileNotFoundError:
            return False
        return True

    def _rotated(self) -> bool:
        assert self._file is not None
        try:
            return self._path.stat().st_ino != _inode(self._file)
        except FileNotFoundError:
            return False

    def _close(self) -> None:
        assert self._file is not None
        self._file.close()
        self._file, self._rest = None, b""

    def close(self) -> None:
        if self._file is not None:
            self._close()


def _inode(stream: BinaryIO) -> int:
    return os.fstat(stream.fileno()).st_ino


def _parsed(lines: Iterable[bytes]) -> Iterator[Entry]:
    for line in lines:
        entry = parse_entry(line)
        if entry is not None:
            yield entry


def _last_lines(path: Path, wanted: int) -> tuple[int, int]:
    """Where a file's last lines begin, and how many there are (fewer in a short file)."""
    size = path.stat().st_size
    span = 2**16
    with path.open("rb") as stream:
        while True:
            start = max(0, size - span)
            stream.seek(start)
            data = stream.read(size - start)
            if start:
                start += data.find(b"\n") + 1
                data = data[data.find(b"\n") + 1 :]
            starts = _line_starts(data)
            if len(starts) >= wanted or start == 0:
                kept = starts[-wanted:] if wanted > 0 else []
                return (start + kept[0] if kept else size), len(kept)
            span *= 4


def _line_starts(data: bytes) -> list[int]:
    """Offsets at which a line of text begins: not those of an entry that goes on with one."""
    starts, position, joined = [], 0, Joiner(timestamps=True)
    for line in data.splitlines(keepends=True):
        entry = parse_entry(line.rstrip(b"\n"))
        if entry is not None and joined.text(entry).lstrip(b"\n").startswith(entry.stamp):
            starts.append(position)
        position += len(line)
    return starts


def log_path(pod_dir: Path, container: str, *, previous: bool = False) -> Path | None:
    """The log of a container's latest run, or of the one before; None when there is none."""
    runs = sorted(
        int(match[1])
        for path in (pod_dir / container).glob("*.log")
        if (match := re.fullmatch(r"(\d+)\.log", path.name))
    )
    wanted = runs[-2:-1] if previous else runs[-1:]
    return pod_dir / container / f"{wanted[0]}.log" if wanted else None


async def read_log(
    pod_dir: Path, request: LogRequest, watcher: PodWatcher, ended: Callable[[], bool]
) -> AsyncIterator[bytes]:
    """A container's log in pieces of bytes. Raises BadRequest when there is no such log.

    An empty piece comes first, at once, so that a server can begin its answer. With `follow`, the
    log goes on until `ended` says that the run is over and everything is read.
    """
    container = request.container
    path = log_path(pod_dir, container, previous=request.previous)
    if path is None:
        what = f'previous terminated container "{container}"' if request.previous else f'container "{container}"'
        raise BadRequest(f'{what} in pod "{pod_dir.name.split("_")[1]}" not found')
    yield b""
    log, joiner = LogFile(path), Joiner(request.timestamps)
    if request.tail_lines is not None:
        log.skip_to_last(request.tail_lines)
    left = request.limit_bytes
    oldest = time_stamp(int(request.since.timestamp() * 10**9)).encode() if request.since is not None else b""
    changed = asyncio.Event()
    loop = asyncio.get_running_loop()

    def wake() -> None:
        with contextlib.suppress(RuntimeError):  # the loop may have closed meanwhile
            loop.call_soon_threadsafe(changed.set)

    try:
        with watcher.follow(pod_dir, wake):
            while True:
                changed.clear()
                over = not request.follow or request.previous or ended()  # asked first: the read after it is the last
                for piece in _pieces(log, joiner, oldest):
                    yield piece if left is None else piece[:left]
                    if left is not None and (left := left - len(piece)) <= 0:
                        return
                if over:
                    return
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(changed.wait(), _SAFETY_SECONDS)
    finally:
        log.close()


def _pieces(log: LogFile, joiner: Joiner, oldest: bytes) -> Iterator[bytes]:
    """Text in pieces of some size; stamps have one length, so they compare as bytes."""
    gathered = bytearray()
    for entry in log.entries():
        if entry.stamp < oldest:
            continue
        gathered += joiner.text(entry)
        if len(gathered) >= _BLOCK:
            yield bytes(gathered)
            gathered.clear()
    if gathered:
        yield bytes(gathered)
