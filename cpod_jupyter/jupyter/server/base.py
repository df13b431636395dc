"""What all handlers of the server extension share: the login, what a page sent, and how an error is told."""

from __future__ import annotations

import asyncio
import functools
import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast

from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler, JupyterHandler
from tornado import web

from cpod_jupyter.errors import ApiError, ApiUnreachable, CpodError, Timeout, TooLarge
from cpod_jupyter.jupyter.server.address import Address, Place, texts_of

if TYPE_CHECKING:
    from cpod_jupyter.jupyter.server.hub import Hub
    from cpod_jupyter.sdk import Handle, Session

RESOURCE = "cpod"
"""What Jupyter's authorizer is asked about, and the path below which everything answers."""

TEXT_BYTES = 1_000_000
"""Of a manifest, a cell, a conversation."""
_BODY_BYTES = 2 * TEXT_BYTES
SECONDS = 60.0
"""For so long a page waits for an answer."""

T = TypeVar("T")


async def hub_of(handler: JupyterHandler) -> Hub:
    """The hub of this Jupyter, made when it is first needed: reading our SDK takes a second."""

    def made() -> type[Hub]:
        from cpod_jupyter.jupyter.server.hub import Hub

        return Hub

    kind = await asyncio.to_thread(made)
    found: Hub = handler.settings.setdefault("cpod_hub", None) or kind(asyncio.get_running_loop())
    handler.settings["cpod_hub"] = found
    return found


def answered(verb: Callable[[Any], Awaitable[None]]) -> Callable[[Any], Awaitable[None]]:
    """A verb of a Handler: for who is logged in and may; a CpodError is the answer, in its own words."""

    @functools.wraps(verb)
    async def answer(handler: Handler) -> None:
        try:
            await verb(handler)
        except CpodError as error:
            handler.refuse(error)

    return cast("Callable[[Any], Awaitable[None]]", web.authenticated(authorized(answer)))


class Handler(APIHandler):
    """Answers for an object, or for a namespace, that the query or the body names."""

    auth_resource = RESOURCE

    async def in_thread(self, action: Callable[[Hub], T], seconds: float = SECONDS) -> T:
        """What comes of doing something that takes a while. Raises what it raises, and Timeout."""
        hub = await hub_of(self)
        done = asyncio.get_running_loop().run_in_executor(hub.threads, lambda: action(hub))
        try:
            return await asyncio.wait_for(done, seconds)
        except TimeoutError as error:
            raise Timeout(f"there was no answer in {seconds:g} s; it may still come to pass") from error

    async def on(self, fields: dict[str, Any], action: Callable[[Handle], T], seconds: float = SECONDS) -> T:
        """Do something with the object that is named. Raises CpodError."""
        address = Address.of(fields)
        return await self.in_thread(lambda hub: action(address.handle(hub.sessions)), seconds)

    async def at(self, fields: dict[str, Any], action: Callable[[Session], T], seconds: float = SECONDS) -> T:
        """Do something in the namespace that is named. Raises CpodError."""
        place = Place.of(fields)
        return await self.in_thread(lambda hub: action(place.session(hub.sessions)), seconds)

    def query(self) -> dict[str, Any]:
        return {key: self.get_query_argument(key, "") for key in ("context", "namespace", "kind", "name")}

    def body(self) -> dict[str, Any]:
        """What was sent. Raises TooLarge, and CpodError for what is no JSON object."""
        if len(self.request.body) > _BODY_BYTES:
            raise TooLarge(f"more than {_BODY_BYTES:,} bytes were sent")
        try:
            found = json.loads(self.request.body or b"{}")
        except ValueError as error:
            raise CpodError(f"what was sent is no JSON: {error}") from error
        if not isinstance(found, dict):
            raise CpodError("what was sent is no JSON object")
        return found

    def give(self, answer: Any) -> None:
        self.finish(json.dumps(answer))

    def refuse(self, error: CpodError) -> None:
        """Answer with an error, in its own words."""
        code = error.code if isinstance(error, ApiError) else 503 if isinstance(error, ApiUnreachable) else 422
        self.set_status(code)
        self.finish(json.dumps({"message": str(error)}))


def text_of(fields: dict[str, Any], key: str = "text") -> str:
    """A long text that a page sent. Raises CpodError, TooLarge."""
    text = fields.get(key)
    if not isinstance(text, str):
        raise CpodError(f"{key} is missing, or no text")
    if len(text.encode("utf-8", "replace")) > TEXT_BYTES:
        raise TooLarge(f"{key} is longer than {TEXT_BYTES:,} bytes")
    return text


def new_name_of(fields: dict[str, Any]) -> str | None:
    """The name that something new is to have; None where it is left to us. Raises CpodError."""
    given = fields.get("as")
    return None if given in (None, "") else texts_of({"name": given}, "name")[0]
