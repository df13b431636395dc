"""services/NAME:PORT/proxy and pods/NAME:PORT/proxy: a request handed on to a pod, streams included."""

from __future__ import annotations

import contextlib
import random
from typing import Any

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import Object
from cpod_jupyter.engine.http.activation import Activation, answers
from cpod_jupyter.engine.http.bridge import bridge, while_connected
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
        self.activation = Activation(objects)
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
        if not selector:
            return self._by_hand(service, target_port)
        pods, _ = self._objects.list(self._objects.kinds.find("", "v1", "pods"), namespace)
        ready = [pod for pod in pods if answers(pod, selector)]
        if not ready:
            raise ServerError(f'no endpoints available for service "{parts[0]}"', code=503)
        pod = random.choice(ready)
        return f"http://{pod['status']['podIP']}:{_port_of(pod, target_port)}"

    def _by_hand(self, service: Object, target_port: Any) -> str:
        """An address of the Endpoints that somebody made for a Service without a selector."""
        name, found = meta.name_of(service), []
        with contextlib.suppress(NotFound):
            kind = self._objects.kinds.find("", "v1", "endpoints")
            for subset in self._objects.get(kind, meta.namespace_of(service), name).get("subsets") or []:
                ports = [item for item in subset.get("ports") or [] if target_port in (item["port"], item.get("name"))]
                found += [(item["ip"], port["port"]) for item in subset.get("addresses") or [] for port in ports]
        if not found:
            raise ServerError(f'no endpoints available for service "{name}"', code=503)
        address, number = random.choice(found)
        return f"http://{address}:{number}"

    def pod_backend(self, namespace: str, name: str) -> str:
        """`http://IP:PORT` of `NAME` (its first port, or 80), `NAME:PORT` or `SCHEME:NAME:PORT`."""
        parts = name.split(":")
        scheme, parts = (parts[0] or "http", parts[1:]) if len(parts) == 3 else ("http", parts)
        pod = self._objects.get(self._objects.kinds.find("", "v1", "pods"), namespace, parts[0])
        address = (pod.get("status") or {}).get("podIP")
        if not address:
            raise BadRequest(f"pod {parts[0]} does not have an address yet; it must be running")
        ports = [port["containerPort"] for entry in pod["spec"]["containers"] for port in entry.get("ports") or []]
        return f"{scheme}://{address}:{_port_of(pod, (parts[1:] or [''])[0] or (ports or [80])[0])}"

    async def forward(self, request: web.Request, target: Target) -> web.StreamResponse:
        """Hand a request on, as a stream in both directions. It ends with the client."""
        name = str(target.name)
        prefix, slash, rest = _split(request.rel_url.raw_path)
        query = request.rel_url.raw_query_string
        if not slash and request.method in ("GET", "HEAD"):  # as upstream, so that a page's relative links are right
            return web.Response(status=301, headers={"Location": f"{prefix}/" + (f"?{query}" if query else "")})
        if target.kind.key == "/pods":
            return await self._carry(request, self.pod_backend(target.scope, name), prefix, rest, "pod")
        return await self.to_service(request, target.scope, name, prefix, rest)

    async def to_service(
        self, request: web.Request, namespace: str, name: str, prefix: str, rest: str
    ) -> web.StreamResponse:
        """Hand a request on to a pod of a Service (as `backend` names it), which is waited for where there may be
        none; `prefix` is the path of the Service's root here, `rest` what follows its slash."""
        parts = name.split(":")
        async with self.activation.request(request, namespace, parts[1] if len(parts) == 3 else parts[0]):
            return await self._carry(request, self.backend(namespace, name), prefix, rest, "service")

    async def _carry(self, request: web.Request, address: str, prefix: str, rest: str, what: str) -> web.StreamResponse:
        query = request.rel_url.raw_query_string
        url = URL(f"{address}/{rest}" + (f"?{query}" if query else ""), encoded=True)
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=None, sock_connect=10)
            self._session = aiohttp.ClientSession(timeout=timeout, auto_decompress=False)
        try:
            if web.WebSocketResponse().can_prepare(request):
                return await bridge(request, self._session, url, _headers(request))
            return await while_connected(request, self._hand_on(request, self._session, url, prefix))
        except (TimeoutError, aiohttp.ClientConnectionError) as error:
            raise ServerError(f"error trying to reach {what}: {error}", code=503) from error

    @staticmethod
    async def _hand_on(
        request: web.Request, session: aiohttp.ClientSession, url: URL, prefix: str
    ) -> web.StreamResponse:
        headers = _headers(request)
        if request.content_length is not None and "Content-Encoding" not in request.headers:
            headers["Content-Length"] = str(request.content_length)  # many small servers know no chunks
        data = request.content if request.can_read_body else None
        # TLS of a pod is not verified, as upstream doesn't: nobody but the pod can have its address
        async with session.request(
            request.method, url, headers=headers, data=data, allow_redirects=False, ssl=False
        ) as answer:
            return await _relay(request, answer, url, prefix)


def _headers(request: web.Request) -> dict[str, str]:
    return {name: value for name, value in request.headers.items() if name.lower() not in _HOP_BY_HOP}


def _split(path: str) -> tuple[str, str, str]:
    """`/api/v1/namespaces/NS/pods/NAME/proxy` and what follows its slash, still quoted."""
    parts = path.split("/", 8)
    return "/".join(parts[:8]), "/" if len(parts) > 8 else "", "".join(parts[8:])


async def _relay(request: web.Request, answer: aiohttp.ClientResponse, url: URL, prefix: str) -> web.StreamResponse:
    kept = _HOP_BY_HOP - {"content-encoding", "content-length"}
    headers = CIMultiDict((name, value) for name, value in answer.headers.items() if name.lower() not in kept)
    if "Location" in headers:
        headers["Location"] = _location(headers["Location"], url, prefix)
    response = web.StreamResponse(status=answer.status, headers=headers)
    await response.prepare(request)
    try:
        async for chunk in answer.content.iter_any():
            await response.write(chunk)
    except (aiohttp.ClientError, ConnectionError):
        if request.transport is not None:
            request.transport.abort()  # the client must not take what it has for all there is
        return response
    await response.write_eof()
    return response


def _location(location: str, url: URL, prefix: str) -> str:
    """Where a redirect leads, in this server's terms; to another server it stays as it is."""
    origin = str(url.origin())
    if location == origin or location.startswith(f"{origin}/"):
        location = location[len(origin) :] or "/"
    return prefix + location if location.startswith("/") and not location.startswith("//") else location


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
