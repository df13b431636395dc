"""Scorers that compare the answer with the right one as text or as a number."""

from __future__ import annotations

import math
import re
import string
import unicodedata
from dataclasses import dataclass, field

from cpod_jupyter.errors import CpodError
from cpod_jupyter.sdk.evaluate.scorers.base import Answered, Score, Scorer

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_NUMBER = re.compile(r"(?<![\w.])[-+\u2212]?(?:\d{1,3}(?:,\d{3})+|\d+)?(?:\.\d+|(?<=\d))(?:[eE][-+]?\d+)?")


def contains(given: str, right: str) -> float:
    """1 when the right answer stands in the given one as words of its own, whatever the case."""
    pattern = r"(?<!\w)" + re.escape(_plain(right)) + r"(?!\w)"
    return float(re.search(pattern, _plain(given)) is not None)


def exact(given: str, right: str) -> float:
    """1 when the answers are the same but for case, spaces and a final stop."""
    return float(_plain(given) == _plain(right))


def normalised(given: str, right: str) -> float:
    """1 when the answers are the same but for case, punctuation, articles, spaces and the form of letters (Rajpurkar
    et al., SQuAD, 2016, section 6.1; Unicode's NFKC besides)."""
    return float(_normal(given) == _normal(right))


def _plain(text: str) -> str:
    return " ".join(text.casefold().split()).strip(" .!")


def _normal(text: str) -> str:
    folded = unicodedata.normalize("NFKC", text).casefold()
    kept = "".join(" " if _is_mark(letter) else letter for letter in folded)
    return " ".join(_ARTICLES.sub(" ", kept).split())


def _is_mark(letter: str) -> bool:
    return letter in string.punctuation or unicodedata.category(letter).startswith("P")


@dataclass
class Regex(Scorer):
    """1 when `pattern` is found in the answer; with a group in it, when what the last match's first group caught is
    the right answer. Without `pattern`, each row's answer is one."""

    pattern: str = ""
    ignore_case: bool = True
    name: str = "regex"
    _flags: re.RegexFlag = field(init=False, repr=False, default=re.NOFLAG)

    def __post_init__(self) -> None:
        self._flags = re.IGNORECASE if self.ignore_case else re.NOFLAG
        self._compiled(self.pattern)

    def score(self, answered: Answered) -> Score:
        if not self.pattern:
            return Score.of(any(self._compiled(each).search(answered.answer) for each in answered.rights))
        found = list(self._compiled(self.pattern).finditer(answered.answer))
        if not found:
            return Score.of(0, "the pattern was not found")
        if not found[-1].re.groups:
            return Score.of(1)
        caught = found[-1][1] or ""
        return Score.of(max(exact(caught, right) for right in answered.rights), f"found {caught!r}")

    def _compiled(self, pattern: str) -> re.Pattern[str]:
        try:
            return re.compile(pattern, self._flags | re.MULTILINE)
        except re.error as error:
            raise CpodError(f"{pattern!r} is not a regular expression: {error}") from error


@dataclass
class Numeric(Scorer):
    """1 when the last number in the answer is the right one, but for an `absolute` tolerance or one `relative` to the
    right one, whichever is larger."""

    absolute: float = 0.0
    relative: float = 1e-6
    name: str = "numeric"

    def __post_init__(self) -> None:
        if self.absolute < 0 or self.relative < 0:
            raise CpodError("a tolerance is 0 or more")

    def score(self, answered: Answered) -> Score:
        wanted = [number for right in answered.rights if (number := last_number(right)) is not None]
        if not wanted:
            raise CpodError(f"the right answer {answered.expected!r} has no number")
        given = last_number(answered.answer)
        if given is None:
            return Score.of(0, "no number in the answer")
        near = any(abs(given - right) <= max(self.absolute, self.relative * abs(right)) for right in wanted)
        return Score.of(near, f"found {given:g}")


def last_number(text: str) -> float | None:
    """`1,234.5`, `-3`, `2e-5`, `.5`; a percent sign or a unit after it is passed over."""
    found = [match[0] for match in _NUMBER.finditer(unicodedata.normalize("NFKC", text)) if match[0].strip("+-\u2212")]
    if not found:
        return None
    number = float(found[-1].replace(",", "").replace("\u2212", "-"))
    return None if math.isinf(number) else number
