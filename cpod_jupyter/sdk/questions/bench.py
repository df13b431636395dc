"""How fast a model answers when several ask at a time: requests and tokens a second, time to the first token, and
between two."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cpod_jupyter.errors import CpodError, Interrupted
from cpod_jupyter.sdk.questions.benchview import Bench, Level, level_of
from cpod_jupyter.sdk.questions.failures import failure_of
from cpod_jupyter.sdk.questions.parameters import parameters_of
from cpod_jupyter.sdk.questions.runner import run

if TYPE_CHECKING:
    import openai

    from cpod_jupyter.sdk.questions.questioned import Questioned

__all__ = ["Bench", "Level", "Say", "Timed", "measured"]

Say = Callable[[str], None]
"""Told in a sentence how far it is."""

_MOST = 1024
_PROMPTS = (
    "Explain to a new colleague what a container is, and what it is not.",
    "Write a short story about a lighthouse keeper who finds a letter.",
    "List ten questions that a doctor should ask about a headache, with a reason for each.",
    "Describe how a bill becomes law, step by step.",
    "Compare tea and coffee: history, taste, effects.",
    "Write instructions for planting a tomato in a pot, from seed to harvest.",
    "Summarize what is known about the deep sea, and what is not.",
    "Give a recipe for a vegetable soup for six people, with the amounts.",
)


@dataclass
class Timed:
    """One request: when it was sent, and when each piece of its answer came, in seconds of one clock."""

    begun: float
    pieces: list[float] = field(default_factory=list)
    tokens: int = 0
    error: str = ""


def measured(
    target: Questioned,
    concurrency: Sequence[int],
    prompts: Sequence[str] | None,
    max_tokens: int,
    seconds: float,
    requests: int | None,
    tell: Say | None,
    parameters: Mapping[str, Any],
) -> Bench:
    """See `Questioned.bench`."""
    levels = [concurrency] if isinstance(concurrency, int) else list(concurrency)
    if not levels or any(not isinstance(each, int) or not 1 <= each <= _MOST for each in levels):
        raise CpodError(f"concurrency is one or several whole numbers from 1 to {_MOST}")
    if seconds <= 0 or max_tokens < 1 or (requests is not None and requests < 1):
        raise CpodError("seconds, requests and max_tokens must be more than 0")
    if prompts is not None and (isinstance(prompts, str) or not len(prompts)):
        raise CpodError("prompts are a list of texts")
    asked = parameters_of({"max_tokens": max_tokens, **parameters})
    load = _Load(target, list(prompts) if prompts is not None else _PROMPTS, asked, seconds, requests)
    try:
        target.endpoint()  # in this thread, which can be interrupted
        return run(lambda say: load.measure(levels, say), tell or (lambda words: None))
    except KeyboardInterrupt:
        raise Interrupted(f"{target.title}: interrupted; what was measured is not kept") from None


class _Load:
    """Requests that are sent as fast as they are answered, so many at a time."""

    def __init__(
        self, target: Questioned, prompts: Sequence[str], parameters: dict[str, Any], seconds: float,
        requests: int | None,
    ) -> None:  # fmt: skip
        self._target, self._prompts, self._parameters = target, prompts, parameters
        self._seconds, self._requests = seconds, requests
        self._sent = 0
        self._usage = True
        """Whether the server takes `stream_options`, by which it counts the tokens itself."""

    async def measure(self, levels: Sequence[int], say: Say) -> Bench:
        """One level after the other, after one request that does not count: it may wake what sleeps."""
        self._reached = self._target.endpoint()
        found: list[Level] = []
        async with self._reached.async_client() as client:
            first = await self._one(client)
            if first.error:
                raise CpodError(f"{self._target.title} did not answer: {first.error}")
            for at, level in enumerate(levels):
                say(f"{self._target.title}: {level} at a time ({at + 1} of {len(levels)})")
                begun = time.monotonic()
                timed = await self._level(client, level)
                found.append(level_of(level, timed, time.monotonic() - begun))
        return Bench(self._target.title, self._reached.model, found)

    async def _level(self, client: openai.AsyncOpenAI, level: int) -> list[Timed]:
        until, left, timed = time.monotonic() + self._seconds, self._requests, list[Timed]()

        async def ask_on() -> None:
            nonlocal left
            while (left > 0) if left is not None else (time.monotonic() < until):
                left = left - 1 if left is not None else None
                timed.append(answer := await self._one(client))
                if answer.error:
                    await asyncio.sleep(0.1)  # what refuses at once is not asked as fast as it can refuse

        async with asyncio.TaskGroup() as group:
            for _ in range(level):
                group.create_task(ask_on())
        return timed

    async def _one(self, client: openai.AsyncOpenAI) -> Timed:
        """One request, timed piece by piece; it goes again without `stream_options` where a server refuses them."""
        import openai

        self._sent += 1
        content = f"({self._sent}) {self._prompts[self._sent % len(self._prompts)]}"
        options: dict[str, Any] = {"stream_options": {"include_usage": True}} if self._usage else {}
        timed = Timed(time.monotonic())
        try:
            chunks: Any = await client.chat.completions.create(
                model=self._reached.model, messages=[{"role": "user", "content": content}], stream=True,
                **options, **self._parameters,
            )  # fmt: skip
            async for chunk in chunks:
                if chunk.choices and _has_words(chunk.choices[0].delta):
                    timed.pieces.append(time.monotonic())
                if usage := getattr(chunk, "usage", None):
                    timed.tokens = usage.completion_tokens or 0
        except openai.BadRequestError as error:
            if self._usage and "stream_options" in str(error):
                self._usage = False
                return await self._one(client)
            timed.error = failure_of(error).words
        except openai.APIError as error:
            timed.error = failure_of(error).words
        timed.error = self._target.redacted(timed.error)
        timed.tokens = timed.tokens or len(timed.pieces)
        return timed


def _has_words(delta: Any) -> bool:
    """Whether a piece has text: of the answer, or of what a model says to itself before."""
    return bool(delta.content or getattr(delta, "reasoning_content", None) or getattr(delta, "reasoning", None))
