"""What a job's page asks for: a window of its log, what is found in it, its metrics, and the plan of a fine-tune."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lab import SECONDS, Lab
from pages import address_of, asked, sentence
from test_browser_block import training

from cpod_jupyter.jupyter.magics.written import manifest_of
from cpod_jupyter.sdk import Session

WRITES = "for n in range(5000): print('line', n, 'Zürich \\U0001f600 end' if n == 4321 else '')"
LEARNS = """
import json, pathlib, sys, time
for step in range(1, 5001):
    print("@cpod " + json.dumps({"type": "metrics", "step": step, "loss": 5 / step, "epoch": step / 1000,
                                 "learning_rate": None if step == 5000 else 1e-4, "tokens_per_second": 100}))
sys.stdout.flush()
while not pathlib.Path(sys.argv[1]).exists(): time.sleep(0.05)
"""


def got(lab: Lab, path: str, **fields: Any) -> Any:
    status, text, _ = asked(lab, path, **fields)
    assert status == 200, text
    return json.loads(text)


def until(ask: Callable[[], Any], true: Callable[[Any], bool]) -> Any:
    """The first answer of which something is true; an error is an answer of which it is not."""
    end = time.monotonic() + SECONDS
    while True:
        answer = ask()
        if true(answer):
            return answer
        assert time.monotonic() < end, f"it did not come true: {answer}"
        time.sleep(0.1)


@pytest.fixture
def written(lab: Lab, namespace: str) -> dict[str, str]:
    """A job that has written its log, which has been read."""
    Session().job("facts", image="python", command=["python", "-c", WRITES]).wait(timeout=SECONDS)
    where = address_of(namespace, "facts")
    until(lambda: got(lab, "log/window", **where), lambda answer: answer["whole"])
    return where


def test_a_window_of_a_log_is_answered_from_any_line_on(lab: Lab, written: dict[str, str]) -> None:
    window = got(lab, "log/window", **written, first=2500, count=3)
    assert (window["first"], window["count"], window["note"], window["found"]) == (2500, 5000, "", None)
    [place] = window["places"]
    assert window["rows"] == [[n, place, f"line {n} "] for n in (2500, 2501, 2502)]
    last = got(lab, "log/window", **written, count=2)
    assert (last["first"], [row[0] for row in last["rows"]]) == (4998, [4998, 4999])
    assert len(got(lab, "log/window", **written, first=0, count=100_000)["rows"]) == 1000
    beyond = got(lab, "log/window", **written, first=9_999)
    assert (beyond["first"], beyond["rows"]) == (5000, [])


def test_what_is_looked_for_is_found_counted_and_marked(lab: Lab, written: dict[str, str]) -> None:
    query = {**written, "text": "LINE 77"}
    assert got(lab, "log/find", **query) == {"row": 77, "at": 1, "count": 11, "more": False}
    assert got(lab, "log/find", **query, row=78)["row"] == 770
    assert got(lab, "log/find", **query, row=769, back="true") == {"row": 77, "at": 1, "count": 11, "more": False}
    assert got(lab, "log/find", **query, row=780)["row"] == 77  # from the beginning again
    assert got(lab, "log/find", **query, row=76, back="true")["row"] == 779
    assert got(lab, "log/find", **query, case="true")["row"] is None
    found = {**written, "text": r"z.rich \S+ (end)$", "regex": "true"}
    assert got(lab, "log/find", **found)["row"] == 4321
    window = got(lab, "log/window", **found, first=4320, count=2)
    assert window["found"] == {"count": 1, "more": False}
    assert [row[3] for row in window["rows"]] == [[], [[10, 23]]]  # a face is two units of UTF-16


@pytest.mark.parametrize(
    ("path", "fields", "status", "words"),
    [
        ("log/find", {"text": "(", "regex": "true"}, 400, "no regular expression: missing )"),
        ("log/window", {"text": "[", "regex": "true"}, 400, "no regular expression"),
        ("log/find", {}, 422, "text is missing"),
        ("log/find", {"text": "x" * 1001}, 422, "longer than 1,000 characters"),
        ("log/window", {"first": "x"}, 422, 'first "x" is no whole number'),
        ("log/window", {"name": "missing"}, 404, '"missing" not found'),
        ("metrics", {"name": "missing"}, 404, '"missing" not found'),
        ("plan", {}, 422, "job/facts has no plan"),
    ],
)
def test_what_cannot_be_answered_about_a_job_is_said_in_words(
    lab: Lab, namespace: str, path: str, fields: dict[str, str], status: int, words: str
) -> None:
    Session().job("facts", image="python", command=["true"])
    found, text, _ = asked(lab, path, **{**address_of(namespace, "facts"), **fields})
    assert (found, words in sentence(text)) == (status, True)


def test_the_log_of_several_ranks_is_read_on_by_rank_while_they_write(lab: Lab, namespace: str, tmp_path: Path) -> None:
    Session().apply(manifest_of(training(tmp_path / "go")))
    where = address_of(namespace, "facts", "pytorchjob")
    find = {**where, "text": "has done step 30"}
    until(lambda: got(lab, "log/find", **find), lambda answer: answer["count"] == 2)
    window = got(lab, "log/window", **where)
    assert (sorted(window["places"]), window["whole"]) == (["master-0", "worker-0"], False)
    worker = got(lab, "log/window", **where, first=0, place="worker-0", text="has done step 30")
    assert [row[1:3] for row in worker["rows"]] == [
        ["worker-0", f"rank 1 has done step {step} of 30"] for step in range(1, 31)
    ]
    assert got(lab, "log/find", **find, place="worker-0")["row"] == 29
    (tmp_path / "go").touch()
    whole = until(lambda: got(lab, "log/window", **where), lambda answer: answer["whole"])
    assert whole["count"] > 60
    _, text, _ = asked(lab, "logs", **where, place="worker-0")
    assert text.splitlines() == [f"rank 1 has done step {step} of 30" for step in range(1, 31)]
    _, text, _ = asked(lab, "logs", **where, ranks="all")
    assert {line.split(" | ")[0] for line in text.splitlines()} == {"master-0", "worker-0"}


def test_another_job_of_the_same_name_has_another_log(lab: Lab, written: dict[str, str]) -> None:
    Session().get("job", "facts").delete()
    Session().job("facts", image="python", command=["echo", "anew"]).wait(timeout=SECONDS)
    window = until(lambda: got(lab, "log/window", **written), lambda answer: answer["count"] == 1)
    assert window["rows"][0][2] == "anew"


def test_metrics_are_answered_while_a_job_runs_and_thinned_evenly(lab: Lab, namespace: str, tmp_path: Path) -> None:
    go = tmp_path / "go"
    job = Session().job("facts", image="python", command=["python", "-c", LEARNS, str(go)])
    where = address_of(namespace, "facts")
    found = until(lambda: got(lab, "metrics", **where), lambda answer: answer["steps"][-1:] == [5000])
    assert found["over"] is False
    steps, series = found["steps"], found["series"]
    assert (steps[0], steps == sorted(steps), 500 < len(steps) <= 2000) == (1, True, True)
    assert max(after - before for before, after in itertools.pairwise(steps)) <= 8
    assert series["loss"] == [5 / step for step in steps]
    assert series["learning_rate"][-1] is None
    assert set(series) == {"loss", "epoch", "learning_rate", "tokens_per_second"}
    go.touch()
    job.wait(timeout=SECONDS)
    assert until(lambda: got(lab, "metrics", **where), lambda answer: answer["over"])["steps"] == steps


def test_the_plan_of_a_fine_tune_comes_with_its_reasons(lab: Lab, namespace: str, tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}\n')
    Session().dataset("facts", datasetname=str(rows))
    job = Session().finetune("tuned", model="Llama-3.2-1B-Instruct", dataset="facts")
    where = address_of(namespace, "tuned", "finetune")
    plan = until(lambda: got(lab, "plan", **where), lambda answer: bool(answer["rows"]))
    job.delete()
    lines = {what: (how, why) for what, how, why in plan["rows"]}
    assert lines["method"][0] == "lora"
    quick = "amx_bf16" in Path("/proc/cpuinfo").read_text()
    assert lines["precision"][0] == ("bf16" if quick else "fp32")
    assert all(lines[what][1] for what in ("processes", "precision", "batch", "checkpointing", "memory"))
    assert (lines["fits"][0], plan["fits"]) == ("yes", True)
