"""tqdm bars (tqdm, `format_meter`), and what PyTorch Lightning makes of them.

Train:  50%|█████     | 2/4 [00:00<00:00,  8.28it/s, loss=0.5, lr=1e-4]
Epoch 3:  40%|████      | 40/100 [00:01<00:02, 26.50it/s, v_num=0, train_loss=0.412]
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from cpod_jupyter.sdk.metrics.names import Record, normalised

_BAR = re.compile(
    r"(?P<desc>[^|\]\}]*?)(?:\d{1,3}%\|[^|]*\||: ?\|[^|]*\|)\s*(?P<done>[\d.]+)(?P<done_unit>[kMGT]?)/"
    r"(?P<total>[\d.]+|\?)(?P<total_unit>[kMGT]?)\s*"
    r"\[[\d:]+<(?P<left>[\d:]+|\?),\s*(?P<rate>[^,\]]*)(?P<postfix>(?:,[^\]]*)?)\]"
)
_PAIR = re.compile(r"(?:^|,)\s*([A-Za-z_][^=,]*?)\s*=\s*([^,]*)")
_EPOCH = re.compile(r"\bepoch\W{0,3}(\d+)(?:\s*(?:/|of)\s*(\d+))?", re.IGNORECASE)
_TRAINS = re.compile(r"\b(?:train|training|epoch|steps?|iter|iterations?|batch|batches|fit)", re.IGNORECASE)
_CHECKS = re.compile(r"valid|\bval\b|eval|test|sanity|predict|\bdev\b", re.IGNORECASE)
_SCALE = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}


@dataclass
class Bar:
    """One state of a bar. `left` in seconds."""

    desc: str
    done: float
    total: float | None
    left: float | None
    unit: str
    postfix: dict[str, str]


@dataclass
class _Run:
    """A bar over its states; one that begins again, as each epoch does, is the same."""

    last: float = 0.0
    passes: int = 0
    first_epoch: int | None = None
    told: set[str] = field(default_factory=set)


class Bars:
    """Reads bars, and remembers the one that counts the training's steps."""

    def __init__(self) -> None:
        self.main: Bar | None = None
        """The latest state of the bar without a description, or with one of training, that came first."""
        self.fixed = False
        """Whether `main` is known to count the training's steps, so that no other bar can take its place."""
        self._runs: dict[tuple[str, float | None], _Run] = {}

    def take(self, text: str) -> tuple[str, list[Bar]]:
        """The bars in a text, and the text without them."""
        if "%|" not in text and "/? [" not in text:
            return text, []
        found: list[Bar] = []
        rest: list[str] = []
        at = 0
        for match in _BAR.finditer(text):
            rest.append(text[at : match.start()])
            found.append(_bar(match))
            at = match.end()
        return "".join([*rest, text[at:]]), found

    def read(self, line: str) -> list[Record] | None:
        rest, bars = self.take(line)
        return [record for bar in bars for record in self.records(bar)] if bars and not rest.strip() else None

    def records(self, bar: Bar) -> list[Record]:
        """How far the work is, and with a loss in the postfix, metrics of the step."""
        trains = not _CHECKS.search(bar.desc) and (not bar.desc or bool(_TRAINS.search(bar.desc)))
        if not trains and not _has_loss(bar):
            busy = self.main is not None and self.main.total is not None and 0 < self.main.done < self.main.total
            return [] if busy else [_progress(bar, bar.desc or "work")]
        if _CHECKS.search(bar.desc):
            return []
        main = self.main
        if main is not None and (bar.desc, bar.total) != (main.desc, main.total):
            within = not bar.desc and not main.desc and main.done != main.total and not _has_loss(bar)
            if self.fixed or within:
                return []  # another bar within the training's: an evaluation
        self.main = bar
        return self._training(bar)

    def _training(self, bar: Bar) -> list[Record]:
        named = _EPOCH.search(bar.desc)
        run = self._runs.setdefault((_EPOCH.sub("", bar.desc), bar.total), _Run())
        if bar.done < run.last:
            run.passes += 1
            run.told.clear()
        if bar.done != run.last:
            run.told.clear()
        run.last = bar.done
        passes = run.passes
        total_epochs = int(named[2]) if named and named[2] else None
        if named:
            if run.first_epoch is None:
                run.first_epoch = int(named[1]) if int(named[1]) <= 1 else 0
            passes = int(named[1]) - run.first_epoch
        values = normalised((name, value) for name, value in bar.postfix.items() if name != "v_num")
        per_epoch = bar.total or 0
        step = passes * per_epoch + bar.done
        records = [_progress(bar, f"epoch {named[1]}" if named and not total_epochs else "train")]
        total = per_epoch * total_epochs if total_epochs else (bar.total if not named and not passes else None)
        if total_epochs:
            records[0].update(done=step, total=total or None, eta_seconds=None)
        if not bar.done or not any(key == "loss" or key.endswith("_loss") for key in values):
            return records
        if "v_num" not in bar.postfix:  # tqdm: a postfix is set before its step counts; what comes next is the next's
            values = {key: value for key, value in values.items() if key not in run.told}
            run.told.update(values)
        if not values:
            return records
        record: Record = {"type": "metrics", "step": _whole(step)}
        if total:
            record["total_steps"] = _whole(total)
        if named and per_epoch:
            record["epoch"] = round(passes + bar.done / per_epoch, 4)
        return [{**record, **values}, *records]


def _bar(match: re.Match[str]) -> Bar:
    total = None if match["total"] == "?" else float(match["total"]) * _SCALE[match["total_unit"]]
    left = None if match["left"] == "?" else _seconds(match["left"])
    rate = match["rate"].strip()
    unit = "B" if rate.endswith("B/s") else rate.rpartition("/")[0].lstrip("0123456789.?kMG ")
    postfix = {name: value.strip() for name, value in _PAIR.findall(match["postfix"])}
    done = float(match["done"]) * _SCALE[match["done_unit"]]
    return Bar(match["desc"].strip().removesuffix(":").strip(), done, total, left, unit, postfix)


def _has_loss(bar: Bar) -> bool:
    return any("loss" in name.lower() for name in bar.postfix)


def _progress(bar: Bar, phase: str) -> Record:
    unit = {"it": "steps", "s": "steps", "": "steps"}.get(bar.unit, bar.unit)
    return {
        "type": "progress",
        "phase": phase,
        "done": _whole(bar.done),
        "total": None if bar.total is None else _whole(bar.total),
        "unit": unit,
        "eta_seconds": bar.left if bar.done else None,
    }


def _seconds(clock: str) -> float:
    """Of `1:02:03` or `02:03`."""
    seconds = 0
    for part in clock.split(":"):
        seconds = seconds * 60 + int(part or 0)
    return float(seconds)


def _whole(value: float) -> float | int:
    return int(value) if value == int(value) else value
