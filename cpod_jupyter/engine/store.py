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
from cpod_jupyter.errors import Expired

ObjectKey = tuple[str, str, str]
"""Kind key (`group/plural`), namespace (empty for cluster-wide kinds), name."""


@dataclass(frozen=True)
class Change:
    """One change. `previous` is the object before it, None when it is new; of a DELETED one, `object`
    is its last state with the revision of the deletion."""

    revision: int
    type: str
    kind: str
    object: Object
    previous: Object | None


Listener = Callable[[Change], None]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS objects (
    kind TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (kind, namespace, name)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS changes (
    revision INTEGER PRIMARY KEY, type TEXT NOT NULL, kind TEXT NOT NULL, body TEXT NOT NULL, previous TEXT
);
CREATE INDEX IF NOT EXISTS changes_by_kind ON changes (kind, revision);
"""


class Store:
    """Thread-safe. Hold `lock` to read and write as one step.

    `history` is how many changes are kept for watches; an older version is Expired.
    """

    def __init__(self, path: Path, *, history: int = 50_000) -> None:
        self.lock = threading.RLock()
        self._history = history
        self._listeners: list[tuple[str | None, Listener]] = []
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._db.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;" + _SCHEMA)
        self._objects: dict[str, dict[tuple[str, str], Object]] = {}
        for kind, namespace, name, body in self._db.execute("SELECT kind, namespace, name, body FROM objects"):
            self._objects.setdefault(kind, {})[namespace, name] = json.loads(body)
        low, high = self._db.execute("SELECT MIN(revision), MAX(revision) FROM changes").fetchone()
        self.revision: int = high or 0
        self._oldest: int = low or 1

    def close(self) -> None:
        with self.lock:
            self._db.close()

    def get(self, key: ObjectKey) -> Object | None:
        kind, namespace, name = key
        return self._objects.get(kind, {}).get((namespace, name))

    def list(self, kind: str, namespace: str | None = None) -> list[Object]:
        """The objects of a kind, sorted by namespace and name."""
        with self.lock:
            found = self._objects.get(kind, {})
            return [found[key] for key in sorted(found) if namespace is None or key[0] == namespace]

    def everything(self) -> Iterator[tuple[ObjectKey, Object]]:
        """Every object of every kind, as of now."""
        with self.lock:
            snapshot = [((kind, *key), obj) for kind, found in self._objects.items() for key, obj in found.items()]
        yield from snapshot

    def put(self, key: ObjectKey, obj: Object) -> Object:
        """Store an object as new or changed; returns it with its new resourceVersion."""
        with self.lock:
            previous = self.get(key)
            stored = self._versioned(obj)
            kind, namespace, name = key
            body = json.dumps(stored, separators=(",", ":"))
            with self._transaction():
                self._db.execute("INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?)", (kind, namespace, name, body))
                self._record("MODIFIED" if previous else "ADDED", kind, body, previous)
            self._objects.setdefault(kind, {})[namespace, name] = stored
            self._publish(Change(self.revision, "MODIFIED" if previous else "ADDED", kind, stored, previous))
            return stored

    def remove(self, key: ObjectKey) -> Object:
        """Take an object away; returns its last state with the revision of the removal."""
        with self.lock:
            kind, namespace, name = key
            previous = self._objects[kind][namespace, name]
            last = self._versioned(previous)
            with self._transaction():
                self._db.execute(
                    "DELETE FROM objects WHERE kind = ? AND namespace = ? AND name = ?", (kind, namespace, name)
                )
                self._record("DELETED", kind, json.dumps(last, separators=(",", ":")), previous)
            del self._objects[kind][namespace, name]
            self._publish(Change(self.revision, "DELETED", kind, last, previous))
            return last

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

    def _record(self, type_: str, kind: str, body: str, previous: Object | None) -> None:
        revision = self.revision + 1
        old = json.dumps(previous, separators=(",", ":")) if previous else None
        self._db.execute("INSERT INTO changes VALUES (?, ?, ?, ?, ?)", (revision, type_, kind, body, old))
        if revision % 1000 == 0 and revision - self._history > self._oldest:
            self._oldest = revision - self._history
            self._db.execute("DELETE FROM changes WHERE revision < ?", (self._oldest,))

    def _publish(self, change: Change) -> None:
        for kind, listener in list(self._listeners):
            if kind is None or kind == change.kind:
                listener(change)

    def changes(self, kind: str, since: int) -> builtins.list[Change]:
        """The changes of a kind after a revision. Raises Expired when some are no longer kept."""
        with self.lock:
            if since < self._oldest - 1:
                raise Expired(f"too old resource version: {since} ({self._oldest})")
            rows = self._db.execute(
                "SELECT revision, type, body, previous FROM changes WHERE kind = ? AND revision > ? ORDER BY revision",
                (kind, since),
            )
            return [
                Change(revision, type_, kind, json.loads(body), json.loads(old) if old else None)
                for revision, type_, body, old in rows
            ]

    def subscribe(self, kind: str | None, listener: Listener) -> Callable[[], None]:
        """Have every change of a kind (of all, for None) passed on, in order, under the lock, so a
        listener must be quick and must not write. Returns what ends it."""
        entry = (kind, listener)
        with self.lock:
            self._listeners.append(entry)

        def unsubscribe() -> None:
            with self.lock, contextlib.suppress(ValueError):
                self._listeners.remove(entry)

        return unsubscribe
