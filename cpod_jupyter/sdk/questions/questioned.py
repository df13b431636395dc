"""What can be asked: one question at a time, many at once, and under load."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cpod_jupyter import local
from cpod_jupyter.errors import CpodError
from cpod_jupyter.sdk.asking import request_of, written
from cpod_jupyter.sdk.questions.batch import RETRIES, ROW_SECONDS
from cpod_jupyter.sdk.questions.generate import Generation, Told
from cpod_jupyter.sdk.questions.prompts import Template
from cpod_jupyter.sdk.questions.reach import Reached

if TYPE_CHECKING:
    import openai
    import pandas as pd

    from cpod_jupyter.sdk.questions.bench import Bench, Say


class Questioned(ABC):
    """A model behind OpenAI's protocol: a deployment, or an endpoint outside any cluster."""

    _endpoint: Reached | None = None
    _secret = ""
    """An API key, which no message may show."""

    @property
    @abstractmethod
    def name(self) -> str:
        """What a comparison calls it."""

    @property
    @abstractmethod
    def title(self) -> str:
        """What messages call it."""

    @abstractmethod
    def identity(self) -> tuple[Any, ...]:
        """What answers are kept under: the same as long as the same model answers. Raises CpodError."""

    @abstractmethod
    def _find_endpoint(self) -> Reached: ...

    @property
    def client(self) -> openai.OpenAI:
        """A client ready to use. Raises CpodError when it cannot be reached, and says why."""
        return self.endpoint().client

    @property
    def model(self) -> str:
        """The name that its model answers to: what to give as `model=`."""
        return self.endpoint().model

    def endpoint(self) -> Reached:
        """How it is reached; found out once."""
        if self._endpoint is None:
            self._endpoint = self._find_endpoint()
        return self._endpoint

    def find_again(self) -> Reached:
        """The same, found out anew: it may have moved, or be gone. Raises CpodError."""
        self.forget_endpoint()
        return self.endpoint()

    def forget_endpoint(self) -> None:
        """Have it found out again, after an error: it may have moved."""
        self._endpoint = None

    def redacted(self, text: str) -> str:
        """A message without the API key that a server may have repeated."""
        return text.replace(self._secret, "…") if self._secret else text

    def chat(
        self,
        prompt: str | Sequence[Mapping[str, Any]],
        *,
        system: str | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
    ) -> str:
        """The answer to one question, or to a conversation given as messages."""
        return "".join(self.stream(prompt, system=system, temperature=temperature, max_tokens=max_tokens))

    def stream(
        self,
        prompt: str | Sequence[Mapping[str, Any]],
        *,
        system: str | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
    ) -> Iterator[str]:
        """The same, piece by piece as the model writes it. Raises CpodError when it cannot be asked.

        Where nobody answers at the address that was found out earlier, it is found out once more.
        """
        import openai

        earlier = self._endpoint is not None
        endpoint = self.endpoint()
        messages: list[dict[str, Any]] = [{"role": "system", "content": system}] if system else []
        messages += [{"role": "user", "content": prompt}] if isinstance(prompt, str) else map(dict, prompt)
        options = {"temperature": temperature, "max_tokens": max_tokens}
        told = 0
        try:
            for answer in written(endpoint.client, request_of(endpoint.model, messages, options)):
                if len(answer.text) > told:
                    piece, told = answer.text[told:], len(answer.text)
                    yield piece
        except openai.APIError as error:
            self.forget_endpoint()  # it may have moved
            lost = isinstance(error, openai.APIConnectionError) and not isinstance(error, openai.APITimeoutError)
            if earlier and lost and not told:
                yield from self.stream(prompt, system=system, temperature=temperature, max_tokens=max_tokens)
                return
            raise CpodError(self.redacted(f"{self.title} did not answer: {error}")) from error

    def generate(
        self,
        data: Any,
        *,
        template: Template | None = None,
        system: str | None = None,
        concurrency: int | str = "auto",
        timeout: float = ROW_SECONDS,
        retries: int = RETRIES,
        new: bool = False,
        tell: Told | None = None,
        **parameters: Any,
    ) -> pd.DataFrame:
        """The answers to many prompts: what was given, in its order and with its index, and the columns `answer`,
        `finish_reason` (`length` for one that was cut), `error` (why there is no answer; empty when there is),
        `prompt_tokens`, `completion_tokens` and `seconds`, called `generated_…` where the name is taken.

        `data` is a DataFrame, or an iterable of prompts, of conversations (lists of messages) or of rows (dicts).
        `template` makes prompts of rows: a text with fields as `str.format` has them (`"Translate: {text}"`), or a list
        of messages with such texts; without one the column `messages`, `prompt` or `question` is asked. `system` comes
        first. `parameters` (`temperature`, `max_tokens`, `seed`, …, and a server's own such as `top_k`) go with each.

        `concurrency` is how many rows are under way at a time. "auto" begins with 4, and takes more while the tokens a
        second grow by a twentieth, up to 256; where they do not, it goes back; when the server has too much to do (429,
        503) or doesn't answer in time, it takes half. A row has `timeout` seconds, tries included; it is tried again
        `retries` times on 408, 409, 429, 5xx and lost connections, after pauses that double, or as long as the server
        asks (Retry-After). What then has no answer is marked, and the others go on.

        Answers are written to disk as they come. Interrupt it, or call it again after errors: the same rows with the
        same parameters go on where they stopped, asking only what has no answer; `new` asks all again. A batch that
        was answered whole is forgotten, and asked anew. Nothing is shown in the first two seconds; then progress is,
        unless `tell` takes it. `frame.attrs["batch"]` counts rows, errors, and answers cut by length.

        Raises CpodError before anything is asked for rows that lack a field of the template, and for a model that is
        not ready; BatchStopped, with what was answered as `frame`, when it goes away or refuses the key.
        """
        return self._generation(
            data, template=template, system=system, concurrency=concurrency, timeout=timeout, retries=retries, new=new,
            tell=tell, **parameters,
        ).run()  # fmt: skip

    async def agenerate(self, data: Any, **options: Any) -> pd.DataFrame:
        """`generate` for asyncio: the same arguments, errors and result. A cancelled task keeps what was answered."""
        return await self._generation(data, **options).arun()

    def bench(
        self,
        concurrency: Sequence[int] = (1, 2, 4, 8),
        prompts: Sequence[str] | None = None,
        *,
        max_tokens: int = 128,
        seconds: float = 10.0,
        requests: int | None = None,
        tell: Say | None = None,
        **parameters: Any,
    ) -> Bench:
        """How fast it answers when so many ask at a time: requests and tokens a second, the time to the first token,
        and between two, as medians (p50) and 95th percentiles. See `Bench` for the table, the DataFrame and the plot.

        Each of `concurrency` is held for `seconds`, or for so many `requests`; what is under way then is waited for.
        `prompts` are asked in turn, each with a number before it, so that no cache answers. Raises CpodError when it
        does not answer at all.
        """
        from cpod_jupyter.sdk.questions.bench import measured

        return measured(self, concurrency, prompts, max_tokens, seconds, requests, tell, parameters)

    def _generation(self, data: Any, **options: Any) -> Generation:
        return Generation(self, data, local.home() / "answers", **options)
