"""The HTTPS server: the application on a listening socket, and the kubeconfig that leads to it."""

from __future__ import annotations

import base64
import socket
import ssl
from dataclasses import dataclass

import yaml
from aiohttp import web

from cpod_jupyter.engine.certs import Credentials
from cpod_jupyter.errors import EngineError

CONTEXT = "cpod-engine"
DEFAULT_PORT = 7643


@dataclass(frozen=True)
class Address:
    """Where the server listens."""

    host: str
    port: int

    @property
    def url(self) -> str:
        return f"https://{self.host}:{self.port}"


def listen(port: int | None, usual: int = DEFAULT_PORT) -> socket.socket:
    """A listening socket on loopback: on the port asked for (0: any free one); by default on the
    usual one, or any free one while that is taken.

    Raises EngineError when the port asked for is taken.
    """
    for candidate in [usual, 0] if port is None else [port]:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", candidate))
            listener.listen(128)
        except OSError as error:
            listener.close()
            if port is not None:
                raise EngineError(
                    f"port {port} cannot be used: {error.strerror}; "
                    "choose another (cpod up --port N), or leave it out to have a free one taken"
                ) from error
        else:
            return listener
    raise EngineError("no free port on loopback")


class Server:
    """Serves one application over TLS. Start it in a running event loop."""

    def __init__(self, application: web.Application, listener: socket.socket, credentials: Credentials) -> None:
        self.address = Address(*listener.getsockname()[:2])
        self._listener = listener
        self._credentials = credentials
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=2.0)

    async def start(self) -> None:
        await self._runner.setup()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self._credentials.certificate, self._credentials.key)
        await web.SockSite(self._runner, self._listener, ssl_context=context).start()

    async def stop(self) -> None:
        await self._runner.cleanup()

    def kubeconfig(self) -> str:
        """How kubectl and the clients connect: the address, the authority, the token."""
        authority = base64.b64encode(self._credentials.ca.read_bytes()).decode()
        cluster = {"server": self.address.url, "certificate-authority-data": authority}
        context = {"cluster": CONTEXT, "user": CONTEXT, "namespace": "default"}
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": CONTEXT,
            "clusters": [{"name": CONTEXT, "cluster": cluster}],
            "users": [{"name": CONTEXT, "user": {"token": self._credentials.token}}],
            "contexts": [{"name": CONTEXT, "context": context}],
        }
        return yaml.safe_dump(document, sort_keys=False)
