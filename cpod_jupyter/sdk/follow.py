"""Following an object until it has come to an end: watches and a log in, snapshots out.

Threads only read and put what they read into one queue; everything else happens in the thread
that iterates. Nothing polls.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import EVENTS, NODES, Object, Resource
from cpod_jupyter.client.stream import Stop
from cpod_jupyter.control.api import ObjectList, WatchEvent
from cpod_jupyter.control.listwatch import ListWatch
from cpod_jupyter.errors import ApiError, ApiUnreachable, Forbidden, Interrupted, NotFound, WaitTimeout
from cpod_jupyter.sdk.diagnose import look
from cpod_jupyter.sdk.history import LogLine
from cpod_jupyter.sdk.kinds import RUN_ONCE, word_of
from cpod_jupyter.sdk.logs import follow_log
from cpod_jupyter.sdk.pods import BELOW, Family, whole
from cpod_jupyter.sdk.snapshot import Snapshot
from cpod_jupyter.sdk.states import State, Status
from cpod_jupyter.sdk.tracker import Changed, Choice, Connection, Lines, Listed, LogEnded, News, Tracker
from cpod_jupyter.sdk.usage import Usage

if TYPE_CHECKING:
    from cpod_jupyter.client.client import Client

INTERVAL = 0.1
"""Seconds between snapshots at least."""

_CLOCK_SECONDS = 1.0
_WATCH_SECONDS = 60
_DRAIN_SECONDS = 5.0
"""For so long an object that has ended is waited for in silence, and for pods of it that go on."""
_LATE_SECONDS = 1.0
"""News of a pod may come so long after those of the object that it is of."""
_READING = "it has ended; the rest of its log is being read"
_QUEUED = 64
"""News that wait to be taken, each at most what came at once (`client.stream`): then readers wait too."""
_NODES_SECONDS = 10.0


class Detached(Interrupted):
    """Following was interrupted; the work goes on."""

    def __init__(self, word: str, name: str) -> None:
        self.word = word
        self.name = name
        cancel = f"%cpod cancel {name}" if word in map(word_of, RUN_ONCE) else f"%cpod delete {word} {name}"
        super().__init__(
            f"detached from {word}/{name}; it goes on without this cell\n"
            f"  to follow it again:  %cpod follow {name}   (or run the cell again)\n"
            f"  to stop it:          {cancel}"
        )


class Follower:
    """Follows one object. Iterate it: snapshots as things change, the last one when it has ended.

    At most one snapshot each `INTERVAL` seconds. Raises NotFound, WaitTimeout after `timeout`
    seconds, and Detached when interrupted.
    """

    def __init__(
        self, client: Client, resource: Resource, name: str, namespace: str, *, timeout: float | None = None
    ) -> None:
        self.client = client
        self.resource = resource
        self.name = name
        self.namespace = namespace
        self.timeout = timeout
        self._news: queue.Queue[News] = queue.Queue(maxsize=_QUEUED)
        self._stopped = Stop()
        self._usage = Usage(client, namespace)
        self._nodes: list[Object] = []
        self._nodes_at = float("-inf")

    def __iter__(self) -> Iterator[Snapshot]:
        deadline = None if self.timeout is None else time.monotonic() + self.timeout
        with self._attached():
            yield from self._follow(Tracker(self._begin(), self.nodes, self._usage.pods), deadline)

    def lines(self, choose: Choice, tell: Callable[[Snapshot], None]) -> Iterator[list[LogLine]]:
        """The lines of the chosen pods as they come, in batches, and an empty one for each pause of `INTERVAL`.

        Ends when the object has and its logs are read; a deployment's go on until it is deleted. `tell` is called with
        a snapshot while the object waits, or the API server does not answer. Raises NotFound, and Detached.
        """
        with self._attached():
            tracker = Tracker(self._begin(), self.nodes, choose=choose)
            self._read_logs(tracker, returns=False)
            while not (snapshot := tracker.snapshot()).state.final or snapshot.state is State.READY:
                if snapshot.state in (State.PENDING, State.PREPARING) or not snapshot.connected:
                    tell(snapshot)
                yield from self._lines_until_news(tracker)
            for news in self._rest(tracker, returns=False):
                if isinstance(news, Lines):
                    yield tracker.placed(news)

    def _lines_until_news(self, tracker: Tracker) -> Iterator[list[LogLine]]:
        """Lines as they come, until something else happens."""
        paused = False
        while True:
            try:
                news = self._news.get(timeout=_CLOCK_SECONDS if paused else INTERVAL)
            except queue.Empty:
                if paused:
                    return
                paused = True
                yield []
                continue
            paused = False
            if not isinstance(news, Lines):
                return self._take(tracker, news, returns=False)
            yield tracker.placed(news)

    @contextlib.contextmanager
    def _attached(self) -> Iterator[None]:
        """In the end, whatever ends it, nothing is read any more."""
        try:
            yield
        except KeyboardInterrupt:
            raise Detached(word_of(self.resource), self.name) from None
        finally:
            self._stopped.set()

    def _follow(self, tracker: Tracker, deadline: float | None) -> Iterator[Snapshot]:
        self._read_logs(tracker)
        running = Status(State.RUNNING, "Running")
        while not (snapshot := tracker.snapshot()).state.final:
            running = snapshot.status
            yield snapshot
            self._gather(tracker, time.monotonic() + INTERVAL, deadline)
            if deadline is not None and time.monotonic() >= deadline:
                raise WaitTimeout(
                    f"{snapshot.title} is still {snapshot.status.phase} after {self.timeout:g} s"
                    + (f": {snapshot.reason}" if snapshot.reason else "")
                )
        if snapshot.state is not State.READY:
            yield from self._drain(tracker, running)
        yield self._last(tracker.snapshot())

    def _drain(self, tracker: Tracker, running: Status) -> Iterator[Snapshot]:
        """Read the rest of the logs; where that takes a while, what has come so far is shown."""
        due = time.monotonic() + INTERVAL
        for news in self._rest(tracker):
            if isinstance(news, Lines):
                tracker.take(news)
            if time.monotonic() >= due:
                seen = tracker.snapshot()
                yield replace(
                    seen, status=running, reason=_READING, advice="", evidence=(), fix="", diagnosis=None, result=""
                )
                due = time.monotonic() + INTERVAL

    def _last(self, snapshot: Snapshot) -> Snapshot:
        """The last snapshot; where something is wrong with the diagnosis from the logs of all pods."""
        if snapshot.diagnosis is None:
            return snapshot
        try:
            return snapshot.told(*look(self.client, self.resource, self.name, self.namespace))
        except (ApiError, ApiUnreachable):
            return snapshot

    def families(self) -> Generator[Family]:
        """The object with all that was made for it, whenever something of it has changed and once a second at least.
        Without end; raises NotFound when it was deleted, and Detached when interrupted."""
        with self._attached():
            tracker = Tracker(self._begin(), choose=lambda _: [])
            while not tracker.gone:
                yield tracker.family
                self._gather(tracker, time.monotonic() + INTERVAL, None)
            raise NotFound(f"{word_of(self.resource)}/{self.name} was deleted")

    def _gather(self, tracker: Tracker, until: float, deadline: float | None) -> None:
        """Wait for news, but no longer than the clock of a display; then take all there is until the time
        for the next snapshot has come."""
        wait = _CLOCK_SECONDS
        while wait > 0:
            if deadline is not None:
                wait = min(wait, max(0.0, deadline - time.monotonic()))
            try:
                self._take(tracker, self._news.get(timeout=wait))
            except queue.Empty:
                return
            wait = until - time.monotonic()

    def _take(self, tracker: Tracker, news: News, *, returns: bool = True) -> None:
        tracker.take(news)
        if not isinstance(news, Lines):
            self._read_logs(tracker, returns=returns)

    def _rest(self, tracker: Tracker, *, returns: bool = True) -> Iterator[News]:
        """After the end: the rest of the logs, for as long as they are coming. Lines are the caller's to take."""
        begun = time.monotonic()
        self._read_logs(tracker, returns=returns)
        while True:
            silence = _DRAIN_SECONDS if tracker.draining else begun + _DRAIN_SECONDS - time.monotonic()
            if tracker.drained:
                silence = begun + _LATE_SECONDS - time.monotonic() if tracker.awaiting else 0
            if silence <= 0:
                return
            try:
                news = self._news.get(timeout=silence)
            except queue.Empty:
                return
            if not isinstance(news, Lines):
                self._take(tracker, news, returns=returns)
            yield news

    def _begin(self) -> Family:
        """Read everything once, and start to watch from there."""
        root = whole(self.client.get(self.resource, self.name, self.namespace), self.resource)
        family = Family(self.resource, root)
        for kind in dict.fromkeys((self.resource, *BELOW.get(self.resource, ()), EVENTS)):
            try:
                listed = self.client.list(kind, self.namespace, field_selector=self._selector(kind))
            except (NotFound, Forbidden):
                if kind == self.resource:
                    raise
                continue  # a cluster without this kind, or one may not look
            for item in listed.items:
                family.add(kind, item)
            self._start(self._watch, kind, listed.resource_version)
        return family

    def _selector(self, kind: Resource) -> str:
        return f"metadata.name={self.name}" if kind == self.resource else ""

    def _start(self, target: Callable[..., None], *arguments: Any) -> None:
        threading.Thread(target=target, args=arguments, name=f"cpod-follow-{self.name}", daemon=True).start()

    def _put(self, news: News) -> None:
        while not self._stopped.is_set():
            try:
                return self._news.put(news, timeout=1.0)
            except queue.Full:
                continue

    def _watch(self, kind: Resource, version: str) -> None:
        selector = self._selector(kind)
        for news in ListWatch(
            lambda: self.client.list(kind, self.namespace, field_selector=selector),
            lambda version: self.client.watch(
                kind,
                self.namespace,
                resource_version=version,
                field_selector=selector,
                timeout_seconds=_WATCH_SECONDS,
                stop=self._stopped,
            ),
            self._stopped,
            version=version,
        ):
            match news:
                case WatchEvent():
                    self._put(Changed(kind, news))
                case ObjectList():
                    self._put(Listed(kind, news.items))
                    self._put(Connection(True))
                case NotFound():
                    return  # the kind is not served any more
                case _:
                    self._put(Connection(False))

    def _read_logs(self, tracker: Tracker, *, returns: bool = True) -> None:
        for pod in tracker.pods_to_read():
            self._start(self._read_log, pod, returns)

    def _read_log(self, pod: Object, returns: bool) -> None:
        uid = meta.uid_of(pod)
        try:
            for batch in follow_log(self.client, pod, self._stopped, returns=returns):
                self._put(Lines(uid, batch))
        except ApiError as error:
            self._put(Lines(uid, [f"(the log cannot be read: {error})"]))
        self._put(LogEnded(uid))

    def nodes(self) -> list[Object]:
        """The nodes, not older than a few seconds; none where one may not see them."""
        if time.monotonic() - self._nodes_at > _NODES_SECONDS:
            self._nodes_at = time.monotonic()
            try:
                self._nodes = self.client.list(NODES).items
            except (ApiError, ApiUnreachable):
                self._nodes = []
        return self._nodes
