"""Metrics of a training in progress, as records; imports the trainer's libraries."""

from __future__ import annotations

import math
import resource
import sys
import time
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from cpod_jupyter.errors import WorkFailed
from cpod_jupyter.runtime.gpu import gpu_use
from cpod_jupyter.runtime.report import emit, progress
from cpod_jupyter.runtime.stopping import StopOnTerm

PREFERRED = ("rewards/chosen", "rewards/rejected", "rewards/accuracies", "rewards/margins")
"""What TRL's DPO tells of a step beside its loss."""
EVALUATED = ("eval_loss", "eval_mean_token_accuracy", *(f"eval_{name}" for name in PREFERRED))


class MetricsReporter(TrainerCallback):  # type: ignore[misc]
    """A metrics record each time the trainer logs, and a checkpoint, or a stop with one, when it is asked for."""

    def __init__(self, stop: StopOnTerm) -> None:
        self._stop = stop
        self._first_step = 0
        self._begin = self._last = time.monotonic()
        self._before = self._tokens = 0

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._first_step = state.global_step
        # TRL counts from where this process began; the checkpoint's own log says what was before.
        self._before = self._tokens = max((int(entry.get("num_tokens", 0)) for entry in state.log_history), default=0)
        self._begin = self._last = time.monotonic()
        progress("train", state.global_step, state.max_steps, "steps")

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> TrainerControl:
        stop, save = self._stop.everywhere()
        if (stop or save) and state.global_step < state.max_steps:
            control.should_save = True
            control.should_training_stop = control.should_training_stop or stop
        return self._log_what_is_saved(control)

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> TrainerControl:
        return self._log_what_is_saved(control)

    def _log_what_is_saved(self, control: TrainerControl) -> TrainerControl:
        """A figure that is the mean of some steps would be of fewer after a start from a checkpoint between them."""
        control.should_log = control.should_log or control.should_save
        return control

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._stop.saved()

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        """Emit what `logs` has of a step, or of an evaluation; the trainer's closing summary has neither.

        The time left is the steps left at the mean speed so far; tokens are all of the input, prompts too,
        padding not.

        Raises:
            WorkFailed: the loss is infinite or not a number; from there it doesn't come back.
        """
        if not logs:
            return
        if "eval_loss" in logs:
            found = {_plain_name(name): value for name, value in logs.items() if name in EVALUATED}
            emit("metrics", step=state.global_step, total_steps=state.max_steps, epoch=_epoch(state), **found)
        if "loss" not in logs:
            return
        now, step, loss = time.monotonic(), state.global_step, float(logs["loss"])
        if not math.isfinite(loss):
            raise WorkFailed(f"the training diverged: the loss of step {step} is {loss}, lower the learning_rate")
        grad_norm = float(logs.get("grad_norm", math.nan))
        tokens = self._before + int(logs["num_tokens"]) if "num_tokens" in logs else self._tokens
        emit(
            "metrics",
            step=step,
            total_steps=state.max_steps,
            epoch=_epoch(state),
            total_epochs=state.num_train_epochs,
            loss=loss,
            learning_rate=logs.get("learning_rate"),
            grad_norm=grad_norm if math.isfinite(grad_norm) else None,  # JSON has no infinity
            tokens=tokens,
            tokens_per_second=round((tokens - self._tokens) / max(now - self._last, 1e-9), 1),
            elapsed_seconds=round(now - self._begin, 1),
            eta_seconds=round((state.max_steps - step) * (now - self._begin) / max(step - self._first_step, 1), 1),
            memory_bytes=peak_memory(),
            **{_plain_name(name): logs[name] for name in PREFERRED if name in logs},
            **gpu_use(),
        )
        progress("train", step, state.max_steps, "steps")
        self._last, self._tokens = now, tokens


def _plain_name(name: str) -> str:
    return name.replace("/", "_")


def _epoch(state: TrainerState) -> float:
    return round(state.epoch or 0.0, 3)


def peak_memory() -> int:
    """The most bytes this process has held: of the GPU if there is one, else resident memory."""
    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # getrusage(2): kibibytes on Linux, bytes on macOS
