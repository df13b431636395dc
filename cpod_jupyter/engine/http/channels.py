"""Several streams over one WebSocket: the protocol of exec, attach and port-forward.

A message's first byte is its channel, the rest is data. Versions, by subprotocol (kubernetes/kubernetes,
staging/src/k8s.io/apimachinery/pkg/util/remotecommand/constants.go): `channel.k8s.io` says errors as text,
`v4` as a Status, and `v5` lets a client close one channel: byte 255, then the channel's.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import WSMsgType, web

from cpod_jupyter.errors import BadRequest

STDIN, STDOUT, STDERR, ERROR, RESIZE = range(5)
CLOSE = 255
V5, V4, V1 = "v5.channel.k8s.io", "v4.channel.k8s.io", "channel.k8s.io"

_MESSAGE_LIMIT = 16 * 2**20
"""Bytes of a client's message; kubectl sends 32 KiB, a Python client what it was given at once."""


class Channels:
    """A WebSocket that has been accepted."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self.socket = socket
        self.version = socket.ws_protocol or V1

    @classmethod
    async def accept(cls, request: web.Request, offered: tuple[str, ...] = (V5, V4, V1)) -> Channels:
        """Upgrade a request. Raises BadRequest when it does not ask for a WebSocket."""
        socket = web.WebSocketResponse(protocols=offered, max_msg_size=_MESSAGE_LIMIT, timeout=2.0)
        if not socket.can_prepare(request):
            raise BadRequest(_not_a_websocket(request))
        await socket.prepare(request)
        return cls(socket)

    async def send(self, channel: int, data: bytes) -> None:
        """One message, once those before it are on their way. Raises ConnectionError when the client has gone."""
        await self.socket.send_bytes(bytes([channel]) + data)

    async def send_status(self, status: dict[str, Any]) -> None:
        """How the command ended, in the version's words."""
        if self.version in (V4, V5):
            await self.send(ERROR, json.dumps(status).encode())
        elif status["status"] != "Success":
            await self.send(ERROR, str(status["message"]).encode())

    async def messages(self) -> AsyncIterator[tuple[int, bytes]]:
        """What the client sends, until it goes: channel and data; a channel that it closes comes as CLOSE."""
        async for message in self.socket:
            data = message.data.encode() if message.type is WSMsgType.TEXT else message.data
            if message.type in (WSMsgType.TEXT, WSMsgType.BINARY) and data:
                yield data[0], bytes(data[1:])

    async def close(self) -> None:
        await self.socket.close()


def _not_a_websocket(request: web.Request) -> str:
    if "spdy" in request.headers.get("Upgrade", "").lower():
        return (
            "unable to upgrade connection: this engine speaks WebSocket here, not SPDY: use kubectl 1.31 or newer, "
            "or the Python client's kubernetes.stream"
        )
    return "you must request a WebSocket: Upgrade request required"
