"""Asking a deployment: at its URL, else through the API server; and scoring what it answers.

The model is a small HTTP server that speaks OpenAI's protocol, run as a real pod.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from parrot import SERVER, predictor

from cpod_jupyter.api.resources import INFERENCES, PODS
from cpod_jupyter.errors import BatchStopped, CpodError, WaitTimeout
from cpod_jupyter.sdk import Deployment, Session, accuracy, contains, exact
from cpod_jupyter.sdk.evaluate import load_rows
from cpod_jupyter.sdk.scaling import deployment_of, scaled

"""Listens where its environment says: pods of the engine share the machine's network."""


@pytest.fixture
def parrot(session: Session) -> Deployment:
    return session.inference("parrot", predictor=predictor()).wait(60)


def test_a_deployment_is_asked_at_its_own_url(parrot: Deployment) -> None:
    assert parrot.ready
    assert parrot.model == "parrot"
    assert parrot.chat("hello").strip() == "You said: hello"
    assert list(parrot.stream("a b"))[:2] == ["You ", "said: "]
    parrot.delete()


def test_a_deployment_is_asked_through_the_api_server_where_its_url_cannot_be_reached(parrot: Deployment) -> None:
    parrot._ways = lambda: list(Deployment._ways(parrot))[1:]  # type: ignore[assignment, method-assign, return-value]
    assert "/services/parrot-is-predictor:" in parrot.endpoint().url
    assert parrot.chat("hello").strip() == "You said: hello"
    answer = parrot.client.models.list()
    assert [model.id for model in answer.data] == ["parrot"]
    parrot.delete()


def test_a_deployment_that_has_gone_to_sleep_is_ready_and_wakes_up_when_it_is_asked(
    session: Session, eventually: Any
) -> None:
    idle = {"autoscaling.knative.dev/scale-to-zero-pod-retention-period": "1s"}
    deployment = session.inference("sleepy", predictor=predictor(minReplicas=0, annotations=idle)).wait(60)

    def pods() -> list[Any]:
        found = session.client.list(PODS, session.namespace).items
        return [pod for pod in found if "sleepy" in pod["metadata"]["name"]]

    eventually(lambda: not pods(), "it has no pod")
    assert deployment.ready
    assert deployment.chat("hello").strip() == "You said: hello"
    assert deployment.endpoint().url.startswith(deployment.url)
    eventually(lambda: not pods(), "it has no pod again")
    deployment._endpoint = None
    deployment._ways = lambda: list(Deployment._ways(deployment))[1:]  # type: ignore[assignment, method-assign, return-value]
    assert deployment.chat("again").strip() == "You said: again"
    assert "/services/sleepy-is-predictor:" in deployment.endpoint().url
    deployment.delete()


def pods_of(session: Session, name: str) -> list[Any]:
    found = session.client.list(PODS, session.namespace).items
    return [pod for pod in found if name in pod["metadata"]["name"] and not pod["metadata"].get("deletionTimestamp")]


def test_a_deployment_is_scaled_up_down_and_to_nothing(session: Session, eventually: Any) -> None:
    idle = {"autoscaling.knative.dev/scale-to-zero-pod-retention-period": "1s"}
    deployment = session.inference("choir", predictor=predictor(minReplicas=1, annotations=idle)).wait(60)
    told: list[str] = []
    assert deployment.scale(3).wait_scaled(60, told.append) is deployment
    assert any("of 3 replicas are ready" in now for now in told)
    assert len(pods_of(session, "choir")) == 3
    assert deployment.chat("hello").strip() == "You said: hello"
    deployment.scale(1).wait_scaled(60)
    assert len(pods_of(session, "choir")) == 1
    earlier = session.get("inference", "choir")
    assert isinstance(earlier, Deployment)
    assert earlier.chat("hello").strip() == "You said: hello"
    with pytest.raises(CpodError, match="-1 replicas cannot be"):
        deployment.scale(-1)
    with pytest.raises(WaitTimeout, match=r"after 0 s: (the operator has not seen it yet|. of 2 replicas)"):
        deployment.scale(2).wait_scaled(0)
    deployment.scale(0).wait_scaled(60)
    eventually(lambda: not pods_of(session, "choir"), "it has no pod")
    assert deployment.ready
    assert earlier.chat("once more").strip() == "You said: once more", "a question wakes it, at its new address"
    assert deployment.chat("again").strip() == "You said: again"
    deployment.delete()


SCALED: dict[str, tuple[dict[str, Any], tuple[int, int | None], dict[str, Any]]] = {
    "a spec that says nothing": ({"modelId": "m"}, (2, None), {"autoscalerOptions": {"minReplicas": 2}}),
    "a fixed number": (
        {"autoscalerOptions": {"minReplicas": 1, "maxReplicas": 1}}, (3, None),
        {"autoscalerOptions": {"minReplicas": 3, "maxReplicas": 3}},
    ),
    "a fixed number to nothing": (
        {"predictor": {"minReplicas": 2, "maxReplicas": 2}}, (0, None),
        {"predictor": {"minReplicas": 0, "maxReplicas": 1}},
    ),
    "a range that holds it": (
        {"predictor": {"minReplicas": 1, "maxReplicas": 4}}, (2, None),
        {"predictor": {"minReplicas": 2, "maxReplicas": 4}},
    ),
    "a range in two places": (
        {"predictor": {"minReplicas": 1}, "autoscalerOptions": {"minReplicas": 1, "maxReplicas": 2}}, (3, None),
        {"predictor": {"minReplicas": 3}, "autoscalerOptions": {"minReplicas": 3, "maxReplicas": 3}},
    ),
    "a new range": ({"modelId": "m"}, (0, 5), {"autoscalerOptions": {"minReplicas": 0, "maxReplicas": 5}}),
}  # fmt: skip


@pytest.mark.parametrize(("spec", "wanted", "patch"), SCALED.values(), ids=SCALED)
def test_another_number_of_replicas_for(spec: Any, wanted: tuple[int, int | None], patch: Any) -> None:
    assert scaled(spec, *wanted) == patch


def test_an_upper_bound_below_the_lower_and_what_is_no_deployment_are_refused(session: Session) -> None:
    with pytest.raises(CpodError, match="at most 1 replicas cannot be: the upper bound is 1 or more, and not below 2"):
        scaled({}, 2, 1)
    job = session.job("hello", image="python:3.11", command=[sys.executable, "-V"])
    with pytest.raises(CpodError, match=r"job/hello is no deployment.*rerun\(workerReplicas=2\)"):
        deployment_of(job)
    storage = session.dataset("rows", datasetname="hf://team/rows")
    with pytest.raises(CpodError, match="dataset/rows is no deployment, and has no replicas to scale; %cpod ls inf"):
        deployment_of(storage)


def test_a_deployment_that_is_not_ready_says_so(session: Session) -> None:
    deployment = session.inference("early", modelId="nothing")
    with pytest.raises(CpodError, match="inference/early is not ready"):
        deployment.chat("hello")
    deployment.delete()


def test_a_deployment_answers_a_batch_through_the_api_server_too(parrot: Deployment) -> None:
    assert list(parrot.generate(["a", "b"])["answer"]) == ["You said: a", "You said: b"]
    parrot.forget_endpoint()
    parrot._ways = lambda: list(Deployment._ways(parrot))[1:]  # type: ignore[assignment, method-assign, return-value]
    assert list(parrot.generate(["a", "b"])["answer"]) == ["You said: a", "You said: b"]
    assert "/services/parrot-is-predictor:" in parrot.endpoint().url
    parrot.delete()


def test_a_batch_to_a_deployment_that_is_not_ready_says_so(session: Session) -> None:
    deployment = session.inference("early", modelId="nothing")
    with pytest.raises(CpodError, match=r"inference/early is not ready: .*wait"):
        deployment.generate(["hello"])
    deployment.delete()


def test_a_deployment_that_is_deleted_in_the_middle_of_a_batch_is_told_and_its_rows_are_kept(
    session: Session, tmp_path: Path
) -> None:
    held = tmp_path / "hold"
    held.touch()
    wait = f"        while said == 'hold' and os.path.exists({str(held)!r}): time.sleep(0.05)\n        words ="
    program = SERVER.replace("        words =", wait).replace("import json, os", "import json, os, time")

    def up() -> Deployment:
        return session.inference("brief", predictor=predictor(program)).wait(60)

    def gone(done: int, total: int) -> None:
        if done == 2:
            session.delete(INFERENCES, "brief")

    rows = ["a", "b", "hold", "c"]
    with pytest.raises(
        BatchStopped, match=r'inference/brief was asked no further after 2 of 4 .*"brief" not found'
    ) as told:
        up().generate(rows, concurrency=1, tell=gone)
    assert list(told.value.frame["answer"]) == ["You said: a", "You said: b", "", ""]
    held.unlink()
    found = up().generate(rows)
    assert list(found["answer"]) == [f"You said: {each}" for each in rows]
    assert found.attrs["batch"]["earlier"] == 2
    session.delete(INFERENCES, "brief")


def test_an_adapter_is_asked_by_the_name_of_its_deployment(session: Session) -> None:
    listed = '[{"id": "parrot", "object": "model"}]'
    assert listed in SERVER
    program = SERVER.replace(listed, '[{"id": each, "object": "model"} for each in ("tuned-base", "tuned")]')
    deployment = session.inference("tuned", predictor=predictor(program)).wait(60)
    assert deployment.model == "tuned"
    deployment.delete()


def test_answers_are_scored_row_by_row(parrot: Deployment, tmp_path: Path) -> None:
    rows = [
        {"messages": [{"role": "user", "content": "Paris is nice"}], "answer": "paris"},
        {"messages": [{"role": "user", "content": "something else"}], "answer": "Rome"},
    ]
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    told: list[tuple[int, int]] = []
    compared = accuracy([parrot], path, tell=lambda done, total: told.append((done, total)))
    assert compared["parrot"] == 0.5
    assert list(compared.rows["parrot_score"]) == [1.0, 0.0]
    assert told == [(1, 2), (2, 2)]
    assert repr(compared) == "DEPLOYMENT  ACCURACY  RIGHT\nparrot      50%       1 of 2"
    assert "<td>50%</td>" in compared._repr_mimebundle_()["text/html"]
    parrot.delete()


def test_an_answer_contains_what_is_right_as_words_of_its_own() -> None:
    assert contains("It weighs 7.3 kg.", "7.3") == 1
    assert contains("It weighs 17.3 kg.", "7.3") == 0
    assert contains("MARIT  Sandoval", "Marit Sandoval") == 1
    assert exact(" Paris. ", "paris") == 1


def test_rows_that_are_no_rows_are_told_by_number(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"messages": []}\n{oops}\n')
    with pytest.raises(CpodError, match="line 2: not JSON"):
        load_rows(path)
