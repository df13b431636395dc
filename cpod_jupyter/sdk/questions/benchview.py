"""What a measurement of load found, as numbers, a table and a plot. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from html import escape
from typing import TYPE_CHECKING, Any

from cpod_jupyter.sdk.view import curve, table, theme

if TYPE_CHECKING:
    import pandas as pd

    from cpod_jupyter.sdk.questions.bench import Timed

_COLUMNS = ("at a time", "requests", "errors", "requests/s", "tokens/s", "TTFT p50", "TTFT p95", "ITL p50", "ITL p95")


@dataclass(frozen=True)
class Level:
    """So many at a time. Times are in seconds: `ttft` to the first token, `itl` between two pieces of an answer (a
    piece is a token with most servers); NaN where nothing was measured. Requests that failed count as errors only."""

    concurrency: int
    requests: int
    errors: int
    seconds: float
    requests_per_second: float
    tokens_per_second: float
    ttft_p50: float
    ttft_p95: float
    itl_p50: float
    itl_p95: float
    first_error: str = ""


def level_of(concurrency: int, timed: Sequence[Timed], seconds: float) -> Level:
    """One level, from its requests and how long it took until the last of them ended."""
    good = [each for each in timed if not each.error]
    first = [each.pieces[0] - each.begun for each in good if each.pieces]
    between = [b - a for each in good for a, b in zip(each.pieces, each.pieces[1:], strict=False)]
    return Level(
        concurrency,
        len(good),
        len(timed) - len(good),
        seconds,
        len(good) / seconds,
        sum(each.tokens for each in good) / seconds,
        percentile(first, 0.5),
        percentile(first, 0.95),
        percentile(between, 0.5),
        percentile(between, 0.95),
        next((each.error for each in timed if each.error), ""),
    )


def percentile(values: Sequence[float], share: float) -> float:
    """By linear interpolation between the two nearest ranks, as numpy does by default; NaN of none."""
    if not values:
        return math.nan
    ranked, place = sorted(values), (len(values) - 1) * share
    low = math.floor(place)
    return ranked[low] + (ranked[min(low + 1, len(ranked) - 1)] - ranked[low]) * (place - low)


class Bench:
    """A measurement: `levels`, each as `Level` says; `to_df()` has one a row, with times in seconds. Shown as a table
    with the times to the first token (TTFT) and between tokens (ITL) in milliseconds, and a plot of the tokens a second
    and of the time to the first token."""

    def __init__(self, title: str, model: str, levels: Sequence[Level]) -> None:
        self.title, self.model, self.levels = title, model, list(levels)

    def to_df(self) -> pd.DataFrame:
        """A row a level."""
        import pandas as pd

        return pd.DataFrame([asdict(each) for each in self.levels], columns=[each.name for each in fields(Level)])

    def to_dicts(self) -> list[dict[str, Any]]:
        """The same for programs: None in the place of NaN."""
        return [
            {
                key: None if isinstance(value, float) and math.isnan(value) else value
                for key, value in asdict(each).items()
            }
            for each in self.levels
        ]

    def throughput_svg(self) -> str:
        """Tokens a second by how many ask at a time; empty with fewer than two levels."""
        points = [(float(each.concurrency), each.tokens_per_second) for each in self._ordered()]
        words = "Tokens a second by requests at a time: " + _read(points, "")
        return _drawn({"": points}, words)

    def latency_svg(self) -> str:
        """Milliseconds to the first token, median and 95th percentile; empty with fewer than two levels."""
        found = {
            name: [
                (float(each.concurrency), 1000 * float(getattr(each, f"ttft_{name}")))
                for each in self._ordered()
                if not math.isnan(each.ttft_p50)
            ]
            for name in ("p50", "p95")
        }
        words = "Milliseconds to the first token by requests at a time: median " + _read(found["p50"], " ms")
        return _drawn(found, words)

    def _ordered(self) -> list[Level]:
        return sorted(self.levels, key=lambda each: each.concurrency)

    def _rows(self) -> list[tuple[str, ...]]:
        return [
            (
                str(each.concurrency), str(each.requests), str(each.errors), f"{each.requests_per_second:.2f}",
                f"{each.tokens_per_second:.1f}", _ms(each.ttft_p50), _ms(each.ttft_p95), _ms(each.itl_p50),
                _ms(each.itl_p95),
            )
            for each in self.levels
        ]  # fmt: skip

    def _notes(self) -> list[str]:
        failed = [each for each in self.levels if each.errors]
        return [
            f"{each.errors} errors with {each.concurrency} at a time; the first: {each.first_error}" for each in failed
        ]

    def __repr__(self) -> str:
        head = f"{self.title}, model {self.model}"
        return "\n".join([head, table.text(_COLUMNS, self._rows()), *self._notes()])

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        head = f"{escape(self.title)} <span class='cpod-dim'>model {escape(self.model)}</span>"
        notes = "".join(f'<div class="cpod-reason">{escape(note)}</div>' for note in self._notes())
        drawn = self.throughput_svg(), self.latency_svg()
        images = "".join(
            f'<div class="cpod-dim">{words}</div>{curve.image(svg, words)}'
            for svg, words in zip(drawn, ("Tokens a second", "Milliseconds to the first token"), strict=True)
            if svg
        )
        found = {
            "text/plain": repr(self),
            "text/html": theme.block(
                f'<div class="cpod-head">{head}</div>{table.inner(_COLUMNS, self._rows())}{notes}{images}'
            ),
        }
        return found | ({"image/svg+xml": drawn[0]} if drawn[0] else {})


def _drawn(found: dict[str, list[curve.Point]], words: str) -> str:
    several = {name: points for name, points in found.items() if len(points) > 1}
    return curve.lines(several, words, "requests at a time", curve.number)


def _read(points: Sequence[curve.Point], unit: str) -> str:
    return ", ".join(f"{curve.number(y)}{unit} with {x:g}" for x, y in points)


def _ms(seconds: float) -> str:
    return "-" if math.isnan(seconds) else f"{1000 * seconds:.1f} ms"
