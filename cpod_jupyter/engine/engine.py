"""The engine put together: store, API server, kubelet, and a cluster's controllers, in one process."""

from __future__ import annotations

import asyncio
import base64
import logging
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path

import yaml
from aiohttp import web

from cpod_jupyter.api.crds import engine_crds
from cpod_jupyter.api.meta import name_of
from cpod_jupyter.api.resources import CRDS, NAMESPACES
from cpod_jupyter.control.controller import Manager
from cpod_jupyter.engine.certs import Credentials, ensure_credentials, write_private
from cpod_jupyter.engine.collector import Collector
from cpod_jupyter.engine.controllers import controllers
from cpod_jupyter.engine.http.app import Api
from cpod_jupyter.engine.kinds import Kinds
from cpod_jupyter.engine.kubelet import Kubelet
from cpod_jupyter.engine.local_api import LocalApi
from cpod_jupyter.engine.objects import Objects
from cpod_jupyter.engine.store import Store
from cpod_jupyter.errors import EngineError, NotFound

log = logging.getLogger(__name__)

CONTEXT = "cpod-engine"
DEFAULT_PORT = 7643
_NAMESPACES = ("default", "public", "kube-system")


@dataclass(frozen=True)
class Address:
    """Where the engine listens."""

    host: str
    port: int

    @property
    def url(self) -> str:
        return f"https://{self.host}:{self.port}"


def listen(port: int | None) -> socket.socket:
    """A listening socket on loopback: on the port asked for, else the default one, else any free one.

    Raises EngineError when the port asked for is taken.
    """
    for candidate in [port] if port else [DEFAULT_PORT, 0]:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", candidate))
            listener.listen(128)
        except OSError as error:
            listener.close()
            if port:
                raise EngineError(
                    f"port {port} cannot be used: {error.strerror}; "
                    f"choose another (cpod up --port N), or leave it out to have a free one taken"
                ) from error
        else:
            return listener
    raise EngineError("no free port on loopback")


class Engine:
    """Start it in a running event loop; its folder holds everything that must survive."""

    def __init__(self, home: Path, listener: socket.socket) -> None:
        self.home = home
        host, port = listener.getsockname()[:2]
        self.address = Address(host, port)
        self._listener = listener
        self.credentials: Credentials = ensure_credentials(home / "pki")
        self._store = Store(home / "objects.db")
        self._objects = Objects(self._store, Kinds())
        self.api = LocalApi(self._objects)
        self._collector = Collector(self._objects)
        self.kubelet = Kubelet(self.api, home)
        self._manager = Manager(self.api, [*controllers(self.api), *self.kubelet.controllers()])
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Serve, and start every controller."""
        self._install()
        self._collector.start()
        self.kubelet.start(asyncio.get_running_loop())
        self._manager.start()
        application = Api(self._objects, self.credentials.token, self.kubelet).application()
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=2.0)
        await self._runner.setup()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self.credentials.certificate, self.credentials.key)
        await web.SockSite(self._runner, self._listener, ssl_context=context).start()
        write_private(self.home / "kubeconfig", self.kubeconfig().encode())
        log.info("the engine serves at %s", self.address.url)

    async def stop(self) -> None:
        """Stop serving. Pods go on: they are processes of their own."""
        if self._runner is not None:
            await self._runner.cleanup()
        self._manager.stop()
        self.kubelet.stop()
        self._collector.stop()
        self._store.close()

    def _install(self) -> None:
        """The namespaces and definitions that are there from the start, brought up to this version."""
        for name in _NAMESPACES:
            try:
                self.api.get(NAMESPACES, name)
            except NotFound:
                self.api.create(NAMESPACES, {"metadata": {"name": name}})
        for definition in engine_crds():
            try:
                self.api.patch(CRDS, name_of(definition), {"spec": definition["spec"]})
            except NotFound:
                self.api.create(CRDS, definition)

    def kubeconfig(self) -> str:
        """How kubectl and the clients connect: the address, the authority, the token."""
        ca = self.credentials.ca.read_text()
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": CONTEXT,
            "clusters": [
                {
                    "name": CONTEXT,
                    "cluster": {"server": self.address.url, "certificate-authority-data": _base64(ca)},
                }
            ],
            "users": [{"name": CONTEXT, "user": {"token": self.credentials.token}}],
            "contexts": [{"name": CONTEXT, "context": {"cluster": CONTEXT, "user": CONTEXT, "namespace": "default"}}],
        }
        return yaml.safe_dump(document, sort_keys=False)


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
