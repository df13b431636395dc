"""Questions put to deployments, their answers scored and compared."""

from cpod_jupyter.sdk.evaluate.accuracy import Tell, accuracy
from cpod_jupyter.sdk.evaluate.compare import compare
from cpod_jupyter.sdk.evaluate.result import Comparison
from cpod_jupyter.sdk.evaluate.rows import Row, load_rows, question_of
from cpod_jupyter.sdk.evaluate.scorers import Scorer, contains, exact
from cpod_jupyter.sdk.evaluate.statistics import Difference

__all__ = [
    "Comparison", "Difference", "Row", "Scorer", "Tell", "accuracy", "compare", "contains", "exact", "load_rows",
    "question_of",
]  # fmt: skip
