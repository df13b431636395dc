"""The verbs as HTTP has them: query parameters in, objects, lists, tables and watch streams out."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from cpod_jupyter.api.resources import Object
from cpod_jupyter.engine.http.paths import Target
from cpod_jupyter.engine.http.tables import partial, table
from cpod_jupyter.engine.kinds import ServedKind
from cpod_jupyter.engine.objects import Objects
from cpod_jupyter.engine.selectors import Matches, field_selector, label_selector
from cpod_jupyter.engine.watches import WatchScope, open_watch
from cpod_jupyter.errors import ApiError, BadRequest, Expired, Invalid

_BOOKMARK_SECONDS = 15.0
_PENDING_EVENTS = 10_000
"""Events that a slow watcher may be behind before its stream is closed."""


class Verbs:
    """One method a verb; each answers with what goes into the body."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._streams: set[_Stream] = set()

    def close(self) -> None:
        """End every watch, so that a shutdown does not wait for them."""
        for stream in list(self._streams):
            stream.end()

    def get(self, request: web.Request, target: Target) -> Any:
        obj = self._objects.get(target.kind, target.scope, str(target.name))
        return _shown(request, target.kind, obj)

    def list(self, request: web.Request, target: Target) -> Any:
        matches = _selection(request, target)
        found, revision = self._objects.list(target.kind, target.namespace)
        items = [obj for obj in found if matches(obj)]
        metadata: dict[str, Any] = {"resourceVersion": str(revision)}
        as_ = _as(request)
        if as_ == "Table":
            return table(target.kind, items, metadata, request.query.get("includeObject", "Metadata"), head=True)
        resource = target.kind.resource
        if as_ == "PartialObjectMetadataList":
            partials = [partial(obj) for obj in items]
            return {"kind": as_, "apiVersion": "meta.k8s.io/v1", "metadata": metadata, "items": partials}
        return {
            "kind": f"{resource.kind}List",
            "apiVersion": resource.api_version,
            "metadata": metadata,
            "items": items,
        }

    def create(self, request: web.Request, target: Target, obj: Any) -> Any:
        namespace = target.scope
        if target.kind.resource.namespaced and target.namespace is None:
            raise BadRequest("a namespace is needed in the URL to create this kind")
        done = self._objects.create(
            target.kind, namespace, obj, dry_run=_dry_run(request.query), strict=_strict(request)
        )
        return _shown(request, target.kind, done)

    def update(self, request: web.Request, target: Target, obj: Any) -> Any:
        done = self._objects.update(
            target.kind, target.scope, str(target.name), obj,
            subresource=target.subresource, dry_run=_dry_run(request.query), strict=_strict(request),
        )  # fmt: skip
        return _shown(request, target.kind, done)

    def patch(self, request: web.Request, target: Target, patch: Any) -> Any:
        kind = request.headers.get("Content-Type", "").split(";")[0].strip().lower()
        done = self._objects.patch(
            target.kind, target.scope, str(target.name), kind, patch,
            subresource=target.subresource, dry_run=_dry_run(request.query), strict=_strict(request),
        )  # fmt: skip
        return _shown(request, target.kind, done)

    def delete(self, request: web.Request, target: Target, options: Any) -> Any:
        if not isinstance(options, dict):
            raise BadRequest("the body of a DELETE must be DeleteOptions")
        asked = {**request.query, **{name: value for name, value in options.items() if value is not None}}
        if target.name:
            return self._delete_one(target, target.name, target.scope, asked)
        matches = _selection(request, target)
        found, revision = self._objects.list(target.kind, target.namespace)
        chosen = [obj for obj in found if matches(obj)]
        for obj in chosen:
            metadata = obj["metadata"]
            self._delete_one(target, metadata["name"], metadata.get("namespace", ""), asked)
        resource = target.kind.resource
        return {
            "kind": f"{resource.kind}List",
            "apiVersion": resource.api_version,
            "metadata": {"resourceVersion": str(revision)},
            "items": chosen,
        }

    def _delete_one(self, target: Target, name: str, namespace: str, asked: Mapping[str, Any]) -> Object:
        grace = asked.get("gracePeriodSeconds")
        try:
            seconds = int(grace) if grace is not None else None
        except (TypeError, ValueError) as error:
            raise BadRequest(f"gracePeriodSeconds must be a number, not {grace!r}") from error
        orphan = str(asked.get("orphanDependents", "")).lower() == "true"
        obj, gone = self._objects.delete(
            target.kind,
            namespace,
            name,
            grace_seconds=seconds,
            propagation=str(asked.get("propagationPolicy") or ("Orphan" if orphan else "Background")),
            preconditions=asked.get("preconditions"),
            dry_run=_dry_run(asked),
        )
        if not gone or target.kind.key in ("/pods", "/services", "/serviceaccounts", "/persistentvolumeclaims"):
            return obj
        resource = target.kind.resource
        details = {"name": name, "group": resource.group, "kind": resource.plural, "uid": obj["metadata"]["uid"]}
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Success",
            "details": {key: value for key, value in details.items() if value},
        }

    # ---- watch

    async def watch(self, request: web.Request, target: Target) -> web.StreamResponse:
        scope = WatchScope(target.kind, target.namespace, _selection(request, target))
        options = _WatchOptions.of(request, self._objects.store.revision)
        stream = _Stream(request, target.kind, asyncio.get_running_loop())
        try:
            stop, revision = open_watch(self._objects, scope, options.since, stream.deliver)
        except Expired as error:
            return await stream.refuse(error)
        self._streams.add(stream)
        try:
            return await stream.run(options, revision, self._revision)
        finally:
            stop()
            self._streams.discard(stream)

    def _revision(self) -> int:
        with self._objects.store.lock:
            return self._objects.store.revision


@dataclass(frozen=True)
class _WatchOptions:
    since: int | None
    bookmarks: bool
    initial: bool
    seconds: float

    @classmethod
    def of(cls, request: web.Request, newest: int) -> _WatchOptions:
        query = request.query
        version = query.get("resourceVersion", "")
        initial = query.get("sendInitialEvents", "").lower() in ("true", "1")
        bookmarks = query.get("allowWatchBookmarks", "").lower() in ("true", "1")
        if initial and (query.get("resourceVersionMatch") != "NotOlderThan" or not bookmarks):
            raise Invalid("sendInitialEvents needs resourceVersionMatch=NotOlderThan and allowWatchBookmarks=true")
        if version and not version.isdigit():
            raise BadRequest(f"Invalid resourceVersion {version!r}")
        since = None if initial or version in ("", "0") else int(version)
        if since is not None and since > newest:
            raise Expired(f"Too large resource version: {since}, current: {newest}", code=410)
        try:
            seconds = float(query.get("timeoutSeconds") or random.uniform(1800, 3600))
        except ValueError as error:
            raise BadRequest("timeoutSeconds must be a number") from error
        return cls(since, bookmarks, initial, seconds)


@dataclass(eq=False)
class _Stream:
    """One watch's response: events queue up on one side and are written on the other."""

    request: web.Request
    kind: ServedKind
    loop: asyncio.AbstractEventLoop
    events: asyncio.Queue[tuple[str, Object] | None] = field(default_factory=asyncio.Queue)
    headed: bool = False

    def deliver(self, type_: str, obj: Object) -> None:
        """From any thread."""
        self.loop.call_soon_threadsafe(self._put, (type_, obj))

    def _put(self, event: tuple[str, Object] | None) -> None:
        if self.events.qsize() < _PENDING_EVENTS:
            self.events.put_nowait(event)
        elif self.events.qsize() == _PENDING_EVENTS:
            self.events.put_nowait(None)  # too slow: the stream ends, and the client comes back

    def end(self) -> None:
        self.events.put_nowait(None)

    async def refuse(self, error: ApiError) -> web.StreamResponse:
        response = await self._prepared()
        await response.write(_line("ERROR", error.to_status()))
        await response.write_eof()
        return response

    async def _prepared(self) -> web.StreamResponse:
        response = web.StreamResponse()
        response.content_type = "application/json"
        response.enable_chunked_encoding()
        await response.prepare(self.request)
        return response

    async def run(self, options: _WatchOptions, revision: int, newest: Any) -> web.StreamResponse:
        response = await self._prepared()
        deadline = time.monotonic() + options.seconds
        await asyncio.sleep(0)  # the events delivered by now have been scheduled: let them into the queue
        if options.initial:
            while not self.events.empty():
                event = self.events.get_nowait()
                if event is not None:
                    await response.write(self._event(*event))
            await response.write(self._bookmark(revision, initial=True))
        while (left := deadline - time.monotonic()) > 0:
            seen = newest()
            await asyncio.sleep(0)
            try:
                event = await asyncio.wait_for(self.events.get(), min(left, _BOOKMARK_SECONDS))
            except TimeoutError:
                if options.bookmarks:
                    await response.write(self._bookmark(seen))
                continue
            if event is None:
                break
            await response.write(self._event(*event))
        await response.write_eof()
        return response

    def _event(self, type_: str, obj: Object) -> bytes:
        as_ = _as(self.request)
        if as_ == "Table":
            include = self.request.query.get("includeObject", "Metadata")
            version = {"resourceVersion": obj["metadata"]["resourceVersion"]}
            shown: Object = table(self.kind, [obj], version, include, head=not self.headed)
            self.headed = True
        else:
            shown = partial(obj) if as_ == "PartialObjectMetadata" else obj
        return _line(type_, shown)

    def _bookmark(self, revision: int, *, initial: bool = False) -> bytes:
        metadata: dict[str, Any] = {"resourceVersion": str(revision), "creationTimestamp": None}
        if initial:
            metadata["annotations"] = {"k8s.io/initial-events-end": "true"}
        resource = self.kind.resource
        return _line("BOOKMARK", {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": metadata})


def _line(type_: str, obj: Object) -> bytes:
    return json.dumps({"type": type_, "object": obj}, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def _selection(request: web.Request, target: Target) -> Matches:
    labels = label_selector(request.query.get("labelSelector", ""))
    fields = field_selector(request.query.get("fieldSelector", ""), target.kind.key)
    name = target.name
    return lambda obj: labels(obj) and fields(obj) and (name is None or obj["metadata"]["name"] == name)


def _as(request: web.Request) -> str:
    """What the Accept header asks the answer to be: Table, PartialObjectMetadata(List), or nothing."""
    for choice in request.headers.get("Accept", "").split(","):
        parameters = dict(part.strip().split("=", 1) for part in choice.split(";")[1:] if "=" in part)
        if parameters.get("g") == "meta.k8s.io" and parameters.get("v") == "v1" and "as" in parameters:
            return parameters["as"]
        if choice.split(";")[0].strip() in ("application/json", "*/*"):
            return ""
    return ""


def _shown(request: web.Request, kind: ServedKind, obj: Object) -> Object:
    as_ = _as(request)
    if as_ == "Table":
        include = request.query.get("includeObject", "Metadata")
        return table(kind, [obj], {"resourceVersion": obj["metadata"]["resourceVersion"]}, include, head=True)
    return partial(obj) if as_ == "PartialObjectMetadata" else obj


def _dry_run(asked: Mapping[str, Any]) -> bool:
    value = asked.get("dryRun")
    if value in (None, "", []):
        return False
    if value in ("All", ["All"]):
        return True
    raise BadRequest(f'dryRun must be "All", not {value!r}')


def _strict(request: web.Request) -> bool:
    return request.query.get("fieldValidation") == "Strict"
