"""A conversation with a deployment, its answer sent as the model writes it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tornado.iostream import StreamClosedError

from cpod_jupyter.errors import CpodError, TooLarge
from cpod_jupyter.jupyter.server.address import Address
from cpod_jupyter.jupyter.server.base import TEXT_BYTES, Handler, answered

if TYPE_CHECKING:
    from cpod_jupyter.sdk import Handle

_ROLES = ("system", "user", "assistant")
_MESSAGES = 500
_MOST_TOKENS = 1_000_000
_AT_ONCE = 6
"""Answers that are written at the same time: each holds a thread while its model thinks."""
_PIECE_SECONDS = 600.0
END = "\0"
"""Behind it nothing of the answer comes any more, but what went wrong, where something did."""


@dataclass(frozen=True)
class Conversation:
    """What a deployment is asked."""

    messages: tuple[dict[str, Any], ...]
    temperature: float | None = None
    max_tokens: int | None = None

    @classmethod
    def of(cls, fields: dict[str, Any]) -> Conversation:
        """From what a page sent (OpenAI, "Create chat completion"). Raises CpodError, TooLarge."""
        messages, temperature, most = (fields.get(key) for key in ("messages", "temperature", "max_tokens"))
        if not isinstance(messages, list) or not 0 < len(messages) <= _MESSAGES:
            raise CpodError(f"messages must be 1 to {_MESSAGES} messages")
        for number, message in enumerate(messages):
            if not isinstance(message, dict) or message.get("role") not in _ROLES:
                raise CpodError(f"message {number}: role must be one of {', '.join(_ROLES)}")
            if not isinstance(message.get("content"), str):
                raise CpodError(f"message {number}: content must be text")
        if sum(len(message["content"]) for message in messages) > TEXT_BYTES:
            raise TooLarge(f"the conversation is longer than {TEXT_BYTES:,} characters")
        if temperature is not None and not (_is_number(temperature) and 0 <= temperature <= 2):
            raise CpodError("temperature must be a number from 0 to 2")
        if most is not None and not (_is_number(most) and most == int(most) and 1 <= most <= _MOST_TOKENS):
            raise CpodError(f"max_tokens must be a whole number from 1 to {_MOST_TOKENS:,}")
        asked = tuple({"role": message["role"], "content": message["content"]} for message in messages)
        return cls(asked, temperature, None if most is None else int(most))


class ChatHandler(Handler):
    """POST: the answer to a conversation, as text in pieces; then `END`, and behind it what went wrong, if it did."""

    @answered
    async def post(self) -> None:
        writing = self.settings.setdefault("cpod_chats", set())
        fields = self.body()
        asked, _ = Conversation.of(fields), Address.of(fields)
        if len(writing) >= _AT_ONCE:
            raise CpodError(f"{_AT_ONCE} answers are being written; ask again when one of them is there")
        writing.add(self)
        try:
            pieces = await self.on(fields, lambda handle: _answer(handle, asked), _PIECE_SECONDS)
            await self._send(pieces, await self._next(pieces))
        finally:
            writing.discard(self)

    async def _next(self, pieces: Iterator[str]) -> str | None:
        return await self.in_thread(lambda _: next(pieces, None), _PIECE_SECONDS)

    async def _send(self, pieces: Iterator[str], piece: str | None) -> None:
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.set_header("X-Accel-Buffering", "no")  # a proxy that gathers the answer would hide that it is written
        trouble = ""
        try:
            while piece is not None:
                self.write(piece.replace(END, ""))
                await self.flush()
                piece = await self._next(pieces)
        except CpodError as error:
            trouble = str(error)
        except StreamClosedError:
            return  # nobody reads on: the model's server sees its connection close when `pieces` goes
        self.write(END + trouble)
        self.finish(set_content_type="text/plain; charset=utf-8")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _answer(handle: Handle, asked: Conversation) -> Iterator[str]:
    from cpod_jupyter.sdk import Deployment

    if not isinstance(handle, Deployment):
        raise CpodError(f"{handle.title} cannot be asked: it is no deployment")
    return handle.stream(list(asked.messages), temperature=asked.temperature, max_tokens=asked.max_tokens)
