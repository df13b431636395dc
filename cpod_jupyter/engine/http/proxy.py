"""services/NAME:PORT/proxy: a request handed on to a ready pod of a Service, streams included."""

from __future__ import annotations

import random
from typing import Any

import aiohttp
from aiohttp import web
from yarl import URL

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import Object
from cpod_jupyter.engine.http.paths import Target
from cpod_jupyter.engine.objects import Objects
from cpod_jupyter.errors import BadRequest, NotFound, ServerError

_HOP_BY_HOP = {
    "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer", "transfer-encoding",
    "upgrade", "host", "content-length", "authorization", "content-encoding",
}  # fmt: skip
"""Headers that are between two neighbours (RFC 9110, 7.6.1), and the caller's credentials for this server."""


class ServiceProxy:
    """Forwards with one HTTP client; a request may take as long as the pod needs."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    def backend(self, namespace: str, name: str) -> str:
        """`http://IP:PORT` of a ready pod behind `NAME`, `NAME:PORT` or `NAME:PORT-NAME`."""
        parts = name.split(":")
        if len(parts) == 3:  # scheme:name:port
            parts = parts[1:]
        service = self._objects.get(self._objects.kinds.find("", "v1", "services"), namespace, parts[0])
        target_port = _target_port(service, parts[1] if len(parts) > 1 else "")
        selector = service["spec"].get("selector") or {}
        pods, _ = self._objects.list(self._objects.kinds.find("", "v1", "pods"), namespace)
        ready = [pod for pod in pods if _selected(pod, selector) and meta.is_true(pod, "Ready")]
        if not selector or not ready:
            raise ServerError(f'no endpoints available for service "{parts[0]}"', code=503)
        pod = random.choice(ready)
        return f"http://{pod['status']['podIP']}:{_port_of(pod, target_port)}"

    async def forward(self, request: web.Request, target: Target) -> web.StreamResponse:
        address = self.backend(target.scope, str(target.name))
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=None, sock_connect=10)
            self._session = aiohttp.ClientSession(timeout=timeout, auto_decompress=False)
        url = URL(f"{address}/{target.rest}", encoded=True)
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP_BY_HOP}
        data = await request.read() if request.can_read_body else None
        try:
            async with self._session.request(
                request.method, url, params=request.query, headers=headers, data=data, allow_redirects=False
            ) as answer:
                return await _relay(request, answer)
        except (TimeoutError, aiohttp.ClientConnectionError) as error:
            raise ServerError(f"error trying to reach service: {error}", code=503) from error


async def _relay(request: web.Request, answer: aiohttp.ClientResponse) -> web.StreamResponse:
    dropped = _HOP_BY_HOP - {"content-encoding"}
    headers = {name: value for name, value in answer.headers.items() if name.lower() not in dropped}
    response = web.StreamResponse(status=answer.status, headers=headers)
    await response.prepare(request)
    async for chunk in answer.content.iter_any():
        await response.write(chunk)
    await response.write_eof()
    return response


def _selected(pod: Object, selector: dict[str, str]) -> bool:
    labels = pod["metadata"].get("labels") or {}
    return all(labels.get(key) == value for key, value in selector.items())


def _target_port(service: Object, wanted: str) -> Any:
    ports = service["spec"].get("ports") or []
    for port in ports:
        if wanted in (str(port.get("port")), port.get("name")) or (not wanted and len(ports) == 1):
            return port.get("targetPort") or port["port"]
    if not wanted:
        raise BadRequest(f'service "{meta.name_of(service)}" has several ports: name one, as NAME:PORT')
    raise NotFound(f'service "{meta.name_of(service)}" has no port {wanted!r}')


def _port_of(pod: Object, target: Any) -> int:
    if isinstance(target, int) or str(target).isdigit():
        return int(target)
    for container in pod["spec"]["containers"]:
        for port in container.get("ports") or []:
            if port.get("name") == target:
                return int(port["containerPort"])
    raise NotFound(f'pod "{meta.name_of(pod)}" has no port named {target!r}')
