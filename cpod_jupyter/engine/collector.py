"""The garbage collector: dependents of what is gone, the contents of namespaces and of definitions.

Owners are known by uid, never by name (Kubernetes, "Owners and dependents"). At start everything is
looked at once, so a crash between the end of an owner and that of its dependents heals.
"""

from __future__ import annotations

import logging
import threading
from typing import Any

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import Object
from cpod_jupyter.control.queue import WorkQueue
from cpod_jupyter.engine.definitions import FINALIZER
from cpod_jupyter.engine.kinds import ServedKind
from cpod_jupyter.engine.objects import Objects
from cpod_jupyter.engine.store import Change, ObjectKey
from cpod_jupyter.errors import ApiError, NotFound

log = logging.getLogger(__name__)

_NAMESPACE = "/namespaces"
_CRD = "apiextensions.k8s.io/customresourcedefinitions"


class Collector:
    """Runs in one thread; wakes when something ends or is being ended."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._store = objects.store
        self._queue: WorkQueue[ObjectKey] = WorkQueue(longest_delay=5.0)
        self._dependents: dict[str, set[ObjectKey]] = {}
        self._unsubscribe = self._store.subscribe(None, self._note)
        for key, obj in self._store.everything():
            self._index(key, obj)
            self._queue.add(key)
        self._thread = threading.Thread(target=self._run, name="collector", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._unsubscribe()
        self._queue.close()
        self._thread.join(timeout=5)

    def _index(self, key: ObjectKey, obj: Object) -> None:
        for reference in obj["metadata"].get("ownerReferences") or []:
            self._dependents.setdefault(str(reference.get("uid")), set()).add(key)

    def _note(self, change: Change) -> None:
        key = (change.kind, meta.namespace_of(change.object), meta.name_of(change.object))
        metadata = change.object["metadata"]
        if change.type == "DELETED":
            for dependent in self._dependents.pop(metadata["uid"], ()):
                self._queue.add(dependent)
            for reference in metadata.get("ownerReferences") or []:
                self._wake_owner(reference, key[1])
            if metadata.get("namespace"):
                self._queue.add((_NAMESPACE, "", metadata["namespace"]))
            if not self._builtin(change.kind):
                self._queue.add((_CRD, "", ".".join(reversed(change.kind.split("/", 1)))))
            return
        self._index(key, change.object)
        if metadata.get("ownerReferences") or metadata.get("deletionTimestamp"):
            self._queue.add(key)

    def _builtin(self, kind_key: str) -> bool:
        kind = self._objects.kinds.by_key(kind_key)
        return kind is not None and kind.built_in

    def _wake_owner(self, reference: dict[str, Any], namespace: str) -> None:
        kind = self._objects.kinds.of_object(str(reference.get("apiVersion")), str(reference.get("kind")))
        if kind is not None:
            self._queue.add((kind.key, namespace if kind.resource.namespaced else "", str(reference.get("name"))))

    def _run(self) -> None:
        while (key := self._queue.take()) is not None:
            try:
                self._collect(key)
                self._queue.forget(key)
            except ApiError as error:
                log.debug("collecting %s: %s", key, error)
                self._queue.retry(key)
            except Exception:
                log.exception("collecting %s failed", key)
                self._queue.retry(key)
            finally:
                self._queue.done(key)

    def _collect(self, key: ObjectKey) -> None:
        obj, kind = self._store.get(key), self._objects.kinds.by_key(key[0])
        if obj is None or kind is None:
            return
        metadata = obj["metadata"]
        if metadata.get("deletionTimestamp"):
            if key[0] == _NAMESPACE:
                self._end_namespace(key, obj)
            elif key[0] == _CRD:
                self._end_definition(kind, obj)
            elif "foregroundDeletion" in (metadata.get("finalizers") or []):
                self._end_foreground(kind, obj)
            elif "orphan" in (metadata.get("finalizers") or []):
                self._orphan(kind, obj)
            return
        references = metadata.get("ownerReferences") or []
        if references and not any(self._owner_exists(reference, key[1]) for reference in references):
            log.info("collecting %s %s/%s: its owners are gone", *key)
            self._delete(kind, obj)

    def _owner_exists(self, reference: dict[str, Any], namespace: str) -> bool:
        kind = self._objects.kinds.of_object(str(reference.get("apiVersion")), str(reference.get("kind")))
        if kind is None:
            return True  # a kind that is not served now: nothing is known about the owner
        owner = self._store.get((kind.key, namespace if kind.resource.namespaced else "", str(reference.get("name"))))
        return owner is not None and owner["metadata"]["uid"] == reference.get("uid")

    def _delete(self, kind: ServedKind, obj: Object, propagation: str = "Background") -> None:
        try:
            self._objects.delete(kind, meta.namespace_of(obj), meta.name_of(obj), propagation=propagation)
        except NotFound:
            return

    def _owned_by(self, owner: Object) -> list[tuple[ServedKind, Object, dict[str, Any]]]:
        found = []
        for key in list(self._dependents.get(meta.uid_of(owner), ())):
            obj, kind = self._store.get(key), self._objects.kinds.by_key(key[0])
            if obj is None or kind is None:
                continue
            for reference in obj["metadata"].get("ownerReferences") or []:
                if reference.get("uid") == meta.uid_of(owner):
                    found.append((kind, obj, reference))
        return found

    def _end_foreground(self, kind: ServedKind, owner: Object) -> None:
        waits = False
        for child_kind, child, reference in self._owned_by(owner):
            if not meta.is_going(child):
                self._delete(child_kind, child, "Foreground")
            waits = waits or bool(reference.get("blockOwnerDeletion"))
        if not waits:
            self._drop_finalizer(kind, owner, "foregroundDeletion")

    def _orphan(self, kind: ServedKind, owner: Object) -> None:
        for child_kind, child, _ in self._owned_by(owner):
            left = [item for item in child["metadata"]["ownerReferences"] if item.get("uid") != meta.uid_of(owner)]
            self._patch_metadata(child_kind, child, {"ownerReferences": left or None})
        self._drop_finalizer(kind, owner, "orphan")

    def _drop_finalizer(self, kind: ServedKind, obj: Object, finalizer: str) -> None:
        left = [item for item in obj["metadata"].get("finalizers") or [] if item != finalizer]
        self._patch_metadata(kind, obj, {"finalizers": left or None})

    def _patch_metadata(self, kind: ServedKind, obj: Object, change: dict[str, Any]) -> None:
        namespace, name = meta.namespace_of(obj), meta.name_of(obj)
        self._objects.patch(kind, namespace, name, "application/merge-patch+json", {"metadata": change})

    def _end_namespace(self, key: ObjectKey, namespace: Object) -> None:
        contents = [
            (kind, obj)
            for kind in self._objects.kinds.all()
            if kind.resource.namespaced and kind.resource.version == kind.storage_version
            for obj in self._store.list(kind.key, key[2])
        ]
        for kind, obj in contents:
            if not meta.is_going(obj):
                self._delete(kind, obj)
        if not any(self._store.list(kind.key, key[2]) for kind, _ in contents):
            kind = self._objects.kinds.find("", "v1", "namespaces")
            done = {"spec": {"finalizers": None}}
            self._objects.patch(kind, "", key[2], "application/merge-patch+json", done, subresource="finalize")

    def _end_definition(self, kind: ServedKind, definition: Object) -> None:
        spec = definition["spec"]
        key = f"{spec['group']}/{spec['names']['plural']}"
        served = self._objects.kinds.by_key(key)
        left = self._store.list(key)
        for obj in left:
            if served is not None and not meta.is_going(obj):
                self._delete(served, obj)
        if self._store.list(key):
            return
        if FINALIZER in (definition["metadata"].get("finalizers") or []):
            self._drop_finalizer(kind, definition, FINALIZER)
        else:
            self._objects.finish(kind, definition)
