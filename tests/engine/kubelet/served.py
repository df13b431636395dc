"""A cluster's API over HTTPS, for clients that speak of pods: exec, attach, port-forward, proxies."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

from cpod_jupyter.engine.certs import ensure_credentials, write_private
from cpod_jupyter.engine.http.app import Api
from cpod_jupyter.engine.http.server import Server, listen

from .cluster import Cluster


@contextlib.contextmanager
def served(cluster: Cluster) -> Iterator[Path]:
    """The path of a kubeconfig, while the cluster is served."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    credentials = ensure_credentials(cluster.home / "pki")

    async def up() -> Server:
        server = Server(
            Api(cluster.objects, credentials.token, cluster.kubelet.access).application(), listen(0), credentials
        )
        await server.start()
        return server

    server = asyncio.run_coroutine_threadsafe(up(), loop).result(10)
    path = cluster.home / "kubeconfig"
    write_private(path, server.kubeconfig().encode())
    try:
        yield path
    finally:
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
