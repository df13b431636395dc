"""The rows of a comparison side by side, to step through and to filter: HTML and CSS without scripts, so that it works
in a saved notebook. Where a page takes the style away, all rows are there still, each to be opened."""

from __future__ import annotations

import math
import secrets
from collections.abc import Mapping, Sequence
from html import escape

from cpod_jupyter.sdk.evaluate.measure import Measure
from cpod_jupyter.sdk.evaluate.rows import Row, question_of
from cpod_jupyter.sdk.view import theme

_ROWS = 60
"""Shown at most; the others are in `to_df()`."""
_LETTERS = 600
"""Of a text, at most."""
_BRIEF = 100
_IN_WORDS = 3
_CUT = ("cut off: the longest answer is reached",)
"""What stands beneath such an answer."""
_KINDS = ("better", "worse", "same", "full score", "less", "no score")

_STYLE = """<style>
.cpod-browse fieldset{border:0;margin:4px 0;padding:0;display:flex;flex-wrap:wrap;gap:2px 12px}
.cpod-browse legend{float:left;padding:0 12px 0 0;color:var(--jp-ui-font-color2,inherit)}
.cpod-browse label{cursor:pointer;display:inline-flex;gap:4px;align-items:center}
.cpod .cpod-browse details.cpod-one{margin:0;border-bottom:1px solid var(--jp-border-color2,rgba(128,128,128,.3))}
.cpod-browse details.cpod-one>summary{padding:3px 0;overflow-wrap:anywhere}
.cpod-browse details.cpod-one[open]>summary{font-weight:600}
.cpod-sides{display:grid;grid-template-columns:repeat(auto-fit,minmax(240px,1fr));gap:8px;margin:4px 0 10px}
.cpod-sides>div{border:1px solid var(--jp-border-color2,rgba(128,128,128,.35));border-radius:4px;padding:6px 8px;
 min-width:0}
.cpod-said{white-space:pre-wrap;overflow-wrap:anywhere;max-height:260px;overflow:auto}
</style>"""


def browser(
    names: Sequence[str], questions: Sequence[Row], answers: Mapping[str, Sequence[str]], measures: Sequence[Measure],
    cut: Mapping[str, Sequence[bool]],
) -> str:  # fmt: skip
    """The rows that changed most first; opening one closes the others."""
    chosen, group = _chosen(names, measures, len(questions)), f"cpod-{secrets.token_hex(4)}"
    kinds = {at: [_kind(names, measure, at) for measure in measures] for at in chosen}
    shown = "".join(_one(at, names, questions, answers, measures, kinds[at], cut, group) for at in chosen)
    left = len(questions) - len(chosen)
    note = f'<div class="cpod-dim">{len(chosen)} of {len(questions):,} rows; all are in to_df()</div>' if left else ""
    picks, rules = _filters(measures, {kind for each in kinds.values() for kind in each}, group)
    title = f"Rows side by side: {', '.join(names)}" if len(names) > 1 else "Rows"
    return (
        f"{_STYLE}<style>{rules}</style><details><summary>{escape(title)}</summary>"
        f'<div class="cpod-browse {group}">{picks}{shown}{note}</div></details>'
    )


def in_words(
    names: Sequence[str], questions: Sequence[Row], answers: Mapping[str, Sequence[str]], measure: Measure
) -> list[str]:
    """The few rows that changed most to the second target, as text."""
    lines: list[str] = []
    for at in measure.most(names[1], _IN_WORDS) if len(names) > 1 else []:
        change = f"{measure.points[names[0]][at]:g} to {measure.points[names[1]][at]:g}"
        lines.append(f"row {at + 1}, {change}: {_short(question_of(questions[at]), _BRIEF)}")
        lines += [f"  {name}: {_short(answers[name][at], _BRIEF)}" for name in names[:2]]
    return lines


def _chosen(names: Sequence[str], measures: Sequence[Measure], count: int) -> list[int]:
    """Those that changed most by each scorer in turn, then those without a score, then the others as they come."""
    each = max(1, _ROWS // (len(measures) * max(1, len(names) - 1)))
    found = [at for measure in measures for name in names[1:] for at in measure.most(name, each)]
    missing = [at for measure in measures for name in names for at in range(count) if measure.errors[name][at]]
    if len(names) == 1:  # nothing changes: the lowest scores first
        points = measures[0].points[names[0]]
        found = sorted((at for at in range(count) if not math.isnan(points[at])), key=lambda at: points[at])
    room = _ROWS - min(len(found), _ROWS)
    return list(dict.fromkeys([*found[:_ROWS], *missing[: max(room, _ROWS // 6)], *range(min(count, _ROWS))]))[:_ROWS]


def _kind(names: Sequence[str], measure: Measure, at: int) -> str:
    """What became of a row by one scorer, in the target that changed most; of a single target how it did."""
    if any(measure.errors[name][at] for name in names):
        return "no score"
    if len(names) == 1:
        return "full score" if measure.points[names[0]][at] >= measure.top else "less"
    change = max((measure.changes(name)[at] for name in names[1:]), key=abs, default=0.0)
    return "better" if change > 0 else "worse" if change < 0 else "same"


def _filters(measures: Sequence[Measure], kinds: set[str], group: str) -> tuple[str, str]:
    """Choices of a kind of row and of the scorer by which it is meant, and the rules that hide the others."""
    offered = [kind for kind in _KINDS if kind in kinds]
    picks, rules = "", ""
    if len(offered) > 1:
        picks += _choices("Show", ["all", *offered], f"{group}-k")
    if len(measures) > 1:
        picks += _choices("by", [measure.name for measure in measures], f"{group}-m")
        for number in range(len(measures)):
            rules += f".{group}:has(#{group}-m{number}:checked) .cpod-by:not(.cpod-by{number}){{display:none}}"
    if len(offered) < 2:
        return picks, rules
    for at, kind in enumerate(offered, 1):
        for number in range(len(measures)):
            by = f":has(#{group}-m{number}:checked)" if len(measures) > 1 else ""
            rules += (
                f".{group}:has(#{group}-k{at}:checked){by}>details:not(.cpod-m{number}-{_word(kind)}){{display:none}}"
            )
    return picks, rules


def _choices(legend: str, words: Sequence[str], name: str) -> str:
    inputs = "".join(
        f'<label><input type="radio" name="{name}" id="{name}{at}"{"" if at else " checked"}>{escape(word)}</label>'
        for at, word in enumerate(words)
    )
    return f"<fieldset><legend>{legend}</legend>{inputs}</fieldset>"


def _one(
    at: int, names: Sequence[str], questions: Sequence[Row], answers: Mapping[str, Sequence[str]],
    measures: Sequence[Measure], kinds: Sequence[str], cut: Mapping[str, Sequence[bool]], group: str,
) -> str:  # fmt: skip
    """One row: a line with its scores, and what was asked and answered when it is opened."""
    classes = " ".join(f"cpod-m{number}-{_word(kind)}" for number, kind in enumerate(kinds))
    row = questions[at]
    right = row["answer"]
    rights = "\nor: ".join(map(str, right)) if isinstance(right, (list, tuple)) else str(right)
    several = len(measures) > 1
    marks = "".join(_mark(at, names, each, kinds[number], number, several) for number, each in enumerate(measures))
    sides = f"<div>{_titled('question', question_of(row))}{_titled('right answer', rights)}</div>"
    sides += "".join(
        _side(name, answers[name][at], [*_CUT * cut[name][at], *(_said(measure, name, at) for measure in measures)])
        for name in names
    )
    return (
        f'<details class="cpod-one {classes}" name="{group}"><summary>{at + 1}. '
        f"{escape(_short(question_of(row), _BRIEF))}{marks}</summary>"
        f'<div class="cpod-sides">{sides}</div></details>'
    )


def _mark(at: int, names: Sequence[str], measure: Measure, kind: str, number: int, several: bool) -> str:
    """A row's scores by one scorer, for its line; of several scorers the one chosen is shown."""
    points = " · ".join(f"{name} {_number(measure.points[name][at])}" for name in names)
    called = f"{measure.name}: " if several else ""
    tone = {"better": "good", "worse": "bad", "no score": "wait"}.get(kind)
    pill = theme.pill(kind, tone) if tone else ""
    return (
        f'<span class="cpod-by cpod-by{number}"> <span class="cpod-dim">{escape(called + points)}</span> {pill}</span>'
    )


def _side(title: str, text: str, scores: Sequence[str]) -> str:
    under = "".join(f'<div class="cpod-dim">{escape(score)}</div>' for score in scores)
    return f"<div>{_titled(title, text)}{under}</div>"


def _titled(title: str, text: str) -> str:
    return f'<b>{escape(title)}</b><div class="cpod-said">{escape(_short(text, _LETTERS))}</div>'


def _said(measure: Measure, name: str, at: int) -> str:
    """`judge: 7 (It is right, but long.)`, or why there is no score."""
    why = measure.errors[name][at] or (measure.reasons[name][at] if measure.reasons else "")
    return f"{measure.name}: {_number(measure.points[name][at])}{f' ({_short(why, _LETTERS // 2)})' if why else ''}"


def _number(point: float) -> str:
    return "no score" if math.isnan(point) else f"{point:.3g}"


def _word(kind: str) -> str:
    return kind.replace(" ", "-")


def _short(text: str, most: int) -> str:
    if most == _BRIEF:
        text = " ".join(text.split())
    return text if len(text) <= most else text[:most] + "…"
