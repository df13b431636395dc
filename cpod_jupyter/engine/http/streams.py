"""A watch's response: events queue up on the store's side and are written, several at once, on the client's."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from aiohttp import web

from cpod_jupyter.api.resources import Object
from cpod_jupyter.engine.http.shapes import asked_shape, shown
from cpod_jupyter.engine.kinds import ServedKind
from cpod_jupyter.engine.store import Store
from cpod_jupyter.engine.watches import Event
from cpod_jupyter.errors import ApiError, BadRequest, Expired, Invalid

_BOOKMARK_SECONDS = 15.0
_PENDING_EVENTS = 10_000
"""Live events that a slow watcher may be behind before its connection is closed."""
_BATCH_BYTES = 2**18
_TRUE = ("true", "1")


@dataclass(frozen=True)
class WatchOptions:
    """The query of a watch. `since` None is the state first; `seconds` is how long the stream lasts."""

    since: int | None
    bookmarks: bool
    initial: bool
    seconds: float

    @classmethod
    def of(cls, query: Mapping[str, str], newest: int) -> WatchOptions:
        """Raises Invalid, BadRequest or Expired, as the API server answers."""
        version, match = query.get("resourceVersion", ""), query.get("resourceVersionMatch")
        initial = query.get("sendInitialEvents", "").lower() in _TRUE
        bookmarks = query.get("allowWatchBookmarks", "").lower() in _TRUE
        if initial and (match != "NotOlderThan" or not bookmarks):
            raise Invalid("sendInitialEvents needs resourceVersionMatch=NotOlderThan and allowWatchBookmarks=true")
        if match and "sendInitialEvents" not in query:
            raise Invalid("resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided")
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


class Waker:
    """Wakes the streams that a change concerns with one call into the event loop, not one each."""

    def __init__(self) -> None:
        self._due: deque[Stream] = deque()

    def wake(self, stream: Stream) -> None:
        """From any thread, under the store's lock."""
        self._due.append(stream)
        if len(self._due) == 1:
            stream.loop.call_soon_threadsafe(self._all)

    def _all(self) -> None:
        while self._due:
            self._due[0].woken()
            self._due.popleft()  # last: while something is due, nobody else needs to call


class Stream:
    """One watch. `deliver` may be called from any thread, under the store's lock; the rest is the loop's."""

    def __init__(self, request: web.Request, kind: ServedKind, store: Store, waker: Waker) -> None:
        self.loop = asyncio.get_running_loop()
        self._request = request
        self._kind = kind
        self._store = store
        self._waker = waker
        self._plain = asked_shape(request) == ""
        self._pending: deque[Event] = deque()
        self._wake = asyncio.Event()
        self._waking = False
        self._ticked = False
        self._ended = False
        self._live = False
        self._headed = False

    def deliver(self, event: Event) -> None:
        self._pending.append(event)
        if not self._waking:
            self._waking = True
            self._waker.wake(self)

    def woken(self) -> None:
        self._waking = False
        self._wake.set()
        if self._live and len(self._pending) > _PENDING_EVENTS:
            self.end()  # too slow, or not there any more: a client resumes by version
            if self._request.transport is not None:
                self._request.transport.abort()

    def end(self) -> None:
        self._ended = True
        self._wake.set()

    async def refuse(self, error: ApiError) -> web.StreamResponse:
        response = await self._prepared()
        await response.write(_line("ERROR", json.dumps(error.to_status())))
        await response.write_eof()
        return response

    async def _prepared(self) -> web.StreamResponse:
        response = web.StreamResponse()
        response.content_type = "application/json"
        response.enable_chunked_encoding()
        await response.prepare(self._request)
        return response

    async def run(self, options: WatchOptions, revision: int) -> web.StreamResponse:
        """Write until the time is over or the server ends. `revision` is that of the first events."""
        response = await self._prepared()
        deadline = time.monotonic() + options.seconds
        await self._write_pending(response)
        if options.initial:
            await response.write(self._bookmark(revision, initial=True))
        self._live = True
        timer = self._timer(deadline)
        try:
            while not self._ended and time.monotonic() < deadline:
                await self._wake.wait()
                self._wake.clear()
                if self._request.transport is None or self._request.transport.is_closing():
                    break
                with self._store.lock:  # what was stored up to this revision has been delivered
                    seen = self._store.revision
                await self._write_pending(response)
                if self._ticked:
                    timer = self._timer(deadline)
                    if options.bookmarks:
                        await response.write(self._bookmark(seen))
        finally:
            timer.cancel()
        await response.write_eof()
        return response

    def _timer(self, deadline: float) -> asyncio.TimerHandle:
        """Wake at the next bookmark's time, or at the end's."""
        self._ticked = False
        return self.loop.call_later(min(_BOOKMARK_SECONDS, max(deadline - time.monotonic(), 0.001)), self._tick)

    def _tick(self) -> None:
        self._ticked = True
        self._wake.set()

    async def _write_pending(self, response: web.StreamResponse) -> None:
        while self._pending:
            batch, size = [], 0
            while self._pending and size < _BATCH_BYTES:
                batch.append(self._encoded(self._pending.popleft()))
                size += len(batch[-1])
            await response.write(b"".join(batch))

    def _encoded(self, event: Event) -> bytes:
        if self._plain and event.text is not None:
            return _line(event.type, event.text)
        obj = shown(self._request, self._kind, event.object, head=not self._headed)
        self._headed = True
        return _line(event.type, json.dumps(obj, separators=(",", ":")))

    def _bookmark(self, revision: int, *, initial: bool = False) -> bytes:
        metadata: Object = {"resourceVersion": str(revision), "creationTimestamp": None}
        if initial:
            metadata["annotations"] = {"k8s.io/initial-events-end": "true"}
        resource = self._kind.resource
        mark = {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": metadata}
        return _line("BOOKMARK", json.dumps(mark, separators=(",", ":")))


def _line(type_: str, text: str) -> bytes:
    return f'{{"type":"{type_}","object":{text}}}\n'.encode()
