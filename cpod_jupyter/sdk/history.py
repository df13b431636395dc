"""What a pod's log has told so far: records of progress and metrics, and a bounded part of its lines."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from cpod_jupyter.api.records import parse_record
from cpod_jupyter.sdk.metrics import MetricsParser
from cpod_jupyter.sdk.metrics.parser import is_bar, last_state

HEAD_LINES = 100
TAIL_LINES = 400
LONGEST_LINE = 4000
"""Characters of a line that are kept."""
MOST_ROWS = 2000
"""Rows of metrics that are kept for a display; a curve has room for a tenth."""

Metrics = Mapping[str, Any]
"""One `metrics` record: step, total_steps, epoch, loss, learning_rate, tokens_per_second, …"""


class LogLine(NamedTuple):
    """A line of a log and the pod it is of: `place` is `worker-1`, and empty for a note of ours."""

    place: str
    text: str


def texts(lines: Iterable[LogLine]) -> list[str]:
    """The lines as text; `worker-1 | ` stands before each where they are of more than one pod."""
    kept = list(lines)
    several = len({line.place for line in kept if line.place}) > 1
    return [f"{line.place} | {line.text}" if several and line.place else line.text for line in kept]


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
    """Folds log lines into the latest progress, metrics a row a step, and the log's head and tail.

    What is told of one step, its training and its evaluation, is one row; a run that begins again (a restart
    from a checkpoint) takes the place of the steps it repeats. Of more than `most` rows every second one is
    let go, and from then on of those that come, so that a display stays small and the whole run is in it evenly; with
    None all are kept.

    Lines of other people's programs are read too (`sdk.metrics`), until a record of ours comes: then nothing
    has to be guessed.
    """

    def __init__(self, most: int | None = MOST_ROWS) -> None:
        self.progress: Progress | None = None
        self.metrics: list[Metrics] = []
        self.head: list[LogLine] = []
        self.tail: deque[LogLine] = deque(maxlen=TAIL_LINES)
        self.lines = 0
        self._most = most
        self._stride, self._come = 1, 0
        """Of the rows that come, each such one is kept; and how many have come."""
        self._guess: MetricsParser | None = MetricsParser()
        self._last: dict[str, int] = {}
        """By place, the number of its last line."""
        self._on_bar: set[str] = set()
        """The places whose last line is a bar."""

    def add(self, line: str, place: str = "", *, speaks: bool = True, goes_on: bool = False) -> None:
        """Take in a line of the pod at `place`, or more of the line before. What a pod records that does not speak for
        its job is not heard."""
        record = parse_record(line)
        if not speaks:
            return None if record is not None else self._line(line, place, goes_on)
        if record is not None:
            if self._guess is not None:
                self._guess = None
                self._clear()
            return self._record(record)
        if self._guess is not None:
            for found in self._guess.feed(line):
                self._record(found)
        return self._line(line, place, goes_on)

    @property
    def left_out(self) -> int:
        """Lines between head and tail that are not kept."""
        return self.lines - len(self.head) - len(self.tail)

    def text(self) -> tuple[LogLine, ...]:
        """The lines that are kept, with a note in the gap."""
        gap = [LogLine("", f"… {self.left_out} lines left out …")] if self.left_out else []
        return (*self.head, *gap, *self.tail)

    def _record(self, record: Mapping[str, Any]) -> None:
        match record["type"]:
            case "progress":
                self._progress(record)
            case "metrics":
                self._metrics(record)
            case "restart":
                self._clear()
            case "renumber":
                self._renumber(record["steps_per_epoch"])

    def _line(self, line: str, place: str, goes_on: bool) -> None:
        """Keep a line as a terminal would show it; a bar's state takes the place of the one before."""
        if "\r" in line:
            line = last_state(line)
            if not line:
                return
        if len(line) > LONGEST_LINE:
            line = f"{line[:LONGEST_LINE]} … ({len(line):,} characters)"
        bar = is_bar(line)
        again = goes_on or (bar and place in self._on_bar)
        if bar:
            self._on_bar.add(place)
        elif self._on_bar:
            self._on_bar.discard(place)
        if again and place in self._last and self._put(self._last[place], LogLine(place, line)):
            return
        self._last[place] = self.lines
        self.lines += 1
        if len(self.head) < HEAD_LINES:
            self.head.append(LogLine(place, line))
        else:
            self.tail.append(LogLine(place, line))

    def _put(self, number: int, line: LogLine) -> bool:
        """Put a line in the place of one before; False when that is not kept any more."""
        if number < len(self.head):
            self.head[number] = line
            return True
        at = number - (self.lines - len(self.tail))
        if at >= 0:
            self.tail[at] = line
        return at >= 0

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
        again = bool(self.metrics) and self.metrics[-1]["step"] > step
        while self.metrics and self.metrics[-1]["step"] > step:
            self.metrics.pop()
        if again and self.metrics and self.metrics[-1]["step"] == step:
            self.metrics.pop()
        if self.metrics and self.metrics[-1]["step"] == step:
            record = {**self.metrics.pop(), **record}
        else:
            self._next()
        self.metrics.append({**record, "step": step})
        if self._most is not None and len(self.metrics) > self._most:
            self._thin()
        before, total, eta = self.progress, _number(record.get("total_steps")), _number(record.get("eta_seconds"))
        if before is not None and before.phase == "train" and before.done <= step:
            total, eta = total or before.total, eta if eta is not None else before.eta
        if before is None or before.phase != "train" or before.done <= step or total is not None:
            self.progress = Progress("train", step, total, "steps", eta)

    def _clear(self) -> None:
        self.metrics.clear()
        self._stride, self._come = 1, 0

    def _next(self) -> None:
        """Another row comes: let the last one go, where it was kept only for being the last."""
        if self.metrics and (self._come - 1) % self._stride and "eval_loss" not in self.metrics[-1]:
            self.metrics.pop()
        self._come += 1

    def _thin(self) -> None:
        """Let every second row go, but the first, the last, and those of evaluations."""
        self._stride *= 2
        last = len(self.metrics) - 1
        kept = [row for at, row in enumerate(self.metrics) if at % 2 == 0 or at == last or "eval_loss" in row]
        self.metrics = kept if len(kept) < last else kept[::2]

    def _renumber(self, steps_per_epoch: float) -> None:
        """The steps of rows, by their epochs: a program told those only."""
        step = 0.0
        for at, row in enumerate(self.metrics):
            epoch = _number(row.get("epoch"))
            step = max(step + 1, float(round(epoch * steps_per_epoch)) if epoch is not None else row["step"])
            self.metrics[at] = {**row, "step": int(step)}


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
