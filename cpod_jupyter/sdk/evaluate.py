"""Held-out questions put to several deployments, and how many each answers rightly."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cpod_jupyter.errors import CpodError
from cpod_jupyter.sdk.deployment import Deployment
from cpod_jupyter.sdk.view import table

if TYPE_CHECKING:
    import pandas as pd

Row = Mapping[str, Any]
"""`messages` (OpenAI's form, the question) and `answer` (what is right)."""

Scorer = Callable[[str, str], float]
"""From the model's answer and the right one to a score between 0 and 1."""

Tell = Callable[[int, int], None]
"""Told how many answers there are, of how many."""


def contains(given: str, right: str) -> float:
    """1 when the right answer stands in the given one as words of its own, whatever the case."""
    pattern = r"(?<!\w)" + re.escape(_plain(right)) + r"(?!\w)"
    return float(re.search(pattern, _plain(given)) is not None)


def exact(given: str, right: str) -> float:
    """1 when the answers are the same but for case, spaces and a final stop."""
    return float(_plain(given) == _plain(right))


def _plain(text: str) -> str:
    return " ".join(text.casefold().split()).strip(" .!")


class Comparison:
    """Scores of several deployments on the same rows. `scores` by name; `rows` is a DataFrame with a row
    a question: `question`, `answer`, and for each deployment its answer and, as `NAME_score`, the score."""

    def __init__(self, names: Sequence[str], questions: Sequence[Row], answers: Mapping[str, Sequence[str]],
                 points: Mapping[str, Sequence[float]]) -> None:  # fmt: skip
        self.names = list(names)
        self._questions = questions
        self._answers = answers
        self._points = points

    @property
    def scores(self) -> dict[str, float]:
        """The mean score of each deployment, 0 to 1."""
        return {name: sum(self._points[name]) / len(self._questions) for name in self.names}

    def __getitem__(self, name: str) -> float:
        return self.scores[name]

    @property
    def rows(self) -> pd.DataFrame:
        import pandas as pd

        columns: dict[str, Any] = {
            "question": [question_of(row) for row in self._questions],
            "answer": [str(row["answer"]) for row in self._questions],
        }
        for name in self.names:
            columns[name] = list(self._answers[name])
            columns[f"{name}_score"] = list(self._points[name])
        return pd.DataFrame(columns)

    def _table(self) -> list[tuple[str, str, str]]:
        count = len(self._questions)
        return [
            (name, f"{self.scores[name]:.0%}", f"{sum(self._points[name]):g} of {count}")
            for name in sorted(self.names, key=lambda name: -self.scores[name])
        ]

    def __repr__(self) -> str:
        return table.text(("deployment", "accuracy", "right"), self._table())

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        html = table.html(("deployment", "accuracy", "right"), self._table())
        return {"text/plain": repr(self), "text/html": html}


def accuracy(
    deployments: Iterable[Deployment],
    rows: str | Path | Sequence[Row],
    *,
    scorer: Scorer = contains,
    max_tokens: int = 64,
    parallel: int = 2,
    tell: Tell | None = None,
) -> Comparison:
    """Ask each deployment every question greedily (temperature 0), `parallel` of them at a time.

    `rows` are rows or a JSONL file of them. Raises CpodError when a row has no question or answer,
    or a deployment does not answer.
    """
    questions = load_rows(rows) if isinstance(rows, (str, Path)) else list(rows)
    chosen = list(deployments)
    _check(questions, [deployment.name for deployment in chosen])
    for deployment in chosen:
        deployment.endpoint()  # found out once, and by one thread
    asked = [(deployment, row) for deployment in chosen for row in questions]
    answers: dict[str, list[str]] = {deployment.name: [] for deployment in chosen}
    with ThreadPoolExecutor(parallel, thread_name_prefix="cpod-ask") as pool:
        try:
            given = pool.map(lambda pair: _greedy(pair[0], pair[1], max_tokens), asked)
            for count, ((deployment, _), answer) in enumerate(zip(asked, given, strict=True), 1):
                answers[deployment.name].append(answer)
                if tell is not None:
                    tell(count, len(asked))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    points = {
        name: [scorer(answer, str(row["answer"])) for answer, row in zip(texts, questions, strict=True)]
        for name, texts in answers.items()
    }
    return Comparison([deployment.name for deployment in chosen], questions, answers, points)


def _greedy(deployment: Deployment, row: Row, max_tokens: int) -> str:
    return deployment.chat(row["messages"], temperature=0, max_tokens=max_tokens)


def load_rows(path: str | Path) -> list[Row]:
    """The rows of a JSONL file. Raises CpodError with the line that is wrong."""
    try:
        lines = Path(path).expanduser().read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise CpodError(f"{path} cannot be read: {error.strerror}") from error
    rows = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            rows.append(json.loads(line))
        except ValueError as error:
            raise CpodError(f"{path}, line {number}: not JSON: {error}") from error
    return rows


def question_of(row: Row) -> str:
    """The last thing the user says."""
    said = [message["content"] for message in row["messages"] if message.get("role") == "user"]
    return str(said[-1]) if said else ""


def _check(questions: Sequence[Row], names: Sequence[str]) -> None:
    if not questions:
        raise CpodError("there are no rows to ask")
    if len(set(names)) != len(names) or not names:
        raise CpodError(f"the deployments must be one or several of different names, not {', '.join(names) or 'none'}")
    for number, row in enumerate(questions, 1):
        if not isinstance(row, Mapping) or not row.get("messages") or "answer" not in row:
            raise CpodError(f"row {number} must have messages (the question) and answer (what is right)")
