"""Followed objects for any number of pages: one follower an object, whoever looks; the newest state for each.
And what else all requests share: sessions, lists and threads."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from cpod_jupyter.errors import ApiUnreachable, CpodError, NotFound
from cpod_jupyter.jupyter.server.address import Address
from cpod_jupyter.jupyter.server.lists import Lists
from cpod_jupyter.sdk.sessions import Sessions
from cpod_jupyter.sdk.view import bundle, state

Message = dict[str, Any]
"""`state`; at the end also `bundle`, the output to keep, and `over`; or `trouble`, a sentence."""
Sink = Callable[[Message], None]

_THREADS = 16
_SOONEST, _LATEST = 0.5, 10.0
"""Seconds before a server that did not answer is asked again."""


class Hub:
    """Who looks at what. All of it in the event loop's thread, but for the followers, which only call back into it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._sessions = Sessions()
        self._topics: dict[Address, _Topic] = {}
        self.lists = Lists(self._sessions, loop)
        self.threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="cpod-request")
        """What requests wait in: a cluster that does not answer holds up none of Jupyter's own."""

    @property
    def sessions(self) -> Sessions:
        """The sessions that all of the extension shares."""
        return self._sessions

    def subscribe(self, address: Address, sink: Sink) -> Callable[[], None]:
        """Hand every new state of an object to `sink`, the last known one at once, until the returned function is
        called."""
        topic = self._topics.get(address)
        if topic is None or topic.over:
            topic = self._topics[address] = _Topic(address, self._sessions, self._loop)
            topic.start()
        topic.sinks.append(sink)
        if topic.latest is not None:
            sink(topic.latest)

        def unsubscribe() -> None:
            if sink in topic.sinks:
                topic.sinks.remove(sink)
            if not topic.sinks:
                topic.stopped.set()
                if self._topics.get(address) is topic:
                    del self._topics[address]

        return unsubscribe


class _Topic:
    """One object that somebody looks at, followed in a thread of its own."""

    def __init__(self, address: Address, sessions: Sessions, loop: asyncio.AbstractEventLoop) -> None:
        self.address = address
        self.sinks: list[Sink] = []
        self.latest: Message | None = None
        self.stopped = threading.Event()
        self._sessions = sessions
        self._loop = loop

    @property
    def over(self) -> bool:
        """Whether nothing more will come."""
        return self.latest is not None and bool(self.latest.get("over"))

    def start(self) -> None:
        threading.Thread(target=self._run, name=f"cpod-topic-{self.address.name}", daemon=True).start()

    def _run(self) -> None:
        pause = _SOONEST
        while not self.stopped.is_set():
            try:
                return self._follow()
            except NotFound as error:
                return self._publish({"trouble": str(error), "over": True})
            except ApiUnreachable as error:
                self._publish({"trouble": f"{error}; trying again"})
            except CpodError as error:
                return self._publish({"trouble": str(error), "over": True})
            self.stopped.wait(pause)
            pause = min(pause * 2, _LATEST)

    def _follow(self) -> None:
        """To the end, or until nobody looks any more: a follower gives word once a second at least."""
        snapshot = None
        for snapshot in self.address.handle(self._sessions).follow():
            if self.stopped.is_set():
                return
            if not snapshot.state.final:
                self._publish({"state": state.of_snapshot(snapshot, self.address.context)})
        if snapshot is not None:
            kept = bundle.of_snapshot(snapshot, self.address.context)
            self._publish({"state": kept[state.MIME], "bundle": kept, "over": True})

    def _publish(self, message: Message) -> None:
        if not self.stopped.is_set():
            self._loop.call_soon_threadsafe(self._deliver, message)

    def _deliver(self, message: Message) -> None:
        self.latest = message
        for sink in list(self.sinks):
            sink(message)
