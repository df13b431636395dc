"""Held-out questions put to several deployments, and how many each answers rightly."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from cpod_jupyter.errors import CpodError
from cpod_jupyter.sdk.deployment import Deployment
from cpod_jupyter.sdk.evaluate.result import Comparison
from cpod_jupyter.sdk.evaluate.rows import Row, rows_of
from cpod_jupyter.sdk.evaluate.scorers import Scorer, contains

if TYPE_CHECKING:
    import pandas as pd

Tell = Callable[[int, int], None]
"""Told how many answers there are, of how many."""


def accuracy(
    deployments: Iterable[Deployment],
    rows: pd.DataFrame | str | Path | Sequence[Row],
    *,
    scorer: Scorer = contains,
    max_tokens: int = 64,
    parallel: int = 2,
    tell: Tell | None = None,
) -> Comparison:
    """Ask each deployment every question greedily (temperature 0), `parallel` of them at a time.

    `rows` are rows or a JSONL file of them. Raises CpodError when a row has no question or answer,
    or a deployment does not answer; `compare` marks the row instead, and deploys what is not up.
    """
    questions, chosen = rows_of(rows), list(deployments)
    check_names([deployment.name for deployment in chosen])
    for deployment in chosen:
        deployment.endpoint()  # found out once, and by one thread
    asked = [(deployment, row) for deployment in chosen for row in questions]
    answers: dict[str, list[str]] = {deployment.name: [] for deployment in chosen}
    with ThreadPoolExecutor(parallel, thread_name_prefix="cpod-ask") as pool:
        try:
            given = pool.map(lambda pair: greedy(pair[0], pair[1], max_tokens), asked)
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


def greedy(deployment: Deployment, row: Row, max_tokens: int) -> str:
    return deployment.chat(row["messages"], temperature=0, max_tokens=max_tokens)


def check_names(names: Sequence[str]) -> None:
    """Raises CpodError when there are none, or two are the same."""
    if len(set(names)) != len(names) or not names:
        raise CpodError(f"the deployments must be one or several of different names, not {', '.join(names) or 'none'}")
