"""Between a client and a pod: a WebSocket carried on, and work that ends when its client goes."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine

import aiohttp
from aiohttp import WSMsgType, web
from yarl import URL

_LOOK_SECONDS = 0.5
_MESSAGE_LIMIT = 16 * 2**20


async def while_connected(
    request: web.Request, work: Coroutine[object, object, web.StreamResponse]
) -> web.StreamResponse:
    """The work's result. When the client goes first the work is cancelled: a model need not go on talking."""
    doing = asyncio.create_task(work)
    watching = asyncio.create_task(_until_gone(request))
    try:
        await asyncio.wait([doing, watching], return_when=asyncio.FIRST_COMPLETED)
        return await doing if doing.done() else web.Response(status=499)  # nobody is there to read it
    finally:
        for task in (doing, watching):
            task.cancel()
        await asyncio.gather(doing, watching, return_exceptions=True)


async def _until_gone(request: web.Request) -> None:
    while request.transport is not None and not request.transport.is_closing():
        await asyncio.sleep(_LOOK_SECONDS)


async def bridge(
    request: web.Request, session: aiohttp.ClientSession, url: URL, headers: dict[str, str]
) -> web.StreamResponse:
    """Carry a WebSocket on. What the pod answers instead of one is answered here too."""
    asked = request.headers.get("Sec-WebSocket-Protocol", "")
    protocols = [word.strip() for word in asked.split(",") if word.strip()]
    own = {name: value for name, value in headers.items() if not name.lower().startswith("sec-websocket")}
    own = {name: value for name, value in own.items() if name.lower() != "origin"}
    try:
        there = await session.ws_connect(
            url, protocols=protocols, headers=own, max_msg_size=_MESSAGE_LIMIT, ssl=False, autoping=False
        )
    except aiohttp.WSServerHandshakeError as error:
        return web.Response(status=error.status, text=f"the pod refused the WebSocket: {error.message}\n")
    here = web.WebSocketResponse(
        protocols=[there.protocol] if there.protocol else [], max_msg_size=_MESSAGE_LIMIT, timeout=2.0, autoping=False
    )
    try:
        await here.prepare(request)
        directions = [asyncio.create_task(_carry(here, there)), asyncio.create_task(_carry(there, here))]
        try:
            await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in directions:
                task.cancel()
            await asyncio.gather(*directions, return_exceptions=True)
        await here.close(code=there.close_code or aiohttp.WSCloseCode.OK)
    finally:
        await there.close(code=here.close_code or aiohttp.WSCloseCode.OK)
    return here


Socket = web.WebSocketResponse | aiohttp.ClientWebSocketResponse


async def _carry(source: Socket, sink: Socket) -> None:
    async for message in source:
        if message.type is WSMsgType.TEXT:
            await sink.send_str(message.data)
        elif message.type is WSMsgType.BINARY:
            await sink.send_bytes(message.data)
        elif message.type is WSMsgType.PING:
            await sink.ping(message.data)
        elif message.type is WSMsgType.PONG:
            await sink.pong(message.data)
