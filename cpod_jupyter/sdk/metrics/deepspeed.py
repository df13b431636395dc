"""DeepSpeed (`deepspeed.runtime.engine`, `utils.timer`).

[2023-08-02 00:41:17,935] [INFO] [logging.py:96:log_dist] [Rank 0] step=10, skipped=0, lr=[0.0001], mom=[(0.9, 0.999)]
… epoch=0/micro_step=10/global_step=10, RunningAvgSamplesPerSec=220.7, CurrSamplesPerSec=222.9, MemAllocated=0.07GB, …
"""

from __future__ import annotations

import re

from cpod_jupyter.sdk.metrics.names import Record, normalised

_STEP = re.compile(r"rank[ :]?0\]? step=(\d+), skipped=(\d+), lr=\[([^\],]*)", re.IGNORECASE)
_SPEED = re.compile(r"(?:global_step=|\d+/)(\d+), (?:RunningAvg)?SamplesPerSec=([\d.]+)")
_MEMORY = re.compile(r"MaxMemAllocated=([\d.]+)GB")


class DeepSpeed:
    """Learning rate and speed, by step; losses are printed by others."""

    def read(self, line: str) -> list[Record] | None:
        if "skipped=" in line and (match := _STEP.search(line)):
            step, skipped, rate = match.groups()
            values = normalised([("step", step), ("learning_rate", rate), ("skipped", skipped)])
        elif "SamplesPerSec=" in line and (match := _SPEED.search(line)):
            values = normalised([("step", match[1]), ("samples_per_second", match[2])])
            if memory := _MEMORY.search(line):
                values["memory_bytes"] = int(float(memory[1]) * 2**30)
        else:
            return None
        return [{"type": "metrics", **values}] if values["step"] else []  # step 0 tells of the set-up
