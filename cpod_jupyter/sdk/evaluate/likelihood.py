"""How likely a model finds a text, as its server says, and whether that can be believed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from cpod_jupyter.errors import CpodError

if TYPE_CHECKING:
    from cpod_jupyter.sdk.questions.questioned import Questioned

_BEGUN = "one two three four five six seven eight nine ten one two three four five six seven eight nine ten one two"
"""Something that every model goes on with, and in which no word follows itself."""
_TOKENS = 4
_APART, _SURE, _SURELY_APART = 0.5, -0.05, 2.0
"""Of log-probabilities: more than arithmetic of few bits makes of a token in two requests. Where a server is sure of
what it writes, as some say of all that is written without chance (temperature 0), it may have been as likely as the
last."""


def asked(deployment: Questioned, kind: Literal["chat", "completions"], options: dict[str, Any]) -> Any:
    """The first choice of what the server answers; None when it refuses the request as one that it does not know.

    Raises CpodError when it does not answer.
    """
    import openai

    endpoint = deployment.endpoint()
    ask: Any = endpoint.client.chat.completions if kind == "chat" else endpoint.client.completions
    try:
        found = ask.create(model=endpoint.model, **options)
    except (openai.BadRequestError, openai.NotFoundError, openai.UnprocessableEntityError):
        return None
    except openai.APIStatusError as error:
        if error.status_code in (405, 501):
            return None
        raise CpodError(deployment.redacted(f"{deployment.title} did not answer: {error}")) from error
    except openai.APIError as error:
        raise CpodError(deployment.redacted(f"{deployment.title} did not answer: {error}")) from error
    choices = getattr(found, "choices", None)  # a text where the server streams whatever it is asked
    return choices[0] if choices else None


def tokens_of(
    deployment: Questioned, prompt: str, *, echo: bool, most: int = 1
) -> list[tuple[str, float | None]] | None:
    """The tokens of a prompt and up to `most` that go on with it, each with its log-probability (OpenAI, "Create
    completion": `echo`); without `echo` the latter alone. None where the server gives none.

    Raises CpodError when it does not answer.
    """
    options: dict[str, Any] = {"prompt": prompt, "temperature": 0, "max_tokens": most, "logprobs": 1}
    given = asked(deployment, "completions", {**options, "echo": True} if echo else options)
    logprobs = getattr(given, "logprobs", None)
    if logprobs is None or not logprobs.token_logprobs or given.text.startswith(prompt) is not echo:
        return None
    return list(zip(logprobs.tokens, logprobs.token_logprobs, strict=True))


def fault_of(deployment: Questioned) -> str:
    """Why what a server says of a prompt's tokens is not to be believed; empty where it is, or where it says nothing.

    The tokens that it writes must be about as likely when they are read as the end of a prompt.
    Raises CpodError when it does not answer.
    """
    wrote = tokens_of(deployment, _BEGUN, echo=False, most=_TOKENS) or []
    written = _by_place(wrote, len(_BEGUN))
    text = _BEGUN + "".join(token for token, _ in wrote)
    read = _by_place(tokens_of(deployment, text, echo=True) or [] if written else [], 0)
    both = [(written[place], read[place]) for place in written if place in read]
    if not both:
        return ""
    as_written, as_read = (sum(values) / len(both) for values in zip(*both, strict=True))
    if as_written - as_read < (_SURELY_APART if as_written > _SURE else _APART):
        return ""
    return (
        f"its log-probabilities of a prompt are not those of its tokens: {text.removeprefix(_BEGUN)!r} has "
        f"{as_written:.1f} a token where it writes it and {as_read:.1f} where it reads it (llama-cpp-python takes a "
        "neighbour's where the model has no BOS)"
    )


def _by_place(tokens: list[tuple[str, float | None]], at: int) -> dict[tuple[int, str], float]:
    """The log-probability of each token that has one, by where it begins in a text, and itself."""
    found = {}
    for token, value in tokens:
        if token and value is not None:
            found[at, token] = value
        at += len(token)
    return found
