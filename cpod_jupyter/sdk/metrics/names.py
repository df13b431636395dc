"""Names and numbers: what programs call a metric, and what our trainer calls it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Any, Protocol

Record = dict[str, Any]
"""As our trainer's records (`api.records`): `type` is `metrics` or `progress`, or one of those in `parser`."""

_OURS = {
    "loss": ("train_loss", "train/loss", "train loss", "training_loss", "train_loss_step", "lm loss", "lm_loss"),
    "eval_loss": ("val_loss", "valid_loss", "validation_loss", "val loss", "eval loss", "val/loss", "eval/loss"),
    "learning_rate": ("lr", "learning rate"),
    "grad_norm": ("grad norm", "gradnorm", "gnorm"),
    "step": ("global_step", "global step", "iter", "iteration"),
    "total_steps": ("max_steps",),
    "tokens_per_second": ("tok/s", "tokens/s", "tokens_per_sec", "tok/sec", "tokens/sec"),
    "samples_per_second": ("samples/s", "samples_per_sec", "samples/sec"),
    "eta_seconds": ("eta",),
    "gpu_utilization": ("gpu_util", "gpu util", "gpu_utilisation"),
}
_NAMES = {theirs: ours for ours, names in _OURS.items() for theirs in names}

NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?(?![\w.])|[-+]?(?:nan|inf(?:inity)?)(?!\w)"
"""A number as programs print it, whole: `3ms` is none."""

_NUMBER = re.compile(rf"\s*(?:{NUMBER})\s*", re.IGNORECASE)


class Format(Protocol):
    """One way to print. `line` has no carriage returns and no colours."""

    def read(self, line: str) -> list[Record] | None:
        """Its records; None when the line is not of this format. An empty list: it is, but tells nothing."""
        ...


def number(value: object) -> float | int | None:
    """The number that a value is or reads as; None for infinity, not-a-number and anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        if not _NUMBER.fullmatch(value):
            return None
        try:
            value = int(value)
        except ValueError:
            value = float(value)
    if isinstance(value, int | float) and math.isfinite(value):
        return value
    return None


def normalised(pairs: Iterable[tuple[str, object]]) -> Record:
    """Metrics by the names of our trainer; unknown ones keep theirs, what is no number is left out.

    Of two that mean the same, the first counts, and the other keeps its own name.
    """
    found: Record = {}
    for name, raw in pairs:
        value = number(raw)
        if value is None:
            continue
        ours = _NAMES.get(name.lower(), name)
        ours = ours.lower() if ours.lower() in _OURS else ours
        if ours in found:
            ours = name
        found.setdefault(ours, value)
    return found
