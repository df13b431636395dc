"""A conversation with a deployment or a model at a URL, kept as OpenAI's messages, with pictures and tools."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from cpod_jupyter.errors import CpodError
from cpod_jupyter.sdk.asking import Answer, request_of, written
from cpod_jupyter.sdk.chat.images import image_url
from cpod_jupyter.sdk.chat.tools import Tools
from cpod_jupyter.sdk.questions.questioned import Questioned

ROUNDS = 8
"""Rounds of calls that a model has for one question; after them it is asked to answer without."""
_ROLES = ("system", "developer", "user", "assistant", "tool")


@dataclass(frozen=True)
class Call:
    """A call of a tool, its arguments as JSON, and what was answered; None where nobody here can."""

    name: str
    arguments: str
    result: str | None


@dataclass
class Turn:
    """What came of one question so far: answers, with the calls of tools between them."""

    parts: list[Answer | Call] = field(default_factory=list)
    stopped: bool = False
    """Whether it was ended before the model had done."""

    @property
    def answers(self) -> list[Answer]:
        return [part for part in self.parts if isinstance(part, Answer)]

    @property
    def text(self) -> str:
        """The last answer; empty while there is none."""
        return self.answers[-1].text if self.answers else ""

    @property
    def unanswered(self) -> list[Call]:
        """Calls of tools that are only described here: who asked answers them, with a message of the role `tool`."""
        return [part for part in self.parts if isinstance(part, Call) and part.result is None]

    def tokens(self) -> tuple[int | None, int, bool]:
        """Of the prompts and of the answers, and whether the server counted them; else the pieces are counted."""
        counted = all(answer.completion_tokens is not None for answer in self.answers)
        if not counted or not self.answers:
            return None, sum(answer.pieces for answer in self.answers), False
        prompts = sum(answer.prompt_tokens or 0 for answer in self.answers)
        return prompts, sum(answer.completion_tokens or 0 for answer in self.answers), True

    @property
    def first_seconds(self) -> float | None:
        """From the question to the first token."""
        return self.answers[0].first_at if self.answers else None

    @property
    def tokens_per_second(self) -> float | None:
        """While it was written, the wait for the first token apart; None where too little came to say."""
        begun = [answer for answer in self.answers if answer.first_at is not None]
        seconds = sum(answer.last_at - (answer.first_at or 0.0) for answer in begun)
        more = self.tokens()[1] - len(begun)
        return more / seconds if more > 0 and seconds > 0.001 else None


class Conversation:
    """What is said between a user and a deployment. `messages` is the list given, which grows with each turn."""

    def __init__(self, deployment: Questioned, messages: list[dict[str, Any]] | None = None) -> None:
        self.deployment = deployment
        self.messages = [] if messages is None else messages
        for number, message in enumerate(self.messages):
            if not isinstance(message, dict) or message.get("role") not in _ROLES:
                raise CpodError(f"message {number} of the history: role must be one of {', '.join(_ROLES)}")

    @property
    def turns(self) -> int:
        """How many questions were asked."""
        return sum(message["role"] == "user" for message in self.messages)

    def ask(
        self,
        question: str,
        *,
        system: str | None = None,
        images: Sequence[Any] = (),
        tools: Tools | None = None,
        rounds: int = ROUNDS,
        model: str | None = None,
        **options: Any,
    ) -> Iterator[Turn]:
        """Ask, and yield the turn each time that there is more of it. `options` are OpenAI's (`temperature`, …);
        `images` are what `image_url` takes; `system` becomes the conversation's from now on.

        Closing the iterator, or an interrupt, ends the server's work; what came is kept. After an error the messages
        are as they were. Raises CpodError when it cannot be asked, or refuses.
        """
        before = list(self.messages)
        parts = [{"type": "image_url", "image_url": {"url": image_url(each)}} for each in images]
        if system is not None:
            self._set_system(system)
        content = [{"type": "text", "text": question}, *parts] if parts else question
        self.messages.append({"role": "user", "content": content})
        turn = Turn()
        first = sound = len(self.messages)
        try:
            for left in range(rounds, -1, -1):
                yield from self._answered(turn, model, {**options, **_tool_options(tools, left)}, bool(parts))
                calls = turn.answers[-1].calls if left else []
                for call in calls:
                    turn.parts.append(self._called(tools, call))
                    yield turn
                if not calls or turn.unanswered:
                    return
                sound = len(self.messages)
        except (KeyboardInterrupt, GeneratorExit):
            turn.stopped = True
            self._keep(turn, sound, before if sound == first else None)
            raise
        except BaseException:
            self.messages[:] = before
            raise

    def _answered(self, turn: Turn, model: str | None, options: dict[str, Any], pictures: bool) -> Iterator[Turn]:
        """One request: its answer becomes a part of the turn, and in the end a message."""
        import openai

        endpoint = self.deployment.endpoint()
        request = request_of(model or endpoint.model, list(self.messages), options)
        answer: Answer | None = None
        try:
            with closing(written(endpoint.client, request, usage=True)) as more:  # type: ignore[type-var]
                for answer in more:
                    if not turn.parts or turn.parts[-1] is not answer:
                        turn.parts.append(answer)
                    yield turn
        except openai.APIStatusError as error:
            raise CpodError(self.deployment.redacted(self._refusal(error, options, pictures))) from error
        except openai.APIError as error:
            self.deployment.forget_endpoint()
            cause = f" ({error.__cause__})" if error.__cause__ else ""
            words = f"{self.deployment.title} did not answer: {error}{cause}"
            raise CpodError(self.deployment.redacted(words)) from error
        assert answer is not None, "an answer is yielded at its end, though nothing is in it"
        self.messages.append(answer.message())

    def _called(self, tools: Tools | None, call: dict[str, Any]) -> Call:
        """Answer a call, where that can be done here."""
        name, arguments = call["function"]["name"], call["function"]["arguments"]
        described = [each["function"]["name"] for each in tools.schemas] if tools else []
        if tools is None or (name in described and not tools.has(name)):
            return Call(name, arguments, None)
        result = tools.call(name, arguments)
        self.messages.append({"role": "tool", "tool_call_id": call["id"], "content": result})
        return Call(name, arguments, result)

    def _set_system(self, text: str) -> None:
        rest = self.messages[1:] if self.messages and self.messages[0]["role"] == "system" else self.messages
        self.messages[:] = [{"role": "system", "content": text}, *rest] if text else list(rest)

    def _keep(self, turn: Turn, sound: int, before: list[dict[str, Any]] | None) -> None:
        """After a stop: what was said, without calls that nobody answered. Where nothing was said, the messages are as
        they were `before` the question."""
        last = turn.parts[-1] if turn.parts else None
        del self.messages[sound:]
        if isinstance(last, Answer) and last.text:
            self.messages.append({"role": "assistant", "content": last.text})
        elif before is not None:
            self.messages[:] = before

    def _refusal(self, error: Any, options: dict[str, Any], pictures: bool) -> str:
        """What a server's refusal may come from, beside its own words."""
        body = error.body if isinstance(error.body, dict) else {}
        words = str(body.get("message") or body.get("detail") or error.message)
        guesses = ["its model may not take pictures"] if pictures else []
        guesses += ["it may know no tools"] if options.get("tools") else []
        guesses += ["it may know no response_format (--json)"] if options.get("response_format") else []
        if self.turns > 1:
            guesses.append("the conversation may have become too long for it: --new begins again")
        hint = f" ({'; '.join(guesses)})" if guesses else ""
        return f"{self.deployment.title} refused the question: HTTP {error.status_code}: {words}{hint}"


def _tool_options(tools: Tools | None, left: int) -> dict[str, Any]:
    if tools is None:
        return {}
    return {"tools": tools.schemas} if left else {"tools": tools.schemas, "tool_choice": "none"}
