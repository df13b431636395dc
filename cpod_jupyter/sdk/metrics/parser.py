"""From log lines to records, for programs that know nothing of ours.

Records are those of `api.records`, and two more: `restart`, after which what was told before counts no
more (a better source has been found), and `renumber`, which says how many steps an epoch has once that
is known (`steps_per_epoch`).
"""

from __future__ import annotations

import re

from cpod_jupyter.sdk.metrics.bars import Bars
from cpod_jupyter.sdk.metrics.boosting import XGBoost
from cpod_jupyter.sdk.metrics.deepspeed import DeepSpeed
from cpod_jupyter.sdk.metrics.keras import Keras
from cpod_jupyter.sdk.metrics.names import Format, Record
from cpod_jupyter.sdk.metrics.plain import Plain
from cpod_jupyter.sdk.metrics.trainer import Trainer

LONGEST = 64 * 2**10
"""Characters of a line from its end that are looked at; a bar's last states are there."""

_COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_BAR = re.compile(r"\d%\||\| \d+/\? \[|\d+/\d+ (?:\[[=>.]+\]|[━╸╺]+)|^\s*[\d.]+[kMG]?(?:it|[A-Za-z]+) \[\d\d:\d\d, ")
_AT_LINE_START = ("Epoch", "Iter", "iter", "Step", "step", "[", "{")

_NAMED, _BARS, _PLAIN = 3, 1, 2
"""How much a source of losses is worth: a program's own records, what scripts print, a bar's short numbers."""


class MetricsParser:
    """Feed it a log line by line; it keeps what it needs to tell steps from epochs, and nothing else.

        parser = MetricsParser()
        parser.feed("[12]\\ttrain-rmse:0.4")   # [{"type": "metrics", "step": 12, "train-rmse": 0.4, "loss": 0.4}]

    The first format that takes a line has it. Losses come from one source: once a better one is found, the
    worse is heard no more.
    """

    def __init__(self) -> None:
        bars = Bars()
        self._formats: tuple[tuple[int, Format], ...] = (
            (_NAMED, DeepSpeed()),
            (_NAMED, Trainer(bars)),
            (_NAMED, XGBoost()),
            (_NAMED, Keras()),
            (_PLAIN, Plain()),
        )
        self._bars = bars
        self._source: tuple[int, Format] | None = None

    def feed(self, line: str) -> list[Record]:
        """The records in a line; none for nearly every line, and quickly so."""
        if not _promising(line):
            return []
        records: list[Record] = []
        for segment in shown(line[-LONGEST:]):
            if segment and not segment.isspace():
                self._segment(segment, records)
        return records

    def _segment(self, text: str, records: list[Record]) -> None:
        rest, bars = self._bars.take(text)
        for bar in bars:
            self._accept(_BARS, self._bars, self._bars.records(bar), records)
        if not rest or rest.isspace():
            return
        for worth, kind in self._formats:
            found = kind.read(rest)
            if found is not None:
                return self._accept(worth, kind, found, records)

    def _accept(self, worth: int, kind: Format, found: list[Record], records: list[Record]) -> None:
        for record in found:
            if record["type"] == "metrics" and ("loss" in record or "eval_loss" in record):
                if self._source is None or worth > self._source[0]:
                    if self._source is not None:
                        records.append({"type": "restart"})
                    self._source = (worth, kind)
                elif self._source[1] is not kind:
                    continue
            records.append(record)


def shown(line: str) -> list[str]:
    """The states that a line went through: what stands between carriage returns, without colours."""
    if "\x1b" in line:
        line = _COLOURS.sub("", line)
    if "\b" in line:
        line = line.replace("\b", "")
    return line.split("\r")


def last_state(line: str) -> str:
    """What a terminal shows of a line in the end."""
    return next((state for state in reversed(shown(line)) if state and not state.isspace()), "").rstrip()


def is_bar(line: str) -> bool:
    """Whether a line is a state of a progress bar, which the next state replaces."""
    return ("%|" in line or "it/" in line or "━" in line or "=" in line) and _BAR.search(line) is not None


def _promising(line: str) -> bool:
    """The cheap test: every format's lines pass it, and of others few do."""
    return (
        "loss" in line
        or "%|" in line
        or "Loss" in line
        or "]\t" in line
        or "/? [" in line
        or "PerSec=" in line
        or "skipped=" in line
        or (line.startswith("Epoch ") and "/" in line)
        or "train_runtime" in line
    )
