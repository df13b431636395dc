"""Scorers that need nobody: text, numbers, JSON, ROUGE, BLEU, chrF; and how they are named."""

from __future__ import annotations

import math
import sys
from typing import Any

import pytest

from cpod_jupyter.errors import CpodError
from cpod_jupyter.sdk.evaluate import Answered, Score, Scorer, scorer_of, scorers_of, written


def scored(scorer: Any, answer: str, right: Any, **row: Any) -> Score:
    """What a scorer says of one answer, as a comparison asks it."""
    made = scorer_of(scorer)
    made.prepare(None)
    row = {"messages": [{"role": "user", "content": "?"}], "answer": right, **row}
    return made.score_all([Answered(answer, row)])[0]


def value(scorer: Any, answer: str, right: Any, **row: Any) -> float:
    found = scored(scorer, answer, right, **row)
    assert found.error == ""
    return found.values[""]


@pytest.mark.parametrize(
    ("scorer", "answer", "right", "wanted"),
    [
        pytest.param("contains", "It is Paris, of course.", "paris", 1, id="contains a word"),
        pytest.param("contains", "It is Parisian.", "Paris", 0, id="not a part of a word"),
        pytest.param("exact", " paris. ", "Paris", 1, id="exact but for case and stop"),
        pytest.param("exact", "The Paris", "Paris", 0, id="exact minds articles"),
        pytest.param("normalised", "The “Paris”!", "paris", 1, id="normalised minds no marks"),
        pytest.param("normalised", "巴黎。", "巴黎", 1, id="nor Chinese ones"),
        pytest.param("normalised", "\uff11\uff12", "12", 1, id="nor wide letters"),
        pytest.param("normalised", "Paris or Rome", "Paris", 0, id="but words"),
        pytest.param("contains", "a boat", ["ship", "boat"], 1, id="the best of several right answers"),
        pytest.param("regex", "call 555-1234 now", r"\d{3}-\d{4}", 1, id="the right answer is a pattern"),
        pytest.param({"regex": {"pattern": r"answer is (\w+)"}}, "The answer is B or so", "b", 1, id="a group"),
        pytest.param({"regex": {"pattern": r"answer is (\w+)"}}, "The answer is C", "b", 0, id="another group"),
        pytest.param({"regex": {"pattern": r"answer is (\w+)"}}, "no idea", "b", 0, id="no match"),
        pytest.param({"regex": {"pattern": "^ok$", "ignore_case": False}}, "OK", "", 0, id="with case"),
        pytest.param("numeric", "First 7, so it is 1,234.50 kg", "1234.5", 1, id="the last number"),
        pytest.param("numeric", "it is \u22123", "-3", 1, id="a minus of typographers"),
        pytest.param("numeric", "about 2e-3.", "0.002", 1, id="with an exponent, and a stop"),
        pytest.param("numeric", "3.2", "3.14", 0, id="not near"),
        pytest.param({"numeric": {"absolute": 0.1}}, "3.2", "3.14", 1, id="an absolute tolerance"),
        pytest.param({"numeric": {"relative": 0.05}}, "103", "100", 1, id="a relative one"),
        pytest.param({"numeric": {"relative": 0.05}}, "106", "100", 0, id="past it"),
        pytest.param("numeric", "no idea", "100", 0, id="no number is wrong"),
    ],
)
def test_text_and_numbers_are_matched(scorer: Any, answer: str, right: Any, wanted: float) -> None:
    assert value(scorer, answer, right) == wanted


SCHEMA = {"type": "object", "required": ["age"], "properties": {"age": {"type": "integer", "minimum": 0}}}


@pytest.mark.parametrize(
    ("answer", "wanted", "reason"),
    [
        pytest.param('{"age": 3}', 1, "", id="plain"),
        pytest.param('Here:\n```json\n{"age": 3}\n```\nDone.', 1, "", id="in a block"),
        pytest.param('It is {"age": 3}, I think.', 1, "", id="in a sentence"),
        pytest.param('{"age": -3}', 0, "$.age: -3 is less than the minimum of 0", id="out of bounds"),
        pytest.param("{age: 3}", 0, "there is no JSON in the answer", id="no JSON"),
    ],
)
def test_json_is_held_to_a_schema_and_the_reason_said(answer: str, wanted: float, reason: str) -> None:
    for found in (
        scored({"json_schema": {"schema": SCHEMA}}, answer, "-"),
        scored("json_schema", answer, "-", schema=SCHEMA),
    ):
        assert found.values[""] == wanted
        assert found.reason == reason


def test_a_schema_is_not_fetched_and_a_missing_one_marks_the_row() -> None:
    assert scored("json_schema", "{}", "-").error.startswith("there is no schema")
    away = {"$ref": "http://127.0.0.1:9/schema.json"}
    assert "Unresolvable" in scored({"json_schema": {"schema": away}}, "{}", "-").error
    with pytest.raises(CpodError, match="not a JSON Schema"):
        scorer_of({"json_schema": {"schema": {"type": "nonsense"}}}).prepare(None)


def test_rouge_is_that_of_the_paper_by_kind() -> None:
    # Lin 2004, section 3.1: "police kill the gunman" for "police killed the gunman"; without stems 3 of 4 are there.
    plain = {"rouge": {"kind": ["rouge1", "rouge2", "rougeL"], "stemmer": False}}
    found = scored(plain, "police kill the gunman", "police killed the gunman").values
    assert found == pytest.approx({"rouge1": 0.75, "rouge2": 1 / 3, "rougeL": 0.75})
    assert value("rouge", "police kill the gunman", "police killed the gunman") == 1  # stems are the same
    assert value("rouge", "the gunman kill police", "police killed the gunman") == pytest.approx(0.5)
    assert value("rouge", "", "police") == 0


def test_chinese_is_counted_by_words_and_not_passed_over() -> None:
    right = "我来到北京清华大学"  # jieba: 我 / 来到 / 北京 / 清华大学
    assert value({"rouge": {"kind": "rouge1"}}, right, right) == 1
    assert value({"rouge": {"kind": "rouge1"}}, "我来到北京", right) == pytest.approx(6 / 7)
    assert value({"rouge": {"kind": "rouge1"}}, "他去了别处", right) == 0
    assert value("bleu", right, right) == pytest.approx(100)
    assert 0 < value("bleu", "我来到北京复旦大学", right) < 60
    assert value("chrf", right, right) == pytest.approx(100)
    assert 0 < value("chrf", "我来到北京", right) < 100
    assert value({"rouge": {"kind": "rouge1"}}, "Schöne Grüße", "schöne grüße") == 1  # letters past z are letters


def test_bleu_and_chrf_agree_with_sacrebleu_by_row_and_for_the_corpus() -> None:
    import sacrebleu

    pairs = [("the cat sat on the mat.", "the cat is on the mat."), ("hello there, world", "hello world")]
    rows = [Answered(answer, {"messages": [], "answer": right}) for answer, right in pairs]
    bleu, chrf = scorers_of(["bleu", "chrf"])
    for scorer in (bleu, chrf):
        scorer.prepare(None)
    answers, rights = [pair[0] for pair in pairs], [[pair[1] for pair in pairs]]
    assert bleu.whole(rows) == pytest.approx(sacrebleu.corpus_bleu(answers, rights).score)
    assert chrf.whole(rows) == pytest.approx(sacrebleu.corpus_chrf(answers, rights).score)
    for (answer, right), score in zip(pairs, bleu.score_all(rows), strict=True):
        assert score.values[""] == pytest.approx(sacrebleu.sentence_bleu(answer, [right]).score)
    assert value("bleu", "", "hello world") == 0


def test_own_functions_give_a_number_several_or_a_number_and_why() -> None:
    def several(given: str, right: str) -> dict[str, float]:
        return {"length": len(given), "same": given == right}

    def why(given: str, right: str, row: Any) -> tuple[float, str]:
        return row["weight"], "by weight"

    assert scored(several, "abc", "abc").values == {"length": 3, "same": 1}
    assert scored(why, "abc", "abc", weight=0.5) == Score({"": 0.5}, "by weight")
    assert scored(lambda given, right: 1 / 0, "a", "b").error == "the scorer raised ZeroDivisionError: division by zero"
    assert scored(lambda given, right: math.nan, "a", "b").error == "the scorer gave no number (NaN)"
    assert "TypeError" in scored(lambda given, right: None, "a", "b").error
    assert scored("numeric", "3", "no number").error == "the right answer 'no number' has no number"
    assert scored("regex", "3", "(").error.startswith("'(' is not a regular expression")


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        pytest.param("roug", 'there is no scorer "roug"; did you mean "rouge"', id="a name"),
        pytest.param("wholly other", "there are contains, exact, normalised, regex", id="no name like it"),
        pytest.param(
            {"rouge": {"knd": "rougeL"}}, 'the scorer rouge has no option "knd"; did you mean "kind"', id="option"
        ),
        pytest.param({"rouge": {"kind": "rouge-l"}}, 'no kind "rouge-l" of ROUGE; did you mean "rougeL"', id="kind"),
        pytest.param({"numeric": {"absolute": "much"}}, "the scorer numeric: absolute: Input should be", id="type"),
        pytest.param({"numeric": {"absolute": -1}}, "a tolerance is 0 or more", id="below 0"),
        pytest.param({"regex": {"pattern": "("}}, "is not a regular expression", id="pattern"),
        pytest.param({"rouge": "rougeL"}, "the options of the scorer rouge are a mapping", id="no mapping"),
        pytest.param({"rouge": {}, "bleu": {}}, "a scorer with options is one name", id="two in one"),
        pytest.param({"choice": {"method": "guess"}}, "method is one of auto, chat, completions", id="method"),
        pytest.param(7, "a scorer is a name or a function", id="a number"),
        pytest.param([], "there is no scorer to score with", id="none"),
        pytest.param(["rouge", {"rouge": {"kind": "rouge1"}}], 'two scorers "rouge"; give one of them', id="twice"),
    ],
)
def test_a_scorer_that_cannot_be_is_told_with_the_nearest_right_word(wanted: Any, message: str) -> None:
    with pytest.raises(CpodError, match=None) as raised:
        scorers_of(wanted)
    assert message in str(raised.value)


def test_scorers_are_named_by_yaml_by_the_command_line_and_by_ones_own_name() -> None:
    found = scorers_of(
        ["rouge", {"rouge": {"kind": "rouge1", "name": "words"}}, {"contains": {"name": "has"}}, len_ratio]
    )
    assert [scorer.name for scorer in found] == ["rouge", "words", "has", "len_ratio"]
    assert scorer_of(written("rouge: {kind: rouge1, name: r1}")).name == "r1"
    assert scorer_of(written("exact")).name == "exact"
    assert scorer_of("mine", {"mine": len_ratio}).name == "mine"
    assert isinstance(scorer_of(found[0]), Scorer)


def len_ratio(given: str, right: str) -> float:
    return min(1.0, len(given) / len(right))


def test_what_is_not_installed_is_named_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sacrebleu.metrics", None)
    monkeypatch.setitem(sys.modules, "rouge_score.tokenizers", None)
    for name, package in (("bleu", "sacrebleu"), ("chrf", "sacrebleu"), ("rouge", "rouge-score")):
        with pytest.raises(
            CpodError, match=rf'needs {package}, which is not installed: pip install "cpod-jupyter\[evaluate\]"'
        ):
            scorer_of(name).prepare(None)
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "jieba", None)
    assert "needs jieba" in scored("rouge", "北京", "北京").error
