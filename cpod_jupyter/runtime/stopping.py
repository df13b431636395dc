"""When a training stops or saves between its own times: on SIGTERM, and after so many minutes."""

from __future__ import annotations

import signal
import sys
import time
from types import FrameType

from cpod_jupyter.runtime.peers import Peers

TERMINATED = 128 + signal.SIGTERM
"""The exit code of a process that ended because of SIGTERM."""


class StopOnTerm:
    """While entered, a first SIGTERM asks for a stop after the step in progress; a second one ends at once.

    `save_after` is in seconds; 0 for never.
    """

    def __init__(self, peers: Peers, save_after: float = 0) -> None:
        self.requested = False
        self.agreed = False
        """All processes know that one of them is asked to stop."""
        self._peers = peers
        self._save_after = save_after
        self._saved = time.monotonic()

    def saved(self) -> None:
        """A checkpoint was saved."""
        self._saved = time.monotonic()

    def everywhere(self) -> tuple[bool, bool]:
        """Whether any process is asked to stop, and whether it is time to save; each has to ask after the same step."""
        due = bool(self._save_after) and time.monotonic() - self._saved >= self._save_after
        self.agreed, save = self._peers.any(self.requested, due)
        return self.agreed, save

    def __enter__(self) -> None:
        self._before = signal.signal(signal.SIGTERM, self._on_term)

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGTERM, self._before)

    def _on_term(self, _number: int, _frame: FrameType | None) -> None:
        if self.requested:
            sys.exit(TERMINATED)
        self.requested = True
