"""`compare([base, job], data, scorers)`: from checkpoint to scores that can be told apart from luck."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cpod_jupyter.errors import CpodError
from cpod_jupyter.sdk.deployment import Deployment
from cpod_jupyter.sdk.evaluate.accuracy import check_names
from cpod_jupyter.sdk.evaluate.asked import Tell, asked
from cpod_jupyter.sdk.evaluate.measure import measured
from cpod_jupyter.sdk.evaluate.result import Comparison
from cpod_jupyter.sdk.evaluate.rows import Row, rows_of
from cpod_jupyter.sdk.evaluate.scorers import Wanted, contains, scorers_of
from cpod_jupyter.sdk.evaluate.up import Target, brought_up, found, is_name
from cpod_jupyter.sdk.follow import Detached
from cpod_jupyter.sdk.handles import Handle
from cpod_jupyter.sdk.questions import Endpoint
from cpod_jupyter.sdk.questions.progress import Counted
from cpod_jupyter.sdk.session import Session

if TYPE_CHECKING:
    import pandas as pd

_READY_SECONDS = 1800.0


def compare(
    targets: Sequence[str | Handle | Endpoint],
    data: pd.DataFrame | str | Path | Sequence[Row],
    scorers: Wanted | Sequence[Wanted] = contains,
    *,
    session: Session | None = None,
    deploy: Mapping[str, Any] | None = None,
    max_tokens: int = 256,
    parallel: int = 4,
    timeout: float = _READY_SECONDS,
    tell: Tell | None = None,
) -> Comparison:
    """Ask each of `targets` every question of `data` (temperature 0), and score the answers in pairs.

    Targets are deployments, jobs (their result) and models, as handles or names, and what answers elsewhere, as an
    `Endpoint` or a URL; those that no deployment serves are
    deployed with `deploy` as further fields of the Inference, and taken down again, on errors and interrupts too.
    `data` is a DataFrame, rows, or a JSONL file, with `messages`, `question` or `prompt`, and `answer`. `scorers` is
    one or several: names (`sdk.evaluate.SCORERS`), with options as `{"rouge": {"kind": "rouge1"}}`, scorers, or
    functions of the answer and the right one; where one raises, the row is marked.
    A row that was not answered is marked too; calling again asks only what has no answer. An answer is `max_tokens`
    long at most, and marked when it was cut there.
    `timeout` (seconds) is how long each may take to be ready. `tell` is told how many answers there are; without it
    they are shown in the cell or the terminal, from the third second on.

    Raises CpodError for rows or targets that cannot be used, WorkFailed and WaitTimeout for one that does not come up.
    """
    chosen, questions = scorers_of(scorers), rows_of(data)
    if isinstance(targets, (str, Handle, Endpoint)) or not targets:
        raise CpodError("give a list of what to compare: deployments, jobs or models")
    session = session or (Session() if any(map(is_name, targets)) else None)
    handles = [found(each, session) if isinstance(each, str) else each for each in targets]
    check_names([handle.name for handle in handles])
    for scorer in chosen:
        scorer.prepare(session)
    up: list[Target] = []
    try:
        for handle in handles:
            up.append(brought_up(handle, deploy or {}))
        for target in up:
            _awaited(target, timeout)
        deployments = {target.name: target.deployment for target in up}
        given = asked(list(deployments.items()), questions, max_tokens, parallel, tell or Counted())
        measures = measured(chosen, deployments, questions, given.answers, given.errors)  # some scorers ask once more
        given.forget()
    finally:
        _take_down([target for target in up if target.ours])
    return Comparison([target.name for target in up], questions, given.answers, measures, given.cut)


def _awaited(target: Target, timeout: float) -> None:
    """Until it is ready. An interrupt ends the comparison, which does not go on as other work does."""
    try:
        if isinstance(target.deployment, Deployment):
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
