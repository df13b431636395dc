"""Live lists over the socket of a page, in the server that the browser uses."""

from __future__ import annotations

from pathlib import Path

import pytest
from lab import Lab
from pages import Message, PageSocket, take

from cpod_jupyter.sdk import Session

LONG = "long" * 14


def test_a_list_shows_what_is_made_what_changes_and_what_is_deleted(lab: Lab, namespace: str) -> None:
    known: dict[str, Message] = {}
    with PageSocket(lab) as page:
        page.look_at(namespace, "jobs")
        assert page.hear() == {"id": "list", "rows": [], "trouble": ""}
        job = Session().job("facts", image="python", command=["python", "-V"], backoffLimit=0)
        page.until(lambda rows: rows.get("job/facts", {}).get("phase") == "Succeeded", known)
        row = known["job/facts"]
        assert {key: row[key] for key in ("namespace", "tone", "final", "gpus", "detail", "reason")} == {
            "namespace": namespace,
            "tone": "good",
            "final": True,
            "gpus": "",
            "detail": "general, python",
            "reason": "",
        }
        assert list(known) == ["job/facts"], "the job that it is made of is a part of it"
        Session().job("wide", image="python", command=["true"], gpuRequiredPerReplica=8, workerReplicas=2)
        page.until(lambda rows: "job/wide" in rows, known)
        assert known["job/wide"]["gpus"] == "16"
        job.delete()
        page.until(lambda rows: list(rows) == ["job/wide"], known)


def test_a_page_that_comes_later_gets_what_is_there_at_once(lab: Lab, namespace: str, tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}\n')
    Session().dataset("facts", datasetname=str(rows)).wait()
    with PageSocket(lab) as first, PageSocket(lab) as second:
        for page in (first, second):
            page.look_at(namespace, "datasets")
            known: dict[str, Message] = {}
            page.until(lambda rows: "dataset/facts" in rows, known)
            assert known["dataset/facts"]["final"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"kind": "jub"}, 'unknown kind "jub"'),
        ({"kind": "secret"}, "there is no list of secret"),
        ({"namespace": "../x"}, "not a name that Kubernetes takes"),
        ({"context": ""}, "context is missing"),
        ({"context": "nowhere"}, "nowhere"),
        ({"kind": "paddlejob"}, ""),
    ],
    ids=str,
)
def test_a_list_that_cannot_be_told_says_why(lab: Lab, namespace: str, changes: dict[str, str], words: str) -> None:
    with PageSocket(lab) as page:
        page.send({"subscribe": "x", "list": {"context": "engine", "namespace": namespace, "kind": "job", **changes}})
        message = page.hear()
        assert words in message["trouble"]
        assert bool(message["trouble"]) is bool(words)


def test_a_slow_page_misses_changes_but_never_the_last(lab: Lab, namespace: str) -> None:
    """What its network takes is filled with lists; what changes meanwhile is merged into those that wait."""
    session, topics = Session(), 400
    for number in range(40):
        spec = {"suspend": True, "template": _template("python" * 40)}
        session.apply({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": f"{LONG}-{number}"}, "spec": spec})
    with PageSocket(lab, slow=True) as page, PageSocket(lab) as quick:
        for number in range(topics):
            page.look_at(namespace, "batchjob", f"topic-{number}")
        known: dict[str, Message] = {}
        quick.look_at(namespace, "batchjob")
        quick.until(lambda rows: len(rows) == 40, known)
        session.delete("batchjob", f"{LONG}-0")
        quick.until(lambda rows: f"batchjob/{LONG}-0" not in rows, known)
        heard: dict[str, list[Message]] = {}
        lists: dict[str, dict[str, Message]] = {}
        while len(lists) < topics or any(len(rows) != 39 for rows in lists.values()):
            message = page.hear()
            heard.setdefault(message["id"], []).append(message)
            take(message, lists.setdefault(message["id"], {}))
        assert all(rows == known for rows in lists.values())
        assert len(heard[f"topic-{topics - 1}"]) == 1, "what waited was merged"


def _template(image: str) -> dict[str, object]:
    return {"spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": image}]}}
