"""Reading a container's log, as `kubectl logs` asks for it."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import os
import re
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from cpod_jupyter.engine.kubelet.crilog import Entry, parse_entry, rotated, time_stamp
from cpod_jupyter.engine.kubelet.watcher import PodWatcher
from cpod_jupyter.errors import BadRequest

_BLOCK = 2**18
_WHOLE = (b" stdout F ", b" stderr F ")
"""What stands between stamp and text of a line that is whole."""
_ATTEMPTS = 10
"""To open a file whose name changes meanwhile."""
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

    def text_of(self, line: bytes) -> bytes:
        """The text of a line of the file; nothing for what is no entry."""
        if self._open is None and line[30:40] in _WHOLE:  # nearly every line is one that needs no more
            return (line[:31] + line[40:] if self._timestamps else line[40:]) + b"\n"
        entry = parse_entry(line)
        return b"" if entry is None else self.text(entry)

    def text(self, entry: Entry) -> bytes:
        out = b""
        if self._open not in (None, entry.stream):
            out, self._open = b"\n", None
        if self._timestamps and self._open is None:
            out += entry.stamp + b" "
        self._open = None if entry.whole else entry.stream
        return out + entry.text + (b"\n" if entry.whole else b"")


class LogFile:
    """One run's log, across its rotations. A reader that falls behind by more files than are kept goes on with the
    oldest that there is."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._inode = 0
        self._rest = b""

    def skip_to_last(self, lines: int) -> None:
        """Leave out all but the last lines."""
        for left in reversed(range(_ATTEMPTS)):
            try:
                return self._skip_to_last(lines)
            except FileNotFoundError:  # it has just moved aside, or went
                if not left:
                    raise

    def _skip_to_last(self, lines: int) -> None:
        files = self._files()
        for index in reversed(range(len(files))):
            offset, found = _last_lines(files[index], lines)
            lines -= found
            if lines <= 0 or index == 0:
                return self._begin(files[index], offset)

    def skip_to(self, stamp: bytes) -> None:
        """Leave out what is older. Entries are in the order of their times, so hardly any of it is read."""
        for path in self._files():
            with contextlib.suppress(FileNotFoundError), path.open("rb") as stream:
                offset = _first_since(stream, stamp)
                if offset is not None or path == self._path:
                    return self._begin(path, offset if offset is not None else stream.seek(0, os.SEEK_END))

    def lines(self) -> Iterator[bytes]:
        """The lines as they are written that there are to read, to the present end; call it again for more."""
        while self._file is not None or self._open_next():
            assert self._file is not None
            while block := self._file.read(_BLOCK):
                *lines, self._rest = (self._rest + block).split(b"\n")
                yield from lines
            if not self._is_aside():
                return
            yield from (self._rest + self._file.read()).splitlines()  # what came before it moved
            self.close()

    def _files(self) -> list[Path]:
        return [*rotated(self._path), self._path]

    def _begin(self, path: Path, offset: int) -> None:
        self._file = path.open("rb")
        self._inode = _inode(self._file)
        self._file.seek(offset)

    def _open_next(self) -> bool:
        """Open the file after the one that was read last; False when there is none."""
        for _ in range(_ATTEMPTS):
            found = [(path, inode) for path in self._files() if (inode := _inode_of(path))]
            inodes = [inode for _, inode in found]
            after = inodes.index(self._inode) + 1 if self._inode in inodes else 0
            if after == len(found):
                return False
            with contextlib.suppress(FileNotFoundError):
                file = found[after][0].open("rb")
                if _inode(file) == found[after][1]:
                    self._file, self._inode = file, found[after][1]
                    return True
                file.close()  # it has just moved aside: another has its name
        return False

    def _is_aside(self) -> bool:
        """Whether the file at hand was moved aside, so that nothing is added to it any more."""
        inode = _inode_of(self._path)
        return bool(inode) and inode != self._inode

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
        self._file, self._rest = None, b""


def _inode(stream: BinaryIO) -> int:
    return os.fstat(stream.fileno()).st_ino


def _inode_of(path: Path) -> int:
    """0 when there is no such file."""
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return 0


def _first_since(stream: BinaryIO, stamp: bytes) -> int | None:
    """Where the first entry of a time or later begins; None when all are older."""

    def begins(offset: int) -> int:
        """Where the first line begins that begins at an offset or later."""
        if not offset:
            return 0
        stream.seek(offset - 1)
        return offset - 1 + len(stream.readline())

    low, high = 0, stream.seek(0, os.SEEK_END)
    size = high
    while low < high:
        middle = (low + high) // 2
        begin = begins(middle)
        stream.seek(begin)
        line = stream.readline()
        if line and line < stamp:
            low = begin + len(line)
        else:
            high = middle
    found = begins(low)
    return found if found < size else None


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


def _nanoseconds(moment: dt.datetime) -> int:
    """Since 1970, to the microsecond: a float has no room for that."""
    return (moment - dt.datetime.fromtimestamp(0, dt.UTC)) // dt.timedelta(microseconds=1) * 1000


async def read_log(
    pod_dir: Path, request: LogRequest, watcher: PodWatcher, ended: Callable[[], bool]
) -> AsyncIterator[bytes]:
    """A container's log in pieces of bytes. Raises BadRequest when there is no such log.

    An empty piece comes first, once it is settled where the answer begins, so that a server can begin it. With
    `follow`, the log goes on until `ended` says that the run is over and everything is read.
    """
    container = request.container
    path = log_path(pod_dir, container, previous=request.previous)
    if path is None:
        what = f'previous terminated container "{container}"' if request.previous else f'container "{container}"'
        raise BadRequest(f'{what} in pod "{pod_dir.name.split("_")[1]}" not found')
    log, joiner = LogFile(path), Joiner(request.timestamps)
    oldest = time_stamp(_nanoseconds(request.since)).encode() if request.since is not None else b""
    if request.tail_lines is not None:
        log.skip_to_last(request.tail_lines)
    elif oldest:
        log.skip_to(oldest)
    left = request.limit_bytes
    changed = asyncio.Event()
    loop = asyncio.get_running_loop()

    def wake() -> None:
        with contextlib.suppress(RuntimeError):  # the loop may have closed meanwhile
            loop.call_soon_threadsafe(changed.set)

    try:
        yield b""  # who has this knows that all that is written from now on comes
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
    """Text in pieces of some size; stamps have one length, so they compare as bytes, also as a line's beginning."""
    gathered: list[bytes] = []
    size = 0
    for line in log.lines():
        if line < oldest:
            continue
        text = joiner.text_of(line)
        gathered.append(text)
        size += len(text)
        if size >= _BLOCK:
            yield b"".join(gathered)
            gathered, size = [], 0
    if size:
        yield b"".join(gathered)
