"""What a cell shows while something is followed: one display, updated in place, the last state kept."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from IPython.core.display_functions import display

from cpod_jupyter.sdk import Snapshot
from cpod_jupyter.sdk.view import bundle

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

_TERMINAL_SECONDS = 5.0


class Live:
    """Shows bundles in one place. A plain terminal cannot update: there, news are printed now and then."""

    def __init__(self, shell: InteractiveShell) -> None:
        self._updates = hasattr(shell, "kernel")
        self._handle: Any = None
        self._shown: dict[str, Any] = {}
        self._told: tuple[Any, ...] = ()
        self._told_at = float("-inf")

    def snapshot(self, snapshot: Snapshot, context: str) -> None:
        """Show an object of a context as it is now; "" for one that is in none yet."""
        told = (snapshot.status.phase, snapshot.reason)
        due = time.monotonic() - self._told_at >= _TERMINAL_SECONDS
        if self._updates or snapshot.state.final or told != self._told or due:
            self._told, self._told_at = told, time.monotonic()
            self.show(bundle.of_snapshot(snapshot, context))

    def show(self, content: dict[str, Any]) -> None:
        """Show this instead of what was shown before."""
        if content == self._shown:
            return
        self._shown = content
        if not self._updates:
            print(content["text/plain"], flush=True)
        elif self._handle is None:
            self._handle = show(content, raw=True, display_id=True)
        else:
            self._handle.update(content, raw=True)


def show(content: Any, **options: Any) -> Any:
    """IPython's display, which has no types."""
    return display(content, **options)  # type: ignore[no-untyped-call]
