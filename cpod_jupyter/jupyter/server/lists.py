"""Live lists for any number of pages: one watch a kind and namespace, whoever looks.

A watch reads in a thread of its own and leaves what it read in one place, where it is merged until the event loop takes
it: what waits is never more than one line an object, however fast things change and however slow a page is.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from cpod_jupyter.api.resources import Resource
from cpod_jupyter.client.stream import Stop
from cpod_jupyter.jupyter.server.address import KindPlace, session_at
from cpod_jupyter.sdk.livelist import GROUPS, PACE, KindRows, ListNews, resources_of, trouble_of, watch_rows
from cpod_jupyter.sdk.sessions import Sessions
from cpod_jupyter.sdk.view.listrow import Row

if TYPE_CHECKING:
    from cpod_jupyter.sdk import Session

ListSink = Callable[[ListNews], None]
_Told = Callable[["KindWatch", Mapping[str, Row], frozenset[str]], None]


class Lists:
    """The watches of all lists that somebody looks at. All of it in the event loop's thread, but for what reads."""

    def __init__(self, sessions: Sessions, loop: asyncio.AbstractEventLoop) -> None:
        self._sessions = sessions
        self._loop = loop
        self._watches: dict[tuple[str, str, Resource], KindWatch] = {}

    @property
    def watched(self) -> int:
        """How many watches there are."""
        return len(self._watches)

    def subscribe(self, place: KindPlace, sink: ListSink) -> Callable[[], None]:
        """Hand the list to `sink`, whole as soon as it is known and then by what changes, until the returned function
        is called. Raises CpodError for a kind that there is not."""
        resources = resources_of(place.kind)
        watches = [self._watch(place, resource) for resource in resources]
        joined = _Joined(watches, sink, alone=place.kind not in GROUPS)
        for watch in watches:
            watch.listeners.append(joined.hear)
        joined.begin()

        def unsubscribe() -> None:
            for watch in watches:
                if joined.hear not in watch.listeners:
                    continue  # unsubscribed before
                watch.listeners.remove(joined.hear)
                if not watch.listeners:
                    del self._watches[place.context, place.namespace, watch.kind.resource]
                    watch.stop()

        return unsubscribe

    def _watch(self, place: KindPlace, resource: Resource) -> KindWatch:
        key = (place.context, place.namespace, resource)
        if key not in self._watches:
            self._watches[key] = watch = KindWatch(place, resource, self._sessions, self._loop)
            watch.start()
        return self._watches[key]


class _Joined:
    """One subscriber's list: the lines of several watches. It begins when each of them has answered once."""

    def __init__(self, watches: list[KindWatch], sink: ListSink, *, alone: bool) -> None:
        self._watches = watches
        self._sink = sink
        self._alone = alone
        self._begun = False

    def begin(self) -> None:
        self.hear(self._watches[0], {}, frozenset())

    def hear(self, watch: KindWatch, changed: Mapping[str, Row], gone: frozenset[str]) -> None:
        trouble = trouble_of([each.kind for each in self._watches], alone=self._alone)
        if self._begun:
            others = [other.kind.rows for other in self._watches if other is not watch]
            kept = {key: rows[key] for rows in others for key in gone if key in rows}  # by another version of the kind
            self._sink(ListNews(changed={**kept, **changed}, gone=gone - kept.keys(), trouble=trouble))
        elif all(other.kind.known for other in self._watches):
            self._begun = True
            rows = {key: row for other in self._watches for key, row in other.kind.rows.items()}
            self._sink(ListNews(rows=rows, trouble=trouble))
        elif trouble:
            self._sink(ListNews(trouble=trouble))


class KindWatch:
    """All objects of one kind in one namespace, for all pages that look at them."""

    def __init__(
        self, place: KindPlace, resource: Resource, sessions: Sessions, loop: asyncio.AbstractEventLoop
    ) -> None:
        self.kind = KindRows(resource)
        self.listeners: list[_Told] = []
        self._place = place
        self._sessions = sessions
        self._loop = loop
        self._stop = Stop()
        self._lock = threading.Lock()
        self._waiting: ListNews | None = None

    def start(self) -> None:
        threading.Thread(target=self._run, name=f"cpod-list-{self.kind.resource.plural}", daemon=True).start()

    def stop(self) -> None:
        self._stop.set()

    # ---- in a thread

    def _run(self) -> None:
        place = self._place

        def session() -> Session:
            return session_at(self._sessions, place.context, place.namespace)

        for news in watch_rows(session, self.kind.resource, place.namespace, place.context, self._stop):
            self._say(news)

    def _say(self, news: ListNews) -> None:
        with self._lock:
            scheduled = self._waiting is not None
            self._waiting = self._waiting.then(news) if self._waiting is not None else news
        if not scheduled and not self._stop.is_set():
            delay = 0.0 if news.rows is not None else PACE
            self._loop.call_soon_threadsafe(self._loop.call_later, delay, self._take)

    # ---- in the event loop's thread

    def _take(self) -> None:
        with self._lock:
            news, self._waiting = self._waiting, None
        told = None if news is None or self._stop.is_set() else self.kind.take(news)
        if told is not None:
            for listener in list(self.listeners):
                listener(self, told.changed, told.gone)
