"""The curve of loss and learning rate: an image of its own, which a page carries in itself, and a line of blocks for a
terminal.

An image, not SVG within the page: a notebook that is not trusted yet shows images, but drops SVG.
Its colours are readable on light and on dark ground.
"""

from __future__ import annotations

import base64
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from cpod_jupyter.sdk.history import Metrics

Point = tuple[float, float]

MOST_POINTS = 240

_WIDTH, _HEIGHT = 640, 160
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 84, 10, 28
_BLUE, _ORANGE, _GREY = "#2b7de0", "#d9730d", "#808080"
_RUNS = (_BLUE, _ORANGE, "#2e8b57", "#a347ba")
_NAME = 6
"""Characters of a run's name that there is room for beside the end of its line."""
_DOTS = 60
"""Evaluations that are marked one by one."""
_BLOCKS = "▁▂▃▄▅▆▇█"


def points_of(metrics: Sequence[Metrics], key: str = "loss") -> list[Point]:
    """Step and value of every record that has the value."""
    return [
        (float(record["step"]), float(record[key]))
        for record in metrics
        if isinstance(record.get(key), (int, float)) and abs(float(record[key])) < float("inf")
    ]


def decimated(points: Sequence[Point], most: int = MOST_POINTS) -> list[Point]:
    """At most so many points (two or more) that look the same: of each stretch the lowest and the highest.

    The first and the last point always stay, so that the current value is never lost.
    """
    if len(points) <= most:
        return list(points)
    inner, buckets = points[1:-1], max(1, (most - 2) // 2)
    kept = [points[0]]
    for index in range(buckets):
        stretch = inner[index * len(inner) // buckets : (index + 1) * len(inner) // buckets]
        if stretch:
            low, high = min(stretch, key=lambda p: p[1]), max(stretch, key=lambda p: p[1])
            kept += sorted({low, high})
    return [*kept, points[-1]]


def number(value: float) -> str:
    """Three digits, and no power of ten for what a person reads as a number."""
    return f"{value:,.0f}" if 1000 <= abs(value) < 10_000_000 else f"{value:.3g}"


def image(drawn: str, words: str) -> str:
    """A drawn curve as an HTML element, with words for who cannot see it; empty for none."""
    if not drawn:
        return ""
    data = base64.b64encode(drawn.encode()).decode()
    return f'<img class="cpod-curve" alt="{escape(words)}" src="data:image/svg+xml;base64,{data}">'


def label(metrics: Sequence[Metrics]) -> str:
    """The curve in words, for who cannot see it; empty with fewer than two points."""
    points = points_of(metrics)
    if len(points) < 2:
        return ""
    (first_step, first), (last_step, last) = points[0], points[-1]
    return f"Training loss by step: {first:.3g} at step {first_step:g}, {last:.3g} at step {last_step:g}"


def svg(metrics: Sequence[Metrics], total_steps: float | None = None) -> str:
    """The curve with axes, their labels and the current value; empty with fewer than two points.

    The loss in blue, the loss on held-out rows in orange, and the learning rate dashed, on a scale of its own.
    """
    points = decimated(points_of(metrics))
    if len(points) < 2:
        return ""
    held_out = decimated(points_of(metrics, "eval_loss"))
    frame = _Frame.around([*points, *held_out], total_steps)
    drawn = _rate(decimated(points_of(metrics, "learning_rate")), frame) + _line(points, frame, _BLUE)
    labels = [("loss", points[-1], _BLUE)]
    if held_out:
        drawn += _line(held_out, frame, _ORANGE)
        drawn += "".join(_dot(point, frame, _ORANGE, 2.5) for point in held_out[-_DOTS:])
        labels.append(("eval", held_out[-1], _ORANGE))
    return _drawing(label(metrics), frame, f"{drawn}{_dot(points[-1], frame, _BLUE, 3)}{_ends(labels, frame)}")


def compared(runs: Mapping[str, Sequence[Metrics]]) -> str:
    """The losses of several runs over each other, each named at its end; empty with none of two points."""
    found = {name: decimated(points_of(metrics)) for name, metrics in runs.items()}
    words = "; ".join(f"{name}: {label(metrics)}" for name, metrics in runs.items())
    return lines({name: points for name, points in found.items() if len(points) > 1}, words)


def lines(
    found: Mapping[str, Sequence[Point]], words: str, x: str = "step", say: Callable[[float], str] = "{:.3f}".format
) -> str:
    """Lines over each other, each named at its end with its last value; empty with none. `words` are for who cannot
    see them, `x` says what is counted to the right, `say` how a value is written."""
    if not found:
        return ""
    frame = _Frame.around([point for points in found.values() for point in points], None)
    drawn, labels = "", []
    for (name, points), colour in zip(found.items(), itertools.cycle(_RUNS)):
        drawn += _line(points, frame, colour) + _dot(points[-1], frame, colour, 3)
        labels.append((name if len(name) <= _NAME else f"{name[: _NAME - 1]}…", points[-1], colour))
    return _drawing(words, frame, drawn + _ends(labels, frame, say), x)


def _drawing(words: str, frame: _Frame, drawn: str, x: str = "step") -> str:
    """An image with axes."""
    grid = "".join(_rule(value, frame.y(value)) for value in frame.values())
    ticks = "".join(_tick(step, frame.x(step)) for step in frame.steps())
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="{escape(words)}" color="{_GREY}" font-family="system-ui,sans-serif" font-size="11">'
        f"{grid}{ticks}"
        f'<text x="{_WIDTH - _RIGHT}" y="{_HEIGHT - 2}" text-anchor="end" fill="currentColor" opacity=".7">'
        f"{escape(x)}</text>{drawn}</svg>"
    )


@dataclass(frozen=True)
class _Frame:
    """From steps and losses to places in the image."""

    low_x: float
    high_x: float
    low: float
    high: float

    @classmethod
    def around(cls, points: Sequence[Point], total_steps: float | None) -> _Frame:
        steps, values = [step for step, _ in points], [value for _, value in points]
        return cls(min(steps), max(total_steps or 0, *steps), *_bounds(min(values), max(values)))

    def x(self, step: float) -> float:
        return round(_LEFT + (step - self.low_x) / ((self.high_x - self.low_x) or 1) * (_WIDTH - _LEFT - _RIGHT), 1)

    def y(self, value: float) -> float:
        return round(_TOP + (self.high - value) / (self.high - self.low) * (_HEIGHT - _TOP - _BOTTOM), 1)

    def values(self) -> tuple[float, float, float]:
        return self.low, (self.low + self.high) / 2, self.high

    def steps(self) -> Sequence[float]:
        return list(dict.fromkeys((self.low_x, (self.low_x + self.high_x) // 2, self.high_x)))


def _line(points: Sequence[Point], frame: _Frame, colour: str) -> str:
    line = " ".join(f"{frame.x(step)},{frame.y(value)}" for step, value in points)
    return f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="1.8" stroke-linejoin="round"/>'


def _dot(point: Point, frame: _Frame, colour: str, radius: float) -> str:
    return f'<circle cx="{frame.x(point[0])}" cy="{frame.y(point[1])}" r="{radius}" fill="{colour}"/>'


def _rate(points: Sequence[Point], frame: _Frame) -> str:
    """The learning rate, from 0 at the bottom to its highest, and what that is."""
    highest = max((rate for _, rate in points), default=0.0)
    if len(points) < 2 or highest <= 0:
        return ""
    room = _HEIGHT - _TOP - _BOTTOM
    line = " ".join(f"{frame.x(step)},{round(_TOP + room * (1 - rate / highest), 1)}" for step, rate in points)
    return (
        f'<polyline points="{line}" fill="none" stroke="currentColor" stroke-dasharray="4 4" opacity=".6"/>'
        f'<text x="{_LEFT}" y="{_HEIGHT - 2}" fill="currentColor" opacity=".7">'
        f"- - learning rate, at most {highest:.2g}</text>"
    )


def _ends(
    labels: Sequence[tuple[str, Point, str]], frame: _Frame, say: Callable[[float], str] = "{:.3f}".format
) -> str:
    """The last value of each line beside its end, none over another."""
    texts, taken = [], float("-inf")
    for word, (step, value), colour in sorted(labels, key=lambda label: -label[1][1]):
        y = max(frame.y(value) - 5, _TOP + 8, taken + 14)
        taken = y
        texts.append(
            f'<text x="{frame.x(step) + 6}" y="{y}" fill="{colour}" font-weight="600" font-size="12">'
            f"{escape(f'{word} {say(value)}'.strip())}</text>"
        )
    return "".join(texts)


def spark(metrics: Sequence[Metrics], width: int = 24) -> str:
    """The curve as one line of blocks."""
    values = [value for _, value in points_of(metrics)]
    if len(values) < 2:
        return ""
    count = min(width, len(values))
    picked = [values[round(index * (len(values) - 1) / (count - 1))] for index in range(count)]
    low, high = min(picked), max(picked)
    return "".join(_BLOCKS[round((value - low) / ((high - low) or 1) * (len(_BLOCKS) - 1))] for value in picked)


def _bounds(low: float, high: float) -> tuple[float, float]:
    """A little room around the values, and never none between them; losses don't go below 0."""
    room = (high - low) * 0.08 or abs(high) * 0.1 or 1.0
    return (max(0.0, low - room) if low >= 0 else low - room), high + room


def _rule(value: float, y: float) -> str:
    return (
        f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y}" y2="{y}" stroke="currentColor" opacity=".18"/>'
        f'<text x="{_LEFT - 6}" y="{y + 4}" text-anchor="end" fill="currentColor" opacity=".7">{number(value)}</text>'
    )


def _tick(step: float, x: float) -> str:
    y = _HEIGHT - _BOTTOM + 14
    return f'<text x="{x}" y="{y}" text-anchor="middle" fill="currentColor" opacity=".7">{step:g}</text>'
