"""What a comparison found: scores, differences, and the rows behind them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from cpod_jupyter.errors import CpodError
from cpod_jupyter.sdk.evaluate.measure import Measure
from cpod_jupyter.sdk.evaluate.rows import Row, question_of
from cpod_jupyter.sdk.evaluate.rowview import browser, in_words
from cpod_jupyter.sdk.evaluate.statistics import Difference
from cpod_jupyter.sdk.view import table, theme

if TYPE_CHECKING:
    import pandas as pd

_SHOWN = 10

_STYLE = """<style>
.cpod.cpod-scores{max-width:1080px}
.cpod-scale{position:relative;width:180px;height:12px;border-radius:3px;margin:4px 0;
 background:var(--jp-layout-color3,rgba(128,128,128,.25))}
.cpod-scale>i{position:absolute;left:0;top:0;bottom:0;border-radius:3px;background:var(--cpod-tone);opacity:.6}
.cpod-scale>b{position:absolute;top:5px;height:2px;background:var(--jp-ui-font-color1,currentColor)}
</style>"""


class Comparison:
    """Scores of several deployments on the same rows. `measures` has the paired scores of each scorer by its name;
    `scores`, `intervals` and `differences` are those of the first one. `rows` (or `to_df()`) is a DataFrame with a row
    a question; `errors` counts the rows that have no score by one of the scorers, and `cut` the answers that ended
    because they had become too long."""

    def __init__(
        self,
        names: Sequence[str],
        questions: Sequence[Row],
        answers: Mapping[str, Sequence[str]],
        measures: Sequence[Measure],
        cut: Mapping[str, Sequence[bool]] | None = None,
    ) -> None:
        self.names = list(names)
        self.measures = {measure.name: measure for measure in measures}
        self._first = measures[0]
        self._questions = questions
        self._answers = answers
        self._cut = cut or {name: [False] * len(questions) for name in self.names}

    @property
    def scores(self) -> dict[str, float]:
        """The mean score of each deployment by the first scorer, over the rows that have one; NaN where none has."""
        return self._first.scores

    @property
    def intervals(self) -> dict[str, tuple[float, float]]:
        """The 95% bootstrap interval of each of them."""
        return self._first.intervals

    @property
    def differences(self) -> list[Difference]:
        """Of each other deployment from the first, on the rows that both have a score for."""
        return self._first.differences

    @property
    def errors(self) -> dict[str, int]:
        """How many rows of each deployment have no score, because it did not answer or a scorer raised."""
        each = [measure.errors for measure in self.measures.values()]
        return {
            name: sum(any(errors[name][at] for errors in each) for at in range(len(self._questions)))
            for name in self.names
        }

    @property
    def cut(self) -> dict[str, int]:
        """How many answers of each deployment were cut off at the longest that was allowed."""
        return {name: sum(self._cut[name]) for name in self.names}

    def __getitem__(self, name: str) -> float:
        return self.scores[name]

    def to_df(self) -> pd.DataFrame:
        """`question`, `answer`, and for each deployment its answer as NAME, `NAME_cut` (whether it was cut off),
        `NAME_score`, `NAME_error`, and for each but the first `NAME_change`, its score less the first's. With several
        scorers `NAME_SCORER`, `NAME_SCORER_error` and `NAME_SCORER_change`."""
        import pandas as pd

        columns: dict[str, Any] = {
            "question": [question_of(row) for row in self._questions],
            "answer": [str(row["answer"]) for row in self._questions],
        }
        for name in self.names:
            columns[name] = list(self._answers[name])
            columns[f"{name}_cut"] = list(self._cut[name])
            for measure in self.measures.values():
                several = f"{name}_{measure.name}" if len(self.measures) > 1 else ""
                columns[several or f"{name}_score"] = list(measure.points[name])
                columns[f"{several or name}_error"] = list(measure.errors[name])
                if name != self.names[0]:
                    columns[f"{several or name}_change"] = measure.changes(name)
        return pd.DataFrame(columns)

    @property
    def rows(self) -> pd.DataFrame:
        """The same as `to_df()`."""
        return self.to_df()

    def summary(self) -> pd.DataFrame:
        """A row for each scorer and deployment: `scorer`, `deployment`, `score`, `low` and `high` (its interval),
        `rows`, and but for the first deployment `difference`, `difference_low`, `difference_high`, `p` and `test`."""
        import pandas as pd

        lines = []
        for measure in self.measures.values():
            apart = {each.second: each for each in measure.differences}
            for name in self.names:
                low, high = measure.intervals.get(name, (math.nan, math.nan))
                line: dict[str, Any] = {
                    "scorer": measure.name, "deployment": name, "score": measure.scores[name], "low": low, "high": high,
                    "rows": len(measure.scored(name)),
                }  # fmt: skip
                if each := apart.get(name):
                    line |= {"difference": each.mean, "difference_low": each.low, "difference_high": each.high}
                    line |= {"p": each.p, "test": each.test}
                lines.append(line)
        return pd.DataFrame(lines)

    def changed(self, name: str | None = None, count: int = _SHOWN, scorer: str = "") -> pd.DataFrame:
        """The rows whose score changed most from the first deployment to `name` (the second), by the first scorer or
        the one named. Raises CpodError for a scorer that there is not."""
        if scorer and scorer not in self.measures:
            raise CpodError(f'there are no scores "{scorer}"; there are {", ".join(self.measures)}')
        measure = self.measures[scorer] if scorer else self._first
        return self.to_df().loc[measure.most(name or self.names[-1 if len(self.names) < 2 else 1], count)]

    # ---- inner

    def _columns(self) -> tuple[str, ...]:
        if len(self.measures) > 1:
            return "scorer", "deployment", "score", "rows"
        return ("deployment", "accuracy", "right") if self._first.binary else ("deployment", "score", "rows")

    def _ranked(self, measure: Measure) -> list[str]:
        return sorted(
            self.names, key=lambda name: math.inf if math.isnan(measure.scores[name]) else -measure.scores[name]
        )

    def _line(self, measure: Measure, name: str) -> tuple[str, ...]:
        scored, score = measure.scored(name), measure.scores[name]
        called = (measure.name, name) if len(self.measures) > 1 else (name,)
        if not scored:
            return *called, "-", "0 of 0" if measure.binary else "0"
        if measure.binary:
            return *called, f"{score:.0%}", f"{sum(scored):g} of {len(scored)}"
        return *called, f"{score:.3f}", str(len(scored))

    def _notes(self) -> list[str]:
        notes = []
        for measure in self.measures.values():
            prefix = f"{measure.name}: " if len(self.measures) > 1 else ""
            notes += [prefix + told(each) for each in measure.differences]
        return [*notes, *self._of_the_whole(), *self._missing(), *self._cut_off()]

    def _of_the_whole(self) -> list[str]:
        notes = []
        for measure in self.measures.values():
            if measure.whole:
                each = ", ".join(f"{name} {value:.3f}" for name, value in measure.whole.items())
                notes.append(f"{measure.name} of the whole corpus: {each}")
        return notes

    def _missing(self) -> list[str]:
        """What has no score, and why: once for all scorers of which it is the same."""
        said: dict[str, list[str]] = {}
        for measure in self.measures.values():
            for name in self.names:
                found = [error for error in measure.errors[name] if error]
                if found:
                    words = f"{name}: {len(found)} of {len(self._questions)} rows have no score; the first: {found[0]}"
                    said.setdefault(words, []).append(measure.name)
        all_of_them = len(self.measures)
        return [
            words if len(scorers) == all_of_them else f"{', '.join(scorers)}: {words}"
            for words, scorers in said.items()
        ]

    def _cut_off(self) -> list[str]:
        return [
            f"{name}: {count} of {len(self._questions)} answers were cut off at the longest that was allowed, and are "
            "scored as they are"
            for name, count in self.cut.items()
            if count
        ]

    def __repr__(self) -> str:
        lines = [self._line(measure, name) for measure in self.measures.values() for name in self._ranked(measure)]
        changed = in_words(self.names, self._questions, self._answers, self._first)
        return "\n".join([table.text(self._columns(), lines), *self._notes(), *changed])

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        apart = (f"difference from {self.names[0]}",) if len(self.names) > 1 else ()
        head = "".join(f'<th scope="col">{escape(each)}</th>' for each in (*self._columns(), "95% interval", *apart))
        body = "".join(
            f"<tr>{self._html_line(measure, name)}</tr>"
            for measure in self.measures.values()
            for name in self._ranked(measure)
        )
        inner = f'<table class="cpod-table"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
        notes = [*self._of_the_whole(), *self._missing(), *self._cut_off()]
        inner += "".join(f'<div class="cpod-reason">{escape(note)}</div>' for note in notes)
        inner += browser(self.names, self._questions, self._answers, list(self.measures.values()), self._cut)
        return {"text/plain": repr(self), "text/html": _STYLE + theme.block(inner, "cpod-scores")}

    def _html_line(self, measure: Measure, name: str) -> str:
        cells = "".join(f"<td>{escape(cell)}</td>" for cell in self._line(measure, name))
        cells += f"<td>{_scale(measure, name)}</td>"
        if len(self.names) < 2:
            return cells
        each = next((each for each in measure.differences if each.second == name), None)
        if each is None:
            return f"{cells}<td></td>"
        changes = measure.changes(name)
        better, worse = sum(change > 0 for change in changes), sum(change < 0 for change in changes)
        same = sum(change == 0 for change in changes)
        words = f"{each.mean:+.3f} ({each.low:+.3f} to {each.high:+.3f})"
        under = (f"p = {each.p:.3g}, {each.test}", f"{better} better, {worse} worse, {same} same")
        dim = "".join(f'<br><span class="cpod-dim">{escape(line)}</span>' for line in under)
        return f"{cells}<td>{words}{dim}</td>"


def _scale(measure: Measure, name: str) -> str:
    """A bar for the mean with a line for its interval, where all scores lie on one scale; else numbers."""
    if name not in measure.intervals:
        return ""
    low, high = measure.intervals[name]
    if not measure.bounded:
        return f"{low:.3f} to {high:.3f}"
    words = f"{low:.0%} to {high:.0%}" if measure.top == 1 else f"{low:.3g} to {high:.3g} of {measure.top:g}"
    width, start, wide = (each / measure.top for each in (measure.scores[name], low, high - low))
    return (
        f'<div class="cpod-scale cpod-busy" aria-hidden="true"><i style="width:{width:.1%}"></i>'
        f'<b style="left:{start:.1%};width:{wide:.1%}"></b></div><span class="cpod-dim">{words}</span>'
    )


def told(each: Difference) -> str:
    """`tuned - base: +0.250 (95% interval +0.050 to +0.450), p = 0.0312 by exact McNemar on 20 rows`."""
    return (
        f"{each.second} - {each.first}: {each.mean:+.3f} (95% interval {each.low:+.3f} to {each.high:+.3f}), "
        f"p = {each.p:.3g} by {each.test} on {each.rows} row{'s' if each.rows != 1 else ''}"
    )
