"""Scorers that ask a model: judges, embeddings and log-probabilities, on servers that run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chat_server import Model, Served
from judging_server import giving, serving
from parrot import predictor
from tiny_model import tiny_model

from cpod_jupyter import compare
from cpod_jupyter.errors import CpodError
from cpod_jupyter.sdk import Deployment, Session
from cpod_jupyter.sdk.evaluate import Answered, PairScorer, Score, Scorer, scorer_of

__all__ = ["tiny_model"]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving() as found:
        yield found


def asking(name: str, url: str, **options: Any) -> Scorer:
    made = scorer_of({name: {"deployment": url, **options}})
    made.prepare(None)
    return made


def answered(answer: str, right: str = "green", **row: Any) -> Answered:
    return Answered(answer, {"messages": [{"role": "user", "content": "What colour?"}], "answer": right, **row})


def test_a_judge_grades_each_answer_and_one_that_cannot_be_read_is_marked(url: str) -> None:
    rows = [answered("It is green."), answered("It is red."), answered("mumble"), answered("green, too")]
    good, bad, unread, last = asking("judge", url, rubric="The colour must be right.").score_all(rows)
    assert (good.values, bad.values, last.values) == ({"": 9}, {"": 2}, {"": 9})
    assert "It says so." in good.reason
    assert unread.values == {}
    assert unread.error == "the judge's answer has no grade from 1 to 10: I would rather not say."


@pytest.mark.slow
def test_a_judge_that_was_cut_off_before_its_grade_is_told_as_such() -> None:
    served = Served(Model(answer=lambda said: "This answer is right, and short. Grade: 9"))
    try:
        (cut,) = asking("judge", served.url, max_tokens=4).score_all([answered("It is green.")])
        (whole,) = asking("judge", served.url).score_all([answered("It is green.")])
    finally:
        served.stop()
    assert cut.error.startswith(
        "the judge's answer has no grade from 1 to 10 and was cut off by its length (max_tokens)"
    )
    assert whole.values == {"": 9}


def test_a_judge_that_goes_away_marks_the_rows() -> None:
    with serving() as url:
        scorer = asking("judge", url)
    (found,) = scorer.score_all([answered("It is green.")])
    assert found.values == {}
    assert url in found.error


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        pytest.param("Grade: 7", 7, id="as asked"),
        pytest.param('{"reason": "fine", "score": 8.5}', 8.5, id="JSON"),
        pytest.param("Rating: [[6]]", 6, id="brackets"),
        pytest.param("I give it 4/10.", 4, id="of ten"),
        pytest.param("评分\uff1a9", 9, id="Chinese"),
        pytest.param("Well.\n**5**", 5, id="alone on the last line"),
        pytest.param("Grade: 3? No.\nGrade: 10", 10, id="the last one"),
        pytest.param("<think>Grade: 2", None, id="a thought that was cut off"),
        pytest.param("Grade: 11", None, id="past ten"),
        pytest.param("In 1999 all was well", None, id="a number that is no grade"),
        pytest.param("", None, id="nothing"),
    ],
)
def test_grades_are_read_in_the_forms_that_judges_use(said: str, wanted: float | None) -> None:
    from cpod_jupyter.sdk.evaluate.scorers.judge import grade_in

    assert grade_in(said) == wanted


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        pytest.param("Because.\nVerdict: B", "B", id="as asked"),
        pytest.param("**Verdict:** Tie", "TIE", id="a tie"),
        pytest.param("[[C]]", "TIE", id="MT-bench's tie"),
        pytest.param("The better answer is A.", "", id="a sentence is no verdict"),
        pytest.param("Verdict: Answer A", "A", id="with a word"),
        pytest.param("Both are fine.\nB", "B", id="alone on the last line"),
        pytest.param("A good question", "", id="no verdict"),
    ],
)
def test_verdicts_are_read_in_the_forms_that_judges_use(said: str, wanted: str) -> None:
    from cpod_jupyter.sdk.evaluate.scorers.judge import verdict_in

    assert verdict_in(said) == wanted


def test_of_two_answers_one_wins_only_if_both_orders_say_so(url: str) -> None:
    fair = asking("judge_pair", url)
    assert isinstance(fair, PairScorer)
    red, green = answered("red"), answered("green")
    better, worse, same, tie = fair.score_pairs([(red, green), (green, red), (red, red), (red, answered("blue"))])
    assert [better.values[""], worse.values[""], same.values[""], tie.values[""]] == [1, 0, 0.5, 0.5]
    biased = asking("judge_pair", url, rubric="Take the first.")
    assert isinstance(biased, PairScorer)
    (swayed,) = biased.score_pairs([(red, green)])
    assert swayed == Score({"": 0.5}, "the order decides: A and then A")


def test_embeddings_are_compared_by_their_cosine_and_a_text_that_is_refused_costs_its_row_alone(url: str) -> None:
    scorer = asking("embedding", url)
    same, other, half, empty, failed = scorer.score_all(
        [answered("abc", "cba"), answered("abc", "xyz"), answered("ab", "bc"), answered(" "), answered("unreadable")]
    )
    assert same.values[""] == pytest.approx(1)
    assert other.values[""] == 0
    assert half.values[""] == pytest.approx(0.5)
    assert (empty.values[""], empty.reason) == (0, "the answer is empty")
    assert "gave no embeddings" in failed.error


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param({}, "say which model to ask", id="none"),
        pytest.param({"deployment": "http://127.0.0.1:9"}, "http://127.0.0.1:9 cannot be asked", id="nobody there"),
        pytest.param({"deployment": "http://127.0.0.1:9", "api_key_env": "NO_SUCH_KEY"}, "NO_SUCH_KEY", id="no key"),
        pytest.param({"deployment": "ftp://x"}, "is no address of a model's server", id="no URL"),
        pytest.param({"deployment": "big", "model": "m"}, "are for the URL of a server", id="a deployment's model"),
        pytest.param({"deployment": 7}, "7 is no deployment", id="a number"),
    ],
)
def test_a_judge_that_cannot_be_reached_is_told_before_anything_is_asked(options: Any, message: str) -> None:
    with pytest.raises(CpodError, match=message):
        scorer_of({"judge": options}).prepare(None)


def test_a_model_in_a_folder_embeds_without_torch_in_this_process(tiny_model: Path) -> None:
    scorer = scorer_of({"embedding": {"folder": str(tiny_model)}})
    scorer.prepare(None)
    same, other = scorer.score_all(
        [answered("The boat is green.", "The boat is green."), answered("Who rows?", "oars")]
    )
    assert same.values[""] == pytest.approx(1)
    assert -1 <= other.values[""] < 0.999
    (tiny_model.parent / "empty").mkdir(exist_ok=True)
    with pytest.raises(CpodError, match=r"has no config\.json"):
        scorer_of({"embedding": {"folder": str(tiny_model.parent / "empty")}}).prepare(None)


BOATS = [
    {"question": "Which colour has the boat?", "choices": ["red", "green", "blue"], "answer": "green"},
    {"question": "Which colour has the sky?", "choices": ["green", "blue"], "answer": "B"},
    {"question": "And the grass?", "choices": ["blue", "green"], "answer": 1},
    {"question": "And the sun?", "answer": "yellow"},
]


def up(session: Session, name: str, gives: str, **options: Any) -> Deployment:
    return session.inference(name, predictor=predictor(giving(gives, **options)))


def test_the_likeliest_choice_is_taken_by_letters_or_by_texts_as_the_server_offers(session: Session) -> None:
    chat, echo, mute = (
        up(session, name, gives) for name, gives in (("chat", "chat"), ("echo", "completions"), ("mute", ""))
    )
    found = compare([each.wait(60) for each in (chat, echo, mute)], BOATS, "choice")
    choice, probability = found.measures["choice"], found.measures["choice.probability"]
    assert list(choice.points["chat"])[:3] == [1, 1, 1]  # it says B, whatever is asked
    assert probability.points["chat"][0] == pytest.approx(0.6 / 0.8)
    assert list(choice.points["echo"])[:3] == [1, 0, 1]  # it likes green
    assert choice.errors["chat"][3] == "the row must have choices, a list of 2 to 26 texts"
    assert found.measures["choice"].scored("mute") == []
    assert choice.errors["mute"][0] == "the server gives no log-probabilities"
    assert repr(found).count("the server gives no log-probabilities") == 1
    assert "mute - chat" not in repr(found)
    assert choice.scores["mute"] != 0


def test_likelihoods_of_other_tokens_than_those_asked_for_are_told_and_not_scored(session: Session) -> None:
    """As llama-cpp-python gives them of a model without BOS."""
    wrong = up(session, "wrong", "neighbours").wait(60)
    found = compare([wrong], BOATS[:2], {"choice": {"method": "completions"}})
    assert found.measures["choice"].scored("wrong") == []
    told = "its log-probabilities of a prompt are not those of its tokens: ' end' has -0.1 a token where it writes"
    assert found.measures["choice"].errors["wrong"][0].startswith(told)


def test_a_model_that_names_none_of_the_letters_has_no_score(session: Session) -> None:
    vague = up(session, "vague", "chat", choice="Well").wait(60)
    rows = [{"question": "?", "choices": ["x", "y"], "answer": "x"}, {"question": "?", "choices": "xy", "answer": "x"}]
    found = compare([vague], rows, {"choice": {"method": "chat"}})
    assert found.measures["choice"].points["vague"][0] == 1  # only A is among the four
    assert found.errors == {"vague": 1}


def test_several_scorers_and_a_deployment_as_the_judge_are_compared_at_once(session: Session) -> None:
    base, tuned = up(session, "base", ""), up(session, "tuned", "")
    judge = up(session, "judge", "").wait(60)
    rows = [{"question": f"Say {word}", "answer": word} for word in ("green", "blue", "red")]
    scorers = ["exact", {"judge": {"deployment": "judge"}}, {"judge_pair": {"deployment": judge}}, "bleu"]
    found = compare([base.wait(60), tuned.wait(60)], rows, scorers, session=session)
    assert list(found.measures) == ["exact", "judge", "judge_pair", "bleu"]
    assert found.measures["judge"].scores == {"base": 9, "tuned": 9}
    assert found.measures["judge_pair"].scores == {"base": 0.5, "tuned": 0.5}
    assert found.measures["bleu"].whole["base"] == pytest.approx(found.measures["bleu"].whole["tuned"])
    frame = found.summary()
    assert list(frame["scorer"]) == ["exact", "exact", "judge", "judge", "judge_pair", "judge_pair", "bleu", "bleu"]
    assert "tuned_judge_change" in found.to_df()
    assert "judge: tuned - base: +0.000" in repr(found)
