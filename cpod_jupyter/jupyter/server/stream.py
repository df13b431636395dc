"""A page's one socket: what goes on with the objects and the lists that it looks at."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from jupyter_server.auth.decorator import ws_authenticated
from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.base.websocket import WebSocketMixin
from tornado import web
from tornado.ioloop import IOLoop
from tornado.iostream import StreamClosedError
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from cpod_jupyter.errors import CpodError
from cpod_jupyter.jupyter.server.address import Address, KindPlace
from cpod_jupyter.jupyter.server.base import RESOURCE, hub_of

if TYPE_CHECKING:
    from cpod_jupyter.sdk.livelist import ListNews

_TOPICS = 500
"""Objects and lists that one page may look at at the same time."""
_ID_CHARACTERS = 4000


class StreamHandler(WebSocketMixin, WebSocketHandler, JupyterHandler):
    """It subscribes to objects and gets the newest state of each, and to lists and gets what changes in them.

    In: `{"subscribe": id, "address": {…}}`, `{"subscribe": id, "list": {context, namespace, kind}}`,
    `{"unsubscribe": id}`. Out: the hub's messages, each with its `id`; of a list first `rows`, then `changed` and
    `gone`.
    A page that is slow misses states, never the last one: of each object only the newest waits for it, and what waits
    of a list is merged.
    """

    auth_resource = RESOURCE

    def initialize(self) -> None:
        self._subscribed: dict[str, Callable[[], None]] = {}
        self._waiting: dict[str, dict[str, Any] | ListNews] = {}
        self._sending = False

    @ws_authenticated
    async def get(self, *args: Any, **kwargs: Any) -> None:
        if not await _may(self):
            raise web.HTTPError(403)
        self._hub = await hub_of(self)
        await super().get(*args, **kwargs)

    def get_compression_options(self) -> dict[str, Any]:
        return {}

    def on_message(self, text: str | bytes) -> None:
        try:
            message = json.loads(text)
            if "subscribe" in message:
                self._subscribe(_topic(message["subscribe"]), message)
            elif "unsubscribe" in message:
                self._unsubscribe(_topic(message["unsubscribe"]))
        except (ValueError, KeyError, TypeError, AttributeError):
            self.close(1003, "not understood")

    def on_close(self) -> None:
        for topic in list(self._subscribed):
            self._unsubscribe(topic)

    def _subscribe(self, topic: str, message: dict[str, Any]) -> None:
        if topic in self._subscribed:
            return
        try:
            if len(self._subscribed) >= _TOPICS:
                raise CpodError(f"a page may follow {_TOPICS} objects at the same time")
            if "list" in message:
                place = KindPlace.of(message["list"])
                cease = self._hub.lists.subscribe(place, lambda news: self._put(topic, news))
            else:
                address = Address.of(message["address"])
                cease = self._hub.subscribe(address, lambda state: self._put(topic, state))
        except CpodError as error:
            return self._put(topic, {"trouble": str(error), "over": True})
        self._subscribed[topic] = cease

    def _unsubscribe(self, topic: str) -> None:
        self._waiting.pop(topic, None)
        if unsubscribe := self._subscribed.pop(topic, None):
            unsubscribe()

    def _put(self, topic: str, news: dict[str, Any] | ListNews) -> None:
        waiting = self._waiting.get(topic)
        if waiting is None or isinstance(waiting, dict) or isinstance(news, dict):
            self._waiting[topic] = news
        else:
            self._waiting[topic] = waiting.then(news)
        if not self._sending:
            self._sending = True
            IOLoop.current().spawn_callback(self._send)

    async def _send(self) -> None:
        try:
            while self._waiting:
                topic = next(iter(self._waiting))
                news = self._waiting.pop(topic)
                await self.write_message(
                    json.dumps({"id": topic, **(news if isinstance(news, dict) else news.to_dict())})
                )
        except (WebSocketClosedError, StreamClosedError):
            self._waiting.clear()
        finally:
            self._sending = False


def _topic(given: Any) -> str:
    if not isinstance(given, str) or len(given) > _ID_CHARACTERS:
        raise TypeError("an id is a text")
    return given


async def _may(handler: JupyterHandler) -> bool:
    from jupyter_core.utils import ensure_async

    allowed = handler.authorizer.is_authorized(handler, handler.current_user, "execute", RESOURCE)
    return bool(await ensure_async(allowed))
