"""A log in a cell: as it is written, and bounded, so that a saved notebook stays small."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from cpod_jupyter.jupyter.magics.live import show
from cpod_jupyter.sdk.history import LogLine

HEAD, TAIL = 400, 400
"""Lines of a long log that are shown."""
LIVE_LINES = 60
"""The last lines of a log that is still being written: they are sent again and again."""
_LONGEST = 2000
"""Characters of a line that are shown."""
_SECONDS, _BYTES_A_SECOND = 0.1, 200_000
"""Between two updates at least; and what may be sent in a second (a Jupyter server stops at a million)."""

Batches = Iterator[list[LogLine]]
Paint = Callable[[LogLine], str]


class _Tail:
    """The last lines of a log, and how many were left out before them."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._lines: deque[str] = deque(maxlen=TAIL)
        self._count = 0

    def add(self, text: str) -> None:
        self._lines.append(text if len(text) <= _LONGEST else f"{text[:_LONGEST]} … ({len(text):,} characters)")
        self._count += 1

    def text(self, most: int = TAIL) -> str:
        """The last lines as one text, behind a note in the gap; empty when there are none."""
        last = list(self._lines)[-most:]
        left = self._count - len(last)
        note = f"… {left:,} lines left out; %cpod logs {self._name} --all shows them …"
        return "\n".join([note, *last] if left else last)


def print_all(batches: Batches, paint: Paint) -> None:
    """Every line, as it comes."""
    for lines in batches:
        if lines:
            print("\n".join(map(paint, lines)), flush=True)


def print_bounded(batches: Batches, paint: Paint, name: str) -> None:
    """The first and, once it has been read to its end, the last lines of a log."""
    rest = _print_head(batches, paint)
    tail = _Tail(name)
    for lines in rest:
        for line in lines:
            tail.add(paint(line))
    if text := tail.text():
        print(text)


def show_live(batches: Batches, paint: Paint, name: str) -> None:
    """The first lines as they come, and below them in one place the latest ones; in the end, the last lines."""
    rest = _print_head(batches, paint)
    tail, handle, due, shown = _Tail(name), None, 0.0, ""
    try:
        for lines in rest:
            for line in lines:
                tail.add(paint(line))
            now = time.monotonic()
            if now >= due and (text := tail.text(LIVE_LINES)) != shown:
                shown, handle = text, _update(handle, text)
                due = now + max(_SECONDS, len(text) / _BYTES_A_SECOND)
    finally:  # an interrupt is an end too
        if (text := tail.text()) != shown:
            _update(handle, text)


def _print_head(batches: Batches, paint: Paint) -> Batches:
    """Print the first lines as they come; the rest."""
    left = HEAD
    for lines in batches:
        head = _Tail("")
        for line in lines[:left]:
            head.add(paint(line))
        if lines:
            print(head.text(), flush=True)
        left -= len(lines)
        if left <= 0:
            return _with(lines[len(lines) + left :] if left < 0 else [], batches)
    return iter(())


def _with(lines: list[LogLine], batches: Batches) -> Batches:
    yield lines
    yield from batches


def _update(handle: Any, text: str) -> Any:
    """Show a text in the place that a handle stands for, or in a new one."""
    content = {"text/plain": text}
    if handle is None:
        return show(content, raw=True, display_id=True)
    handle.update(content, raw=True)
    return handle
