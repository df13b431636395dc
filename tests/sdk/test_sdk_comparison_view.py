"""What a comparison shows: bounded however many rows there are, complete without scripts, and readable as text."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from cpod_jupyter.errors import CpodError
from cpod_jupyter.sdk.evaluate import Comparison, scorers_of
from cpod_jupyter.sdk.evaluate.measure import measured


def compared(count: int, *scorers: object, names: tuple[str, ...] = ("base", "tuned")) -> Comparison:
    """Rows of which the second target answers more rightly, and one of which it answers none."""
    questions = [
        {"messages": [{"role": "user", "content": f"question <{at}>"}], "answer": "green"} for at in range(count)
    ]
    answers = {
        name: [("green " if (at + place) % 3 else "red ") + "word " * 400 for at in range(count)]
        for place, name in enumerate(names)
    }
    errors = {name: [""] * count for name in names}
    errors[names[-1]][1:2] = ["it was gone"] if count > 1 else []
    chosen = scorers_of(list(scorers) or ["contains"])  # type: ignore[arg-type]
    for scorer in chosen:
        scorer.prepare(None)
    return Comparison(names, questions, answers, measured(chosen, dict.fromkeys(names), questions, answers, errors))  # type: ignore[arg-type]


def length(given: str, right: str) -> float:
    return float(len(given))


class Tags(HTMLParser):
    """That everything that is opened is closed, and nothing runs."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert not any(name.startswith("on") for name, _ in attrs)
        self.seen.append(tag)
        if tag not in ("input", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def html_of(found: Comparison) -> str:
    return str(found._repr_mimebundle_()["text/html"])


def test_thousands_of_rows_are_shown_bounded_and_those_that_changed_most_are_among_them() -> None:
    found = compared(3000, "contains", length, names=("base", "tuned", "longer"))
    html = html_of(found)
    assert len(html) < 300_000
    assert html.count('class="cpod-one') == 60
    assert "60 of 3,000 rows; all are in to_df()" in html
    assert "it was gone" in html
    assert len(found.to_df()) == 3000
    tags = Tags()
    tags.feed(html)
    assert tags.open == []
    assert not {"script", "iframe", "link", "img"} & set(tags.seen)


def test_what_models_say_is_text_and_never_markup() -> None:
    html = html_of(compared(4))
    assert "question &lt;0&gt;" in html
    assert "question <0>" not in html


def test_rows_are_filtered_by_kind_and_scorer_only_where_there_is_a_choice() -> None:
    html = html_of(compared(9, "contains", "chrf"))
    assert re.findall(r'type="radio"[^>]*>([\w ]+)</label>', html) == [
        "all", "better", "worse", "same", "no score", "contains", "chrf",
    ]  # fmt: skip
    alone = re.findall(r'type="radio"[^>]*>([\w ]+)</label>', html_of(compared(4, names=("only",))))
    assert alone == ["all", "full score", "less", "no score"]
    assert 'type="radio"' not in html_of(compared(1))


def test_the_text_has_scores_differences_what_is_missing_and_the_rows_that_changed_most() -> None:
    text = repr(compared(9, "contains", "bleu"))
    assert text.startswith("SCORER    DEPLOYMENT  SCORE  ROWS")
    assert re.search(r"contains: tuned - base: [+-]0\.\d+ \(95% interval .*\), p = .* by exact McNemar on 8 rows", text)
    assert "bleu of the whole corpus: base " in text
    assert text.count("tuned: 1 of 9 rows have no score; the first: it was gone") == 1
    assert "row 3, 1 to 0" in text or "row 3, 0 to 1" in text
    assert len(max(text.splitlines(), key=len)) < 160


def test_changes_are_those_of_the_scorer_that_is_named() -> None:
    found = compared(9, "contains", lambda given, right: float(len(given)))
    assert len(found.changed("tuned", scorer="contains")) > 0
    with pytest.raises(CpodError, match='no scores "rouge"'):
        found.changed("tuned", scorer="rouge")


def test_each_target_is_paired_with_the_first_and_two_names_for_one_thing_give_no_difference() -> None:
    found = compared(9, names=("base", "tuned", "longer"))
    assert [(each.first, each.second, each.rows) for each in found.differences] == [
        ("base", "tuned", 9),
        ("base", "longer", 8),
    ]
    assert found.measures["contains"].scores["base"] == found.scores["base"]
    assert found.errors == {"base": 0, "tuned": 0, "longer": 1}
