"""pods/portforward over a WebSocket: kubectl's tunnel, or as the Python client speaks it, two channels for each port.

Channel 2i carries the data of port i, channel 2i+1 an error; the first message on each is the port, as two
bytes, the lower first (kubernetes/kubernetes, pkg/kubelet/server/portforward/websocket.go).
"""

from __future__ import annotations

import asyncio
import contextlib

from aiohttp import web

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import Object
from cpod_jupyter.engine.http.channels import V1, V4, Channels
from cpod_jupyter.engine.http.tunnel import PROTOCOL, Tunnel
from cpod_jupyter.errors import BadRequest

_MOST_PORTS = 64
_CONNECT_SECONDS = 10.0
_BLOCK = 64 * 2**10


async def pod_port_forward(request: web.Request, pod: Object) -> web.StreamResponse:
    """Carry one connection to each port that the client asks for."""
    name, status = meta.name_of(pod), pod.get("status") or {}
    if status.get("phase") != "Running" or not status.get("podIP"):
        raise BadRequest(f"unable to forward port because pod {name} is not running: {status.get('phase')}")
    address = str(status["podIP"])
    if PROTOCOL in request.headers.get("Sec-WebSocket-Protocol", ""):
        tunnelled = await Channels.accept(request, (PROTOCOL,))
        await Tunnel(tunnelled.socket, address).run()
        return tunnelled.socket
    if "spdy" in request.headers.get("Upgrade", "").lower():
        raise BadRequest(
            "this engine forwards ports through WebSockets alone: use kubectl 1.31 or newer, or none: "
            f"pod {name} listens on this machine, at http://{address}:PORT"
        )
    ports = _ports(request)
    accepted = await Channels.accept(request, (V4, V1))
    forwards = [_Forward(accepted, index, address, port) for index, port in enumerate(ports)]
    carrying = asyncio.create_task(_carry(forwards))
    listening = asyncio.create_task(_listen(accepted, forwards))
    try:
        await asyncio.wait([carrying, listening], return_when=asyncio.FIRST_COMPLETED)
        if not listening.done():
            await accepted.close()
    finally:
        for forward in forwards:
            forward.close()
        for task in (carrying, listening):
            task.cancel()
        await asyncio.gather(carrying, listening, return_exceptions=True)
    return accepted.socket


async def _carry(forwards: list[_Forward]) -> None:
    async with asyncio.TaskGroup() as group:
        for forward in forwards:
            group.create_task(forward.run())


class _Forward:
    """One port."""

    def __init__(self, accepted: Channels, index: int, address: str, port: int) -> None:
        self._accepted = accepted
        self._data, self._error = 2 * index, 2 * index + 1
        self._address, self._port = address, port
        self._writer: asyncio.StreamWriter | None = None
        self._connected = asyncio.Event()

    async def run(self) -> None:
        """Connect, and send what comes, until the pod closes the connection."""
        for channel in (self._data, self._error):
            await self._accepted.send(channel, self._port.to_bytes(2, "little"))
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                reader, self._writer = await asyncio.open_connection(self._address, self._port)
        except (OSError, TimeoutError) as error:
            why = str(error) or "no answer in time"
            await self._accepted.send(
                self._error, f"nothing can be reached at {self._address}:{self._port}: {why}".encode()
            )
            return
        finally:
            self._connected.set()
        with contextlib.suppress(OSError):
            while data := await reader.read(_BLOCK):
                await self._accepted.send(self._data, data)

    async def write(self, data: bytes) -> None:
        """To the pod; dropped when it does not listen any more."""
        await self._connected.wait()
        if self._writer is not None:
            with contextlib.suppress(OSError):
                self._writer.write(data)
                await self._writer.drain()

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()


async def _listen(accepted: Channels, forwards: list[_Forward]) -> None:
    async for channel, data in accepted.messages():
        if channel % 2 == 0 and channel // 2 < len(forwards):
            await forwards[channel // 2].write(data)


def _ports(request: web.Request) -> list[int]:
    """`ports=80&ports=90` or `ports=80,90`. Raises BadRequest."""
    words = [word for value in request.query.getall("ports", []) for word in value.split(",") if word]
    if not words:
        raise BadRequest('query parameter "ports" is required')
    if not all(word.isdigit() and 0 < int(word) < 2**16 for word in words):
        raise BadRequest(f"ports must be numbers from 1 to 65535, not {','.join(words)}")
    if len(words) > _MOST_PORTS:
        raise BadRequest(f"at most {_MOST_PORTS} ports can be forwarded at once")
    return [int(word) for word in words]
