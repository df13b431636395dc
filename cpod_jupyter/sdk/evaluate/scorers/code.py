"""A scorer that runs the code of an answer with the row's tests, in a sandbox pod."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cpod_jupyter.errors import CpodError
from cpod_jupyter.sdk.deployment import Deployment
from cpod_jupyter.sdk.evaluate.scorers.base import Answered, Score, Scorer
from cpod_jupyter.sdk.evaluate.scorers.sandbox import Limits, Outcome, run_all

if TYPE_CHECKING:
    from cpod_jupyter.sdk.session import Session

_BLOCK = re.compile(r"```[\w+-]*[ \t]*\n(.*?)(?:```|\Z)", re.DOTALL)


@dataclass
class Code(Scorer):
    """1 when the answer's Python runs, and then the row's `tests` (a text or a list of statements, such as asserts).

    The code is the answer's first block between fences, else the whole answer. It runs in a pod without network and
    ServiceAccount token, `parallel` rows at a time, each with `seconds` and `memory_mib`; one pod takes many rows.
    `image` is one with Python, the runtime's when left out; `runtime_class` one that isolates more (gVisor, Kata).
    """

    seconds: int = 10
    memory_mib: int = 512
    parallel: int = 2
    image: str = ""
    runtime_class: str = ""
    name: str = "code"

    def __post_init__(self) -> None:
        if min(self.seconds, self.memory_mib, self.parallel) < 1:
            raise CpodError("seconds, memory_mib and parallel are 1 or more")

    def prepare(self, session: Session | None) -> None:
        self._session = session

    def score(self, answered: Answered) -> Score:
        return self.score_all([answered])[0]

    def score_all(self, rows: Sequence[Answered]) -> list[Score]:
        wanted = [{"code": code_in(row.answer), "tests": tests} for row in rows if (tests := tests_of(row))]
        outcomes = iter(self._run(rows[0], wanted) if wanted else [])
        scores = []
        for row in rows:
            if not tests_of(row):
                scores.append(Score(error="the row has no tests (a text or a list of statements)"))
                continue
            outcome = next(outcomes)
            scores.append(Score(error=outcome.error) if outcome.error else Score.of(outcome.passed, outcome.why))
        return scores

    def _run(self, row: Answered, wanted: list[dict[str, str]]) -> list[Outcome]:
        """In the session that was given, else where the deployment is."""
        limits = Limits(self.seconds, self.memory_mib, self.parallel)
        if self._session is not None:
            client, namespace = self._session.client, self._session.namespace
        elif isinstance(row.deployment, Deployment):
            client, namespace = row.deployment._client, row.deployment.namespace
        else:
            raise CpodError("say where code is to run: give a session")
        return run_all(client, namespace, wanted, limits, self.image, self.runtime_class)


def code_in(answer: str) -> str:
    """The first block between fences, else all of it."""
    found = _BLOCK.search(answer)
    return found[1] if found else answer


def tests_of(row: Answered) -> str:
    """The row's tests as a program; empty where it has none."""
    tests = row.row.get("tests")
    if isinstance(tests, str):
        return tests.strip()
    return "\n".join(str(each) for each in tests) if isinstance(tests, (list, tuple)) else ""
