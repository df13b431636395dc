"""What there is to work in, over the server extension; the engine's start and stop in a server of its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lab import SECONDS, Lab
from pages import Message, PageSocket, asked, sentence

from cpod_jupyter.api.resources import NODES
from cpod_jupyter.sdk import Session
from cpod_jupyter.sdk.states import State
from cpod_jupyter.version import VERSION

GPU = "nvidia.com/gpu"


def got(lab: Lab, path: str, **fields: str) -> Any:
    status, text, _ = asked(lab, path, **fields)
    assert status == 200, text
    return json.loads(text)


def test_contexts_and_namespaces(lab: Lab, namespace: str) -> None:
    found = got(lab, "contexts")
    assert found["engine"] == {"running": True, "url": Session().client.server}
    [engine] = [context for context in found["contexts"] if context["name"] == "engine"]
    assert (engine["current"], engine["namespace"], engine["server"]) == (True, "default", found["engine"]["url"])
    names = got(lab, "namespaces", context="engine")
    assert names == sorted(names)
    assert {namespace, "default"} <= set(names)
    status, text, _ = asked(lab, "namespaces", context="nowhere")
    assert (status, "nowhere" in sentence(text)) == (422, True)


def test_what_a_form_can_name(lab: Lab, namespace: str, tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}\n')
    Session().dataset("facts", datasetname=str(rows)).wait(timeout=SECONDS)
    where = {"context": "engine", "namespace": namespace}
    [dataset] = got(lab, "datasets", **where)
    assert (dataset["name"], dataset["state"], "1 rows" in dataset["detail"]) == ("facts", "done", True)
    models = got(lab, "models", **where)
    assert all(set(model) == {"name", "detail", "state"} for model in models)
    assert {model["state"] for model in models} == {"in catalogue"}
    nodes = {"metadata": {"name": f"gpus-{namespace}", "labels": {"nvidia.com/gpu.product": "H100"}}}
    client = Session().client
    node = client.create(NODES, nodes)
    try:
        client.patch(NODES, node["metadata"]["name"], {"status": {"allocatable": {GPU: "8"}}}, subresource="status")
        rows_found = got(lab, "gpus", **where)["nodes"]
        assert {"node": f"gpus-{namespace}", "type": "H100", "total": 8, "free": 8} in rows_found
    finally:
        client.delete(NODES, node["metadata"]["name"])
    for path in ("datasets", "models", "gpus"):
        status, text, _ = asked(lab, path, context="engine", namespace="../x")
        assert (status, "not a name that Kubernetes takes" in sentence(text)) == (422, True)


def test_the_version_and_what_runs_on_the_engine_in_all_namespaces(lab: Lab, namespace: str) -> None:
    assert got(lab, "version") == {"version": VERSION}
    before = got(lab, "engine")
    assert (before["running"], before["url"]) == (True, Session().client.server)
    assert not [work for work in before["atWork"] if work["namespace"] == namespace]
    job = Session().job("facts", image="python", command=["sleep", "600"])
    waiting = Session().job("waiting", image="python", command=["true"], gpuRequiredPerReplica=8)
    next(shot for shot in job.follow(SECONDS) if shot.state is State.RUNNING)
    mine = [work for work in got(lab, "engine")["atWork"] if work["namespace"] == namespace]
    assert mine == [{"namespace": namespace, "kind": "job", "name": "facts"}], "the parts of a job are not named"
    job.delete()
    waiting.delete()


def test_the_doctor_tells_what_is_good_and_what_to_do(lab: Lab) -> None:
    found = got(lab, "doctor", context="engine")
    assert {"ok"} <= {finding["level"] for finding in found} <= {"ok", "note", "problem"}
    assert any(finding["text"].startswith("server: Kubernetes") for finding in found)
    status, text, _ = asked(lab, "doctor")
    assert (status, "context is missing" in sentence(text)) == (422, True)


def test_the_engine_is_started_and_stopped_from_the_page_and_lists_live_over_it(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = {"CPOD_HOME": str(tmp_path), "CPOD_CONTEXT": "engine", "CPOD_NAMESPACE": "default"}
    for name, value in home.items():
        monkeypatch.setenv(name, value)
    with Lab(tmp_path_factory.mktemp("lab"), home) as lab, PageSocket(lab) as page:

        def told(path: str, **fields: str) -> tuple[int, Any]:
            status, text, _ = asked(lab, path, post=path == "engine", **fields)
            return status, json.loads(text)

        def heard(true: Callable[[Message], bool]) -> None:
            page.until(lambda _: bool(messages) and true(messages[-1]), known, messages)

        known: dict[str, Message] = {}
        messages: list[Message] = []
        assert told("contexts")[1]["engine"] == {"running": False, "url": ""}
        status, answer = told("namespaces", context="engine")
        assert (status, "does not run" in answer["message"]) == (404, True)
        assert told("engine", action="sideways") == (422, {"message": 'action must be "up" or "down"'})
        page.look_at("default", "job")
        heard(lambda message: "does not run" in message["trouble"])
        try:
            status, answer = told("engine", action="up")
            assert (status, answer["running"]) == (200, True), answer
            assert told("contexts")[1]["engine"]["url"] == answer["url"]
            job = Session().job("early", image="python", command=["true"], gpuRequiredPerReplica=8)
            heard(lambda message: set(known) == {"job/early"} and not message["trouble"])
            status, answer = told("engine", action="down")
            assert (status, answer["running"]) == (200, False), answer
            heard(lambda message: bool(message["trouble"]))
            assert set(known) == {"job/early"}, "what was known stays to be seen"
            assert told("engine", action="up")[1]["running"]
            Session().job("late", image="python", command=["true"], gpuRequiredPerReplica=8)
            heard(lambda message: set(known) == {"job/early", "job/late"} and not message["trouble"])
            Session().delete("job", job.name)
            heard(lambda message: set(known) == {"job/late"})
        finally:
            told("engine", action="down")
