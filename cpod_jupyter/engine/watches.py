"""Watches over the store: the state or the history first, then what happens, none lost and none twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cpod_jupyter.api.resources import Object
from cpod_jupyter.engine.kinds import ServedKind
from cpod_jupyter.engine.objects import Objects
from cpod_jupyter.engine.selectors import Matches
from cpod_jupyter.engine.store import Change


@dataclass(frozen=True)
class Event:
    """One watch event; `text` is the object as JSON where the store has it ready."""

    type: str
    object: Object
    text: str | None = None


@dataclass(frozen=True)
class WatchScope:
    """Which objects of a kind a watch sees."""

    kind: ServedKind
    namespace: str | None
    matches: Matches

    def sees(self, obj: Object) -> bool:
        in_namespace = self.namespace is None or obj["metadata"].get("namespace", "") == self.namespace
        return in_namespace and self.matches(obj)

    def event(self, change: Change) -> Event | None:
        """The watch event that a change is, within this scope: an object that leaves the selection is
        DELETED, one that enters it ADDED."""
        after = change.type != "DELETED" and self.sees(change.object)
        before = change.previous is not None and self.sees(change.previous)
        if not after and not before:
            return None
        if not after and change.type != "DELETED":
            return Event("DELETED", Objects.typed(self.kind, _left(change)))
        type_ = ("MODIFIED" if before else "ADDED") if after else "DELETED"
        obj = Objects.typed(self.kind, change.object)
        return Event(type_, obj, change.text if obj is change.object else None)


def _left(change: Change) -> Object:
    """The last state within a selection that an object has left, with the version of its leaving."""
    last = change.previous or change.object
    return {**last, "metadata": {**last["metadata"], "resourceVersion": str(change.revision)}}


def open_watch(
    objects: Objects, scope: WatchScope, since: int | None, deliver: Callable[[Event], None]
) -> tuple[Callable[[], None], int]:
    """Start a watch: `deliver` gets the events, quickly and from any thread, some before this returns.

    `since` None means the state as ADDED events first. Returns what ends the watch, and the revision
    up to which the first events went. Raises Expired.
    """
    store = objects.store

    def pass_on(change: Change) -> None:
        if event := scope.event(change):
            deliver(event)

    with store.lock:
        if since is None:
            for obj in store.list(scope.kind.key, scope.namespace):
                if scope.matches(obj):
                    deliver(Event("ADDED", Objects.typed(scope.kind, obj)))
        else:
            for change in store.changes(scope.kind.key, since):
                pass_on(change)
        return store.subscribe(scope.kind.key, pass_on), store.revision
