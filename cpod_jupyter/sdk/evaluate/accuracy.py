"""Held-out questions put to several deployments, and how many each answers rightly."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cpod_jupyter.errors import CpodError
from cpod_jupyter.sdk.evaluate.asked import Tell, asked
from cpod_jupyter.sdk.evaluate.measure import measured
from cpod_jupyter.sdk.evaluate.result import Comparison
from cpod_jupyter.sdk.evaluate.rows import Row, rows_of
from cpod_jupyter.sdk.evaluate.scorers import Wanted, contains, scorer_of
from cpod_jupyter.sdk.questions import Questioned

if TYPE_CHECKING:
    import pandas as pd


def accuracy(
    deployments: Iterable[Questioned],
    rows: pd.DataFrame | str | Path | Sequence[Row],
    *,
    scorer: Wanted = contains,
    max_tokens: int = 64,
    parallel: int = 2,
    tell: Tell | None = None,
) -> Comparison:
    """Ask each deployment every question greedily (temperature 0), `parallel` of them at a time.

    Deployments may be `Endpoint`s too. `rows` are rows or a JSONL file of them. Raises CpodError when a row has no
    question or answer, or a deployment does not answer; `compare` marks the row instead, and deploys what is not up.
    """
    questions, chosen, score = rows_of(rows), list(deployments), scorer_of(scorer)
    score.prepare(None)
    check_names([deployment.name for deployment in chosen])
    found = asked([(each.name, each) for each in chosen], questions, max_tokens, parallel, tell)
    if found.first_error:
        raise CpodError(found.first_error)
    targets = {each.name: each for each in chosen}
    measures = measured([score], targets, questions, found.answers, found.errors)
    found.forget()
    return Comparison(list(targets), questions, found.answers, measures, found.cut)


def check_names(names: Sequence[str]) -> None:
    """Raises CpodError when there are none, or two are the same."""
    if len(set(names)) != len(names) or not names:
        raise CpodError(f"the deployments must be one or several of different names, not {', '.join(names) or 'none'}")
