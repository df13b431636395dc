"""Hugging Face Trainer (`transformers.trainer_callback`): a dictionary a logged step, its numbers quoted since v5.

    {'loss': 0.9781, 'grad_norm': 2.717, 'learning_rate': 4.688e-05, 'epoch': 0.25}
    {'eval_loss': '0.4411', 'eval_runtime': '0.0043', 'epoch': '0.5'}
    {'train_runtime': '0.15', 'train_loss': '0.57', 'epoch': '2'}

It doesn't name the step: the bar does, when it is drawn again below the dictionary; and the closing summary
says how many epochs the bar's total was, with which every step is known.
"""

from __future__ import annotations

import ast
import math
import re

from cpod_jupyter.sdk.metrics.bars import Bars
from cpod_jupyter.sdk.metrics.names import Record, normalised, number

_DICT = re.compile(r"\{'[^{}]*\}")


_NOT_FINITE = re.compile(r"(?<=: )-?(?:nan|inf)\b")


class Trainer:
    """Steps by the bar of `bars`; without one, logged records are counted."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._begin()

    def _begin(self) -> None:
        self._last_epoch = 0.0
        self._last_step = 0
        self._least, self._most = 0.0, float("inf")
        self._epochs: int | None = None

    def read(self, line: str) -> list[Record] | None:
        if "{'" not in line or (match := _DICT.search(line)) is None:
            return None
        try:
            said = ast.literal_eval(_NOT_FINITE.sub("None", match[0]))
        except (ValueError, SyntaxError):
            return None
        if not isinstance(said, dict) or not said.keys() & {"loss", "eval_loss", "train_runtime"}:
            return None
        epoch = float(number(said.get("epoch")) or 0.0)
        if "train_runtime" in said:
            return self._closing(epoch)
        self._bars.fixed = self._bars.main is not None
        found = self._learn_epochs(epoch)
        values = normalised((str(name), value) for name, value in said.items())
        step = values.get("step") or self._step(epoch, "loss" in said)
        self._last_epoch, self._last_step = max(self._last_epoch, epoch), max(self._last_step, int(step))
        record: Record = {"type": "metrics", **values, "step": int(step)}
        if total := self._total():
            record["total_steps"] = total
        return [*found, record]

    def _total(self) -> int | None:
        main = self._bars.main
        return int(main.total) if main is not None and main.total else None

    def _step(self, epoch: float, trained: bool) -> int:
        """By the share of the whole that the epoch is, once their number is plain; until then by the bar."""
        if not trained and epoch == self._last_epoch and self._last_step:
            return self._last_step  # an evaluation of the step before
        total, main = self._total(), self._bars.main
        step = self._last_step + trained
        if total is None or main is None:
            return max(step, 1)
        return max(step, 1, round(epoch / self._epochs * total) if self._epochs else int(main.done))

    def _learn_epochs(self, epoch: float) -> list[Record]:
        """What the bar shows now was drawn after the record before and before this one: so the number of epochs
        lies between two bounds, which close in."""
        total, main = self._total(), self._bars.main
        if self._epochs or not total or main is None or not main.done or not self._last_epoch or not epoch:
            return []
        self._least = max(self._least, total * self._last_epoch / main.done)
        self._most = min(self._most, total * epoch / main.done)
        low, high = math.ceil(self._least - 1e-3), math.floor(self._most + 1e-3)
        if low != high or low < 1:
            return []
        self._epochs = low
        self._last_step = max(1, round(self._last_epoch / low * total))
        return [{"type": "renumber", "steps_per_epoch": total / low}]

    def _closing(self, epochs: float) -> list[Record]:
        total = self._total()
        self._bars.fixed = False
        self._begin()
        return [{"type": "renumber", "steps_per_epoch": total / epochs}] if total and epochs else []
