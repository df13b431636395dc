"""`compare([base, job], data, scorer)`: from checkpoint to scores that can be told apart from luck."""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cpod_jupyter.errors import CpodError
from cpod_jupyter.sdk.evaluate.accuracy import Tell, check_names, greedy
from cpod_jupyter.sdk.evaluate.answers import Answers
from cpod_jupyter.sdk.evaluate.result import Comparison
from cpod_jupyter.sdk.evaluate.rows import Row, rows_of
from cpod_jupyter.sdk.evaluate.scorers import Scorer, contains, scorer_of
from cpod_jupyter.sdk.evaluate.up import Target, brought_up, found
from cpod_jupyter.sdk.follow import Detached
from cpod_jupyter.sdk.handles import Handle
from cpod_jupyter.sdk.session import Session

if TYPE_CHECKING:
    import pandas as pd

_READY_SECONDS = 1800.0


def compare(
    targets: Sequence[str | Handle],
    data: pd.DataFrame | str | Path | Sequence[Row],
    scorer: str | Scorer = contains,
    *,
    session: Session | None = None,
    deploy: Mapping[str, Any] | None = None,
    max_tokens: int = 256,
    parallel: int = 4,
    timeout: float = _READY_SECONDS,
    tell: Tell | None = None,
) -> Comparison:
    """Ask each of `targets` every question of `data` (temperature 0), and score the answers in pairs.

    Targets are deployments, jobs (their result) and models, as handles or names; those that no deployment serves are
    deployed with `deploy` as further fields of the Inference, and taken down again, on errors and interrupts too.
    `data` is a DataFrame, rows, or a JSONL file, with `messages`, `question` or `prompt`, and `answer`. `scorer` is
    `contains`, `exact`, or a function of the answer and the right one; where it raises, the row is marked.
    A row that was not answered is marked too; calling again asks only what has no answer.
    `timeout` (seconds) is how long each may take to be ready.

    Raises CpodError for rows or targets that cannot be used, WorkFailed and WaitTimeout for one that does not come up.
    """
    score, questions = scorer_of(scorer), rows_of(data)
    if isinstance(targets, (str, Handle)) or not targets:
        raise CpodError("give a list of what to compare: deployments, jobs or models")
    session = session or (Session() if any(isinstance(each, str) for each in targets) else None)
    handles = [each if isinstance(each, Handle) else found(each, session) for each in targets]  # type: ignore[arg-type]
    check_names([handle.name for handle in handles])
    up: list[Target] = []
    try:
        for handle in handles:
            up.append(brought_up(handle, deploy or {}))
        for target in up:
            _awaited(target, timeout)
        answers, errors = _ask(up, questions, max_tokens, parallel, tell)
    finally:
        _take_down([target for target in up if target.ours])
    points = {target.name: _scored(score, questions, answers[target.name], errors[target.name]) for target in up}
    return Comparison([target.name for target in up], questions, answers, points, errors)


def _awaited(target: Target, timeout: float) -> None:
    """Until it is ready. An interrupt ends the comparison, which does not go on as other work does."""
    try:
        target.deployment.wait(timeout)
    except Detached:
        raise KeyboardInterrupt from None


def _take_down(targets: Sequence[Target]) -> None:
    """All of them, though one cannot be; the first error is raised afterwards."""
    failed: CpodError | None = None
    for target in targets:
        try:
            target.take_down()
        except CpodError as error:
            failed = failed or error
    if failed is not None:
        raise failed


def _ask(
    up: Sequence[Target], questions: Sequence[Row], max_tokens: int, parallel: int, tell: Tell | None
) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """The answers and errors of each target, a row each; `parallel` questions under way at a time."""
    asked = [_Asked(target, questions, max_tokens) for target in up]
    total, done = len(up) * len(questions), 0
    pool = ThreadPoolExecutor(parallel, thread_name_prefix="cpod-ask")
    try:
        futures: list[Future[None]] = [pool.submit(each.ask, at) for each in asked for at in range(len(questions))]
        for future in as_completed(futures):
            future.result()
            done += 1
            if tell is not None:
                tell(done, total)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    if not any(any(each.errors) for each in asked):
        for each in asked:
            each.kept.finished()
    return {each.target.name: each.answers for each in asked}, {each.target.name: each.errors for each in asked}


class _Asked:
    """One target, its answers so far, and whether it is still there."""

    def __init__(self, target: Target, questions: Sequence[Row], max_tokens: int) -> None:
        self.target = target
        self.answers = [""] * len(questions)
        self.errors = [""] * len(questions)
        self._questions, self._max_tokens = questions, max_tokens
        self.kept = Answers([*target.identity, max_tokens])
        self._gone = ""
        self._finding = threading.Lock()

    def ask(self, at: int) -> None:
        messages = self._questions[at]["messages"]
        known = self.kept.get(messages)
        if known is not None:
            self.answers[at] = known
            return
        if self._gone:
            self.errors[at] = self._gone
            return
        try:
            with self._finding:
                self.target.deployment.endpoint()  # found out once, and by one thread
            self.answers[at] = greedy(self.target.deployment, self._questions[at], self._max_tokens)
            self.kept.keep(messages, self.answers[at])
        except CpodError as error:
            self.errors[at] = str(error)
            self._look()

    def _look(self) -> None:
        """After an error: one that cannot be reached any more is not asked the other questions."""
        with self._finding:
            if not self._gone:
                self.target.deployment._endpoint = None
                try:
                    self.target.deployment.endpoint()
                except CpodError as error:
                    self._gone = f"{error}; call compare again when it is back: what was answered is kept"


def _scored(score: Scorer, questions: Sequence[Row], answers: Sequence[str], errors: list[str]) -> list[float]:
    """A score a row, NaN where there is none; what the scorer raises becomes the row's error."""
    points = []
    for at, (row, answer) in enumerate(zip(questions, answers, strict=True)):
        point = math.nan
        if not errors[at]:
            try:
                point = float(score(answer, str(row["answer"])))
                if math.isnan(point):
                    errors[at] = "the scorer gave no number (NaN)"
            except Exception as error:  # the user's own function may raise anything
                errors[at] = f"the scorer raised {type(error).__name__}: {error}"
        points.append(point)
    return points
