"""Subresources of pods that are conversations: exec, attach, port-forward."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from aiohttp import web

from cpod_jupyter.engine.http.attach import pod_attach
from cpod_jupyter.engine.http.exec import ExecSource, pod_exec
from cpod_jupyter.engine.http.logs import LogSource
from cpod_jupyter.engine.http.paths import Target
from cpod_jupyter.engine.http.portforward import pod_port_forward
from cpod_jupyter.engine.http.usage import UsageSource
from cpod_jupyter.engine.objects import Objects
from cpod_jupyter.errors import MethodNotAllowed

_SUBRESOURCES = ("exec", "attach", "portforward")


class PodSource(LogSource, ExecSource, UsageSource, Protocol):
    """What runs pods: the kubelet."""


class Conversations:
    """Serves them, with GET and POST alike, and says goodbye when the server stops."""

    def __init__(self, objects: Objects, source: PodSource | None) -> None:
        self._objects = objects
        self._source = source
        self._open: set[asyncio.Task[Any]] = set()

    async def close(self) -> None:
        """End every conversation, and with it the commands that run for them."""
        for task in list(self._open):
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    def serves(self, target: Target) -> bool:
        return target.kind.key == "/pods" and bool(target.name) and target.subresource in _SUBRESOURCES

    async def serve(self, request: web.Request, target: Target) -> web.StreamResponse:
        """One conversation. Raises ApiError before it begins; what happens later is told within it."""
        if request.method not in ("GET", "POST") or self._source is None:
            raise MethodNotAllowed("the server does not allow this method on the requested resource")
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            return await self._serve(request, target, self._source)
        finally:
            self._open.discard(task)

    async def _serve(self, request: web.Request, target: Target, source: PodSource) -> web.StreamResponse:
        pod = self._objects.get(target.kind, target.scope, str(target.name))
        if target.subresource == "exec":
            return await pod_exec(request, pod, source)
        if target.subresource == "attach":
            return await pod_attach(request, pod, source, source)
        return await pod_port_forward(request, pod)
