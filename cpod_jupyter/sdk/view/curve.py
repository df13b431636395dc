"""The loss curve: an image of its own, which a page carries in itself, and a line of blocks for a terminal.

An image, not SVG within the page: a notebook that is not trusted yet shows images, but drops SVG.
Its colours are readable on light and on dark ground.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape

from cpod_jupyter.sdk.history import Metrics

Point = tuple[float, float]

MOST_POINTS = 240

_WIDTH, _HEIGHT = 640, 160
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 84, 10, 28
_BLUE, _GREY = "#2b7de0", "#808080"
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


def image(metrics: Sequence[Metrics], total_steps: float | None = None) -> str:
    """The curve as an HTML element; empty with fewer than two points."""
    drawn = svg(metrics, total_steps)
    if not drawn:
        return ""
    data = base64.b64encode(drawn.encode()).decode()
    return f'<img class="cpod-curve" alt="{_label(points_of(metrics))}" src="data:image/svg+xml;base64,{data}">'


def svg(metrics: Sequence[Metrics], total_steps: float | None = None) -> str:
    """The curve with axes, their labels and the current value; empty with fewer than two points."""
    points = decimated(points_of(metrics))
    if len(points) < 2:
        return ""
    last_step, last = points[-1]
    low_x, high_x = points[0][0], max(total_steps or 0, last_step)
    values = [value for _, value in points]
    low, high = _bounds(min(values), max(values))

    def at(point: Point) -> tuple[float, float]:
        x = _LEFT + (point[0] - low_x) / ((high_x - low_x) or 1) * (_WIDTH - _LEFT - _RIGHT)
        y = _TOP + (high - point[1]) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)
        return round(x, 1), round(y, 1)

    line = " ".join(f"{x},{y}" for x, y in map(at, points))
    end_x, end_y = at(points[-1])
    grid = "".join(_rule(value, at((low_x, value))[1]) for value in (low, (low + high) / 2, high))
    ticks = "".join(_tick(step, at((step, low))[0]) for step in dict.fromkeys((low_x, (low_x + high_x) // 2, high_x)))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="{_label(points)}" color="{_GREY}" font-family="system-ui,sans-serif" font-size="11">{grid}{ticks}'
        f'<text x="{_WIDTH - _RIGHT}" y="{_HEIGHT - 2}" text-anchor="end" fill="currentColor" opacity=".7">step</text>'
        f'<polyline points="{line}" fill="none" stroke="{_BLUE}" stroke-width="1.8" stroke-linejoin="round"/>'
        f'<circle cx="{end_x}" cy="{end_y}" r="3" fill="{_BLUE}"/>'
        f'<text x="{end_x + 6}" y="{max(end_y - 5, _TOP + 8)}" fill="{_BLUE}" font-weight="600" font-size="12">'
        f"loss {last:.3f}</text></svg>"
    )


def spark(metrics: Sequence[Metrics], width: int = 24) -> str:
    """The curve as one line of blocks."""
    values = [value for _, value in points_of(metrics)]
    if len(values) < 2:
        return ""
    count = min(width, len(values))
    picked = [values[round(index * (len(values) - 1) / (count - 1))] for index in range(count)]
    low, high = min(picked), max(picked)
    return "".join(_BLOCKS[round((value - low) / ((high - low) or 1) * (len(_BLOCKS) - 1))] for value in picked)


def _label(points: Sequence[Point]) -> str:
    (first_step, first), (last_step, last) = points[0], points[-1]
    return escape(f"Training loss by step: {first:.3g} at step {first_step:g}, {last:.3g} at step {last_step:g}")


def _bounds(low: float, high: float) -> tuple[float, float]:
    """A little room around the values, and never none between them; losses don't go below 0."""
    room = (high - low) * 0.08 or abs(high) * 0.1 or 1.0
    return (max(0.0, low - room) if low >= 0 else low - room), high + room


def _rule(value: float, y: float) -> str:
    return (
        f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y}" y2="{y}" stroke="currentColor" opacity=".18"/>'
        f'<text x="{_LEFT - 6}" y="{y + 4}" text-anchor="end" fill="currentColor" opacity=".7">{value:.3g}</text>'
    )


def _tick(step: float, x: float) -> str:
    y = _HEIGHT - _BOTTOM + 14
    return f'<text x="{x}" y="{y}" text-anchor="middle" fill="currentColor" opacity=".7">{step:g}</text>'
