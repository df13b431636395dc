"""One request to a server that speaks OpenAI's protocol, and its answer while it is written, with what it took."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import openai

_LENGTH = "length"
"""The `finish_reason` of an answer that reached the most tokens (OpenAI, "Create chat completion")."""
_REASONING = ("reasoning_content", "reasoning")
"""Where servers put what a model thinks before it answers: vLLM's older name and its newer one."""

_WITH_USAGE: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}
_STREAMED: dict[str, Any] = {"stream": True}
_WHOLE: dict[str, Any] = {}


@dataclass
class Answer:
    """What a model has said so far. `calls` are OpenAI's `tool_calls`; times are seconds from the request on."""

    text: str = ""
    reasoning: str = ""
    calls: list[dict[str, Any]] = field(default_factory=list)
    finish_reason: str = ""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    """As the server counted them; None where it does not say."""
    pieces: int = 0
    """How many came, which is about the number of tokens."""
    first_at: float | None = None
    last_at: float = 0.0

    @property
    def cut(self) -> bool:
        """Whether it ends since it reached the most tokens."""
        return self.finish_reason == _LENGTH

    def message(self) -> dict[str, Any]:
        """The same as a message of a conversation."""
        said: dict[str, Any] = {"role": "assistant", "content": self.text}
        return {**said, "tool_calls": self.calls} if self.calls else said


def request_of(model: str, messages: list[dict[str, Any]], options: Mapping[str, Any]) -> dict[str, Any]:
    """A request's fields, those of `options` left out that are None or empty."""
    given = {name: value for name, value in options.items() if value is not None and value != []}
    return {"model": model, "messages": messages, **given}


def written(client: openai.OpenAI, request: Mapping[str, Any], *, usage: bool = False) -> Iterator[Answer]:
    """The answer to a request, the same object each time that there is more of it; closing ends the connection, and
    with it the server's work. With `usage` the server is asked how many tokens it took.

    What it does not know may be refused: then it is asked without `usage`, and where there are tools or pictures for
    the whole answer at once, as some servers break off a stream that they cannot write. Others end it before anything
    came, where they would refuse to give the whole answer: so that is asked for then, too. Raises openai.APIError.
    """
    import openai

    answer, begun = Answer(), time.monotonic()
    attempts = [_WITH_USAGE, _STREAMED] if usage else [_STREAMED]
    if request.get("tools") or any(isinstance(each.get("content"), list) for each in request["messages"]):
        attempts.append(_WHOLE)
    refusal: Exception | None = None
    while attempts:
        attempt = attempts.pop(0)
        try:
            response = client.chat.completions.create(**request, **attempt)
        except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
            refusal = refusal or error
            continue
        if attempt is _WHOLE:
            _take(answer, response.choices[0].message, begun)
            answer.finish_reason = response.choices[0].finish_reason or ""
            _count(answer, response.usage)
            yield answer
            return
        try:
            if (yield from _streamed(answer, response, begun)):
                return
            attempts = [_WHOLE]
        except openai.APIConnectionError:
            if answer.pieces or _WHOLE not in attempts:
                raise
            attempts = [_WHOLE]
    assert refusal is not None, "a loop that came to its end had refusals alone"
    raise refusal


def _streamed(answer: Answer, response: Any, begun: float) -> Generator[Answer, None, bool]:
    """The answer as it comes; whether there was a stream at all."""
    begins = False
    with closing(response):
        for chunk in response:
            begins = True
            _count(answer, chunk.usage)
            for choice in chunk.choices[:1]:
                answer.finish_reason = choice.finish_reason or answer.finish_reason
                if _take(answer, choice.delta, begun):
                    yield answer
    if begins:
        yield answer
    return begins


def _take(answer: Answer, said: Any, begun: float) -> bool:
    """Add a piece, or a whole message, to the answer; whether there was anything in it."""
    extra = said.model_extra or {}
    thought = next((str(extra[name]) for name in _REASONING if extra.get(name)), "")
    if not (said.content or thought or said.tool_calls):
        return False
    answer.pieces += 1
    answer.last_at = time.monotonic() - begun
    answer.first_at = answer.last_at if answer.first_at is None else answer.first_at
    answer.text += said.content or ""
    answer.reasoning += thought
    for number, piece in enumerate(said.tool_calls or []):
        _add_call(answer.calls, piece, getattr(piece, "index", None), number)
    return True


def _add_call(calls: list[dict[str, Any]], piece: Any, index: int | None, number: int) -> None:
    """A call comes whole, or in pieces of one `index`, the arguments bit by bit."""
    at = index if index is not None else number
    while len(calls) <= at:
        calls.append({"id": "", "type": "function", "function": {"name": "", "arguments": ""}})
    call = calls[at]
    call["id"] = call["id"] or piece.id or f"call_{at}"
    if piece.function is not None:
        call["function"]["name"] += piece.function.name or ""
        call["function"]["arguments"] += piece.function.arguments or ""


def _count(answer: Answer, usage: Any) -> None:
    if usage is not None and usage.completion_tokens:
        answer.prompt_tokens, answer.completion_tokens = usage.prompt_tokens, usage.completion_tokens
