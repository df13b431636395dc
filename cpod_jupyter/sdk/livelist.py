"""Live lists: all objects of a kind, or of several, in one namespace, as lines that keep themselves up to date.

No event loop: what reads is an iterator, and `LiveList` runs one in a thread for each kind.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cpod_jupyter.api.resources import Object, Resource
from cpod_jupyter.client.stream import Stop
from cpod_jupyter.control.api import ObjectList, WatchEvent
from cpod_jupyter.control.listwatch import ListWatch
from cpod_jupyter.errors import ApiUnreachable, CpodError, EngineDown, Forbidden, NotFound
from cpod_jupyter.sdk.finding import is_part
from cpod_jupyter.sdk.kinds import RUN_ONCE, WORDS, forms_of, resource_of, word_of
from cpod_jupyter.sdk.view.listrow import Row, key_of, of_object

if TYPE_CHECKING:
    from cpod_jupyter.client.client import Client
    from cpod_jupyter.sdk.session import Session

GROUPS = {
    "jobs": tuple(word_of(resource) for resource in RUN_ONCE),
    "deployments": ("inference",),
    "models": ("model",),
    "datasets": ("dataset",),
}
"""Words for several kinds together."""

PACE = 0.05
"""Seconds in which changes are gathered before they are told."""

_LISTED = frozenset(form for resource in WORDS.values() for form in forms_of(resource))
_ENGINE_SECONDS = 0.5
"""Before it is looked again whether the engine on this machine runs, which costs nothing."""
_ABSENT_SECONDS = 30.0
"""The same for a kind that the server does not serve, or that one may not list."""
_WATCH_SECONDS = 60
_TROUBLES = 3
"""Sentences about kinds that cannot be listed, told at the same time."""


def resources_of(kind: str) -> list[Resource]:
    """What a group or the word of a kind means, in all groups and versions. Raises CpodError for what is not listed."""
    words = GROUPS.get(kind, (kind,))
    if resource_of(words[0]) not in _LISTED:
        raise CpodError(f"there is no list of {kind}; there are {', '.join((*GROUPS, *WORDS))}")
    return list(dict.fromkeys(form for word in words for form in forms_of(resource_of(word))))


@dataclass(frozen=True)
class ListNews:
    """What is new in a list, by keys (`finetune/facts`)."""

    rows: Mapping[str, Row] | None = None
    """All lines; what was known before counts no more."""
    changed: Mapping[str, Row] = field(default_factory=dict)
    gone: frozenset[str] = frozenset()
    trouble: str = ""
    """Why the list may be out of date or incomplete; empty when all is well."""
    absent: str = ""
    """Said when the server does not serve the kind."""

    def then(self, later: ListNews) -> ListNews:
        """This and what came later, as one."""
        if later.rows is not None:
            return later
        if self.rows is not None:
            kept = {key: row for key, row in self.rows.items() if key not in later.gone}
            return ListNews({**kept, **later.changed}, trouble=later.trouble, absent=later.absent)
        changed = {key: row for key, row in self.changed.items() if key not in later.gone}
        gone = (self.gone | later.gone) - later.changed.keys()
        return ListNews(None, {**changed, **later.changed}, gone, later.trouble, later.absent)

    def to_dict(self) -> dict[str, Any]:
        """For the page."""
        if self.rows is not None:
            return {"rows": list(self.rows.values()), "trouble": self.trouble}
        return {"changed": list(self.changed.values()), "gone": sorted(self.gone), "trouble": self.trouble}


def watch_rows(
    session: Callable[[], Session], resource: Resource, namespace: str, context: str, stop: Stop
) -> Iterator[ListNews]:
    """The objects of one kind in a namespace: listed, then watched, over lost connections and restarts, until stopped.
    `session` is asked before each list, and may raise."""
    client: Client

    def listed() -> ObjectList:
        nonlocal client
        client = session().client
        return client.list(resource, namespace)

    def watched(version: str) -> Iterator[WatchEvent]:
        return client.watch(resource, namespace, resource_version=version, timeout_seconds=_WATCH_SECONDS, stop=stop)

    news = ListWatch(listed, watched, stop)
    for each in news:
        match each:
            case ObjectList():
                found = [obj for obj in each.items if not is_part(obj)]
                yield ListNews({key_of(resource, obj): of_object(obj, resource) for obj in found})
            case WatchEvent():
                yield _changed(resource, each.type, each.object)
            case EngineDown():
                news.pause = _ENGINE_SECONDS
                yield ListNews(trouble=str(each))
            case NotFound():
                news.pause = _ABSENT_SECONDS
                absent = f"{word_of(resource)}: the cluster of {context} does not have this kind"
                yield ListNews({}, absent=absent)
            case Forbidden():
                news.pause = _ABSENT_SECONDS
                yield ListNews({}, trouble=f"{word_of(resource)}: {each}")
            case ApiUnreachable():
                yield ListNews(trouble=f"{each}; trying again")
            case _:  # no such context, or a cpod.toml with a fault
                yield ListNews(trouble=str(each))


def _changed(resource: Resource, change: str, obj: Object) -> ListNews:
    key = key_of(resource, obj)
    if change == "DELETED" or is_part({"kind": resource.kind, **obj}):
        return ListNews(gone=frozenset({key}))
    return ListNews(changed={key: of_object(obj, resource)})


class KindRows:
    """What is known of one kind."""

    def __init__(self, resource: Resource) -> None:
        self.resource = resource
        self.rows: dict[str, Row] = {}
        self.known = False
        """Whether it is known what there is, or that one cannot know."""
        self.trouble = ""
        self.absent = ""

    def take(self, news: ListNews) -> ListNews | None:
        """Learn of it; what has changed by it, or None."""
        whole = news.rows is not None
        told = news.rows if news.rows is not None else news.changed
        changed = {key: row for key, row in told.items() if self.rows.get(key) != row}
        gone = frozenset(self.rows.keys() - told.keys() if whole else news.gone & self.rows.keys())
        self.known = self.known or whole
        self.rows.update(changed)
        for key in gone:
            del self.rows[key]
        if not (changed or gone or whole or news.trouble != self.trouble):
            return None
        self.trouble, self.absent = news.trouble, news.absent
        return ListNews(changed=changed, gone=gone)


def trouble_of(kinds: Sequence[KindRows], *, alone: bool) -> str:
    """What is wrong with these lists; of a kind that is looked at `alone`, also that it is not served."""
    found = list(dict.fromkeys(kind.trouble for kind in kinds if kind.trouble))
    if alone and all(kind.absent for kind in kinds):
        found.append(kinds[0].absent)
    left = f"; and of {len(found) - _TROUBLES} more kinds" if len(found) > _TROUBLES else ""
    return "; ".join(found[:_TROUBLES]) + left


class LiveList:
    """What there is of a group or a kind in a session's namespace, kept up to date until it is closed, by a thread for
    each kind."""

    def __init__(self, session: Session, kind: str) -> None:
        self._session = session
        self._alone = kind not in GROUPS
        self._kinds = [KindRows(resource) for resource in resources_of(kind)]
        self._changed = threading.Condition()
        self._news = False
        self._stop = Stop()
        for each in self._kinds:
            name = f"cpod-list-{each.resource.plural}"
            threading.Thread(target=self._run, args=(each,), name=name, daemon=True).start()

    def rows(self) -> list[Row]:
        """All lines, each object once."""
        with self._changed:
            return list({key: row for kind in self._kinds for key, row in kind.rows.items()}.values())

    @property
    def trouble(self) -> str:
        """Why it may be out of date or incomplete; empty when all is well."""
        with self._changed:
            return trouble_of(self._kinds, alone=self._alone)

    def wait(self, seconds: float) -> bool:
        """Until it is known of each kind what there is, or that one cannot know; whether it is, after so long."""
        with self._changed:
            return self._changed.wait_for(lambda: all(kind.known or kind.trouble for kind in self._kinds), seconds)

    def changes(self, clock: float | None = None) -> Iterator[None]:
        """Whenever something has changed, and after `clock` seconds in which nothing has. What comes at once is
        gathered. Ends when it is closed."""
        while not self._stop.is_set():
            with self._changed:
                self._changed.wait_for(lambda: self._news or self._stop.is_set(), clock)
            self._stop.wait(PACE)
            with self._changed:
                self._news = False
            if not self._stop.is_set():
                yield

    def close(self) -> None:
        """Read nothing any more."""
        self._stop.set()
        with self._changed:
            self._changed.notify_all()

    def _run(self, kind: KindRows) -> None:
        session = self._session
        for news in watch_rows(lambda: session, kind.resource, session.namespace, session.context, self._stop):
            with self._changed:
                if kind.take(news) is not None:
                    self._news = True
                    self._changed.notify_all()
