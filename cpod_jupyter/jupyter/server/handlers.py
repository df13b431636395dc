"""What the server extension answers, below `cpod/`: REST for what is asked once, one socket for what goes on."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from jupyter_server.auth.decorator import authorized, ws_authenticated
from jupyter_server.base.handlers import APIHandler, JupyterHandler
from jupyter_server.base.websocket import WebSocketMixin
from jupyter_server.utils import url_path_join
from tornado import web
from tornado.ioloop import IOLoop
from tornado.iostream import StreamClosedError
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from cpod_jupyter.errors import ApiError, ApiUnreachable, CpodError
from cpod_jupyter.jupyter.server.address import Address

if TYPE_CHECKING:
    from cpod_jupyter.jupyter.server.hub import Hub
    from cpod_jupyter.sdk import Handle

_RESOURCE = "cpod"
_TOPICS = 500
"""Objects that one page may look at at the same time."""
_LOG_BATCH = 2000
"""Lines of a log that are sent together."""

T = TypeVar("T")


async def _hub(handler: JupyterHandler) -> Hub:
    """The hub of this Jupyter, made when it is first needed: reading our SDK takes a second."""

    def made() -> type[Hub]:
        from cpod_jupyter.jupyter.server.hub import Hub

        return Hub

    kind = await asyncio.to_thread(made)
    found: Hub = handler.settings.setdefault("cpod_hub", None) or kind(asyncio.get_running_loop())
    handler.settings["cpod_hub"] = found
    return found


class _Handler(APIHandler):
    """Answers for one object, which the query or the body names."""

    auth_resource = _RESOURCE

    async def on(self, fields: dict[str, Any], action: Callable[[Handle], T]) -> T:
        """Do something with the object that is named, in a thread. Raises CpodError."""
        address, hub = Address.of(fields), await _hub(self)
        return await asyncio.to_thread(lambda: action(address.handle(hub.sessions)))

    def query(self) -> dict[str, Any]:
        return {key: self.get_query_argument(key, "") for key in ("context", "namespace", "kind", "name")}

    def refuse(self, error: CpodError) -> None:
        """Answer with an error, in its own words."""
        code = error.code if isinstance(error, ApiError) else 503 if isinstance(error, ApiUnreachable) else 422
        self.set_status(code)
        self.finish(json.dumps({"message": str(error)}))


class CancelHandler(_Handler):
    """POST: stop a job."""

    @web.authenticated
    @authorized
    async def post(self) -> None:
        try:
            await self.on(self.get_json_body() or {}, _cancel)
        except CpodError as error:
            return self.refuse(error)
        self.finish("{}")


class YamlHandler(_Handler):
    """GET: the manifest that makes an object again."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        try:
            text = await self.on(self.query(), lambda handle: handle.to_yaml())
        except CpodError as error:
            return self.refuse(error)
        self.finish(text, set_content_type="text/plain; charset=utf-8")


class LogsHandler(_Handler):
    """GET: an object's whole log as a file, sent as it is read."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        try:
            fields = self.query()
            lines = await self.on(fields, lambda handle: handle.logs())
            batch = await asyncio.to_thread(lambda: list(itertools.islice(lines, _LOG_BATCH)))
        except CpodError as error:
            return self.refuse(error)
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.set_header("Content-Disposition", f'attachment; filename="{fields["name"]}.log"')
        try:
            while batch:
                self.write("".join(f"{line}\n" for line in batch))
                await self.flush()
                batch = await asyncio.to_thread(lambda: list(itertools.islice(lines, _LOG_BATCH)))
        except CpodError as error:
            self.write(f"(the log breaks off here: {error})\n")
        except StreamClosedError:
            return  # nobody reads on
        self.finish(set_content_type="text/plain; charset=utf-8")


class StreamHandler(WebSocketMixin, WebSocketHandler, JupyterHandler):
    """A page's one socket: it subscribes to objects, and gets the newest state of each as fast as it takes them.

    In: `{"subscribe": id, "address": {…}}`, `{"unsubscribe": id}`. Out: the hub's messages, each with its `id`.
    A page that is slow misses states, never the last one: of each object only the newest waits for it.
    """

    auth_resource = _RESOURCE

    def initialize(self) -> None:
        self._subscribed: dict[str, Callable[[], None]] = {}
        self._waiting: dict[str, dict[str, Any]] = {}
        self._sending = False

    @ws_authenticated
    async def get(self, *args: Any, **kwargs: Any) -> None:
        if not await _may(self):
            raise web.HTTPError(403)
        self._hub = await _hub(self)
        await super().get(*args, **kwargs)

    def get_compression_options(self) -> dict[str, Any]:
        return {}

    def on_message(self, text: str | bytes) -> None:
        try:
            message = json.loads(text)
            if "subscribe" in message:
                self._subscribe(str(message["subscribe"]), message["address"])
            elif "unsubscribe" in message:
                self._unsubscribe(str(message["unsubscribe"]))
        except (ValueError, KeyError, TypeError, AttributeError):
            self.close(1003, "not understood")

    def on_close(self) -> None:
        for topic in list(self._subscribed):
            self._unsubscribe(topic)

    def _subscribe(self, topic: str, fields: dict[str, Any]) -> None:
        if topic in self._subscribed:
            return
        try:
            address = Address.of(fields)
            if len(self._subscribed) >= _TOPICS:
                raise CpodError(f"a page may follow {_TOPICS} objects at the same time")
        except CpodError as error:
            return self._put(topic, {"trouble": str(error), "over": True})
        self._subscribed[topic] = self._hub.subscribe(address, lambda message: self._put(topic, message))

    def _unsubscribe(self, topic: str) -> None:
        self._waiting.pop(topic, None)
        if unsubscribe := self._subscribed.pop(topic, None):
            unsubscribe()

    def _put(self, topic: str, message: dict[str, Any]) -> None:
        self._waiting[topic] = message
        if not self._sending:
            self._sending = True
            IOLoop.current().spawn_callback(self._send)

    async def _send(self) -> None:
        try:
            while self._waiting:
                topic = next(iter(self._waiting))
                await self.write_message(json.dumps({"id": topic, **self._waiting.pop(topic)}))
        except (WebSocketClosedError, StreamClosedError):
            self._waiting.clear()
        finally:
            self._sending = False


async def _may(handler: JupyterHandler) -> bool:
    from jupyter_core.utils import ensure_async

    allowed = handler.authorizer.is_authorized(handler, handler.current_user, "execute", _RESOURCE)
    return bool(await ensure_async(allowed))


def _cancel(handle: Handle) -> None:
    from cpod_jupyter.sdk import Job

    if not isinstance(handle, Job):
        raise CpodError(f"{handle.title} is no job; to remove it: %cpod delete {handle.title}")
    handle.cancel()


def handlers(base_url: str) -> list[tuple[str, type[web.RequestHandler]]]:
    """Where each of them answers."""
    found = {"cancel": CancelHandler, "yaml": YamlHandler, "logs": LogsHandler, "stream": StreamHandler}
    return [(url_path_join(base_url, _RESOURCE, path), handler) for path, handler in found.items()]
