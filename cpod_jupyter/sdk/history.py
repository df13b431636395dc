"""What a pod's log has told so far: records of progress and metrics, and a bounded part of its lines."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cpod_jupyter.api.records import parse_record

HEAD_LINES = 100
TAIL_LINES = 400

Metrics = Mapping[str, Any]
"""One `metrics` record: step, total_steps, epoch, loss, learning_rate, tokens_per_second, …"""


@dataclass(frozen=True)
class Progress:
    """How far one phase of the work has come. `unit` is `B` for bytes, or a noun; `eta` in seconds."""

    phase: str
    done: float
    total: float | None = None
    unit: str = ""
    eta: float | None = None

    @property
    def fraction(self) -> float | None:
        """0 to 1; None when the total is not known."""
        return min(1.0, max(0.0, self.done / self.total)) if self.total else None


class History:
    """Folds log lines into the latest progress, all metrics, and the log's head and tail.

    Metrics are kept whole, one record a logged step; a run that begins again (a restart from a
    checkpoint) takes the place of the steps it repeats.
    """

    def __init__(self) -> None:
        self.progress: Progress | None = None
        self.metrics: list[Metrics] = []
        self.head: list[str] = []
        self.tail: deque[str] = deque(maxlen=TAIL_LINES)
        self.lines = 0

    def add(self, line: str) -> None:
        record = parse_record(line)
        if record is None:
            self._line(line)
        elif record["type"] == "progress":
            self._progress(record)
        elif record["type"] == "metrics":
            self._metrics(record)

    @property
    def left_out(self) -> int:
        """Lines between head and tail that are not kept."""
        return self.lines - len(self.head) - len(self.tail)

    def text(self) -> tuple[str, ...]:
        """The lines that are kept, with a note in the gap."""
        gap = [f"… {self.left_out} lines left out …"] if self.left_out else []
        return (*self.head, *gap, *self.tail)

    def _line(self, line: str) -> None:
        self.lines += 1
        if len(self.head) < HEAD_LINES:
            self.head.append(line)
        else:
            self.tail.append(line)

    def _progress(self, record: Mapping[str, Any]) -> None:
        done, total = _number(record.get("done")), _number(record.get("total"))
        phase, eta = str(record.get("phase", "")), _number(record.get("eta_seconds"))
        if eta is None and self.progress is not None and self.progress.phase == phase and done != total:
            eta = self.progress.eta  # the trainer's metrics say it, its progress doesn't
        self.progress = Progress(phase, done or 0, total, str(record.get("unit", "")), eta)

    def _metrics(self, record: Mapping[str, Any]) -> None:
        step = _number(record.get("step"))
        if step is None:
            return
        while self.metrics and self.metrics[-1]["step"] >= step:
            self.metrics.pop()
        self.metrics.append({**record, "step": step})
        total = _number(record.get("total_steps"))
        self.progress = Progress("train", step, total, "steps", _number(record.get("eta_seconds")))


def readable(line: str) -> str:
    """A log line for people: a record in words, anything else as it is; empty for what is not worth a line."""
    record = parse_record(line)
    if record is None:
        return line
    if record["type"] == "metrics":
        of = f" of {record['total_steps']}" if record.get("total_steps") else ""
        loss, epoch = _number(record.get("loss")), _number(record.get("epoch"))
        parts = [f"step {record.get('step')}{of}"]
        parts += [f"epoch {epoch:.2f}"] if epoch is not None else []
        parts += [f"loss {loss:.4f}"] if loss is not None else []
        return "  ".join(parts)
    if record["type"] == "progress" and record.get("phase") != "train":
        of = f" of {record['total']}" if record.get("total") else ""
        return f"{record.get('phase')}: {record.get('done')}{of} {record.get('unit', '')}".rstrip()
    return ""


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return value
