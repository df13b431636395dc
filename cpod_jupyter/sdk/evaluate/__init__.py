"""Questions put to deployments, their answers scored and compared."""

from cpod_jupyter.sdk.evaluate.accuracy import accuracy
from cpod_jupyter.sdk.evaluate.asked import Tell
from cpod_jupyter.sdk.evaluate.compare import compare
from cpod_jupyter.sdk.evaluate.lm_eval import LmEvalResult, run_lm_eval
from cpod_jupyter.sdk.evaluate.measure import Measure
from cpod_jupyter.sdk.evaluate.result import Comparison
from cpod_jupyter.sdk.evaluate.rows import Row, load_rows, question_of
from cpod_jupyter.sdk.evaluate.scorers import (
    SCORERS,
    Answered,
    PairScorer,
    Score,
    Scorer,
    Wanted,
    contains,
    exact,
    normalised,
    options_of,
    scorer_of,
    scorers_of,
    written,
)
from cpod_jupyter.sdk.evaluate.statistics import Difference

__all__ = [
    "SCORERS", "Answered", "Comparison", "Difference", "LmEvalResult", "Measure", "PairScorer", "Row", "Score",
    "Scorer", "Tell", "Wanted", "accuracy", "compare", "contains", "exact", "load_rows", "normalised", "options_of",
    "question_of", "run_lm_eval", "scorer_of", "scorers_of", "written",
]  # fmt: skip
