"""Comparing deployments, jobs and models: answers scored in pairs, on real pods that speak OpenAI's protocol."""

from __future__ import annotations

import json
import struct
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from chat_server import Model, Served
from parrot import predictor

from cpod_jupyter import Endpoint, accuracy, compare
from cpod_jupyter.api.resources import INFERENCES
from cpod_jupyter.errors import CpodError
from cpod_jupyter.sdk import Deployment, Session
from cpod_jupyter.sdk.evaluate.statistics import difference, mean_interval, permutation_test, sign_test

QUESTIONS = pd.DataFrame({"question": [f"question {at}" for at in range(8)], "answer": ["YES"] * 8})


def answering(reply: str, **fields: Any) -> dict[str, Any]:
    """A predictor like the parrot, which ends what it says with `reply`."""
    made = predictor(**fields)
    command = made["containers"][0]["command"]
    command[-1] = command[-1].replace('f"You said: {said}"', f'f"You said: {{said}} {reply}"')
    return made


@pytest.fixture
def pair(session: Session) -> list[Deployment]:
    made = [session.inference(name, predictor=answering(reply)) for name, reply in (("base", "no"), ("tuned", "yes"))]
    return [each.wait(60) for each in made]


def inferences(session: Session) -> list[str]:
    return sorted(each["metadata"]["name"] for each in session.client.list(INFERENCES, session.namespace).items)


def test_two_deployments_are_compared_in_pairs(pair: list[Deployment]) -> None:
    told: list[tuple[int, int]] = []
    found = compare(pair, QUESTIONS, tell=lambda done, total: told.append((done, total)))
    assert found.scores == {"base": 0, "tuned": 1}
    (change,) = found.differences
    assert (change.mean, change.low, change.high, change.rows) == (1, 1, 1, 8)
    assert change.p == pytest.approx(2 / 2**8)
    assert change.test == "exact McNemar"
    assert told[-1] == (16, 16)
    frame = found.to_df()
    assert list(frame["tuned_change"]) == [1.0] * 8
    assert "question 3" in frame["base"][3]
    assert len(found.changed(count=3)) == 3
    html = found._repr_mimebundle_()["text/html"]
    assert "<td>100%</td>" in html
    assert "Rows side by side: base, tuned" in html
    assert "<script" not in html
    assert "tuned - base: +1.000" in repr(found)


def test_a_scorer_that_raises_marks_its_row_and_the_rest_goes_on(pair: list[Deployment]) -> None:
    def half(given: str, right: str) -> float:
        if "question 2" in given:
            raise ValueError("not for this one")
        return 0.75 if right.lower() in given else 0.25

    found = compare(pair, QUESTIONS, half)
    assert found.errors == {"base": 1, "tuned": 1}
    assert found.to_df()["tuned_error"][2] == "the scorer raised ValueError: not for this one"
    assert found.differences[0].rows == 7
    assert found.differences[0].mean == pytest.approx(0.5)
    assert found.differences[0].test == "paired permutation"


def holding(folder: Path) -> dict[str, Any]:
    """One that answers yes, writes down what it is asked, and holds question 3 while there is a file `hold`."""
    made = answering("yes")
    command = made["containers"][0]["command"]
    command[-1] = command[-1].replace(
        "        words =",
        f"        open({str(folder / 'asked')!r}, 'a').write(said + chr(10))\n"
        f"        while said == 'question 3' and os.path.exists({str(folder / 'hold')!r}): time.sleep(0.05)\n"
        "        words =",
    ).replace("import json, os", "import json, os, time")  # fmt: skip
    return made


def test_a_deployment_that_goes_away_marks_its_rows_and_calling_again_asks_only_those(
    session: Session, tmp_path: Path
) -> None:
    (tmp_path / "hold").touch()
    base = session.inference("base", predictor=answering("no")).wait(60)
    tuned = session.inference("tuned", predictor=holding(tmp_path)).wait(60)

    def gone(done: int, total: int) -> None:
        if done == 11:  # 3 of the second's 8
            session.delete(INFERENCES, "tuned")

    found = compare([base, tuned], QUESTIONS, "contains", parallel=1, tell=gone)
    assert found.errors == {"base": 0, "tuned": 5}
    assert found["tuned"] == 1
    assert found.differences[0].rows == 3
    assert "tuned: 5 of 8 rows have no score" in repr(found)
    assert "what was answered is kept" in found.to_df()["tuned_error"][7]
    (tmp_path / "hold").unlink()
    (tmp_path / "asked").unlink()
    again = session.inference("tuned", predictor=holding(tmp_path)).wait(60)
    found = compare([base, again], QUESTIONS, "contains", parallel=1)
    assert found.errors == {"base": 0, "tuned": 0}
    assert found.differences[0].rows == 8
    assert (tmp_path / "asked").read_text().splitlines() == [f"question {at}" for at in range(3, 8)]


def test_a_model_elsewhere_is_compared_by_its_url(session: Session) -> None:
    base = session.inference("base", predictor=answering("no")).wait(60)
    served = Served(Model(models=("other",), answer=lambda said: f"{said}: yes"))
    try:
        found = compare(["base", served.url], QUESTIONS, session=session)
        assert found.scores == {"base": 0, "other": 1}
        found = compare([base, Endpoint(served.url, name="elsewhere")], QUESTIONS)
        assert found.scores == {"base": 0, "elsewhere": 1}
        assert accuracy([Endpoint(served.url)], QUESTIONS)["other"] == 1
    finally:
        served.stop()


def test_answers_that_were_cut_by_their_length_are_marked_and_scored() -> None:
    served = Served(Model(answer=lambda said: "YES " * 20 if said == "question 2" else "yes"))
    try:
        found = compare([Endpoint(served.url, name="talker")], QUESTIONS, max_tokens=5)
    finally:
        served.stop()
    assert found.cut == {"talker": 1}
    assert found.scores == {"talker": 1}
    assert list(found.to_df()["talker_cut"]) == [at == 2 for at in range(8)]
    shown = found._repr_mimebundle_()
    assert "talker: 1 of 8 answers were cut off at the longest that was allowed" in shown["text/plain"]
    assert shown["text/html"].count("cut off: the longest answer is reached") == 1


def test_what_is_not_up_is_deployed_and_taken_down_on_errors_too(session: Session, tmp_path: Path) -> None:
    weights = tmp_path / "weights"
    weights.mkdir()
    (weights / "config.json").write_text(json.dumps({"model_type": "llama"}))
    (weights / "model.safetensors").write_bytes(struct.pack("<Q", 2) + b"{}")
    model = session.model("weights", modelname=weights.as_uri()).wait(120)
    found = compare(["weights"], QUESTIONS, session=session, deploy={"predictor": answering("yes")}, timeout=120)
    assert found.scores == {"weights": 1}
    assert inferences(session) == []

    def interrupted(done: int, total: int) -> None:
        assert len(inferences(session)) == 1
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compare([model], QUESTIONS, deploy={"predictor": answering("yes")}, timeout=120, tell=interrupted)
    assert inferences(session) == []


SAVE = """
import os, struct
place = "/out"
os.makedirs(place, exist_ok=True)
open(os.path.join(place, "config.json"), "w").write('{"model_type": "llama"}')
open(os.path.join(place, "model.safetensors"), "wb").write(struct.pack("<Q", 2) + b"{}")
"""


def test_the_result_of_a_job_is_compared_with_a_deployment(session: Session) -> None:
    base = session.inference("base", predictor=answering("no"))
    save = {"modelSavePath": "/out", "modelSaveVolumeSize": 10}
    command = [sys.executable, "-c", SAVE]
    job = session.job("trained", image="python:3.11", command=command, **save).wait(120)
    found = compare([base, job], QUESTIONS, "contains", deploy={"predictor": answering("yes")}, timeout=120)
    assert found.scores == {"base": 0, "trained": 1}
    assert inferences(session) == ["base"]


@pytest.mark.parametrize(
    ("targets", "data", "scorer", "message"),
    [
        ([], QUESTIONS, "exact", "give a list"),
        (["a"], [], "exact", "there are no rows"),
        (["a"], [{"question": "?", "answer": "x"}, {"answer": "x"}], "exact", "row 2 must have messages"),
        (["a"], QUESTIONS, "exakt", 'there is no scorer "exakt"'),
    ],
)
def test_what_cannot_be_compared_is_told_before_anything_is_asked(
    targets: list[str], data: Any, scorer: str, message: str
) -> None:
    with pytest.raises(CpodError, match=message):
        compare(targets, data, scorer)


def test_the_tests_and_intervals_agree_with_what_is_known() -> None:
    assert sign_test(9, 1) == pytest.approx(22 / 1024)  # the binomial table
    assert sign_test(0, 0) == 1
    assert permutation_test([1.0, 2.0, 3.0]) == 0.25  # only all-plus and all-minus of the 8 patterns
    assert permutation_test([0.1] * 40) == pytest.approx(1 / 10_001)
    low, high = mean_interval([0.0] * 50 + [1.0] * 50)
    assert (low, high) == pytest.approx((0.5 - 1.96 * 0.05, 0.5 + 1.96 * 0.05), abs=0.011)
    assert (low, high) == mean_interval([0.0] * 50 + [1.0] * 50)
    assert difference("a", "b", [float("nan")], [1.0]) is None
