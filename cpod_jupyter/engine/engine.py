"""The engine put together: store, API server, kubelet, and a cluster's controllers, in one process."""

from __future__ import annotations

import logging
import socket
from pathlib import Path

from cpod_jupyter.control.controller import Manager
from cpod_jupyter.engine.certs import ensure_credentials, write_private
from cpod_jupyter.engine.collector import Collector
from cpod_jupyter.engine.controllers import controllers
from cpod_jupyter.engine.http.app import Api
from cpod_jupyter.engine.http.front import DEFAULT_PORT as FRONT_PORT
from cpod_jupyter.engine.http.front import Front
from cpod_jupyter.engine.http.server import Server, listen
from cpod_jupyter.engine.imagemap import ImageMap
from cpod_jupyter.engine.install import install
from cpod_jupyter.engine.kinds import Kinds
from cpod_jupyter.engine.kubelet.kubelet import Kubelet
from cpod_jupyter.engine.kubelet.node import default_node_name
from cpod_jupyter.engine.local_api import LocalApi
from cpod_jupyter.engine.objects import Objects
from cpod_jupyter.engine.store import Store
from cpod_jupyter.engine.tools import PROCESS, require_runtime

log = logging.getLogger(__name__)


class Engine:
    """Start it in a running event loop; its folder holds everything that must survive."""

    def __init__(self, home: Path, listener: socket.socket, runtime: str = PROCESS) -> None:
        self.home = home
        tool = require_runtime(runtime)
        self._store = Store(home / "objects.db")
        objects = Objects(self._store, Kinds())
        self.api = LocalApi(objects)
        self._collector = Collector(objects)
        self._kubelet = Kubelet(self.api, home, default_node_name(), environments=ImageMap(home), tool=tool)
        credentials = ensure_credentials(home / "pki")
        served = Api(objects, credentials.token, self._kubelet.access)
        self.server = Server(served.application(), listener, credentials)
        self._front = Front(served.proxy, listen(None, FRONT_PORT))
        own = controllers(self.api, home, self._front.url)
        self._manager = Manager(self.api, [*own, *self._kubelet.controllers()])

    async def start(self) -> None:
        """Serve, and start every controller."""
        install(self.api)
        self._collector.start()
        self._kubelet.start()
        self._manager.start()
        await self.server.start()
        await self._front.start()
        write_private(self.home / "kubeconfig", self.server.kubeconfig().encode())
        log.info("the engine serves at %s", self.server.address.url)

    async def stop(self) -> None:
        """Stop serving. Pods go on: they are processes of their own."""
        await self._front.stop()
        await self.server.stop()
        self._manager.stop()
        self._kubelet.stop()
        self._collector.stop()
        self._store.close()
