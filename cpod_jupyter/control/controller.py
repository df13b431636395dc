"""Reflectors follow a kind; controllers reconcile what changed; a manager runs them together."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import Object, Resource
from cpod_jupyter.control.api import KubeApi, ObjectList, WatchEvent
from cpod_jupyter.control.listwatch import ListWatch, News
from cpod_jupyter.control.queue import WorkQueue
from cpod_jupyter.errors import AlreadyExists, ApiUnreachable, Conflict, NotFound

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Key:
    """The object that a reconciler is asked to look at; the namespace is empty for cluster-wide kinds."""

    namespace: str
    name: str


Reconcile = Callable[[Key], float | None]
"""Brings the world closer to what the object wants. Seconds returned ask for another look later."""

Mapper = Callable[[Object], Iterable[Key]]
"""From an object that changed to the keys of the primaries it matters to."""


def to_itself(obj: Object) -> Iterable[Key]:
    yield Key(meta.namespace_of(obj), meta.name_of(obj))


def to_controller(kind: str) -> Mapper:
    """Maps a child to the owner of that kind that controls it."""

    def mapper(obj: Object) -> Iterable[Key]:
        owner = meta.controller_of(obj)
        if owner is not None and owner.get("kind") == kind:
            yield Key(meta.namespace_of(obj), str(owner["name"]))

    return mapper


@dataclass
class Controller:
    """A reconciler and what wakes it: its primary kind, and others mapped to it."""

    name: str
    reconcile: Reconcile
    sources: dict[Resource, Mapper]
    workers: int = 1
    queue: WorkQueue[Key] = field(default_factory=WorkQueue)

    def run_worker(self) -> None:
        """Handle keys until the queue is closed."""
        while (key := self.queue.take()) is not None:
            try:
                self.step(key)
            finally:
                self.queue.done(key)

    def step(self, key: Key) -> None:
        """Reconcile one key, once. A failure is logged and tried again later; this is the boundary."""
        try:
            again = self.reconcile(key)
        except (Conflict, AlreadyExists, NotFound, ApiUnreachable) as error:
            delay = self.queue.retry(key)  # the world moved meanwhile: look again
            log.debug("%s %s/%s: %s; again in %.2f s", self.name, key.namespace, key.name, error, delay)
        except Exception:
            delay = self.queue.retry(key)
            log.exception("%s %s/%s failed; again in %.2f s", self.name, key.namespace, key.name, delay)
        else:
            self.queue.forget(key)
            if again is not None:
                self.queue.add_after(key, again)


class Reflector:
    """Keeps one kind under watch and hands every object to its listeners, at least once a change.

    A list comes first, and again whenever a watch cannot go on; so listeners see all that exists,
    some of it twice, and a deletion that nobody saw as the object missing from what they read.
    """

    def __init__(self, api: KubeApi, resource: Resource) -> None:
        self.api = api
        self.resource = resource
        self.listeners: list[Callable[[Object], None]] = []
        self.synced = threading.Event()
        self._known: dict[tuple[str, str], Object] = {}

    def _tell(self, obj: Object) -> None:
        for listener in self.listeners:
            listener(obj)

    def run(self, stopped: threading.Event) -> None:
        """Follow until stopped, whatever comes between."""
        news = ListWatch(
            lambda: self.api.list(self.resource),
            lambda version: self.api.watch(self.resource, resource_version=version),
            stopped,
        )
        while not stopped.is_set():
            try:
                for each in news:
                    self._take(each, news.pause)
            except Exception:
                log.exception("watching %s failed; again in %.1f s", self.resource.qualified, news.pause)
                news.again()

    def _take(self, news: News, pause: float) -> None:
        match news:
            case ObjectList():
                self._all(news)
            case WatchEvent():
                self._changed(news)
            case NotFound():  # the kind is not served, or not in this version, until someone installs it
                log.debug("watching %s: not served; again in %.1f s", self.resource.qualified, pause)
            case _:
                log.warning("watching %s: %s; again in %.1f s", self.resource.qualified, news, pause)

    def _all(self, listed: ObjectList) -> None:
        found = {(meta.namespace_of(obj), meta.name_of(obj)): self._whole(obj) for obj in listed.items}
        gone = [obj for key, obj in self._known.items() if key not in found]
        self._known |= found
        for obj in [*found.values(), *gone]:
            self._tell(obj)
        self._known = found  # what is gone is forgotten once it is told: a listener may fail, and hear it again
        self.synced.set()

    def _changed(self, event: WatchEvent) -> None:
        key = (meta.namespace_of(event.object), meta.name_of(event.object))
        self._known[key] = event.object
        self._tell(event.object)
        if event.type == "DELETED":
            del self._known[key]

    def _whole(self, obj: Object) -> Object:
        """Items of a list may lack their type; owners and events need it."""
        return {"apiVersion": self.resource.api_version, "kind": self.resource.kind, **obj}


class Manager:
    """Runs controllers over one API, with one reflector a kind however many controllers want it."""

    def __init__(self, api: KubeApi, controllers: Iterable[Controller]) -> None:
        self.controllers = list(controllers)
        self._stopped = threading.Event()
        self._threads: list[threading.Thread] = []
        self._reflectors: dict[Resource, Reflector] = {}
        for controller in self.controllers:
            for resource, mapper in controller.sources.items():
                reflector = self._reflectors.setdefault(resource, Reflector(api, resource))
                reflector.listeners.append(_feed(controller.queue, mapper))

    def start(self) -> None:
        """Start every thread; returns at once."""
        for reflector in self._reflectors.values():
            self._spawn(f"watch-{reflector.resource.plural}", reflector.run, self._stopped)
        for controller in self.controllers:
            for number in range(controller.workers):
                self._spawn(f"{controller.name}-{number}", controller.run_worker)

    def _spawn(self, name: str, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, name=name, daemon=True)
        thread.start()
        self._threads.append(thread)

    def stop(self) -> None:
        """End the workers; watches end with their connection."""
        self._stopped.set()
        for controller in self.controllers:
            controller.queue.close()
        for thread in self._threads:
            if not thread.name.startswith("watch-"):
                thread.join(timeout=5)


def _feed(queue: WorkQueue[Key], mapper: Mapper) -> Callable[[Object], None]:
    def listener(obj: Object) -> None:
        for key in mapper(obj):
            queue.add(key)

    return listener


class Recorder:
    """Writes core/v1 Events; saying the same again raises the count of the one there is."""

    def __init__(self, api: KubeApi, component: str, events: Resource) -> None:
        self.api = api
        self.component = component
        self.events = events

    def normal(self, about: Object, reason: str, message: str) -> None:
        self._record(about, "Normal", reason, message)

    def warning(self, about: Object, reason: str, message: str) -> None:
        self._record(about, "Warning", reason, message)

    def _record(self, about: Object, kind: str, reason: str, message: str) -> None:
        event = meta.event(about, kind, reason, message, self.component)
        name, namespace = meta.name_of(event), meta.namespace_of(event)
        try:
            self.api.create(self.events, event)
        except AlreadyExists:
            with contextlib.suppress(NotFound, Conflict):
                old = self.api.get(self.events, name, namespace)
                change = {"count": int(old.get("count") or 1) + 1, "lastTimestamp": event["lastTimestamp"]}
                self.api.patch(self.events, name, change, namespace)
        except NotFound:
            log.debug("no event for %s: its namespace is gone", name)
