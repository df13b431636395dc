"""One number of one scorer, for every target and row; and how the scorers of a comparison come to theirs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from cpod_jupyter.errors import CpodError
from cpod_jupyter.sdk.evaluate.rows import Row
from cpod_jupyter.sdk.evaluate.scorers import Answered, PairScorer, Score, Scorer
from cpod_jupyter.sdk.evaluate.statistics import Difference, difference, mean_interval

if TYPE_CHECKING:
    from cpod_jupyter.sdk.questions.questioned import Questioned


@dataclass
class Measure:
    """Paired scores: of each target a list with a number a row, NaN where there is none and `errors` says why."""

    name: str
    points: Mapping[str, Sequence[float]]
    errors: Mapping[str, Sequence[str]]
    reasons: Mapping[str, Sequence[str]] = field(default_factory=dict)
    whole: Mapping[str, float] = field(default_factory=dict)
    """Of each target one number for all rows, where that is something else than the mean, as corpus BLEU."""
    top: float = 1.0
    """The highest score there is."""

    @property
    def names(self) -> list[str]:
        return list(self.points)

    @cached_property
    def scores(self) -> dict[str, float]:
        """The mean score of each target over the rows that have one; NaN where none has."""
        scored = {name: self.scored(name) for name in self.names}
        return {name: sum(found) / len(found) if found else math.nan for name, found in scored.items()}

    @cached_property
    def intervals(self) -> dict[str, tuple[float, float]]:
        """The 95% bootstrap interval of each mean score."""
        scored = {name: self.scored(name) for name in self.names}
        return {name: mean_interval(found) for name, found in scored.items() if found}

    @cached_property
    def differences(self) -> list[Difference]:
        """Of each other target from the first, on the rows that both have a score for."""
        first, *others = self.names
        found = [difference(first, name, self.points[first], self.points[name]) for name in others]
        return [each for each in found if each is not None]

    def scored(self, name: str) -> list[float]:
        return [point for point in self.points[name] if not math.isnan(point)]

    def changes(self, name: str) -> list[float]:
        """Each row's score less the first target's; NaN where one has none."""
        return [after - before for before, after in zip(self.points[self.names[0]], self.points[name], strict=True)]

    def most(self, name: str, count: int) -> list[int]:
        """The rows whose score differs most from the first target's."""
        changes = self.changes(name)
        moved = [at for at, change in enumerate(changes) if abs(change) > 0]
        return sorted(moved, key=lambda at: -abs(changes[at]))[:count]

    @property
    def binary(self) -> bool:
        return self.top == 1 and all(point in (0, 1) for name in self.names for point in self.scored(name))

    @property
    def bounded(self) -> bool:
        """Whether all scores lie between 0 and the highest, so that bars can show them."""
        return all(0 <= point <= self.top + 1e-9 for name in self.names for point in self.scored(name))


def measured(
    scorers: Sequence[Scorer],
    targets: Mapping[str, Questioned],
    questions: Sequence[Row],
    answers: Mapping[str, Sequence[str]],
    errors: Mapping[str, Sequence[str]],
) -> list[Measure]:
    """What each scorer says of each target's answers; a row that was not answered keeps its error."""
    found: list[Measure] = []
    for scorer in scorers:
        asked = {
            name: [
                None if errors[name][at] else Answered(answers[name][at], row, deployment)
                for at, row in enumerate(questions)
            ]
            for name, deployment in targets.items()
        }
        scores = _scores(scorer, asked, errors)
        found += _measures(scorer, scores, {name: _whole(scorer, rows) for name, rows in asked.items()})
    return found


def _scores(
    scorer: Scorer, asked: Mapping[str, Sequence[Answered | None]], errors: Mapping[str, Sequence[str]]
) -> dict[str, list[Score]]:
    """A score for each target and row."""
    first = next(iter(asked))
    scores: dict[str, list[Score]] = {}
    for name, rows in asked.items():
        paired = isinstance(scorer, PairScorer) and name != first
        there = [at for at, row in enumerate(rows) if row is not None and not (paired and asked[first][at] is None)]
        try:
            if isinstance(scorer, PairScorer) and paired:
                given = scorer.score_pairs([(asked[first][at], rows[at]) for at in there])  # type: ignore[misc]
            else:
                given = scorer.score_all([rows[at] for at in there])  # type: ignore[misc]
        except CpodError as error:  # none of them can be scored
            given = [Score(error=str(error))] * len(there)
        scores[name] = [Score(error=errors[name][at] or errors[first][at]) for at in range(len(rows))]
        for at, score in zip(there, given, strict=True):
            scores[name][at] = score
    return scores


def _measures(
    scorer: Scorer, scores: Mapping[str, Sequence[Score]], whole: Mapping[str, float | None]
) -> list[Measure]:
    """One for each name under which the scorer gave numbers."""
    keys = list(dict.fromkeys(key for given in scores.values() for score in given for key in score.values)) or [""]
    return [
        Measure(
            f"{scorer.name}.{key}" if key else scorer.name,
            {name: [score.values.get(key, math.nan) for score in given] for name, given in scores.items()},
            {name: [_error(score, key) for score in given] for name, given in scores.items()},
            {name: [score.reason for score in given] for name, given in scores.items()},
            {name: value for name, value in whole.items() if value is not None} if not key else {},
            scorer.top,
        )
        for key in keys
    ]


def _error(score: Score, key: str) -> str:
    return score.error or ("" if key in score.values else f"the scorer gave no {key or 'number'}")


def _whole(scorer: Scorer, rows: Sequence[Answered | None]) -> float | None:
    try:
        return scorer.whole([row for row in rows if row is not None])
    except CpodError:  # its rows are marked with the same
        return None
