"""What a comparison found: scores, differences, and the rows behind them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from html import escape
from typing import TYPE_CHECKING, Any

from cpod_jupyter.sdk.evaluate.rows import Row, question_of
from cpod_jupyter.sdk.evaluate.statistics import Difference, difference, mean_interval
from cpod_jupyter.sdk.view import table, theme

if TYPE_CHECKING:
    import pandas as pd

_SHOWN = 10
"""Rows side by side; the others are in `to_df()`."""
_LETTERS = 600

_STYLE = """<style>
.cpod-scale{position:relative;width:180px;height:12px;border-radius:3px;margin:4px 0;
 background:var(--jp-layout-color3,rgba(128,128,128,.25))}
.cpod-scale>i{position:absolute;left:0;top:0;bottom:0;border-radius:3px;background:var(--cpod-tone);opacity:.6}
.cpod-scale>b{position:absolute;top:5px;height:2px;background:var(--jp-ui-font-color1,currentColor)}
</style>"""


class Comparison:
    """Scores of several deployments on the same rows. `scores` by name; `rows` (or `to_df()`) is a DataFrame with a
    row a question; `differences` are those of each deployment from the first; `errors` counts rows without score."""

    def __init__(
        self,
        names: Sequence[str],
        questions: Sequence[Row],
        answers: Mapping[str, Sequence[str]],
        points: Mapping[str, Sequence[float]],
        errors: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self.names = list(names)
        self._questions = questions
        self._answers = answers
        self._points = points
        self._errors = errors or {name: [""] * len(questions) for name in names}

    @cached_property
    def scores(self) -> dict[str, float]:
        """The mean score of each deployment over the rows that have one; NaN where none has."""
        return {name: _mean(self._scored(name)) for name in self.names}

    @cached_property
    def intervals(self) -> dict[str, tuple[float, float]]:
        """The 95% bootstrap interval of each mean score."""
        scored = {name: self._scored(name) for name in self.names}
        return {name: mean_interval(found) for name, found in scored.items() if found}

    @cached_property
    def differences(self) -> list[Difference]:
        """Of each other deployment from the first, on the rows that both have a score for."""
        first, *others = self.names
        found = [difference(first, name, self._points[first], self._points[name]) for name in others]
        return [each for each in found if each is not None]

    @property
    def errors(self) -> dict[str, int]:
        """How many rows of each deployment have no score, because it did not answer or the scorer raised."""
        return {name: sum(map(bool, self._errors[name])) for name in self.names}

    def __getitem__(self, name: str) -> float:
        return self.scores[name]

    def to_df(self) -> pd.DataFrame:
        """`question`, `answer`, and for each deployment its answer as NAME, `NAME_score`, `NAME_error`, and for each
        but the first `NAME_change`, its score less the first's."""
        import pandas as pd

        columns: dict[str, Any] = {
            "question": [question_of(row) for row in self._questions],
            "answer": [str(row["answer"]) for row in self._questions],
        }
        first = self._points[self.names[0]]
        for name in self.names:
            columns[name] = list(self._answers[name])
            columns[f"{name}_score"] = list(self._points[name])
            columns[f"{name}_error"] = list(self._errors[name])
            if name != self.names[0]:
                columns[f"{name}_change"] = [b - a for a, b in zip(first, self._points[name], strict=True)]
        return pd.DataFrame(columns)

    @property
    def rows(self) -> pd.DataFrame:
        """The same as `to_df()`."""
        return self.to_df()

    def changed(self, name: str | None = None, count: int = _SHOWN) -> pd.DataFrame:
        """The rows whose score changed most from the first deployment to `name` (the second)."""
        frame = self.to_df()
        return frame.loc[self._most(name or self.names[-1 if len(self.names) < 2 else 1], count)]

    # ---- inner

    def _scored(self, name: str) -> list[float]:
        return [point for point in self._points[name] if not math.isnan(point)]

    def _most(self, name: str, count: int) -> list[int]:
        pairs = list(zip(self._points[self.names[0]], self._points[name], strict=True))
        moved = [at for at, (before, after) in enumerate(pairs) if abs(after - before) > 0]
        return sorted(moved, key=lambda at: -abs(pairs[at][1] - pairs[at][0]))[:count]

    @property
    def _binary(self) -> bool:
        return all(point in (0, 1) for name in self.names for point in self._scored(name))

    def _columns(self) -> tuple[str, str, str]:
        return ("deployment", "accuracy", "right") if self._binary else ("deployment", "score", "rows")

    def _ranked(self) -> list[str]:
        return sorted(self.names, key=lambda name: math.inf if math.isnan(self[name]) else -self[name])

    def _line(self, name: str) -> tuple[str, str, str]:
        scored = self._scored(name)
        if not scored:
            return name, "-", "0 of 0"
        if self._binary:
            return name, f"{self[name]:.0%}", f"{sum(scored):g} of {len(scored)}"
        return name, f"{self[name]:.3f}", str(len(scored))

    def _notes(self) -> list[str]:
        notes = [told(each) for each in self.differences]
        for name, count in self.errors.items():
            if count:
                why = next(error for error in self._errors[name] if error)
                notes.append(f"{name}: {count} of {len(self._questions)} rows have no score; the first: {why}")
        return notes

    def __repr__(self) -> str:
        lines = table.text(self._columns(), [self._line(name) for name in self._ranked()])
        return "\n".join([lines, *self._notes()])

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        head = "".join(f"<th>{escape(each)}</th>" for each in (*self._columns(), "95% interval"))
        body = "".join(f"<tr>{self._html_line(name)}</tr>" for name in self._ranked())
        inner = f'<table class="cpod-table"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
        inner += "".join(f'<div class="cpod-reason">{escape(note)}</div>' for note in self._notes())
        inner += "".join(self._side_by_side(name) for name in self.names[1:])
        return {"text/plain": repr(self), "text/html": _STYLE + theme.block(inner)}

    def _html_line(self, name: str) -> str:
        cells = "".join(f"<td>{escape(cell)}</td>" for cell in self._line(name))
        return f"{cells}<td>{self._scale(name)}</td>"

    def _scale(self, name: str) -> str:
        """A bar for the mean with a line for its interval, where scores lie between 0 and 1; else numbers."""
        if name not in self.intervals:
            return ""
        low, high = self.intervals[name]
        if not all(0 <= point <= 1 for each in self.names for point in self._scored(each)):
            return f"{low:.3f} to {high:.3f}"
        words = f"{low:.0%} to {high:.0%}"
        return (
            f'<div class="cpod-scale cpod-busy" title="{words}"><i style="width:{self[name]:.1%}"></i>'
            f'<b style="left:{low:.1%};width:{high - low:.1%}"></b></div><span class="cpod-dim">{words}</span>'
        )

    def _side_by_side(self, name: str) -> str:
        first, chosen = self.names[0], self._most(name, _SHOWN)
        if not chosen:
            return ""
        head = "".join(f"<th>{escape(each)}</th>" for each in ("question", "right answer", first, name, "change"))
        lines = []
        for at in chosen:
            row = self._questions[at]
            cells = (question_of(row), str(row["answer"]), self._answers[first][at], self._answers[name][at])
            change = self._points[name][at] - self._points[first][at]
            wide = "".join(f'<td class="cpod-wide">{escape(_short(cell))}</td>' for cell in cells)
            lines.append(f"<tr>{wide}<td>{theme.pill(f'{change:+g}', 'good' if change > 0 else 'bad')}</td></tr>")
        return (
            f"<details><summary>Rows that changed most, {escape(first)} to {escape(name)}</summary>"
            f'<table class="cpod-table"><thead><tr>{head}</tr></thead><tbody>{"".join(lines)}</tbody></table></details>'
        )


def told(each: Difference) -> str:
    """`tuned - base: +0.250 (95% interval +0.050 to +0.450), p = 0.0312 by exact McNemar on 20 rows`."""
    return (
        f"{each.second} - {each.first}: {each.mean:+.3f} (95% interval {each.low:+.3f} to {each.high:+.3f}), "
        f"p = {each.p:.3g} by {each.test} on {each.rows} row{'s' if each.rows != 1 else ''}"
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan


def _short(text: str) -> str:
    return text if len(text) <= _LETTERS else text[:_LETTERS] + "…"
