"""Scorers: from a model's answer to numbers. Each is found by its name (`registry`), is a function, or a `Scorer`.

What a scorer needs beyond this package is imported when a comparison is about to begin, and named where it is missing.
"""

from cpod_jupyter.sdk.evaluate.scorers.base import Answered, PairScorer, Score, Scorer
from cpod_jupyter.sdk.evaluate.scorers.match import contains, exact, normalised
from cpod_jupyter.sdk.evaluate.scorers.registry import SCORERS, Wanted, options_of, scorer_of, scorers_of, written

__all__ = [
    "SCORERS", "Answered", "PairScorer", "Score", "Scorer", "Wanted", "contains", "exact", "normalised", "options_of",
    "scorer_of", "scorers_of", "written",
]  # fmt: skip
