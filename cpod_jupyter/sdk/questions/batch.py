"""Many questions put to one model: so many at a time as go well, tried again where that may help, each answer kept on
disk as soon as it is there."""

from __future__ import annotations

import asyncio
import dataclasses
import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cpod_jupyter.errors import BatchStopped, CpodError, NotFound
from cpod_jupyter.sdk.questions.failures import Failure, failure_of
from cpod_jupyter.sdk.questions.kept import Answer, Kept, Keys
from cpod_jupyter.sdk.questions.pace import Pace
from cpod_jupyter.sdk.questions.runner import apart

if TYPE_CHECKING:
    import openai

    from cpod_jupyter.sdk.questions.questioned import Questioned
    from cpod_jupyter.sdk.questions.reach import Reached

ROW_SECONDS = 600.0
RETRIES = 6
_BACK_OFF = 0.5
_LONGEST_PAUSE = 30.0


@dataclass(frozen=True)
class Settings:
    """How a batch is asked. `parameters` go with every request; `concurrency` is how many rows are under way at a time,
    None to find out; `seconds` is a row's time with all its tries; `new` is to ask again what is kept."""

    parameters: Mapping[str, Any] = field(default_factory=dict)
    concurrency: int | None = None
    seconds: float = ROW_SECONDS
    retries: int = RETRIES
    new: bool = False


@dataclass(frozen=True)
class Progress:
    """How far a batch is. `kept` of the answers are from an earlier call, at most `age` seconds old; `cut` were cut by
    length."""

    total: int
    done: int = 0
    errors: int = 0
    cut: int = 0
    kept: int = 0
    age: float = 0.0
    at_a_time: int = 0
    first_error: str = ""


class Batch:
    """One batch to one model. `answers` after, or in the middle of, `ask`: the rows in order, one at a time."""

    def __init__(
        self, target: Questioned, conversations: Iterable[Sequence[Mapping[str, Any]]], total: int, settings: Settings,
        folder: Path,
    ) -> None:  # fmt: skip
        self.target, self.settings, self.progress = target, settings, Progress(total)
        self._rest, self._folder = iter(conversations), folder
        self._maker: Keys | None = None
        self._keys: list[bytes] = []
        self._clients: list[openai.AsyncOpenAI] = []
        """The last is the one that asks."""
        self._failed: dict[int, str] = {}
        self._pace = Pace(settings.concurrency)
        self._rest_until = 0.0
        self._finding = asyncio.Lock()

    async def ask(self, tell: Callable[[Progress], None]) -> None:
        """Ask what is not kept yet; `tell` is called after every row.

        Raises BatchStopped when the model is gone, or every row would fail; what was answered is kept then, as when
        the task is cancelled.
        """
        self._tell = tell
        reached = await apart(self.target.endpoint)
        identity = await apart(self.target.identity)
        self._maker = Keys([identity, reached.model, self.settings.parameters])
        with Kept(self._folder) as kept:
            self._reach(reached)
            try:
                await self._ask_all(kept)
            except BatchStopped as error:
                now = self.progress
                raise BatchStopped(
                    f"{self.target.title} was asked no further after {now.done - now.errors:,} of {now.total:,} "
                    f"answers: {error}\n  what was answered is kept: the same call goes on where this one stopped"
                ) from None
            finally:
                for client in self._clients:
                    await client.close()

    def answers(self, unasked: str = "it was not asked") -> Iterable[Answer]:
        """An answer a row, in order; one with an error where there is none."""
        if self._maker is not None:  # a row that it did not come to may be kept from an earlier call
            self._keys.extend(map(self._maker.of, self._rest))
        with Kept(self._folder) as kept:
            for at, found in enumerate(kept.read(self._keys)):
                yield found or Answer(error=self._failed.get(at, unasked))
        for _ in range(len(self._keys), self.progress.total):
            yield Answer(error=unasked)

    def forget(self) -> None:
        """When every row has its answer, and who asked has them: the next call asks anew."""
        if not self.progress.errors and self.progress.done == self.progress.total:
            with Kept(self._folder) as kept:
                kept.forget(self._keys)

    # ---- inner

    def _reach(self, reached: Reached) -> None:
        self._reached = reached
        self._clients.append(reached.async_client(self.settings.seconds))

    async def _ask_all(self, kept: Kept) -> None:
        assert self._maker is not None
        running: set[asyncio.Task[None]] = set()
        try:
            for at, messages in enumerate(self._rest):
                key = self._maker.of(messages)
                self._keys.append(key)
                if self.settings.new:
                    kept.forget([key])
                elif (age := kept.age(key)) is not None:
                    self._known(kept, key, age)
                    continue
                running = await self._room(running)
                self._pace.begun(time.monotonic())
                running.add(asyncio.create_task(self._row(kept, at, key, messages)))
            while running:
                running = await self._ended(running)
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    def _known(self, kept: Kept, key: bytes, age: float) -> None:
        (found,) = kept.read([key])
        cut = found is not None and found.finish_reason == "length"
        now = self.progress
        self._count(done=now.done + 1, kept=now.kept + 1, cut=now.cut + cut, age=max(now.age, age))

    async def _room(self, running: set[asyncio.Task[None]]) -> set[asyncio.Task[None]]:
        """Wait until another row may be sent."""
        while len(running) >= self._pace.limit:
            running = await self._ended(running)
        while (rest := self._rest_until - time.monotonic()) > 0:
            await asyncio.sleep(rest)
        return running

    async def _ended(self, running: set[asyncio.Task[None]]) -> set[asyncio.Task[None]]:
        done, left = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()  # BatchStopped, or a fault of ours
        return left

    async def _row(self, kept: Kept, at: int, key: bytes, messages: Sequence[Mapping[str, Any]]) -> None:
        begun, why = time.monotonic(), ["no answer"]
        try:
            async with asyncio.timeout(self.settings.seconds):
                answer = await self._answered(messages, why)
        except TimeoutError:
            self._pace.refused(time.monotonic())
            last = "" if why[-1] == "no answer" else f"; the last try: {why[-1]}"
            return self._fail(at, f"no answer within {self.settings.seconds:g} s{last}")
        if isinstance(answer, str):
            return self._fail(at, answer)
        now = time.monotonic()
        kept.keep(key, dataclasses.replace(answer, seconds=round(now - begun, 3)))
        self._pace.answered(answer.completion_tokens or 1, now)
        self._count(done=self.progress.done + 1, cut=self.progress.cut + (answer.finish_reason == "length"))
        return None

    async def _answered(self, messages: Sequence[Mapping[str, Any]], why: list[str]) -> Answer | str:
        """The answer, after as many tries as may help; else why not. What each try failed of is added to `why`."""
        import openai

        for tried in range(self.settings.retries + 1):
            reached = self._reached
            try:
                return _answer_of(await self._create(messages))
            except openai.APIError as error:
                failure = failure_of(error)
            except (TypeError, ValueError) as error:  # what cannot be written as JSON, or an answer that is none
                failure = Failure(f"it cannot be asked: {error}")
            failure = dataclasses.replace(failure, words=self.target.redacted(failure.words))
            why.append(failure.words)
            if failure.lost:
                failure = await self._find_again(reached, failure, last=tried == self.settings.retries)
            if failure.hopeless:
                raise BatchStopped(failure.words)
            if not failure.again:
                return failure.words
            if tried < self.settings.retries:
                await self._back_off(tried, failure)
        return f"{why[-1]} ({self.settings.retries + 1} tries)"

    async def _create(self, messages: Sequence[Mapping[str, Any]]) -> Any:
        asked: Any = {"model": self._reached.model, "messages": messages, **self.settings.parameters}
        return await self._clients[-1].chat.completions.create(**asked)

    async def _back_off(self, tried: int, failure: Failure) -> None:
        """Wait, longer after each try, with jitter (Brooker, Exponential Backoff and Jitter, AWS, 2015); as long as the
        server asks where it does. What is busy gets no new rows meanwhile."""
        pause = min(_LONGEST_PAUSE, _BACK_OFF * 2**tried) * random.uniform(0.5, 1)
        pause = pause if failure.after is None else max(failure.after, pause / 4)
        if failure.busy:
            now = time.monotonic()
            self._pace.refused(now)
            self._rest_until = max(self._rest_until, now + (failure.after or 0))
            self._count()
        await asyncio.sleep(pause)

    async def _find_again(self, asked: Reached, failure: Failure, *, last: bool) -> Failure:
        """Whether the model is still there, and where. One row looks, the others take what it found."""
        again = dataclasses.replace(failure, again=True, hopeless=False)
        async with self._finding:
            if asked is not self._reached:
                return again
            try:
                found = await apart(self.target.find_again)
            except NotFound as error:
                return Failure(str(error), hopeless=True)
            except CpodError as error:
                return Failure(str(error), again=True, hopeless=last)
            if (found.url, found.model) == (asked.url, asked.model):
                return failure  # it is where it was: what it said stands
            self._reach(found)
            return again

    def _fail(self, at: int, words: str) -> None:
        self._failed[at] = words
        now = self.progress
        self._count(done=now.done + 1, errors=now.errors + 1, first_error=now.first_error or words)

    def _count(self, **changes: Any) -> None:
        self.progress = dataclasses.replace(self.progress, at_a_time=self._pace.limit, **changes)
        self._tell(self.progress)


def _answer_of(completion: Any) -> Answer | str:
    """What a completion says; a text for one that says nothing as OpenAI's protocol has it."""
    choices = getattr(completion, "choices", None)
    if not choices or getattr(choices[0], "message", None) is None:
        return "the server's answer is no chat completion"
    usage = getattr(completion, "usage", None)
    return Answer(
        str(choices[0].message.content or ""),
        str(choices[0].finish_reason or ""),
        "",
        getattr(usage, "prompt_tokens", None),
        getattr(usage, "completion_tokens", None),
    )
