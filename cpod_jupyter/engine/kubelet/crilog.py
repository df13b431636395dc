"""Container logs in the format of the Kubernetes container runtime interface (CRI).

    2026-11-24T19:00:00.123456789Z stdout F a whole line
    2026-11-24T19:00:00.223456789Z stderr P a line's beginning; its rest is in the next entry

Partial entries come from lines longer than 16 KiB, from text without a newline that has waited
`FLUSH_SECONDS` (a progress bar, a prompt) and from a last line that never ended.
A file that would exceed `ROTATE_BYTES` moves aside under the time of that (`0.log.20261124-190000.123456789`, as the
kubelet names rotated logs), and of those the latest `ROTATED_FILES` are kept: a run of a container holds at most
384 MiB, its oldest text goes. Standard library only.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

ROTATE_BYTES = 64 * 2**20
ROTATED_FILES = 5
LINE_BYTES = 16 * 2**10
FLUSH_SECONDS = 0.2


class Entry(NamedTuple):
    """One line of a log file. `stamp` is its time as written; `whole` is whether a newline ends the text."""

    stamp: bytes
    stream: bytes
    whole: bool
    text: bytes


def parse_entry(line: bytes) -> Entry | None:
    """The entry of a log line without its newline; None when it is not one."""
    parts = line.split(b" ", 3)
    if len(parts) != 4:
        return None
    stamp, stream, tag, text = parts
    return Entry(stamp, stream, tag == b"F", text)


def rotated(path: Path) -> list[Path]:
    """The files that a log was moved aside to, the oldest first."""
    return sorted(path.parent.glob(f"{path.name}.*"))


def time_stamp(nanoseconds: int) -> str:
    """RFC 3339 with nine digits of a second, UTC."""
    seconds, rest = divmod(nanoseconds, 10**9)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{rest:09d}Z"


@dataclass
class _Open:
    """Text of one stream that no newline has ended yet."""

    text: bytes = b""
    since: float = 0.0


class LogWriter:
    """Writes one container's output. `rotate_bytes` bounds a file."""

    def __init__(self, path: Path, rotate_bytes: int = ROTATE_BYTES) -> None:
        path.parent.mkdir(exist_ok=True)
        self.path = path
        self._rotate_bytes = rotate_bytes
        self._file = path.open("ab", buffering=0)
        self._size = path.stat().st_size
        self._open: dict[str, _Open] = {}

    def feed(self, stream: str, data: bytes) -> None:
        """Add output of a stream; whole lines are written at once."""
        pending = self._open.setdefault(stream, _Open())
        *lines, rest = (pending.text + data).split(b"\n")
        entries = []
        for line in lines:
            while len(line) > LINE_BYTES:
                entries.append((line[:LINE_BYTES], False))
                line = line[LINE_BYTES:]
            entries.append((line, True))
        while len(rest) > LINE_BYTES:
            entries.append((rest[:LINE_BYTES], False))
            rest = rest[LINE_BYTES:]
        if rest and (lines or not pending.text):
            pending.since = time.monotonic()
        pending.text = rest
        self._write(stream, entries)

    def flush_waiting(self) -> float | None:
        """Write text that has waited long enough for its newline; seconds until more will have."""
        wait: float | None = None
        for stream, pending in self._open.items():
            if not pending.text:
                continue
            left = pending.since + FLUSH_SECONDS - time.monotonic()
            if left <= 0:
                self._write(stream, [(pending.text, False)])
                pending.text = b""
            else:
                wait = left if wait is None else min(wait, left)
        return wait

    def end(self, stream: str) -> None:
        """The stream has closed: what is left of it is written as it is."""
        pending = self._open.pop(stream, None)
        if pending is not None and pending.text:
            self._write(stream, [(pending.text, False)])

    def close(self) -> None:
        for stream in list(self._open):
            self.end(stream)
        self._file.close()

    def _rotate(self) -> None:
        """Move the file aside and begin another; the oldest of those aside goes."""
        seconds, rest = divmod(time.time_ns(), 10**9)
        moment = f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime(seconds))}.{rest:09d}"
        self._file.close()
        self.path.replace(self.path.with_name(f"{self.path.name}.{moment}"))
        for old in rotated(self.path)[:-ROTATED_FILES]:
            old.unlink(missing_ok=True)
        self._file = self.path.open("ab", buffering=0)
        self._size = 0

    def _write(self, stream: str, entries: list[tuple[bytes, bool]]) -> None:
        if not entries:
            return
        stamp = time_stamp(time.time_ns())
        block = b"".join(
            f"{stamp} {stream} {'F' if whole else 'P'} ".encode() + text + b"\n" for text, whole in entries
        )
        if self._size and self._size + len(block) > self._rotate_bytes:
            self._rotate()
        with contextlib.suppress(OSError):  # a full disk costs text, not the container
            self._size += self._file.write(block) or 0
