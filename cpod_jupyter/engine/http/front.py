"""Where services answer that may have no pod: plain HTTP on loopback, `http://127.0.0.1:PORT/NAMESPACE/SERVICE/…`.

A pod's own address will not do for them, since nobody listens there while there is no pod. Like a pod's address this
asks for no credentials, and only Services that the engine marks are behind it.
"""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable

from aiohttp import web

from cpod_jupyter.engine.http.proxy import ServiceProxy
from cpod_jupyter.errors import ApiError, Forbidden, NotFound

DEFAULT_PORT = 7644
_OWN_NAMES = ("127.0.0.1", "localhost")


class Front:
    """Start it in a running event loop."""

    def __init__(self, proxy: ServiceProxy, listener: socket.socket) -> None:
        self._proxy = proxy
        self._listener = listener
        host, port = listener.getsockname()[:2]
        self.url = f"http://{host}:{port}"
        app = web.Application(middlewares=[_boundary])
        app.router.add_route("*", "/{namespace}/{service}{rest:(?:/.*)?}", self._forward)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=2.0)

    async def start(self) -> None:
        await self._runner.setup()
        await web.SockSite(self._runner, self._listener).start()

    async def stop(self) -> None:
        await self._runner.cleanup()

    async def _forward(self, request: web.Request) -> web.StreamResponse:
        if request.host.rsplit(":", 1)[0] not in _OWN_NAMES:
            raise Forbidden(f"the host {request.host!r} is not this server")  # a page that has its name lead here
        namespace, service = request.match_info["namespace"], request.match_info["service"]
        if not self._proxy.activation.concerns(namespace, service):
            raise NotFound(f"nothing answers here for service {service!r} in namespace {namespace!r}")
        _, _, _, *rest = request.rel_url.raw_path.split("/", 3)
        return await self._proxy.to_service(request, namespace, service, f"/{namespace}/{service}", "".join(rest))


@web.middleware
async def _boundary(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Errors in the form that OpenAI's clients read a message from."""
    try:
        return await handler(request)
    except ApiError as error:
        body = {"error": {"message": str(error), "type": "server_error", "param": None, "code": error.code}}
        return web.json_response(body, status=error.code)
