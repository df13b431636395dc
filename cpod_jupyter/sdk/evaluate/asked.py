"""The questions of an evaluation, put to one model after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cpod_jupyter import local
from cpod_jupyter.errors import BatchStopped, CpodError
from cpod_jupyter.sdk.evaluate.rows import Row
from cpod_jupyter.sdk.questions.batch import Batch, Settings
from cpod_jupyter.sdk.questions.questioned import Questioned
from cpod_jupyter.sdk.questions.runner import run

Tell = Callable[[int, int], None]
"""Told how many answers there are, of how many."""


class Asked:
    """What several models answered: `answers`, `errors` and `cut` by the model's name, a row each. An error is empty
    where there is an answer; `cut` is whether the answer ended because it had become too long."""

    def __init__(self) -> None:
        self.answers: dict[str, list[str]] = {}
        self.errors: dict[str, list[str]] = {}
        self.cut: dict[str, list[bool]] = {}
        self._batches: list[Batch] = []

    @property
    def first_error(self) -> str:
        """Empty when everything was answered."""
        return next((error for errors in self.errors.values() for error in errors if error), "")

    def forget(self) -> None:
        """When all was answered, the next evaluation asks anew."""
        if not self.first_error:
            for batch in self._batches:
                batch.forget()

    def put(
        self, name: str, target: Questioned, rows: Sequence[Row], settings: Settings, tell: Callable[[int], None]
    ) -> None:
        """Ask one model; `tell` is told how many of its rows are done. Rows that it did not answer are marked."""
        batch = Batch(target, (row["messages"] for row in rows), len(rows), settings, local.home() / "answers")
        why = ""
        try:
            target.endpoint()  # in this thread, which can be interrupted
            run(batch.ask, lambda progress: tell(progress.done))
        except BatchStopped as stopped:
            why = str(stopped)
        except CpodError as error:
            why = f"{error}; call it again when it is back: what was answered is kept"
        tell(len(rows))
        found = list(batch.answers(why))
        self._batches.append(batch)
        self.answers[name] = [each.answer for each in found]
        self.errors[name] = [each.error for each in found]
        self.cut[name] = [each.finish_reason == "length" for each in found]


def asked(
    targets: Sequence[tuple[str, Questioned]], rows: Sequence[Row], max_tokens: int, parallel: int, tell: Tell | None
) -> Asked:
    """Put the rows to each of the targets, by name, greedily (temperature 0), `parallel` of them at a time. What was
    answered is kept on errors and interrupts, and the next call asks only the others, until `forget`."""
    found, total = Asked(), len(targets) * len(rows)
    settings = Settings({"temperature": 0, "max_tokens": max_tokens}, parallel)
    told = 0

    def say(done: int) -> None:
        nonlocal told
        if tell is not None and done > told:
            told = done
            tell(done, total)

    for at, (name, target) in enumerate(targets):
        before = at * len(rows)
        found.put(name, target, rows, settings, lambda done: say(before + done))  # noqa: B023 (called in this turn)
    return found
