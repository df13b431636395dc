"""pods/attach: a container's output from now on. It has no input here: containers read /dev/null."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from aiohttp import web

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import Object
from cpod_jupyter.engine.http import channels
from cpod_jupyter.engine.http.channels import Channels
from cpod_jupyter.engine.http.exec import ExecSource, container_of, exit_status, finish, wanted
from cpod_jupyter.engine.http.logs import LogSource
from cpod_jupyter.errors import BadRequest


async def pod_attach(request: web.Request, pod: Object, logs: LogSource, source: ExecSource) -> web.StreamResponse:
    """Send what the container writes, both streams as one, until it ends or the client goes."""
    flags, container = wanted(request), container_of(pod, request)
    if flags.stdin or flags.tty:
        raise BadRequest(
            f"container {container} of pod {meta.name_of(pod)} has no standard input and no terminal: this engine "
            "attaches to output alone. To type something, run a command in it: kubectl exec -it"
        )
    place = (meta.namespace_of(pod), meta.name_of(pod), meta.uid_of(pod), container)
    source.require_running(*place)
    output = logs.log(*place, follow=True, tail_lines=0)
    first = await anext(output, b"")  # from here on nothing is missed, and the client may be let in
    accepted = await Channels.accept(request)
    listening = asyncio.create_task(_listen(accepted))
    sending = asyncio.create_task(_send(accepted, first, output))
    try:
        await asyncio.wait([listening, sending], return_when=asyncio.FIRST_COMPLETED)
        if sending.done() and sending.exception() is None:
            await finish(accepted, exit_status(0))
    finally:
        for task in (listening, sending):
            task.cancel()
        await asyncio.gather(listening, sending, return_exceptions=True)
    return accepted.socket


async def _send(accepted: Channels, first: bytes, output: AsyncIterator[bytes]) -> None:
    if first:
        await accepted.send(channels.STDOUT, first)
    async for data in output:
        if data:
            await accepted.send(channels.STDOUT, data)


async def _listen(accepted: Channels) -> None:
    async for _ in accepted.messages():
        pass  # nothing but its goodbye is of interest
