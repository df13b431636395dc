"""Live lists for any number of pages: one watch a kind and namespace, whoever looks.

A watch reads in a thread of its own and leaves what it read in one place, where it is merged until the event loop takes
it: what waits is never more than one line an object, however fast things change and however slow a page is.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cpod_jupyter.api.resources import Object, Resource
from cpod_jupyter.client.stream import Stop
from cpod_jupyter.errors import ApiUnreachable, CpodError, Expired, Forbidden, NotFound
from cpod_jupyter.jupyter.server.address import EngineDown, KindPlace, session_at
from cpod_jupyter.sdk.finding import is_part
from cpod_jupyter.sdk.kinds import RUN_ONCE, WORDS, forms_of, resource_of, word_of
from cpod_jupyter.sdk.sessions import Sessions
from cpod_jupyter.sdk.view.listrow import Row, key_of, of_object

GROUPS = {
    "jobs": tuple(word_of(resource) for resource in RUN_ONCE),
    "deployments": ("inference",),
    "models": ("model",),
    "datasets": ("dataset",),
}
"""Words for several kinds together."""

_LISTED = frozenset(form for resource in WORDS.values() for form in forms_of(resource))

_SOONEST, _LATEST = 0.5, 10.0
"""Seconds before a server that did not answer is asked again."""
_ABSENT_SECONDS = 30.0
"""The same for a kind that it does not serve, or that one may not list."""
_WATCH_SECONDS = 60
_PACE = 0.05
"""Seconds in which changes are gathered before they are told."""
_TROUBLES = 3
"""Sentences about kinds that cannot be listed, told at the same time."""


@dataclass(frozen=True)
class ListNews:
    """What is new in a list, by keys (`finetune/facts`)."""

    rows: Mapping[str, Row] | None = None
    """All lines; what was known before counts no more."""
    changed: Mapping[str, Row] = field(default_factory=dict)
    gone: frozenset[str] = frozenset()
    trouble: str = ""
    """Why the list may be out of date or incomplete; empty when all is well."""

    def then(self, later: ListNews) -> ListNews:
        """This and what came later, as one."""
        if later.rows is not None:
            return later
        if self.rows is not None:
            kept = {key: row for key, row in self.rows.items() if key not in later.gone}
            return ListNews(rows={**kept, **later.changed}, trouble=later.trouble)
        changed = {key: row for key, row in self.changed.items() if key not in later.gone}
        gone = (self.gone | later.gone) - later.changed.keys()
        return ListNews(changed={**changed, **later.changed}, gone=gone, trouble=later.trouble)

    def to_dict(self) -> dict[str, Any]:
        """For the page."""
        if self.rows is not None:
            return {"rows": list(self.rows.values()), "trouble": self.trouble}
        return {"changed": list(self.changed.values()), "gone": sorted(self.gone), "trouble": self.trouble}


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
        words = GROUPS.get(place.kind, (place.kind,))
        if resource_of(words[0]) not in _LISTED:
            raise CpodError(f"there is no list of {place.kind}; there are {', '.join((*GROUPS, *WORDS))}")
        resources = dict.fromkeys(form for word in words for form in forms_of(resource_of(word)))
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
                    del self._watches[place.context, place.namespace, watch.resource]
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
        trouble = self._trouble()
        if self._begun:
            others = [other.rows for other in self._watches if other is not watch]
            kept = {key: rows[key] for rows in others for key in gone if key in rows}  # by another version of the kind
            self._sink(ListNews(changed={**kept, **changed}, gone=gone - kept.keys(), trouble=trouble))
        elif all(other.known for other in self._watches):
            self._begun = True
            rows = {key: row for other in self._watches for key, row in other.rows.items()}
            self._sink(ListNews(rows=rows, trouble=trouble))
        elif trouble:
            self._sink(ListNews(trouble=trouble))

    def _trouble(self) -> str:
        found = list(dict.fromkeys(watch.trouble for watch in self._watches if watch.trouble))
        if self._alone and all(watch.absent for watch in self._watches):
            found.append(self._watches[0].absent)
        left = f"; and of {len(found) - _TROUBLES} more kinds" if len(found) > _TROUBLES else ""
        return "; ".join(found[:_TROUBLES]) + left


class KindWatch:
    """All objects of one kind in one namespace, as lines: listed, then watched, over lost connections and restarts."""

    def __init__(
        self, place: KindPlace, resource: Resource, sessions: Sessions, loop: asyncio.AbstractEventLoop
    ) -> None:
        self.place = place
        self.resource = resource
        self.listeners: list[_Told] = []
        self.rows: dict[str, Row] = {}
        self.known = False
        """Whether it is known what there is, or that one cannot know."""
        self.trouble = ""
        self.absent = ""
        """Said when the server does not serve the kind."""
        self._sessions = sessions
        self._loop = loop
        self._stop = Stop()
        self._lock = threading.Lock()
        self._waiting: ListNews | None = None
        self._absent = ""
        self._pause = _SOONEST

    def start(self) -> None:
        threading.Thread(target=self._run, name=f"cpod-list-{self.resource.plural}", daemon=True).start()

    def stop(self) -> None:
        self._stop.set()

    # ---- in a thread

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._list_and_watch()
            except Expired:
                self._pause = _SOONEST  # what it has missed is listed
            except EngineDown as error:
                self._say(ListNews(trouble=str(error)))
                self._pause = _SOONEST  # to look whether it runs costs nothing
            except NotFound:
                served = f"{word_of(self.resource)}: the cluster of {self.place.context} does not have this kind"
                self._say(ListNews(rows={}), absent=served)
                self._pause = _ABSENT_SECONDS
            except Forbidden as error:
                self._say(ListNews(rows={}, trouble=f"{word_of(self.resource)}: {error}"))
                self._pause = _ABSENT_SECONDS
            except ApiUnreachable as error:
                self._say(ListNews(trouble=f"{error}; trying again"))
            except CpodError as error:  # no such context, or a cpod.toml with a fault
                self._say(ListNews(trouble=str(error)))
            self._stop.wait(self._pause)
            self._pause = min(self._pause * 2, _LATEST)

    def _list_and_watch(self) -> None:
        client = session_at(self._sessions, self.place.context, self.place.namespace).client
        listed = client.list(self.resource, self.place.namespace)
        found = [obj for obj in listed.items if not is_part(obj)]
        self._say(ListNews(rows={key_of(self.resource, obj): of_object(obj, self.resource) for obj in found}))
        version, self._pause = listed.resource_version, _SOONEST
        while not self._stop.is_set():
            for event in client.watch(
                self.resource,
                self.place.namespace,
                resource_version=version,
                timeout_seconds=_WATCH_SECONDS,
                stop=self._stop,
            ):
                version = str(event.object["metadata"].get("resourceVersion") or version)
                if event.type != "BOOKMARK":
                    self._say(self._news_of(event.type, event.object))

    def _news_of(self, change: str, obj: Object) -> ListNews:
        key = key_of(self.resource, obj)
        if change == "DELETED" or is_part({"kind": self.resource.kind, **obj}):
            return ListNews(gone=frozenset({key}))
        return ListNews(changed={key: of_object(obj, self.resource)})

    def _say(self, news: ListNews, *, absent: str = "") -> None:
        with self._lock:
            scheduled = self._waiting is not None
            self._waiting = self._waiting.then(news) if self._waiting is not None else news
            self._absent = absent
        if not scheduled and not self._stop.is_set():
            delay = 0.0 if news.rows is not None else _PACE
            self._loop.call_soon_threadsafe(self._loop.call_later, delay, self._take)

    # ---- in the event loop's thread

    def _take(self) -> None:
        with self._lock:
            news, self._waiting, self.absent = self._waiting, None, self._absent
        if news is None or self._stop.is_set():
            return
        if news.rows is not None:
            changed = {key: row for key, row in news.rows.items() if self.rows.get(key) != row}
            gone = frozenset(self.rows.keys() - news.rows.keys())
            self.rows, self.known = dict(news.rows), True
        else:
            changed = {key: row for key, row in news.changed.items() if self.rows.get(key) != row}
            gone = news.gone & self.rows.keys()
            self.rows.update(changed)
            for key in gone:
                del self.rows[key]
        if not (changed or gone or news.rows is not None or news.trouble != self.trouble):
            return
        self.trouble = news.trouble
        for listener in list(self.listeners):
            listener(self, changed, gone)
