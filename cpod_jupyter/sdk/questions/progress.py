"""How a batch tells how far it is, where nobody else shows it: in place in a notebook or on a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

from cpod_jupyter.sdk.questions.batch import Progress
from cpod_jupyter.sdk.words import span

_FIRST_SECONDS = 2.0
"""What is done sooner shows nothing on its way."""
_EVERY_SECONDS = 0.25


class Shown:
    """Shows a batch's progress from the third second on, and at its end what is to be known of it."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._begun = time.monotonic()
        self._due = self._begun + _FIRST_SECONDS
        self._show = _place()
        self._shown = False

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        if now >= self._due:
            self._due, self._shown = now + _EVERY_SECONDS, True
            self._show(f"{self._what}: {on_its_way(progress, now - self._begun)}", False)

    def end(self, progress: Progress) -> None:
        """Say what came of it, where it was shown or there is something to know."""
        if self._shown or progress.errors or progress.cut or progress.kept:
            self._show(f"{self._what}: {summary(progress, time.monotonic() - self._begun)}", True)


class Counted:
    """Shows how many answers there are, of how many, from the third second on, and at the end how long they took."""

    def __init__(self) -> None:
        self._begun = time.monotonic()
        self._due = self._begun + _FIRST_SECONDS
        self._show = _place()

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if done == total and now >= self._begun + _FIRST_SECONDS:
            self._show(f"{_count(total, 'answer')} in {span(now - self._begun)}", True)
        elif now >= self._due:
            self._due = now + _EVERY_SECONDS
            self._show(f"{done:,} of {_count(total, 'answer')}", False)


def on_its_way(progress: Progress, seconds: float) -> str:
    """`312 of 1,000 answers, 2 errors; 14.2/s, about 48 s left; 16 at a time`."""
    asked = progress.done - progress.kept
    rate = asked / seconds if seconds else 0.0
    left = f", about {span((progress.total - progress.done) / rate)} left" if rate else ""
    errors = f", {_count(progress.errors, 'error')}" if progress.errors else ""
    return f"{progress.done:,} of {progress.total:,} rows{errors}; {rate:.3g}/s{left}; {progress.at_a_time} at a time"


def summary(progress: Progress, seconds: float) -> str:
    """`998 of 1,000 rows answered in 70 s; 312 of them before this call; 5 cut by length; 2 errors, the first: …`."""
    parts = [f"{progress.done - progress.errors:,} of {progress.total:,} rows answered in {span(seconds)}"]
    if progress.kept:
        parts.append(
            f"{progress.kept:,} of them by an earlier call, up to {span(progress.age)} ago (new=True asks again)"
        )
    if progress.cut:
        parts.append(f"{progress.cut:,} cut by length (finish_reason is length; max_tokens sets it)")
    if progress.errors:
        parts.append(f"{_count(progress.errors, 'error')}, the first: {progress.first_error}")
    return "; ".join(parts)


def _count(number: int, word: str) -> str:
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def _place() -> Callable[[str, bool], None]:
    """Where texts are shown: called with a text, and whether it is the last."""
    ipython = sys.modules.get("IPython")
    shell: Any = ipython.get_ipython() if ipython is not None else None
    if shell is not None and hasattr(shell, "kernel"):
        return _Cell()
    if sys.stderr.isatty():
        return lambda text, last: print(f"\r\x1b[K{text}", end="\n" if last else "", file=sys.stderr, flush=True)
    return lambda text, last: print(text, file=sys.stderr, flush=True) if last else None


class _Cell:
    """One display of a notebook's cell, updated in place."""

    def __init__(self) -> None:
        self._handle: Any = None

    def __call__(self, text: str, last: bool) -> None:
        from IPython.core.display_functions import display

        content = {"text/plain": text}
        if self._handle is None:
            self._handle = display(content, raw=True, display_id=True)  # type: ignore[no-untyped-call]
        else:
            self._handle.update(content, raw=True)
