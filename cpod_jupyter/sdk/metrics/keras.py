"""Keras (`keras.utils.Progbar`), with bars of version 3 and before, and the line an epoch of `verbose=2`.

Epoch 1/5
120/469 ━━━━━━━━━━━━━━━━━━━━ 1s 3ms/step - accuracy: 0.71 - loss: 0.94
469/469 [==============================] - 2s 4ms/step - loss: 0.35 - accuracy: 0.89 - val_loss: 0.20
469/469 - 2s - 4ms/step - loss: 0.35 - accuracy: 0.89
"""

from __future__ import annotations

import re

from cpod_jupyter.sdk.metrics.names import NUMBER, Record, normalised

_EPOCH = re.compile(r"Epoch (\d+)/(\d+)\s*$")
_BAR = re.compile(r"\s*(\d+)/(\d+) (?:\[[=>.]+\]|[━╸╺ ]+(?=\s\d)|-) ?")
_METRIC = re.compile(rf" - ([A-Za-z_][\w ]*): ({NUMBER})(?= |$)", re.IGNORECASE)
_PACE = re.compile(r" (\d+)(us|ms|s)/step")
_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0}


class Keras:
    """Only bars below an `Epoch` line count: those of evaluate() and predict() have none."""

    def __init__(self) -> None:
        self._epoch = self._epochs = 0
        self._last = 0

    def read(self, line: str) -> list[Record] | None:
        if line.startswith("Epoch ") and (match := _EPOCH.match(line)):
            self._epoch, self._epochs, self._last = int(match[1]), int(match[2]), 0
            return []
        match = _BAR.match(line)
        if match is None or (
            "/step" not in line and "ETA" not in line and not line[match.end() :].strip()[:1].isdigit()
        ):
            return None
        done, total = int(match[1]), int(match[2])
        if not self._epoch:
            return []
        if done < self._last:
            self._epoch = 0  # fit() has ended, and something else counts from one
            return []
        self._last = done
        values = normalised(_METRIC.findall(line))
        values.pop("ETA", None)
        step, steps = (self._epoch - 1) * total + done, self._epochs * total
        pace = _PACE.search(line)
        left = round(int(pace[1]) * _SECONDS[pace[2]] * (steps - step), 1) if pace else None
        progress: Record = {"type": "progress", "phase": "train", "done": step, "total": steps, "unit": "steps"}
        progress["eta_seconds"] = left
        if not values or not done:
            return [progress]
        epoch = round(self._epoch - 1 + done / total, 4)
        record: Record = {"type": "metrics", "step": step, "total_steps": steps, "epoch": epoch, **values}
        return [{**record, "eta_seconds": left} if left is not None else record]
