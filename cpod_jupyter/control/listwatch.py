"""List, then watch: all there is of a kind and each change of it, over ended watches, forgotten changes, lost
connections and restarts (Kubernetes API concepts, "Efficient detection of changes"), in the thread that iterates.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Protocol

from cpod_jupyter.control.api import ObjectList, WatchEvent
from cpod_jupyter.errors import CpodError, Expired

SOONEST, LATEST = 0.1, 10.0
"""Seconds before a server that did not answer is asked again: at first, and at most."""

News = ObjectList | WatchEvent | CpodError
"""All there is, and what was known before counts no more; one change; or why nothing is known now."""


class Stopped(Protocol):
    """What says that it is over: a threading.Event, or a `client.stream.Stop`."""

    def is_set(self) -> bool: ...

    def wait(self, timeout: float, /) -> bool: ...


class ListWatch:
    """Iterate it: the list, then changes, until it is stopped. After an error it begins with a list again, once it has
    waited; that is told, but for changes that the server has forgotten."""

    def __init__(
        self,
        listed: Callable[[], ObjectList],
        watched: Callable[[str], Iterator[WatchEvent]],
        stopped: Stopped,
        *,
        version: str = "",
    ) -> None:
        self._listed = listed
        self._watched = watched
        self._stopped = stopped
        self._version = version
        """From where the watch goes on; empty when a list comes first. Given by who has listed already."""
        self.pause = SOONEST
        """Seconds before the next try; doubled with each. Whoever was told of an error may set another."""

    def __iter__(self) -> Iterator[News]:
        while not self._stopped.is_set():
            try:
                yield from self._once()
            except Expired:
                self.again()
            except CpodError as error:
                yield error
                self.again()

    def again(self) -> None:
        """Wait, and begin with a list: also for who failed at what it was told."""
        self._version = ""
        self._stopped.wait(self.pause * random.uniform(0.8, 1.2))
        self.pause = min(self.pause * 2, LATEST)

    def _once(self) -> Iterator[News]:
        if not self._version:
            found = self._listed()
            self._version = found.resource_version
            yield found
        for event in self._watched(self._version):
            if self._stopped.is_set():
                return
            self._version = str(event.object["metadata"].get("resourceVersion") or self._version)
            self.pause = SOONEST
            if event.type != "BOOKMARK":
                yield event
        self.pause = SOONEST  # it ended because its time was up
