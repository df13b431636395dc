"""What a scorer is: it has a name, and makes numbers of a row that was answered."""

from __future__ import annotations

import importlib
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from cpod_jupyter.errors import CpodError
from cpod_jupyter.sdk.evaluate.rows import Row, question_of

if TYPE_CHECKING:
    from cpod_jupyter.sdk.questions.questioned import Questioned
    from cpod_jupyter.sdk.session import Session

EXTRA = "evaluate"
"""The extra of this package that brings what some scorers need."""


@dataclass(frozen=True)
class Answered:
    """One row that a deployment has answered."""

    answer: str
    row: Row
    deployment: Questioned | None = None
    """Who answered, for scorers that ask it something themselves."""

    @property
    def question(self) -> str:
        return question_of(self.row)

    @property
    def rights(self) -> list[str]:
        """The right answers; a row may have several, of which the best counts."""
        right = self.row["answer"]
        several = isinstance(right, (list, tuple)) and right
        return [str(each) for each in right] if several else [str(right)]

    @property
    def expected(self) -> str:
        """The right answer, the first of several."""
        return self.rights[0]


@dataclass(frozen=True)
class Score:
    """What a scorer says of a row: numbers by name (the main one's is empty) and why, or an `error` and no number."""

    values: Mapping[str, float] = field(default_factory=dict)
    reason: str = ""
    error: str = ""

    @classmethod
    def of(cls, value: float, reason: str = "") -> Score:
        return cls({"": float(value)}, reason)


class Scorer(ABC):
    """Scores answers. Subclasses are dataclasses whose fields are the scorer's options; `name` is one of them."""

    name: str
    top: ClassVar[float] = 1.0
    """The highest score there is; higher is better."""
    at_once: ClassVar[int] = 1
    """Rows scored at a time, for those that wait for a server."""
    pairs: ClassVar[bool] = False
    """Whether it is given two answers to the same row: see PairScorer."""

    def prepare(self, session: Session | None) -> None:  # noqa: B027 - most have nothing to prepare
        """Called before anything is asked: what the scorer needs is found, or CpodError raised."""

    @abstractmethod
    def score(self, answered: Answered) -> Score:
        """Raises CpodError, whose message marks the row, when it has no score; other errors mark it too."""

    def score_all(self, rows: Sequence[Answered]) -> list[Score]:
        """A score for each row, in order; those that raise are marked and the rest goes on."""
        return each_of(lambda row: guarded(self.score, row), rows, self.at_once)

    def whole(self, rows: Sequence[Answered]) -> float | None:
        """One number for all rows, where that is something else than their mean."""
        return None


class PairScorer(Scorer):
    """Scores an answer against the first target's answer to the same row: 1 better, 0.5 as good, 0 worse."""

    pairs = True

    @abstractmethod
    def score_pair(self, first: Answered, second: Answered) -> Score: ...

    def score(self, answered: Answered) -> Score:
        """An answer is as good as itself."""
        return Score.of(0.5)

    def score_pairs(self, pairs: Sequence[tuple[Answered, Answered]]) -> list[Score]:
        return each_of(lambda pair: guarded(self.score_pair, *pair), pairs, self.at_once)


@dataclass
class Function(Scorer):
    """A plain function of the answer and the right one, or of these and the row. It returns a number, several by name,
    or a number and why. Where the row has several right answers, the best counts."""

    function: Callable[..., Any]
    name: str = ""
    takes_row: bool = False

    def __post_init__(self) -> None:
        self.name = self.name or str(getattr(self.function, "__name__", "") or type(self.function).__name__)

    def score(self, answered: Answered) -> Score:
        more = (answered.row,) if self.takes_row else ()
        found = [as_score(self.function(answered.answer, right, *more)) for right in answered.rights]
        return max(found, key=lambda score: next(iter(score.values.values()), -math.inf))


def as_score(value: Any) -> Score:
    """What a function returned. Raises CpodError when that is no number."""
    if isinstance(value, Score):
        return value
    reason = ""
    if isinstance(value, tuple) and len(value) == 2:
        value, reason = value[0], str(value[1])
    values = (
        {str(key): float(each) for key, each in value.items()} if isinstance(value, Mapping) else {"": float(value)}
    )
    if any(math.isnan(each) for each in values.values()):
        raise CpodError("the scorer gave no number (NaN)")
    return Score(values, reason)


def guarded(score: Callable[..., Score], *rows: Answered) -> Score:
    """The score, or the error as one."""
    try:
        return score(*rows)
    except CpodError as error:
        return Score(error=str(error))
    except Exception as error:  # a person's own function may raise anything
        return Score(error=f"the scorer raised {type(error).__name__}: {error}")


def each_of(work: Callable[[Any], Score], rows: Sequence[Any], at_once: int) -> list[Score]:
    """In order, some at a time; an interrupt leaves what has not begun."""
    if at_once < 2:
        return [work(row) for row in rows]
    pool = ThreadPoolExecutor(at_once, thread_name_prefix="cpod-score")
    try:
        return list(pool.map(work, rows))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def needed(module: str, scorer: str, package: str = "") -> Any:
    """A library that is installed with the extra. Raises CpodError with the command that installs it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = package or module.partition(".")[0]
        raise CpodError(
            f'the scorer {scorer} needs {package}, which is not installed: pip install "cpod-jupyter[{EXTRA}]"'
        ) from error
