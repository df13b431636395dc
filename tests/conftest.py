"""Fixtures: an API in this process, and the same API over HTTPS. Each test has its own store."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis.internal.observability  # noqa: F401
import pytest
from stores import installed

from cpod_jupyter.client.client import Client
from cpod_jupyter.engine.certs import ensure_credentials, write_private
from cpod_jupyter.engine.collector import Collector
from cpod_jupyter.engine.http.app import Api
from cpod_jupyter.engine.http.server import Server, listen
from cpod_jupyter.engine.kinds import Kinds
from cpod_jupyter.engine.local_api import LocalApi
from cpod_jupyter.engine.objects import Objects
from cpod_jupyter.engine.store import Store

# Above: its plug-in for pytest would import hypothesis at the very end, where a finalizer that warns of a socket can
# break CPython 3.11's parser (it keeps its depth in one place for all who parse).

# Trainings and servers of several test processes at once: with a thread for every core each they wait for each other at
# every barrier of OpenMP, and take many times as long. What tests start inherits it, pods on an engine too.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shell's background job begins with SIGINT ignored, and hands that on; the tests interrupt in earnest.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def objects(tmp_path: Path) -> Iterator[Objects]:
    """The engine's objects with the project's kinds installed, and the garbage collector at work."""
    installed(tmp_path / "objects.db")
    store = Store(tmp_path / "objects.db")
    found = Objects(store, Kinds())
    collector = Collector(found)
    collector.start()
    yield found
    collector.stop()
    store.close()


@pytest.fixture
def api(objects: Objects) -> LocalApi:
    """The API in this process."""
    return LocalApi(objects)


@pytest.fixture
def kubeconfig(objects: Objects, tmp_path: Path) -> Iterator[Path]:
    """The same objects served over HTTPS by the engine's API server, without kubelet or controllers."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    credentials = ensure_credentials(tmp_path / "pki")

    async def up() -> Server:
        server = Server(Api(objects, credentials.token).application(), listen(0), credentials)
        await server.start()
        return server

    server = asyncio.run_coroutine_threadsafe(up(), loop).result(10)
    path = tmp_path / "kubeconfig"
    write_private(path, server.kubeconfig().encode())
    yield path
    asyncio.run_coroutine_threadsafe(server.stop(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()


@pytest.fixture
def client(kubeconfig: Path) -> Iterator[Client]:
    """The project's client over HTTPS."""
    found = Client.from_kubeconfig(kubeconfig)
    yield found
    found.close()


@pytest.fixture
def eventually() -> Callable[..., object]:
    """Wait until a condition is true and return its value; fails with what was wanted."""

    def wait(condition: Callable[[], object], wanted: str = "the condition", seconds: float = 30) -> object:
        deadline = time.monotonic() + seconds
        while not (value := condition()):
            if time.monotonic() > deadline:
                pytest.fail(f"{wanted} did not come true in {seconds} s")
            time.sleep(0.02)
        return value

    return wait
