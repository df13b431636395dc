"""What the benchmarks stand on: a fresh engine in a process of its own, a bare server to compare with, a client."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import http.client
import json
import os
import ssl
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import yaml
from aiohttp import web

from cpod_jupyter.engine.certs import ensure_credentials
from cpod_jupyter.engine.http.server import listen


class Connection:
    """One kept-alive HTTPS connection; the thinnest client there is, so that the server is what is measured."""

    def __init__(self, port: int, authority: str, token: str = "") -> None:
        context = ssl.create_default_context(cadata=authority)
        self._http = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=120)
        self._token = token

    def ask(self, method: str, path: str, body: Any = None, content_type: str = "application/json") -> bytes:
        """The body of the answer. Raises RuntimeError for an answer that is no success."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": content_type}
        self._http.request(method, path, data, headers)
        answer = self._http.getresponse()
        text = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {text[:300]!r}")
        return text

    def lines(self, path: str) -> Iterator[bytes]:
        """The lines of a stream as they come."""
        self._http.request("GET", path, headers={"Authorization": f"Bearer {self._token}"})
        answer = self._http.getresponse()
        while line := answer.readline():
            yield line


@dataclass(frozen=True)
class Served:
    """A server in a process of its own, and the seconds from its start to its readiness."""

    process: subprocess.Popen[bytes]
    start_seconds: float
    port: int
    authority: str
    token: str = ""

    def connect(self) -> Connection:
        return Connection(self.port, self.authority, self.token)

    def resident_mib(self) -> float:
        return float(psutil.Process(self.process.pid).memory_info().rss) / 2**20


@contextlib.contextmanager
def _process(command: list[str], log: Path) -> Iterator[tuple[subprocess.Popen[bytes], dict[str, Any], float]]:
    """A server that tells over a pipe when it is ready; stopped in the end."""
    reading, writing = os.pipe()
    began = time.perf_counter()
    with log.open("wb") as output:
        process = subprocess.Popen([*command, "--ready-fd", str(writing)], pass_fds=[writing], stderr=output)
    os.close(writing)
    try:
        with os.fdopen(reading) as ready:
            state = json.loads(ready.readline() or '{"error": "it did not start"}')
        seconds = time.perf_counter() - began
        if "error" in state:
            raise RuntimeError(f"{state['error']}: {log.read_text()[-2000:]}")
        yield process, state, seconds
    finally:
        process.terminate()
        process.wait(30)


@contextlib.contextmanager
def engine(home: Path) -> Iterator[Served]:
    """The engine with everything in it: API server, controllers, kubelet, operator."""
    home.mkdir()
    command = [sys.executable, "-m", "cpod_jupyter.local", "--home", str(home), "--port", "0"]
    with _process(command, home / "engine.log") as (process, state, seconds):
        config = yaml.safe_load((home / "kubeconfig").read_text())
        authority = base64.b64decode(config["clusters"][0]["cluster"]["certificate-authority-data"]).decode()
        token = config["users"][0]["user"]["token"]
        yield Served(process, seconds, int(state["url"].rsplit(":", 1)[1]), authority, token)


@contextlib.contextmanager
def bare(folder: Path) -> Iterator[Served]:
    """The yardstick: the same HTTP library and TLS with a handler that only gives the request's body back."""
    folder.mkdir()
    command = [sys.executable, str(Path(__file__)), "--folder", str(folder)]
    with _process(command, folder / "log") as (process, state, seconds):
        yield Served(process, seconds, state["port"], (folder / "pki" / "ca.crt").read_text())


def timed(action: Callable[[int], Any], count: int) -> list[float]:
    """Milliseconds of each call."""
    found = []
    for index in range(count):
        began = time.perf_counter()
        action(index)
        found.append((time.perf_counter() - began) * 1000)
    return found


def percentile(samples: list[float], share: int) -> float:
    return statistics.quantiles(samples, n=100, method="inclusive")[share - 1]


async def _serve_bare(folder: Path, ready: int) -> None:
    credentials = ensure_credentials(folder / "pki")

    async def echo(request: web.Request) -> web.Response:
        return web.Response(body=await request.read() or b"{}\n", content_type="application/json")

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", echo)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(credentials.certificate, credentials.key)
    listener = listen(0)
    await web.SockSite(runner, listener, ssl_context=context).start()
    os.write(ready, json.dumps({"port": listener.getsockname()[1]}).encode() + b"\n")
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve_bare(Path(sys.argv[2]), int(sys.argv[4])))
