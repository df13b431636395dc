"""Sessions against a real engine: submitted, followed, detached, found again. Pods are real processes."""

from __future__ import annotations

import _thread
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from cpod_jupyter.errors import CpodError, Invalid, ManifestError, NotFound, WaitTimeout, WorkFailed
from cpod_jupyter.sdk import AlreadyRun, Detached, Session, Snapshot, State
from cpod_jupyter.sdk.history import texts
from cpod_jupyter.sdk.manifest import Origin

TRAINING = """
import json, time
print("begins", flush=True)
for step in range(1, {steps} + 1):
    record = {{"type": "metrics", "step": step, "total_steps": {steps}, "loss": 3 / step}}
    print("@cpod " + json.dumps(record), flush=True)
    time.sleep(0.05)
print("ends", flush=True)
"""


def program(text: str) -> dict[str, Any]:
    return {"image": "python:3.11", "command": [sys.executable, "-c", text]}


def test_a_job_is_followed_from_its_first_line_to_its_end(session: Session) -> None:
    seen: list[Snapshot] = []
    job = session.job("train", **program(TRAINING.format(steps=20))).wait(60, seen.append)
    assert seen[-1].state is State.SUCCEEDED
    assert [record["step"] for record in seen[-1].metrics] == list(range(1, 21))
    assert texts(seen[-1].log) == ["begins", "ends"]
    assert any(snapshot.state is State.RUNNING and snapshot.metrics for snapshot in seen)
    assert job.metrics["loss"].iloc[-1] == pytest.approx(0.15)
    assert list(job.logs(tail=1)) == ["ends"]
    assert next(iter(job.logs(follow=True))) == "begins"


def test_a_failure_raises_with_the_cause(session: Session) -> None:
    job = session.job("bad", **program("import sys; print('the row is bad'); sys.exit(3)"), backoffLimit=0)
    with pytest.raises(WorkFailed) as caught:
        job.wait(60)
    assert "job/bad failed" in str(caught.value)
    assert "the row is bad" in str(caught.value)
    assert job.status.state is State.FAILED


def test_the_same_spec_is_not_submitted_twice_and_another_one_needs_new(session: Session) -> None:
    first = session.job("once", **program("print(1)")).wait(60)
    again = session.job("once", **program("print(1)"))
    assert again.object["metadata"]["uid"] == first.object["metadata"]["uid"]
    with pytest.raises(AlreadyRun, match=r"job/once has run \(Succeeded\).*--new"):
        session.job("once", **program("print(2)"))
    anew = session.job("once", new=True, **program("print(2)")).wait(60)
    assert anew.object["metadata"]["uid"] != first.object["metadata"]["uid"]
    assert list(anew.logs()) == ["2"]


def test_a_run_that_left_a_result_can_be_run_anew(session: Session) -> None:
    save = {"modelSavePath": "/out", "modelSaveVolumeSize": 10}
    first = session.job("kept", **program("open('/dev/null')"), **save).wait(60)
    again = session.job("kept", new=True, **program("print(2)"), **save).wait(60)
    assert again.object["metadata"]["uid"] != first.object["metadata"]["uid"]


def test_two_sessions_see_the_same_objects(session: Session, namespace: str) -> None:
    session.job("shared", **program("print(1)"))
    other = Session()
    assert [obj["metadata"]["name"] for obj in other.ls()] == ["shared"]
    assert other.find("shared").wait(60).status.state is State.SUCCEEDED
    other.client.close()


def test_an_interrupt_detaches_and_the_job_goes_on(session: Session) -> None:
    job = session.job("long", **program(TRAINING.format(steps=60)))

    def interrupt(snapshot: Snapshot) -> None:
        if snapshot.metrics:
            raise KeyboardInterrupt

    with pytest.raises(Detached) as caught:
        job.wait(60, interrupt)
    assert "%cpod follow long" in str(caught.value)
    assert "%cpod cancel long" in str(caught.value)
    assert job.status.state is State.RUNNING
    last = list(job.follow(60))[-1]
    assert [record["step"] for record in last.metrics] == list(range(1, 61)), "the curve is there from the start"


def test_a_real_interrupt_while_nothing_happens_detaches_too(session: Session) -> None:
    job = session.job("idle", **program("import time; time.sleep(60)"))
    timer = threading.Timer(2, _thread.interrupt_main)
    timer.start()
    with pytest.raises(Detached):
        job.wait(60)
    timer.join()
    job.cancel()
    with pytest.raises(NotFound):
        session.find("idle")


def test_waiting_ends_when_its_time_is_up(session: Session) -> None:
    job = session.job("slow", **program("import time; time.sleep(60)"))
    with pytest.raises(WaitTimeout, match=r"job/slow is still \w+ after 1 s"):
        job.wait(1)
    job.delete()


def test_a_job_that_asks_for_what_there_is_not_says_so_while_it_waits(session: Session) -> None:
    job = session.job("greedy", **program("print(1)"), gpuRequiredPerReplica=64)
    for snapshot in job.follow(30):
        if "nvidia.com/gpu" in snapshot.reason:
            break
    assert "Insufficient nvidia.com/gpu" in snapshot.reason
    job.cancel()


def test_a_dataset_is_there_after_waiting(session: Session, tmp_path: Path) -> None:
    row = '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}\n'
    (tmp_path / "rows.jsonl").write_text(row * 3)
    dataset = session.dataset("rows", datasetname=str(tmp_path / "rows.jsonl")).wait(60)
    assert dataset.size > 0
    assert "3 rows" in repr(session.ls("datasets"))
    assert "rows.jsonl" in dataset.to_yaml()


def test_what_is_wrong_is_told_before_anything_is_sent(session: Session) -> None:
    with pytest.raises(ManifestError, match=r'modelnam: unknown field; did you mean "modelname"'):
        session.model("m", modelnam="x")
    with pytest.raises(ManifestError, match="n_epoch"):
        session.finetune("f", model="m", dataset="d", hyperParameters={"n_epoch": 3})
    assert len(session.ls()) == 0


def test_several_manifests_are_created_then_unchanged_then_configured(session: Session) -> None:
    text = """
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {a: "1"}
"""
    [obj] = session.load(text)
    assert session.submit(obj)[1] == "created"
    assert session.submit(obj)[1] == "unchanged"
    [changed] = session.load(text.replace('"1"', '"2"'))
    handle, outcome = session.submit(changed)
    assert outcome == "configured"
    assert handle.object["data"] == {"a": "2"}


def test_a_name_that_means_nothing_or_too_much_is_an_error(session: Session, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match='named "nothing"'):
        session.find("nothing")
    (tmp_path / "rows.jsonl").write_text("{}\n")
    session.dataset("twin", datasetname=str(tmp_path / "rows.jsonl"))
    session.job("twin", **program("print(1)"))
    with pytest.raises(CpodError, match="say dataset/twin or job/twin"):
        session.find("twin")
    assert session.find("job/twin").kind == "CPodJob"


def test_a_server_that_refuses_is_quoted(session: Session) -> None:
    with pytest.raises((Invalid, ManifestError), match="name"):
        session.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "Not A Name"}})


@pytest.mark.parametrize("file", sorted(Path("examples").glob("*.yaml")), ids=lambda path: path.name)
def test_the_examples_are_accepted(session: Session, file: Path) -> None:
    origin = Origin(file.name, file.parent)
    for obj in session.load(file.read_text(), origin=origin, namespace=session.namespace):
        session.validate(obj)


def test_the_engines_own_kubeconfig_means_the_engine_wherever_it_is_named(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert session.engine is not None
    monkeypatch.delenv("CPOD_CONTEXT")
    monkeypatch.setenv("KUBECONFIG", str(session.engine.kubeconfig))
    again = Session()
    assert again.engine is not None
    assert again.engine.pid == session.engine.pid
    again.client.close()


def test_a_log_is_read_by_rank_and_from_a_moment_on(session: Session) -> None:
    code = "import os; print('rank', os.environ['PROCESS_ID'])"
    seen: list[Snapshot] = []
    pair = session.training("jaxjob", "pair", image="x", command=[sys.executable, "-c", code], workers=2)
    pair.wait(show=seen.append)
    assert sorted(seen[-1].log) == [("worker-0", "rank 0"), ("worker-1", "rank 1")], "followed, all ranks are there"
    assert list(pair.logs(rank=0)) == ["rank 0"]
    assert list(pair.logs(rank=1, since="1h")) == ["rank 1"]
    assert list(pair.logs(rank=1, since="2999-01-01T00:00:00Z")) == []
    with pytest.raises(NotFound, match="has no rank 2; it has ranks 0 to 1"):
        next(pair.logs(rank=2))
    with pytest.raises(CpodError, match="neither a length of time"):
        next(pair.logs(since="yesterday"))
    with pytest.raises(CpodError, match="comes whole"):
        next(pair.logs(follow=True, since="1h"))
    with pytest.raises(CpodError, match="either pod or rank"):
        next(pair.logs(pod="worker-0", rank=0))


def test_the_log_before_a_restart_can_be_read(session: Session, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    code = (
        f"import pathlib, sys; mark = pathlib.Path({str(mark)!r}); again = mark.exists(); mark.touch(); "
        "print('second' if again else 'first'); sys.exit(0 if again else 1)"
    )
    container = {"name": "main", "image": "python:3.12", "command": [sys.executable, "-c", code]}
    template = {"spec": {"restartPolicy": "OnFailure", "containers": [container]}}
    [job] = session.apply(
        {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "again"}, "spec": {"template": template}}
    )
    job.wait()
    assert list(job.logs()) == ["second"]
    assert list(job.logs(previous=True)) == ["first"]
