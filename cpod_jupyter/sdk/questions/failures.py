"""Why a question was not answered: in words, and what follows from it."""

from __future__ import annotations

import email.utils
import re
import time
from dataclasses import dataclass
from typing import Any

_LETTERS = 400
_AGAIN = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
_BUSY = frozenset({429, 503, 529})
_HOPELESS = frozenset({401, 403, 404})
"""Codes that every other row would get too: the key, or the model's name, is wrong."""

_TOO_LONG = re.compile(
    r"context[ _-]?(length|size|window)|exceed_context|maximum model length|prompt is too long|inputs. tokens \+"
    r"|input is too long|max_seq_len|configured limit",
    re.IGNORECASE,
)
_PROMPT_TOKENS = (
    r'n_prompt_tokens\D{1,4}(\d+)',  # llama.cpp, as data
    r"request \((\d+) tokens\) exceeds",  # llama.cpp
    r"\((\d+) in the messages",  # vLLM and OpenAI, the prompt's share
    r"messages resulted in (\d+) tokens",  # OpenAI
    r"(?:has|passed|contains(?: at least)?|Given:) `?(\d+) `?(?:input|prompt|tokens)",  # vLLM, TGI, our own runtime
    r"(?:input|prompt) \((?:length )?(\d+)",  # SGLang, older vLLM
    r"requested (\d+) tokens",  # vLLM and OpenAI, prompt and answer together
)  # fmt: skip
_CONTEXT_TOKENS = (
    r"n_ctx\D{1,4}(\d+)",
    r"context (?:length|size|window)(?: is| of|:)?(?: only)? \(?(\d+)",
    r"model length of (\d+)",
    r"limit of (\d+)",
    r"of the model's (\d+)",
    r"must be <= (\d+)",
    r"\((\d+) tokens\), try increasing",
    r"(?:at most|maximum of|up to) (\d+) tokens",
)


@dataclass(frozen=True)
class Failure:
    """Of one request. `again` is whether another try may go well, `after` the seconds that the server asks to wait,
    `busy` whether it had too much to do, `lost` whether it may be gone, `hopeless` whether every row would get it."""

    words: str
    again: bool = False
    after: float | None = None
    busy: bool = False
    lost: bool = False
    hopeless: bool = False


def failure_of(error: Exception) -> Failure:
    """What an error of the client means."""
    import openai

    if isinstance(error, openai.APITimeoutError):
        return Failure("no answer in time", again=True, busy=True)
    if not isinstance(error, openai.APIStatusError):
        cause = error.__cause__ or error
        return Failure(f"no answer: {_cut(str(cause) or type(cause).__name__)}", again=True, lost=True)
    code, said = error.status_code, _said(error)
    if code in (401, 403):
        return Failure(f"the API key is refused (HTTP {code}): {said}", hopeless=True)
    if code in (400, 413, 422) and (long := too_long(f"{said} {error.body or ''}")):
        return Failure(long + ("" if any(letter.isdigit() for letter in long) else f": {said}"))
    return Failure(
        f"HTTP {code}: {said}",
        again=code in _AGAIN,
        after=_retry_after(error.response.headers),
        busy=code in _BUSY,
        lost=code in (404, 502, 503, 504),
        hopeless=code in _HOPELESS,
    )


def too_long(said: str) -> str:
    """That a prompt is over the model's context, with the numbers that the server says; empty if it says not that."""
    if not _TOO_LONG.search(said):
        return ""
    has, most = _number(_PROMPT_TOKENS, said), _number(_CONTEXT_TOKENS, said)
    if has and most and has < most:
        return f"the prompt of {has:,} tokens and max_tokens together are over the context of {most:,} tokens"
    if has and most:
        return f"the prompt is over the context: {has:,} tokens, of {most:,} that the model takes"
    if has:
        return f"the prompt is over the context: it has {has:,} tokens"
    return f"the prompt is over the context{f' of {most:,} tokens' if most else ''}"


def _number(patterns: tuple[str, ...], text: str) -> int:
    for pattern in patterns:
        if found := re.search(pattern, text, re.IGNORECASE):
            return int(found[1])
    return 0


def _said(error: Any) -> str:
    """The server's own words, without what the SDK wraps around them."""
    body = error.body
    while isinstance(body, dict):
        inner = body.get("message") or body.get("detail") or body.get("error") or body.get("msg")
        if not inner:
            break
        body = inner
    return _cut(body if isinstance(body, str) and body.strip() else str(error.message))


def _cut(text: str) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= _LETTERS else f"{plain[:_LETTERS]}…"


def _retry_after(headers: Any) -> float | None:
    """Seconds to wait, by RFC 9110, section 10.2.3 (a number of seconds, or a date); None where it is not said."""
    value = str(headers.get("retry-after") or "")
    try:
        return max(0.0, float(value))
    except ValueError:
        date = email.utils.parsedate_tz(value)
        return max(0.0, email.utils.mktime_tz(date) - time.time()) if date else None
