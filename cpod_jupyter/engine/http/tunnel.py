"""pods/portforward as kubectl speaks it since 1.31: SPDY through a WebSocket.

Each connection is a pair of streams with one `requestID`: `data`, and `error`, on which a message says why it failed
(kubernetes/kubernetes, pkg/kubelet's portforward and client-go's tools/portforward).
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field

from aiohttp import WSMsgType, web

from cpod_jupyter.engine.http import spdy
from cpod_jupyter.errors import BadRequest

PROTOCOL = "SPDY/3.1+portforward.k8s.io"

_MOST_CONNECTIONS = 256
_CONNECT_SECONDS = 10.0
_BLOCK = 32 * 2**10
_WAITING_BLOCKS = 16


@dataclass
class _Connection:
    """One connection to the pod; `waiting` is what the client has sent, None its end."""

    error: int
    port: int
    data: int = 0
    waiting: asyncio.Queue[bytes | None] = field(default_factory=lambda: asyncio.Queue(_WAITING_BLOCKS))
    task: asyncio.Task[None] | None = None


class Tunnel:
    """Serves one WebSocket that has been accepted, for the pod at an address."""

    def __init__(self, socket: web.WebSocketResponse, address: str) -> None:
        self._socket = socket
        self._address = address
        self._reader, self._writer = spdy.Reader(), spdy.Writer()
        self._asked: dict[str, _Connection] = {}
        """By request, connections of which only the error stream is open yet."""
        self._open: dict[int, _Connection] = {}
        """By data stream."""

    async def run(self) -> None:
        """Until the client goes, or says what is no SPDY."""
        try:
            async for message in self._socket:
                if message.type is WSMsgType.BINARY:
                    for frame in self._reader.feed(message.data):
                        if frame.kind == spdy.GOAWAY:
                            return
                        await self._take(frame)
        except (BadRequest, ConnectionError):
            pass  # the connection's end says it: there is no stream to say it on
        finally:
            tasks = [connection.task for connection in self._open.values() if connection.task is not None]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._socket.close()

    async def _take(self, frame: spdy.Frame) -> None:
        if frame.kind == spdy.SYN_STREAM:
            await self._begin(frame)
        elif frame.kind == spdy.PING:
            await self._send(self._writer.pong(frame))
        elif connection := self._open.get(frame.stream):
            if frame.kind == spdy.RST_STREAM:
                self._end(connection)
            elif frame.kind == 0:
                if frame.data:
                    await connection.waiting.put(frame.data)
                if frame.flags & spdy.FIN:
                    await connection.waiting.put(None)

    async def _begin(self, frame: spdy.Frame) -> None:
        kind, request = frame.headers.get("streamtype"), frame.headers.get("requestid", "")
        port = frame.headers.get("port", "")
        if not port.isdigit() or not 0 < int(port) < 2**16:
            raise BadRequest(f"a port must be a number from 1 to 65535, not {port!r}")
        if kind == "error" and len(self._asked) + len(self._open) < _MOST_CONNECTIONS:
            self._asked[request] = _Connection(frame.stream, int(port))
        elif kind == "data" and request in self._asked:
            connection = self._asked.pop(request)
            connection.data = frame.stream
            self._open[frame.stream] = connection
            connection.task = asyncio.create_task(self._carry(connection))
        else:
            await self._send(self._writer.reset(frame.stream))
            return
        await self._send(self._writer.reply(frame.stream))

    async def _carry(self, connection: _Connection) -> None:
        """Connect, and carry data both ways until the pod closes the connection."""
        problem = b""
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                reader, writer = await asyncio.open_connection(self._address, connection.port)
        except (OSError, TimeoutError) as error:
            why = str(error) or "no answer in time"
            problem = f"nothing can be reached at {self._address}:{connection.port}: {why}".encode()
        else:
            feeding = asyncio.create_task(_feed(connection, writer))
            try:
                with contextlib.suppress(OSError):
                    while data := await reader.read(_BLOCK):
                        await self._send(self._writer.data(connection.data, data))
            finally:
                feeding.cancel()
                writer.close()
        with contextlib.suppress(ConnectionError):
            await self._send(self._writer.data(connection.data, b"", fin=True))
            await self._send(self._writer.data(connection.error, problem, fin=True))
        self._end(connection)

    def _end(self, connection: _Connection) -> None:
        """Forget a connection. What the client still sends for it is dropped, and nobody waits to hand it on."""
        self._open.pop(connection.data, None)
        if connection.task is not None and connection.task is not asyncio.current_task():
            connection.task.cancel()

    async def _send(self, data: bytes) -> None:
        await self._socket.send_bytes(data)


async def _feed(connection: _Connection, writer: asyncio.StreamWriter) -> None:
    """To the pod, what the client sends."""
    with contextlib.suppress(OSError):
        while (data := await connection.waiting.get()) is not None:
            writer.write(data)
            await writer.drain()
        writer.write_eof()
        return
    while await connection.waiting.get() is not None:
        pass  # the pod reads no more: dropped, so that other connections go on
