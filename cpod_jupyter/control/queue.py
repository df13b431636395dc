"""A keyed work queue: a key is handled by one worker at a time, and is never queued twice.

The pattern is client-go's workqueue: a key added while it is handled is handled again afterwards,
and a key that failed comes back after a growing delay.
"""

from __future__ import annotations

import heapq
import threading
import time
from collections import deque
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class WorkQueue(Generic[K]):
    """Thread-safe. Delays are seconds."""

    def __init__(self, *, first_delay: float = 0.05, longest_delay: float = 60.0) -> None:
        self._first_delay = first_delay
        self._longest_delay = longest_delay
        self._ready: deque[K] = deque()
        self._waiting: set[K] = set()  # keys that need handling
        self._active: set[K] = set()  # keys being handled
        self._delayed: list[tuple[float, int, K]] = []
        self._due: dict[K, float] = {}  # the time of each delayed key, one a key: the earliest asked for
        self._failures: dict[K, int] = {}
        self._serial = 0
        self._closed = False
        self._changed = threading.Condition()

    def add(self, key: K) -> None:
        """Have the key handled soon."""
        with self._changed:
            self._add(key)

    def _add(self, key: K) -> None:
        if key in self._waiting or self._closed:
            return
        self._waiting.add(key)
        if key not in self._active:
            self._ready.append(key)
            self._changed.notify()

    def add_after(self, key: K, seconds: float) -> None:
        """Have the key handled once the time has passed; a key that is due earlier anyway stays so."""
        with self._changed:
            at = time.monotonic() + seconds
            if self._due.get(key, at + 1) <= at:
                return
            self._serial += 1
            self._due[key] = at
            heapq.heappush(self._delayed, (at, self._serial, key))
            self._changed.notify()

    def retry(self, key: K) -> float:
        """Have the key handled again after a delay that doubles with each failure; returns the delay."""
        with self._changed:
            failures = self._failures.get(key, 0)
            self._failures[key] = failures + 1
        delay = min(self._first_delay * 2.0 ** min(failures, 30), self._longest_delay)
        self.add_after(key, delay)
        return delay

    def forget(self, key: K) -> None:
        """The key was handled well: its next failure waits the first delay again."""
        with self._changed:
            self._failures.pop(key, None)

    def take(self) -> K | None:
        """The next key; waits for one. None when the queue is closed. Call `done` afterwards."""
        with self._changed:
            while True:
                if self._closed:
                    return None
                now = time.monotonic()
                while self._delayed and self._delayed[0][0] <= now:
                    at, _, due = heapq.heappop(self._delayed)
                    if self._due.get(due) == at:
                        del self._due[due]
                        self._add(due)
                if self._ready:
                    key = self._ready.popleft()
                    self._waiting.discard(key)
                    self._active.add(key)
                    return key
                self._changed.wait(self._delayed[0][0] - now if self._delayed else None)

    def done(self, key: K) -> None:
        """The key taken has been handled."""
        with self._changed:
            self._active.discard(key)
            if key in self._waiting:
                self._ready.append(key)
                self._changed.notify()

    def depth(self) -> int:
        """How many keys wait to be handled, without those whose time has not come."""
        with self._changed:
            return len(self._waiting)

    def close(self) -> None:
        """Wake and end every `take`."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
