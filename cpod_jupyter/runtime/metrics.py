"""Metrics of a training in progress, as records; imports the trainer's libraries."""

from __future__ import annotations

import math
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from cpod_jupyter.errors import WorkFailed
from cpod_jupyter.runtime.gpu import gpu_use
from cpod_jupyter.runtime.report import emit, progress


class MetricsReporter(TrainerCallback):  # type: ignore[misc]
    """A metrics record each time the trainer logs, and a stop with a checkpoint when one is asked for.

    `stop_requested` is asked once a step, in every process: it may compare their answers.
    """

    def __init__(self, stop_requested: Callable[[], bool]) -> None:
        self._stop_requested = stop_requested
        self._first_step = 0
        self._begin = self._last = time.monotonic()
        self._tokens = 0

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._first_step = state.global_step
        self._begin = self._last = time.monotonic()
        progress("train", state.global_step, state.max_steps, "steps")

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> TrainerControl:
        if self._stop_requested() and state.global_step < state.max_steps:
            control.should_save = True
            control.should_training_stop = True
        return control

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        """Emit what `logs` has of a step; the trainer's closing summary has no `loss` and is left out.

        The time left is the steps left at the mean speed so far; tokens are all of the input, prompts too,
        padding not.

        Raises:
            WorkFailed: the loss is infinite or not a number; from there it doesn't come back.
        """
        if not logs or "loss" not in logs:
            return
        now, step, loss = time.monotonic(), state.global_step, float(logs["loss"])
        if not math.isfinite(loss):
            raise WorkFailed(f"the training diverged: the loss of step {step} is {loss}, lower the learning_rate")
        grad_norm = float(logs.get("grad_norm", math.nan))
        tokens = int(logs.get("num_tokens", self._tokens))
        emit(
            "metrics",
            step=step,
            total_steps=state.max_steps,
            epoch=round(state.epoch or 0.0, 3),
            total_epochs=state.num_train_epochs,
            loss=loss,
            learning_rate=logs.get("learning_rate"),
            grad_norm=grad_norm if math.isfinite(grad_norm) else None,  # JSON has no infinity
            tokens=tokens,
            tokens_per_second=round((tokens - self._tokens) / max(now - self._last, 1e-9), 1),
            eta_seconds=round((state.max_steps - step) * (now - self._begin) / max(step - self._first_step, 1), 1),
            memory_bytes=peak_memory(),
            **gpu_use(),
        )
        progress("train", step, state.max_steps, "steps")
        self._last, self._tokens = now, tokens


def peak_memory() -> int:
    """The most bytes this process has held: of the GPU if there is one, else resident memory."""
    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # getrusage(2): kibibytes on Linux, bytes on macOS
