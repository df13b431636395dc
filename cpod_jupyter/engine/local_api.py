"""The Kubernetes API for what runs inside the engine: the same semantics, without HTTP."""

from __future__ import annotations

import copy
import queue
import time
from collections.abc import Iterator
from typing import Any

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import Object, Resource
from cpod_jupyter.control.api import ObjectList, Propagation, WatchEvent
from cpod_jupyter.engine.objects import Objects
from cpod_jupyter.engine.patches import MERGE_PATCH
from cpod_jupyter.engine.selectors import field_selector as parse_fields
from cpod_jupyter.engine.selectors import label_selector as parse_labels
from cpod_jupyter.engine.watches import WatchScope, open_watch
from cpod_jupyter.errors import MethodNotAllowed

_BOOKMARK_SECONDS = 5.0


class LocalApi:
    """`control.api.KubeApi` over the engine's objects, which come without managedFields.

    `manager` owns what is written through it.
    """

    def __init__(self, objects: Objects, manager: str = "cpod-engine") -> None:
        self._objects = objects
        self._manager = manager

    def get(self, resource: Resource, name: str, namespace: str | None = None) -> Object:
        return _own(self._objects.get(self._objects.kinds.of(resource), namespace or "", name))

    def list(
        self, resource: Resource, namespace: str | None = None, *, label_selector: str = "", field_selector: str = ""
    ) -> ObjectList:
        kind = self._objects.kinds.of(resource)
        labels, fields = parse_labels(label_selector), parse_fields(field_selector, kind.key, kind.selectable)
        found, revision = self._objects.list(kind, namespace)
        return ObjectList([_own(obj) for obj in found if labels(obj) and fields(obj)], str(revision))

    def create(self, resource: Resource, obj: Object) -> Object:
        namespace = meta.namespace_of(obj) if resource.namespaced else ""
        kind = self._objects.kinds.of(resource)
        return _own(self._objects.create(kind, namespace, obj, manager=self._manager))

    def replace(self, resource: Resource, obj: Object, *, subresource: str = "") -> Object:
        kind = self._objects.kinds.of(resource)
        namespace, name = meta.namespace_of(obj), meta.name_of(obj)
        done = self._objects.update(kind, namespace, name, obj, subresource=subresource, manager=self._manager)
        return _own(done)

    def patch(
        self,
        resource: Resource,
        name: str,
        patch: dict[str, Any],
        namespace: str | None = None,
        *,
        subresource: str = "",
    ) -> Object:
        kind = self._objects.kinds.of(resource)
        done = self._objects.patch(
            kind, namespace or "", name, MERGE_PATCH, patch, subresource=subresource, manager=self._manager
        )
        return _own(done)

    def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str | None = None,
        *,
        propagation: Propagation = "Background",
        grace_seconds: int | None = None,
        uid: str | None = None,
    ) -> None:
        self._objects.delete(
            self._objects.kinds.of(resource),
            namespace or "",
            name,
            grace_seconds=grace_seconds,
            propagation=propagation,
            preconditions={"uid": uid} if uid else None,
        )

    def log_tail(self, pod: str, namespace: str, lines: int) -> tuple[str, ...]:
        raise MethodNotAllowed("logs are the kubelet's, and are had over HTTP alone")

    def watch(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        resource_version: str,
        label_selector: str = "",
        field_selector: str = "",
        timeout_seconds: int = 300,
    ) -> Iterator[WatchEvent]:
        kind = self._objects.kinds.of(resource)
        labels, fields = parse_labels(label_selector), parse_fields(field_selector, kind.key, kind.selectable)
        scope = WatchScope(kind, namespace, lambda obj: labels(obj) and fields(obj))
        events: queue.SimpleQueue[WatchEvent] = queue.SimpleQueue()
        stop, _ = open_watch(
            self._objects,
            scope,
            int(resource_version) if resource_version else None,
            lambda event: events.put(WatchEvent(event.type, event.object)),
        )
        deadline = time.monotonic() + timeout_seconds
        try:
            while (left := deadline - time.monotonic()) > 0:
                with self._objects.store.lock:
                    seen = self._objects.store.revision  # what this watch has to say up to it is queued
                try:
                    event = events.get(timeout=min(left, _BOOKMARK_SECONDS))
                except queue.Empty:
                    yield _bookmark(resource, seen)
                else:
                    yield WatchEvent(event.type, _own(event.object))
        finally:
            stop()


def _own(obj: Object) -> Object:
    """The caller's own copy. What is not there need not be copied, and who writes it back leaves it as it is."""
    metadata = {name: value for name, value in obj["metadata"].items() if name != "managedFields"}
    return copy.deepcopy({**obj, "metadata": metadata})


def _bookmark(resource: Resource, revision: int) -> WatchEvent:
    metadata = {"resourceVersion": str(revision)}
    return WatchEvent("BOOKMARK", {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata})
