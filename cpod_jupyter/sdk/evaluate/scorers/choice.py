"""A scorer for multiple choice, by the probabilities that the model itself gives to the choices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from cpod_jupyter.errors import CpodError
from cpod_jupyter.sdk.evaluate.likelihood import asked, fault_of, tokens_of
from cpod_jupyter.sdk.evaluate.scorers.base import Answered, Score, Scorer

if TYPE_CHECKING:
    from cpod_jupyter.sdk.questions.questioned import Questioned

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
NONE_GIVEN = "the server gives no log-probabilities"
_METHODS = ("auto", "chat", "completions")
_TOP = 20
"""The most alternatives of a token that OpenAI's protocol has, and vLLM gives."""


@dataclass
class Choice(Scorer):
    """1 when the right one of the row's `choices` is the likeliest, and as `probability` its share among them. The
    row's answer is the right choice's text, letter, or number from 0.

    `chat` shows the choices with letters and takes the letters' probabilities as the first token of the answer;
    `completions` takes the likelihood of each choice after the question, by letter of its length (the log-likelihood
    that `echo` gives). `auto` takes what the server has, the first before the second.
    """

    method: str = "auto"
    listed: bool = False
    """Whether the question shows the choices with their letters itself."""
    name: str = "choice"
    at_once: ClassVar[int] = 4
    _faults: dict[str, str] = field(default_factory=dict, init=False, repr=False)
    """By target: why its likelihoods are not to be believed, looked at once."""

    def __post_init__(self) -> None:
        if self.method not in _METHODS:
            raise CpodError(f'method is one of {", ".join(_METHODS)}, not "{self.method}"')

    def score(self, answered: Answered) -> Score:
        choices, right = choices_of(answered)
        if answered.deployment is None:
            raise CpodError("multiple choice needs the deployment that answers")
        found: list[float] | None = None
        if self.method != "completions":
            found = self._by_letter(answered, choices)
        if found is None and self.method != "chat":
            found = by_echo(answered, choices)
            if found is not None:
                self._check(answered.deployment)
        if found is None:
            raise CpodError(NONE_GIVEN)
        best = max(range(len(choices)), key=found.__getitem__)
        shares = [math.exp(each - found[best]) for each in found]
        return Score(
            {"": float(best == right), "probability": shares[right] / sum(shares)}, f"likeliest: {choices[best]}"
        )

    def _check(self, deployment: Questioned) -> None:
        """Raises CpodError where a server's likelihoods are not to be believed."""
        if deployment.title not in self._faults:
            self._faults[deployment.title] = fault_of(deployment)
        if fault := self._faults[deployment.title]:
            raise CpodError(fault)

    def _by_letter(self, answered: Answered, choices: Sequence[str]) -> list[float] | None:
        """The log-probability of each choice's letter as the first token; None where the server gives none."""
        messages = [dict(message) for message in answered.row["messages"]]
        if not self.listed:
            shown = "\n".join(f"{letter}. {choice}" for letter, choice in zip(LETTERS, choices, strict=False))
            messages[-1]["content"] = f"{messages[-1]['content']}\n\n{shown}"
        messages[-1]["content"] += "\n\nAnswer with the letter of the right choice only."
        assert answered.deployment is not None, "looked at before"
        options = {"messages": messages, "temperature": 0, "max_tokens": 1, "logprobs": True, "top_logprobs": _TOP}
        found = asked(answered.deployment, "chat", options)
        content = getattr(getattr(found, "logprobs", None), "content", None)
        if not content or not content[0].top_logprobs:
            return None
        likely = dict.fromkeys(LETTERS[: len(choices)], -math.inf)
        for token in content[0].top_logprobs:
            letter = token.token.strip(" \n().:*▁Ġ").upper()
            if letter in likely:
                likely[letter] = _log_sum(likely[letter], token.logprob)
        if all(math.isinf(each) for each in likely.values()):
            raise CpodError(f"no letter of a choice is among the {len(content[0].top_logprobs)} likeliest first tokens")
        return list(likely.values())


def by_echo(answered: Answered, choices: Sequence[str]) -> list[float] | None:
    """The log-likelihood of each choice after the question, per letter; None where the server has no `echo`."""
    assert answered.deployment is not None, "looked at before"
    context, found = f"Question: {answered.question}\nAnswer:", []
    for choice in choices:
        prompt = f"{context} {choice}"
        tokens = tokens_of(answered.deployment, prompt, echo=True)
        if tokens is None:
            return None
        at, likelihood = 0, 0.0
        for token, value in tokens:
            end = at + len(token)
            if end > len(context) and at < len(prompt) and value is not None:
                likelihood += value
            at = end
        found.append(likelihood / max(1, len(choice)))
    return found


def choices_of(answered: Answered) -> tuple[list[str], int]:
    """The row's choices, and which is right. Raises CpodError where the row does not say."""
    given = answered.row.get("choices")
    choices = [str(each) for each in given] if given is not None and not isinstance(given, str) else []
    if not 2 <= len(choices) <= len(LETTERS):
        raise CpodError("the row must have choices, a list of 2 to 26 texts")
    right = answered.row["answer"]
    text = str(right).strip()
    if text in choices and not isinstance(right, int):
        return choices, choices.index(text)
    if text.upper() in tuple(LETTERS[: len(choices)]):
        return choices, LETTERS.index(text.upper())
    if text.isdecimal() and int(text) < len(choices):
        return choices, int(text)
    raise CpodError(f"the right answer {text!r} is none of the choices, nor the letter or the number of one")


def _log_sum(one: float, other: float) -> float:
    """The logarithm of the sum of two probabilities."""
    high, low = max(one, other), min(one, other)
    return high if math.isinf(low) else high + math.log1p(math.exp(low - high))
