"""A model's server over real HTTP, for tests: OpenAI's protocol at a base path, and whatever goes wrong with servers.

`Served` runs it in this process, and counts; `python chat_server.py` alone, on a port that it prints.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from aiohttp import web

Reply = tuple[int, dict[str, Any], dict[str, str]]
"""HTTP status, body and headers, in the place of an answer."""


def refusal(status: int, message: str, headers: dict[str, str] | None = None, **fields: Any) -> Reply:
    """An error as OpenAI's protocol has it."""
    return status, {"error": {"message": message, "type": "error", **fields}}, headers or {}


@dataclass
class Model:
    """How it answers. `wrong` may give a reply in the place of an answer: it is told the request, and how often the
    same question came before."""

    base: str = "/v1"
    models: tuple[str, ...] = ("echo",)
    key: str = ""
    wrong: Callable[[dict[str, Any], int], Reply | None] = lambda asked, before: None
    answer: Callable[[str], str] = lambda said: f"You said: {said}"
    hold: Callable[[str], bool] = lambda said: False
    """Questions that are not answered as long as it serves."""
    together: Callable[[], int] = lambda: 0
    """No question is answered before so many have been under way at a time."""
    usage: bool = True
    stream_options: bool = True
    asked: Counter[str] = field(default_factory=Counter)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    """The requests; only kept while `keep` is true."""
    keep: bool = True
    under_way: int = 0
    most_under_way: int = 0
    held: threading.Event = field(default_factory=threading.Event)
    """Set once a question is held."""


class Served:
    """A model served on a port of its own, until `stop`; `start` serves it again, at the same address."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self._port = 0
        self.start()

    @property
    def url(self) -> str:
        """Without the API's base path."""
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._runner, self._port = asyncio.run_coroutine_threadsafe(serve(self.model, self._port), self._loop).result(
            10
        )

    def stop(self) -> None:
        if self._loop.is_closed():
            return
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


async def serve(model: Model, port: int = 0) -> tuple[web.AppRunner, int]:
    """The runner and the port."""
    application = web.Application(client_max_size=2**26)
    application.router.add_get(f"{model.base}/models", partial(_models, model))
    application.router.add_post(f"{model.base}/chat/completions", partial(_chat, model))
    runner = web.AppRunner(application, shutdown_timeout=0.01)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port, reuse_address=True)
    await site.start()
    return runner, runner.addresses[0][1]


def _forbidden(model: Model, request: web.Request) -> web.Response | None:
    if not model.key or request.headers.get("Authorization") == f"Bearer {model.key}":
        return None
    status, body, _ = refusal(401, f"Incorrect API key provided: {request.headers.get('Authorization', '')[7:]}")
    return web.json_response(body, status=status)


async def _models(model: Model, request: web.Request) -> web.Response:
    if refused := _forbidden(model, request):
        return refused
    return web.json_response({"object": "list", "data": [{"id": each, "object": "model"} for each in model.models]})


async def _chat(model: Model, request: web.Request) -> web.StreamResponse:
    if refused := _forbidden(model, request):
        return refused
    asked = await request.json()
    if model.keep:
        model.bodies.append(asked)
    said = str(asked["messages"][-1]["content"])
    before = model.asked[said]
    if model.keep:
        model.asked[said] += 1
    model.under_way += 1
    model.most_under_way = max(model.most_under_way, model.under_way)
    try:
        if model.hold(said):
            model.held.set()
            await asyncio.Event().wait()
        while model.most_under_way < model.together():
            await asyncio.sleep(0.01)
        if wrong := model.wrong(asked, before):
            status, body, headers = wrong
            return web.json_response(body, status=status, headers=headers)
        return await _answered(model, request, asked, model.answer(said))
    finally:
        model.under_way -= 1


async def _answered(model: Model, request: web.Request, asked: dict[str, Any], text: str) -> web.StreamResponse:
    words, most = text.split(" "), asked.get("max_tokens") or 10**9
    finish = "length" if len(words) > most else "stop"
    words = words[:most]
    usage = {"prompt_tokens": len(str(asked["messages"]).split()), "completion_tokens": len(words), "total_tokens": 0}
    about = {"id": "1", "created": 1, "model": asked["model"]}
    if not asked.get("stream"):
        message = {"role": "assistant", "content": " ".join(words)}
        choice = {"index": 0, "message": message, "finish_reason": finish}
        return web.json_response({**about, "object": "chat.completion", "choices": [choice], "usage": usage})
    if "stream_options" in asked and not model.stream_options:
        return web.json_response(refusal(400, "Unrecognized request argument: stream_options")[1], status=400)
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    for word in words:
        delta = {"index": 0, "delta": {"content": word + " "}, "finish_reason": None}
        await _send(response, {**about, "object": "chat.completion.chunk", "choices": [delta]})
    if model.usage and asked.get("stream_options"):
        await _send(response, {**about, "object": "chat.completion.chunk", "choices": [], "usage": usage})
    await response.write(b"data: [DONE]\n\n")
    return response


async def _send(response: web.StreamResponse, chunk: dict[str, Any]) -> None:
    await response.write(f"data: {json.dumps(chunk)}\n\n".encode())


Serve = Callable[..., Served]
"""Serves a model of these fields."""


async def _alone() -> None:
    _, port = await serve(Model(keep=False, answer=lambda said: f"{said} " * 620))
    print(port, flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_alone())
