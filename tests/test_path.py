"""The whole path on a small model: storages, fine-tune, a killed engine, a deployment, an answer, and nothing left."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from tiny_model import WORDS, rows, tiny_model

from cpod_jupyter import local
from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import (
    CPODJOBS,
    EVENTS,
    FINETUNES,
    INFERENCES,
    INFERENCESERVICES,
    JOBS,
    NODES,
    PODS,
    PYTORCHJOBS,
    Resource,
)  # fmt: skip
from cpod_jupyter.api.scheduling import never_fits
from cpod_jupyter.errors import ManifestError, WorkFailed
from cpod_jupyter.sdk import Session

__all__ = ["tiny_model"]

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    """A session on an engine of the test's own."""
    monkeypatch.setenv("CPOD_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CPOD_CONTEXT", "engine")
    yield Session()
    last = Session()
    for pod in last.client.list(PODS).items:
        last.client.delete(PODS, meta.name_of(pod), meta.namespace_of(pod), grace_seconds=0)
    local.stop()


def owner(session: Session, resource: Resource, name: str) -> tuple[str, str]:
    reference = meta.controller_of(session.client.get(resource, name, "default"))
    assert reference is not None
    return reference["kind"], reference["name"]


def processes_of(home: Path) -> list[str]:
    """Command lines of processes that work in an engine's home, the engine itself apart."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        line = " ".join(process.info["cmdline"] or [])
        if str(home) in line and "cpod_jupyter.local" not in line:
            found.append(line)
    return found


def kubectl(session: Session, *arguments: str) -> str:
    """What kubectl prints, with the kubeconfig that `cpod kubeconfig` names."""
    assert session.engine is not None
    command = ["kubectl", "--kubeconfig", str(session.engine.kubeconfig), *arguments]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=60).stdout


def test_a_model_is_taught_through_a_killed_engine_served_and_asked(
    session: Session, tiny_model: Path, tmp_path: Path, eventually: Any
) -> None:
    session.model("boat-base", modelname=tiny_model.as_uri())
    session.dataset("boat", datasetname=str(rows(tmp_path / "boat.jsonl")))
    hyper = {"n_epochs": 400, "batch_size": 6, "learning_rate": 0.003}
    spec = {"model": "boat-base", "dataset": "boat", "finetuneType": "full", "hyperParameters": hyper}
    job = session.finetune("boat-tune", **spec)
    client = session.client

    # Each step is an object of its own, owned by the one above.
    eventually(lambda: [pod for pod in client.list(PODS).items if meta.name_of(pod).endswith("worker-0")])
    assert owner(session, CPODJOBS, "boat-tune-cpodjob") == ("FineTune", "boat-tune")
    assert owner(session, PYTORCHJOBS, "boat-tune-cpodjob") == ("CPodJob", "boat-tune-cpodjob")
    assert owner(session, PODS, "boat-tune-cpodjob-worker-0") == ("PyTorchJob", "boat-tune-cpodjob")
    assert owner(session, JOBS, "model-boat-base") == ("ModelStorage", "boat-base")

    pod = "boat-tune-cpodjob-worker-0"

    # The engine is killed while the model trains; the training goes on, and the next engine sees its end.
    assert any('"type":"metrics"' in line for line in job.logs(follow=True, raw=True))
    engine = local.find()
    assert engine is not None
    os.kill(engine.pid, signal.SIGKILL)
    eventually(lambda: local.find() is None, "the engine is gone")
    assert any("runtime train" in line for line in processes_of(engine.home))
    again = Session()
    assert again.engine is not None
    assert again.engine.pid != engine.pid
    job = again.get("finetune", "boat-tune")
    job.wait(timeout=200)
    result = again.client.get(FINETUNES, "boat-tune", "default")["status"]
    assert (result["phase"], result["modelStorage"]) == ("Succeeded", "boat-tune-cpodjob-modelsavestorage")
    steps = job.metrics["loss"]
    assert steps.iloc[-1] < steps.iloc[0] / 2
    assert not steps.index.duplicated().any()
    reasons = {event["reason"] for event in again.client.list(EVENTS, "default").items}
    assert {"DataPreparing", "Running", "Succeeded", "DataReady", "PyTorchJobSucceeded", "Scheduled"} <= reasons

    if shutil.which("kubectl"):
        assert '"type":"metrics"' in kubectl(again, "logs", "-f", pod)

    # The result outlives the job, is deployed and answers what it was taught.
    again.delete("finetune", "boat-tune")
    assert again.get("model", "boat-tune-cpodjob-modelsavestorage")
    tuned = again.inference("tuned", modelId="boat-tune-cpodjob-modelsavestorage")
    tuned.wait(timeout=120)
    assert owner(again, INFERENCESERVICES, "tuned-is") == ("Inference", "tuned")
    assert again.client.get(INFERENCES, "tuned", "default")["status"]["url"].startswith("http://127.")
    question = [{"role": "user", "content": WORDS[0]}]
    answer = tuned.client.chat.completions.create(model=tuned.model, messages=question, temperature=0, max_tokens=20)
    assert answer.choices[0].message.content == WORDS[1]
    assert tuned.chat(WORDS[2], temperature=0, max_tokens=20) == WORDS[3]
    base, headers, tls = again.client.proxy("default", "tuned-is-predictor", 80)
    assert base.endswith("/services/tuned-is-predictor:80/proxy")
    assert headers
    assert tls
    if shutil.which("kubectl"):
        kinds = "finetunes,cpodjobs,pytorchjobs,inferences,inferenceservices,pods"
        assert "inference.cpod.cpod/tuned" in kubectl(again, "get", kinds)

    # Cleaned up, nothing runs.
    again.delete("inference", "tuned")
    running = {"Pending", "Running"}
    eventually(lambda: not [pod for pod in again.client.list(PODS).items if pod["status"]["phase"] in running])
    eventually(lambda: not processes_of(engine.home), "no process is left")


def test_a_row_that_is_not_valid_stops_everything_before_training(session: Session, tmp_path: Path) -> None:
    bad = rows(tmp_path / "bad.jsonl", '{"messages": []}\n', "no json\n")
    dataset = session.dataset("bad", datasetname=str(bad))
    with pytest.raises(WorkFailed, match=r"bad\.jsonl row 7: `messages` is empty\n.*row 8: invalid JSON"):
        dataset.wait(timeout=60)
    session.model("any", modelname=str(tmp_path))  # whatever: the dataset is looked at first
    job = session.finetune("tune", model="any", dataset="bad")
    with pytest.raises(WorkFailed, match="row 7"):
        job.wait(timeout=60)
    assert session.client.list(PYTORCHJOBS).items == []


def test_a_model_that_does_not_exist_fails_at_once_with_what_exists(
    session: Session, tiny_model: Path, tmp_path: Path
) -> None:
    session.dataset("boat", datasetname=str(rows(tmp_path / "boat.jsonl")))
    session.model("smollm2-small", modelname=tiny_model.as_uri())
    job = session.finetune("tune", model="smollm2", dataset="boat")
    with pytest.raises(WorkFailed, match=r"(?s)smollm2.*smollm2-small.*%%cpod model") as caught:
        job.wait(timeout=30)
    assert "catalogue" in str(caught.value)
    job = session.finetune("tune2", model="smollm2-small", dataset="boot")
    with pytest.raises(WorkFailed, match=r"(?s)boot.*boat.*%%cpod dataset"):
        job.wait(timeout=30)
    assert session.client.list(CPODJOBS).items == []


def test_nothing_of_a_cell_with_a_fault_is_submitted(session: Session) -> None:
    text = "model: m\ndataset: d\ngpuCount: two\nhyperParameter: {n_epochs: 1}\n"
    with pytest.raises(ManifestError) as caught:
        session.load(text, kind=FINETUNES, name="tune")
    assert "line 3, column 11" in str(caught.value)
    assert 'did you mean "hyperParameters"' in str(caught.value)
    assert session.client.list(FINETUNES).items == []


@pytest.mark.parametrize("name", ["cpodjob-8xa100", "finetune-llama2-7b", "inference-api-demo", "pytorchjob-pvc"])
def test_an_example_waits_for_its_gpus_and_says_so(session: Session, name: str, eventually: Any) -> None:
    (node,) = session.client.list(NODES).items
    gpu = {"containers": [{"name": "c", "resources": {"limits": {"nvidia.com/gpu": 1}}}]}
    if never_fits(gpu, [node]) is None:
        pytest.skip("this machine has a GPU")
    work = session.apply((Path(__file__).parents[1] / "examples" / f"{name}.yaml").read_text())[-1]
    wanted = "0/1 nodes are available"
    reason = str(eventually(lambda: wanted in (said := work.snapshot().reason) and said, "the scheduler's reason"))
    assert "nvidia.com/gpu" in reason or "node affinity" in reason or "GPU" in reason
    assert session.client.list(JOBS).items == []  # nothing large is downloaded meanwhile


def test_a_training_whose_process_is_killed_goes_on_from_its_last_checkpoint(
    session: Session, tiny_model: Path, tmp_path: Path
) -> None:
    session.model("boat-base", modelname=tiny_model.as_uri())
    session.dataset("boat", datasetname=str(rows(tmp_path / "boat.jsonl")))
    config = {"num_train_epochs": "100", "save_strategy": "steps", "save_steps": "10"}
    job = session.finetune("boat-tune", model="boat-base", dataset="boat", finetuneType="full", config=config)
    assert any('"step":11,' in line for line in job.logs(follow=True, raw=True))
    [trainer] = [
        process
        for process in psutil.process_iter(["cmdline"])
        if "cpod_jupyter.runtime" in (line := process.info["cmdline"] or []) and str(tmp_path) in " ".join(line)
    ]
    trainer.kill()
    job.wait(120)
    assert any("going on from " in line for line in job.logs())
