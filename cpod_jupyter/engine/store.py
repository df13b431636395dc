"""Where the engine keeps its objects: in memory to read, in SQLite (WAL) to survive.

One number, the revision, counts every change of the whole store, as etcd's does; it is an object's
resourceVersion, never goes back, and orders the history that watches read. Objects handed out are
the stored ones: readers must not change them.
"""

from __future__ import annotations

import builtins
import contextlib
import json
import sqlite3
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from cpod_jupyter.api.resources import Object
from cpod_jupyter.engine.managers import with_shared_sets
from cpod_jupyter.engine.sharing import Parts
from cpod_jupyter.errors import Expired

ObjectKey = tuple[str, str, str]
"""Kind key (`group/plural`), namespace (empty for cluster-wide kinds), name."""


@dataclass(frozen=True)
class Change:
    """One change. `previous` is the object before it, None when it is new; of a DELETED one, `object`
    is its last state with the revision of the deletion. `text` is `object` as JSON, made once for all
    who hand it on."""

    revision: int
    type: str
    kind: str
    object: Object
    previous: Object | None
    text: str


Listener = Callable[[Change], None]

_CRD = "apiextensions.k8s.io/customresourcedefinitions"
_FORMAT = 2
"""Of the tables. A store of another format keeps its objects and loses its history: watches list again."""
_OBJECTS = """
CREATE TABLE IF NOT EXISTS objects (
    kind TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (kind, namespace, name)
) WITHOUT ROWID;
"""
_HISTORY = """
CREATE TABLE IF NOT EXISTS changes (
    revision INTEGER PRIMARY KEY, type TEXT NOT NULL, kind TEXT NOT NULL, body TEXT NOT NULL, previous INTEGER
);
CREATE INDEX IF NOT EXISTS changes_by_kind ON changes (kind, revision);
CREATE INDEX IF NOT EXISTS changes_by_previous ON changes (previous);
CREATE TABLE IF NOT EXISTS compacted (revision INTEGER NOT NULL);
"""


class Store:
    """Thread-safe. Hold `lock` to read and write as one step.

    `history` is how many changes are kept for watches; an older version is Expired.
    """

    def __init__(self, path: Path, *, history: int = 50_000) -> None:
        self.lock = threading.RLock()
        self._history = history
        self._listeners: dict[str | None, list[Listener]] = {}
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._db.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;" + _OBJECTS)
        self._prepare_history()
        self._parts = Parts()
        self._objects: dict[str, dict[str, dict[str, Object]]] = {}
        """Kind key, then namespace, then name."""
        for kind, namespace, name, body in self._db.execute("SELECT kind, namespace, name, body FROM objects"):
            self._keep((kind, namespace, name), with_shared_sets(json.loads(body)))
        self._compacted: int = self._db.execute("SELECT revision FROM compacted").fetchone()[0]
        """Changes up to this revision are no longer told."""
        newest = self._db.execute("SELECT MAX(revision) FROM changes").fetchone()[0]
        self.revision: int = max(newest or 0, self._compacted)

    def _prepare_history(self) -> None:
        revision = 0
        if self._db.execute("PRAGMA user_version").fetchone()[0] != _FORMAT:
            if self._db.execute("SELECT 1 FROM sqlite_master WHERE name = 'changes'").fetchone():
                revision = self._db.execute("SELECT MAX(revision) FROM changes").fetchone()[0] or 0
            self._db.executescript("BEGIN; DROP TABLE IF EXISTS changes; DROP TABLE IF EXISTS compacted;" + _HISTORY)
            self._db.execute("INSERT INTO compacted VALUES (?)", (revision,))
            self._db.execute(f"PRAGMA user_version = {_FORMAT}")
            self._db.execute("COMMIT")

    def close(self) -> None:
        with self.lock:
            self._db.close()

    def get(self, key: ObjectKey) -> Object | None:
        kind, namespace, name = key
        return self._objects.get(kind, {}).get(namespace, {}).get(name)

    def list(self, kind: str, namespace: str | None = None) -> list[Object]:
        """The objects of a kind, sorted by namespace and name."""
        with self.lock:
            spaces = self._objects.get(kind, {})
            return [
                spaces[space][name]
                for space in (sorted(spaces) if namespace is None else [namespace])
                for name in sorted(spaces.get(space, ()))
            ]

    def list_at(self, kind: str, namespace: str | None, revision: int) -> builtins.list[Object]:
        """The objects of a kind as they were at a revision, sorted. Raises Expired when that is no longer known."""
        with self.lock:
            found = {place_of(obj): obj for obj in self.list(kind, namespace)}
            for change in reversed(self.changes(kind, revision)):
                place = place_of(change.object)
                if namespace is not None and place[0] != namespace:
                    continue
                if change.previous is None:
                    found.pop(place, None)
                else:
                    found[place] = change.previous
            return [found[place] for place in sorted(found)]

    def everything(self) -> Iterator[tuple[ObjectKey, Object]]:
        """Every object of every kind, as of now."""
        with self.lock:
            snapshot = [
                ((kind, namespace, name), obj)
                for kind, spaces in self._objects.items()
                for namespace, found in spaces.items()
                for name, obj in found.items()
            ]
        yield from snapshot

    def put(self, key: ObjectKey, obj: Object) -> Object:
        """Store an object as new or changed; returns it with its new resourceVersion."""
        with self.lock:
            previous = self.get(key)
            stored = self._versioned(obj)
            text = _text(stored)
            type_ = "MODIFIED" if previous else "ADDED"
            with self._transaction():
                self._db.execute("INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?)", (*key, text))
                self._record(type_, key[0], text, previous)
            stored = self._keep(key, stored)
            self._publish(Change(self.revision, type_, key[0], stored, previous, text))
            return stored

    def revise(self, kind: str, change: Callable[[Object], Object]) -> None:
        """Have the objects of a kind read in another form, such as with the defaults of a new schema.

        Their versions stay, nobody is told, and nothing is written: as the API server decodes on reading.
        `change` returns the object itself where it changes nothing.
        """
        with self.lock:
            for found in self._objects.get(kind, {}).values():
                for name, obj in found.items():
                    found[name] = change(obj)

    def remove(self, key: ObjectKey) -> Object:
        """Take an object away; returns its last state with the revision of the removal."""
        with self.lock:
            kind, namespace, name = key
            previous = self._objects[kind][namespace][name]
            last = self._versioned(previous)
            text = _text(last)
            with self._transaction():
                self._db.execute("DELETE FROM objects WHERE kind = ? AND namespace = ? AND name = ?", key)
                self._record("DELETED", kind, text, previous)
            del self._objects[kind][namespace][name]
            if not self._objects[kind][namespace]:
                del self._objects[kind][namespace]
            self._publish(Change(self.revision, "DELETED", kind, last, previous, text))
            return last

    def _keep(self, key: ObjectKey, obj: Object) -> Object:
        kind, namespace, name = key
        if kind == _CRD:
            obj = self._parts.shared(obj)
        self._objects.setdefault(kind, {}).setdefault(namespace, {})[name] = obj
        return obj

    def _versioned(self, obj: Object) -> Object:
        return {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(self.revision + 1)}}

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")
        self.revision += 1

    def _record(self, type_: str, kind: str, text: str, previous: Object | None) -> None:
        revision = self.revision + 1
        before = int(previous["metadata"]["resourceVersion"]) if previous else None
        if previous and before is not None and before <= self._compacted:  # forgotten, and now needed again
            row = (before, "MODIFIED", kind, _text(previous), None)
            self._db.execute("INSERT OR IGNORE INTO changes VALUES (?, ?, ?, ?, ?)", row)
        self._db.execute("INSERT INTO changes VALUES (?, ?, ?, ?, ?)", (revision, type_, kind, text, before))
        if revision % 1000 == 0 and revision - self._history > self._compacted:
            self._compact(revision - self._history)

    def _compact(self, revision: int) -> None:
        """Forget the changes up to a revision, but for the states that later changes start from."""
        self._db.execute(
            "DELETE FROM changes WHERE revision <= ?1 AND NOT EXISTS "
            "(SELECT 1 FROM changes AS later WHERE later.previous = changes.revision AND later.revision > ?1)",
            (revision,),
        )
        self._db.execute("UPDATE compacted SET revision = ?", (revision,))
        self._compacted = revision

    def _publish(self, change: Change) -> None:
        for listener in [*self._listeners.get(change.kind, ()), *self._listeners.get(None, ())]:
            listener(change)

    def changes(self, kind: str, since: int) -> builtins.list[Change]:
        """The changes of a kind after a revision. Raises Expired when some are no longer kept."""
        with self.lock:
            if since < self._compacted:
                raise Expired(f"too old resource version: {since} ({self._compacted})")
            rows = self._db.execute(
                "SELECT now.revision, now.type, now.body, before.body FROM changes AS now "
                "LEFT JOIN changes AS before ON before.revision = now.previous "
                "WHERE now.kind = ? AND now.revision > ? ORDER BY now.revision",
                (kind, since),
            )
            return [
                Change(revision, type_, kind, json.loads(text), json.loads(old) if old else None, text)
                for revision, type_, text, old in rows
            ]

    def subscribe(self, kind: str | None, listener: Listener) -> Callable[[], None]:
        """Have every change of a kind (of all, for None) passed on, in order, under the lock, so a
        listener must be quick and must not write. Returns what ends it."""
        with self.lock:
            self._listeners.setdefault(kind, []).append(listener)

        def unsubscribe() -> None:
            with self.lock, contextlib.suppress(ValueError):
                self._listeners[kind].remove(listener)

        return unsubscribe


def place_of(obj: Object) -> tuple[str, str]:
    """Namespace and name, by which objects of a kind are sorted."""
    return obj["metadata"].get("namespace", ""), obj["metadata"]["name"]


def _text(obj: Object) -> str:
    return json.dumps(obj, separators=(",", ":"))
