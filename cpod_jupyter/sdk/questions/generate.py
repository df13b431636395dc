"""`generate(rows)`: a model's answers to many prompts, as a DataFrame."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cpod_jupyter.errors import BatchStopped, CpodError, Interrupted
from cpod_jupyter.sdk.questions.batch import RETRIES, ROW_SECONDS, Batch, Progress, Settings
from cpod_jupyter.sdk.questions.kept import Answer
from cpod_jupyter.sdk.questions.parameters import parameters_of
from cpod_jupyter.sdk.questions.progress import Shown
from cpod_jupyter.sdk.questions.prompts import Prompts, Template
from cpod_jupyter.sdk.questions.runner import run

if TYPE_CHECKING:
    import pandas as pd

    from cpod_jupyter.sdk.questions.questioned import Questioned

COLUMNS = ("answer", "finish_reason", "error", "prompt_tokens", "completion_tokens", "seconds")
_COUNTS = ("prompt_tokens", "completion_tokens")

Told = Callable[[int, int], None]
"""Told how many rows are done, of how many."""


class BatchInterrupted(Interrupted):
    """A batch was interrupted; what was answered is kept, and the same call goes on."""

    def __init__(self, title: str, progress: Progress) -> None:
        done = progress.done - progress.errors
        super().__init__(
            f"{title}: interrupted; {done:,} of {progress.total:,} rows are answered and kept: "
            "run the same again to go on"
        )


class Generation:
    """One call of `generate`: checked when it is made, then run, or awaited."""

    def __init__(
        self,
        target: Questioned,
        data: Any,
        folder: Path,
        *,
        template: Template | None = None,
        system: str | None = None,
        concurrency: int | str = "auto",
        timeout: float = ROW_SECONDS,
        retries: int = RETRIES,
        new: bool = False,
        tell: Told | None = None,
        **parameters: Any,
    ) -> None:
        self._prompts = Prompts(data, template, system)
        settings = Settings(parameters_of(parameters), at_a_time(concurrency), timeout, retries, new)
        if timeout <= 0 or retries < 0:
            raise CpodError("timeout is in seconds, more than 0; retries are 0 or more")
        self._batch = Batch(target, self._prompts, len(self._prompts), settings, folder)
        self._told = tell

    def run(self) -> pd.DataFrame:
        """Raises as `generate` does."""
        shown = Shown(self._batch.target.title)
        try:
            self._batch.target.endpoint()  # in this thread, which can be interrupted
            run(self._batch.ask, self._teller(shown))
        except KeyboardInterrupt:
            raise BatchInterrupted(self._batch.target.title, self._batch.progress) from None
        except BatchStopped as stopped:
            stopped.frame = self._frame()
            raise
        return self._ended(shown)

    async def arun(self) -> pd.DataFrame:
        """The same, awaited: a task that is cancelled keeps what was answered."""
        shown = Shown(self._batch.target.title)
        try:
            await self._batch.ask(self._teller(shown))
        except BatchStopped as stopped:
            stopped.frame = self._frame()
            raise
        return self._ended(shown)

    def _teller(self, shown: Shown) -> Callable[[Progress], None]:
        told = self._told
        return shown if told is None else lambda progress: told(progress.done, progress.total)

    def _ended(self, shown: Shown) -> pd.DataFrame:
        frame = self._frame()
        if self._told is None:
            shown.end(self._batch.progress)
        self._batch.forget()
        return frame

    def _frame(self) -> pd.DataFrame:
        now = self._batch.progress
        frame = framed(self._prompts, self._batch.answers())
        frame.attrs["batch"] = {
            "rows": now.total, "answered": now.done - now.errors, "errors": now.errors, "cut": now.cut,
            "earlier": now.kept,
        }  # fmt: skip
        return frame


def framed(prompts: Prompts, answers: Iterable[Answer]) -> pd.DataFrame:
    """What was asked, with its answers beside it; a column that is there already keeps its name, and ours is called
    generated_NAME."""
    import pandas as pd

    columns: dict[str, list[Any]] = {column: [] for column in COLUMNS}
    for answer in answers:
        for column, values in columns.items():
            values.append(getattr(answer, column))
    frame = prompts.frame()
    for column in COLUMNS:
        dtype = "Int64" if column in _COUNTS else "Float64" if column == "seconds" else None
        name = f"generated_{column}" if column in frame else column
        frame[name] = pd.Series(columns.pop(column), index=frame.index, dtype=dtype)
    return frame


def at_a_time(concurrency: int | str) -> int | None:
    """None for `auto`. Raises CpodError."""
    if concurrency == "auto":
        return None
    if isinstance(concurrency, int) and not isinstance(concurrency, bool) and concurrency >= 1:
        return concurrency
    raise CpodError(f'concurrency is "auto" or a whole number from 1, not {concurrency!r}')
