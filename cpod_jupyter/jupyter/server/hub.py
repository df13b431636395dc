"""Followed objects for any number of pages: one follower an object, whoever looks; the newest state for each.
And what else all requests share: sessions, lists and threads."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from cpod_jupyter.errors import ApiUnreachable, CpodError, EngineDown, NotFound, Timeout
from cpod_jupyter.jupyter.server.address import Address
from cpod_jupyter.jupyter.server.lists import Lists
from cpod_jupyter.jupyter.server.log.keeper import Logs
from cpod_jupyter.sdk.history import Metrics
from cpod_jupyter.sdk.sessions import Sessions
from cpod_jupyter.sdk.view import bundle, state

Message = dict[str, Any]
"""`state`; at the end also `bundle`, the output to keep, and `over`; or `trouble`, a sentence."""
Sink = Callable[[Message], None]

_THREADS = 16
_SOONEST, _LATEST = 0.5, 10.0
"""Seconds before a server that did not answer is asked again."""
_PATIENCE = 60.0
_LINGER = 30.0
"""For so long an object is followed for who has asked for its metrics."""


class Hub:
    """Who looks at what. All of it in the event loop's thread, but for the followers, which only call back into it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._sessions = Sessions()
        self._topics: dict[Address, _Topic] = {}
        self.lists = Lists(self._sessions, loop)
        self.logs = Logs(self._sessions)
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

    async def metrics(self, address: Address) -> tuple[Sequence[Metrics], bool]:
        """What an object's records have told so far, and whether they are all. The object is followed for a while, for
        whoever asks again. Raises CpodError, Timeout."""
        heard: asyncio.Queue[Message] = asyncio.Queue()
        unsubscribe = self.subscribe(address, heard.put_nowait)
        topic = self._topics[address]
        self._loop.call_later(_LINGER, unsubscribe)
        try:
            message = await asyncio.wait_for(heard.get(), _PATIENCE)
        except TimeoutError as error:
            raise Timeout(f"nothing came of {address.kind}/{address.name} in {_PATIENCE:g} s") from error
        if "state" not in message:
            raise NotFound(message["trouble"]) if message.get("over") else ApiUnreachable(message["trouble"])
        return topic.metrics, topic.over


class _Topic:
    """One object that somebody looks at, followed in a thread of its own."""

    def __init__(self, address: Address, sessions: Sessions, loop: asyncio.AbstractEventLoop) -> None:
        self.address = address
        self.sinks: list[Sink] = []
        self.latest: Message | None = None
        self.metrics: Sequence[Metrics] = ()
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
                if self._follow():
                    return
                pause = _SOONEST
                continue
            except EngineDown as error:
                self._publish({"trouble": str(error)})
                pause = _SOONEST  # to look whether it runs costs nothing
            except NotFound as error:
                return self._publish({"trouble": str(error), "over": True})
            except ApiUnreachable as error:
                self._publish({"trouble": f"{error}; trying again"})
            except CpodError as error:
                return self._publish({"trouble": str(error), "over": True})
            self.stopped.wait(pause)
            pause = min(pause * 2, _LATEST)

    def _follow(self) -> bool:
        """To the end, or until nobody looks any more: a follower gives word once a second at least. False when the
        engine was started anew, elsewhere perhaps. Raises EngineDown when it went away."""
        snapshot, session = None, self.address.session(self._sessions)
        for snapshot in self.address.handle(self._sessions).follow():
            if self.stopped.is_set():
                return True
            if not snapshot.connected and self.address.session(self._sessions) is not session:
                return False
            self.metrics = snapshot.metrics
            if not snapshot.state.final:
                self._publish({"state": state.of_snapshot(snapshot, self.address.context)})
        if snapshot is not None:
            kept = bundle.of_snapshot(snapshot, self.address.context)
            self._publish({"state": kept[state.MIME], "bundle": kept, "over": True})
        return True

    def _publish(self, message: Message) -> None:
        if not self.stopped.is_set():
            self._loop.call_soon_threadsafe(self._deliver, message)

    def _deliver(self, message: Message) -> None:
        self.latest = message
        for sink in list(self.sinks):
            sink(message)
