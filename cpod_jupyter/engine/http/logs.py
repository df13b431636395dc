"""pods/log: what a container has written, and what it goes on to write."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator
from typing import Any, Protocol

from aiohttp import web

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import Object
from cpod_jupyter.engine.http.paths import Target
from cpod_jupyter.engine.objects import Objects
from cpod_jupyter.errors import BadRequest, Invalid, MethodNotAllowed

_LEAST = {"sinceSeconds": 1, "tailLines": 0, "limitBytes": 1}
"""The least values of PodLogOptions (core/v1 validation)."""


class LogSource(Protocol):
    """Where logs are: the kubelet."""

    def log(
        self,
        namespace: str,
        name: str,
        uid: str,
        container: str,
        *,
        follow: bool = False,
        tail_lines: int | None = None,
        limit_bytes: int | None = None,
        since: dt.datetime | None = None,
        since_seconds: int | None = None,
        timestamps: bool = False,
        previous: bool = False,
    ) -> AsyncIterator[bytes]:
        """Chunks of a container's log. Raises BadRequest while the container has not started."""
        ...


async def pod_log(
    request: web.Request, objects: Objects, target: Target, source: LogSource | None
) -> web.StreamResponse:
    if request.method != "GET" or source is None:
        raise MethodNotAllowed("the server does not allow this method on the requested resource")
    pod = objects.get(target.kind, target.scope, str(target.name))
    container = _container(request.query.get("container", ""), pod)
    options = _options(request)
    chunks = source.log(meta.namespace_of(pod), meta.name_of(pod), meta.uid_of(pod), container, **options)
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


def _options(request: web.Request) -> dict[str, Any]:
    """PodLogOptions (core/v1), as the kubelet takes them."""
    query = request.query

    def number(name: str) -> int | None:
        try:
            return int(query[name]) if query.get(name) else None
        except ValueError as error:
            raise BadRequest(f"{name} must be a number, not {query[name]!r}") from error

    since = None
    if query.get("sinceTime"):
        try:
            since = meta.parse_time(query["sinceTime"])
        except ValueError as error:
            raise BadRequest(f"sinceTime must be a time, not {query['sinceTime']!r}") from error
    numbers = {name: number(name) for name in ("sinceSeconds", "tailLines", "limitBytes")}
    for name, least in _LEAST.items():
        if (value := numbers[name]) is not None and value < least:
            raise Invalid(f"PodLogOptions is invalid: {name}: Invalid value: {value}: must be at least {least}")
    if since is not None and numbers["sinceSeconds"] is not None:
        raise Invalid("PodLogOptions is invalid: at most one of sinceTime or sinceSeconds may be specified")
    flags = {name: query.get(name, "").lower() in ("true", "1") for name in ("follow", "previous", "timestamps")}
    return {
        **flags,
        "since": since,
        "since_seconds": numbers["sinceSeconds"],
        "tail_lines": numbers["tailLines"],
        "limit_bytes": numbers["limitBytes"],
    }


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
