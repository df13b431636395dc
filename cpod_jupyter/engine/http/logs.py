"""pods/log: what a container has written, and what it goes on to write."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from aiohttp import web

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import Object
from cpod_jupyter.engine.http.paths import Target
from cpod_jupyter.engine.objects import Objects
from cpod_jupyter.errors import BadRequest, MethodNotAllowed


@dataclass(frozen=True)
class LogOptions:
    """PodLogOptions (core/v1)."""

    container: str
    follow: bool = False
    previous: bool = False
    timestamps: bool = False
    since: dt.datetime | None = None
    tail_lines: int | None = None
    limit_bytes: int | None = None


class LogSource(Protocol):
    """Where logs are: the kubelet."""

    def log(self, pod: Object, options: LogOptions) -> AsyncIterator[bytes]:
        """Chunks of the log. Raises BadRequest while the container has not started."""
        ...


async def pod_log(
    request: web.Request, objects: Objects, target: Target, source: LogSource | None
) -> web.StreamResponse:
    if request.method != "GET" or source is None:
        raise MethodNotAllowed("the server does not allow this method on the requested resource")
    pod = objects.get(target.kind, target.scope, str(target.name))
    options = _options(request, pod)
    chunks = source.log(pod, options)
    first = await anext(chunks, b"")  # a container that waits is an error, said before the headers go
    response = web.StreamResponse(headers={"Content-Type": "text/plain"})
    response.enable_chunked_encoding()
    await response.prepare(request)
    if first:
        await response.write(first)
    async for chunk in chunks:
        await response.write(chunk)
    await response.write_eof()
    return response


def _options(request: web.Request, pod: Object) -> LogOptions:
    query = request.query

    def flag(name: str) -> bool:
        return query.get(name, "").lower() in ("true", "1")

    def number(name: str) -> int | None:
        try:
            return int(query[name]) if query.get(name) else None
        except ValueError as error:
            raise BadRequest(f"{name} must be a number, not {query[name]!r}") from error

    since = None
    seconds = number("sinceSeconds")
    if seconds is not None:
        since = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=seconds)
    elif query.get("sinceTime"):
        try:
            since = meta.parse_time(query["sinceTime"])
        except ValueError as error:
            raise BadRequest(f"sinceTime must be a time, not {query['sinceTime']!r}") from error
    return LogOptions(
        _container(query.get("container", ""), pod),
        flag("follow"),
        flag("previous"),
        flag("timestamps"),
        since,
        number("tailLines"),
        number("limitBytes"),
    )


def _container(asked: str, pod: Object) -> str:
    name = meta.name_of(pod)
    spec = pod["spec"]
    names = [item["name"] for item in spec.get("containers") or []]
    known = [*names, *(item["name"] for item in spec.get("initContainers") or [])]
    if asked:
        if asked not in known:
            raise BadRequest(f"container {asked} is not valid for pod {name}")
        return asked
    if len(names) > 1:
        raise BadRequest(f"a container name must be specified for pod {name}, choose one of: [{' '.join(known)}]")
    return str(names[0])
