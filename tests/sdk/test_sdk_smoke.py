"""Smoke runs: built from what a person wrote, run on the engine of this machine, and followed by the real run.

The cluster is a second engine, known by its kubeconfig alone.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from faces_fixtures import cluster, cluster_kubeconfig
from tiny_model import WORDS

from cpod_jupyter.api import names
from cpod_jupyter.api.resources import (
    CPODJOBS,
    DATASETSTORAGES,
    FINETUNES,
    JOBS,
    MODELSTORAGES,
    MPIJOBS_V2BETA1,
    PYTORCHJOBS,
    TRAINJOBS,
    Object,
    Resource,
)
from cpod_jupyter.errors import CpodError, NotFound, WorkFailed
from cpod_jupyter.sdk import AlreadyRun, Session, Snapshot
from cpod_jupyter.sdk.apply import HASH
from cpod_jupyter.sdk.preflight.asks import pods_of
from cpod_jupyter.sdk.shortforms import expanded
from cpod_jupyter.sdk.smoke import SmokeInterrupted, prepared, smoke_all
from cpod_jupyter.sdk.smoke.build import Here, Stand, build, smoke_name
from cpod_jupyter.sdk.smoke.stand import Ask, Machine, dataset_stand, model_stand

__all__ = ["cluster", "cluster_kubeconfig"]

HEEDS = """
import json, os
steps = int(os.environ.get("CPOD_MAX_STEPS", 5))
for step in range(1, steps + 1):
    print("@cpod " + json.dumps({"type": "metrics", "step": step, "loss": 3 / step}), flush=True)
print("smoke" if os.environ.get("CPOD_SMOKE") else "whole", os.environ["SIZE"])
"""
HEEDLESS = """
import itertools, json, time
for step in itertools.count(1):
    print("@cpod " + json.dumps({"type": "metrics", "step": step, "loss": 3 / step}), flush=True)
    time.sleep(0.1)
"""


@pytest.fixture
def far(cluster: str) -> Iterator[Session]:
    """A session in the cluster."""
    found = Session()
    assert found.engine is None
    yield found
    found.client.close()


@pytest.fixture
def near(far: Session) -> Iterator[Session]:
    """A session in this machine's engine, where smoke runs for the cluster are."""
    found = Session("engine")
    found.namespace = found.client.namespace
    yield found
    found.client.close()


def obj_of(resource: Resource, name: str, **spec: Any) -> Object:
    return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": {"name": name}, "spec": spec}


def ddp(name: str, program: str, **more: Any) -> Object:
    body = {
        "image": "python:3.11", "command": [sys.executable, "-c", program], "workers": 2,
        "env": [{"name": "SIZE", "value": "large"}], **more,
    }  # fmt: skip
    return obj_of(PYTORCHJOBS, name, **expanded(PYTORCHJOBS, body))


# ---- what is built


def test_a_fine_tune_becomes_two_steps_on_what_this_machine_has() -> None:
    asked = obj_of(
        FINETUNES, "facts", model="llama", dataset="facts", gpuCount=8, gpuProduct="NVIDIA-A100", upload=True,
        finetuneType="qlora", hyperParameters={"n_epochs": "3", "batch_size": "4"},
        config={"cutoff_len": "512", "fp16": "true", "optim": "paged_adamw_8bit", "lora_rank": "8"},
    )  # fmt: skip
    made = build(FINETUNES, asked, Here(), "default", Stand("smoke-llama", lora_target="q_proj"), Stand("facts"))
    spec = made.obj["spec"]
    assert made.obj["metadata"]["name"] == "facts-smoke"
    assert made.obj["metadata"]["labels"] == {names.LABEL_SMOKE: "true"}
    assert (spec["model"], spec["dataset"], spec["finetuneType"]) == ("smoke-llama", "facts", "lora")
    assert (spec["gpuCount"], spec["gpuProduct"], spec["upload"]) == (0, "", False)
    assert spec["hyperParameters"] == {"n_epochs": "3", "batch_size": "4"}
    kept = {"max_length": "512", "lora_rank": "8", "lora_target": "q_proj"}
    assert spec["config"] == {**kept, "max_steps": "2", "logging_steps": "1"}
    told = "\n".join(made.differs)
    for words in ("2 steps on the first 16 rows", "not on 8 GPUs of type NVIDIA-A100", "lora, not qlora",
                  "without config.fp16, config.optim", "nothing is uploaded"):  # fmt: skip
        assert words in told
    assert asked["spec"]["finetuneType"] == "qlora", "what was asked for is not changed"


def test_a_fine_tune_keeps_the_gpus_that_there_are() -> None:
    asked = obj_of(FINETUNES, "f", model="m", dataset="d", gpuCount=2, gpuProduct="L4", finetuneType="qlora")
    made = build(FINETUNES, asked, Here(1, frozenset({"L4"})), "default")
    assert (made.obj["spec"]["gpuCount"], made.obj["spec"]["gpuProduct"]) == (1, "L4")
    assert made.obj["spec"]["finetuneType"] == "qlora"
    assert "on 1 of L4, not 2 GPUs of type L4" in made.differs


LARGE = {"limits": {"nvidia.com/gpu": 8, "memory": "900Gi"}}
POD = {"nodeSelector": {"pool": "h100"}, "containers": [{"name": "c", "image": "i", "resources": LARGE}]}
ROLE = {"replicas": 4, "restartPolicy": "OnFailure", "template": {"spec": POD}}
KINDS = {
    "job": (CPODJOBS, {"image": "i", "jobType": "pytorch", "workerReplicas": 4, "gpuRequiredPerReplica": 8}),
    "job with roles": (CPODJOBS, {"image": "i", "jobType": "pytorch", "replicaSpecs": {"Worker": ROLE}}),
    "pytorchjob": (PYTORCHJOBS, {"pytorchReplicaSpecs": {"Master": {**ROLE, "replicas": 1}, "Worker": ROLE},
                                 "nprocPerNode": "8", "elasticPolicy": {"minReplicas": 2, "maxReplicas": 4}}),
    "mpijob": (MPIJOBS_V2BETA1, {"slotsPerWorker": 8, "mpiReplicaSpecs": {"Launcher": {"template": {"spec": POD}},
                                                                          "Worker": ROLE}}),
    "trainjob": (TRAINJOBS, {"runtimeRef": {"name": "r"}, "trainer": {"numNodes": 4, "resourcesPerNode": LARGE}}),
    "batchjob": (JOBS, {"parallelism": 4, "completions": 4, "template": {"spec": POD}}),
}  # fmt: skip


@pytest.mark.parametrize(("resource", "spec"), KINDS.values(), ids=KINDS)
def test_a_job_becomes_one_small_pod_of_each_role(resource: Resource, spec: dict[str, Any]) -> None:
    made = build(resource, obj_of(resource, "j", **spec), Here(), "default").obj
    groups = pods_of(resource, made)
    assert groups
    assert all((group.replicas, group.gpus) == (1, 0) for group in groups)
    text = json.dumps(made)
    assert "900Gi" not in text
    assert "h100" not in text
    assert '{"name": "CPOD_MAX_STEPS", "value": "2"}' in text
    assert '"activeDeadlineSeconds": 300' in text or made["spec"]["duration"] == 5


def test_a_long_name_still_has_a_smoke_run() -> None:
    assert smoke_name("facts") == "facts-smoke"
    one, other = (smoke_name("a" * 60 + end) for end in "bc")
    assert one != other
    assert max(len(one), len(other)) == 44


def storage(kind: Resource, name: str, status: dict[str, Any] | None = None, **spec: Any) -> Object:
    return {**obj_of(kind, name, **spec), "status": status or {}}


def ask(kind: str, there: Object | None, **more: Any) -> Ask:
    return Ask("facts", kind, "x", there, **more)


MACHINE = Machine(Here(), "default", has_secret=lambda name: name == "known", exists=lambda path: path == Path("/here"))
LLAMA = {"parameters": 6_738_415_616, "layers": 32, "hiddenSize": 4096, "intermediateSize": 11008, "attentionHeads": 32,
         "kvHeads": 32, "headDim": 128, "vocabSize": 32000, "modelType": "llama"}  # fmt: skip


def test_a_model_that_cannot_be_had_is_made_tiny_and_random() -> None:
    large = storage(MODELSTORAGES, "x", {"model": LLAMA}, modelname="hf://a/b")
    stand = model_stand(ask("model", large), MACHINE)
    assert stand.storage is not None
    assert stand.storage["spec"] == {"modelname": "random://llama"}
    assert "a llama of 2 layers with random weights instead of x, which is too large" in stand.differs
    small = storage(MODELSTORAGES, "x", {"model": {**LLAMA, "parameters": 9}}, modelname="hf://a/b")
    assert "is not on this machine" in model_stand(ask("model", small), MACHINE).differs
    assert model_stand(ask("model", small, at_hand=True), MACHINE) == Stand("x")
    tight = dataclasses.replace(MACHINE, fits=lambda shape: False)
    assert "too large" in model_stand(ask("model", small, at_hand=True), tight).differs
    near = storage(MODELSTORAGES, "x", modelname="file:///here")
    copy = model_stand(ask("model", near), MACHINE).storage
    assert copy is not None
    assert (copy["metadata"]["name"], copy["spec"]) == ("facts-smoke", {"modelname": "file:///here"})
    with pytest.raises(CpodError, match="nothing tells the architecture of the model x"):
        model_stand(ask("model", storage(MODELSTORAGES, "x", modelname="hf://a/b")), MACHINE)


def test_data_that_only_the_cluster_can_read_is_refused_in_a_sentence() -> None:
    there = storage(DATASETSTORAGES, "x", datasetname="https://host/rows.jsonl")
    copy = dataset_stand(ask("dataset", there), MACHINE).storage
    assert copy is not None
    assert copy["spec"] == {"datasetname": "https://host/rows.jsonl"}
    for spec, why in (({"pvc": "mine"}, "lies in the claim mine of the cluster"),
                      ({"datasetname": "file:///there"}, "is the file /there of the cluster")):  # fmt: skip
        other = storage(DATASETSTORAGES, "x", **spec)
        with pytest.raises(CpodError, match=why):
            dataset_stand(ask("dataset", other), MACHINE)
        assert dataset_stand(ask("dataset", other, own=other), MACHINE).name == "x"
    there["metadata"]["annotations"] = {names.ANNOTATION_SECRET: "keys"}
    with pytest.raises(CpodError, match="the Secret keys, which is not in this machine's engine"):
        dataset_stand(ask("dataset", there), MACHINE)


# ---- what is run


def test_a_job_that_passes_goes_to_the_cluster_unchanged(far: Session, near: Session) -> None:
    asked = ddp("ddp", HEEDS)
    [handle] = far.apply(asked, smoke=True)
    assert handle.namespace == far.namespace
    handle.wait(60)
    assert list(handle.logs())[-1] == "whole large"
    tried = near.find("pytorchjob/ddp-smoke")
    assert list(tried.logs())[-1] == "smoke large"
    assert [row["step"] for row in tried.snapshot().metrics] == [1, 2]
    plain = far.apply(asked)[0]
    assert plain.object["metadata"]["uid"] == handle.object["metadata"]["uid"], "without --smoke it is the same"
    assert plain.object["metadata"]["annotations"][HASH] == handle.object["metadata"]["annotations"][HASH]
    before = tried.object["metadata"]["uid"]
    far.apply(asked, smoke=True)
    assert tried.refresh().object["metadata"]["uid"] == before, "what is there already is not smoked again"
    with pytest.raises(AlreadyRun):
        far.apply(ddp("ddp", "print(1)"), smoke=True)


def test_a_job_that_fails_is_not_submitted_and_the_next_try_replaces_it(far: Session) -> None:
    bad = obj_of(CPODJOBS, "typo", image="python:3.11", command=["pyhton", "-c", "print(1)"])
    with pytest.raises(WorkFailed, match=r"(?s)the smoke of job/typo failed.*nothing was submitted") as caught:
        far.apply(bad, smoke=True)
    assert "%%cpod job typo --new" in str(caught.value)
    assert "command: [python, -c, print(1)]  # was: [pyhton, -c, print(1)]" in str(caught.value)
    with pytest.raises(NotFound):
        far.get("job", "typo")
    good = {**bad, "spec": {**bad["spec"], "command": [sys.executable, "-c", "print(1)"]}}
    [handle] = far.apply(good, smoke=True)
    assert handle.wait(60).name == "typo"


def test_a_program_that_does_not_heed_the_steps_is_ended_and_passes(session: Session, eventually: Any) -> None:
    seen: list[Snapshot] = []
    asked = ddp("on", HEEDLESS, workers=1)
    smoked = session.smoke(asked, show=seen.append)
    assert not smoked.ended
    assert "it does not heed CPOD_MAX_STEPS" in repr(smoked)
    assert smoked.losses == (3.0, 1.5)
    assert seen[-1].status.phase == "Passed"
    eventually(lambda: smoked.handle.status.phase == "Suspended", "it is ended, and keeps its record")


def test_what_this_machine_has_not_is_told_before_anything_runs(far: Session) -> None:
    unknown = obj_of(CPODJOBS, "j", image="team/train:v1", command=["python", "-V"])
    with pytest.raises(CpodError, match="cpod images map team/train:v1 PATH"):
        far.smoke(unknown)
    mounted = ddp("claims", HEEDS)
    pod = mounted["spec"]["pytorchReplicaSpecs"]["Master"]["template"]["spec"]
    pod["volumes"] = [{"name": "data", "persistentVolumeClaim": {"claimName": "corpus"}}]
    with pytest.raises(CpodError, match="uses the PersistentVolumeClaim corpus of the cluster"):
        far.smoke(mounted)
    with pytest.raises(CpodError, match="a model cannot be smoked"):
        far.smoke(obj_of(MODELSTORAGES, "m", modelname="pypi://x"))


def test_a_cpodjob_that_goes_on_is_ended_too_and_its_last_state_shown(session: Session) -> None:
    seen: list[Snapshot] = []
    asked = obj_of(CPODJOBS, "on", image="python:3.11", command=[sys.executable, "-c", HEEDLESS])
    assert not session.smoke(asked, show=seen.append).ended
    assert (seen[-1].status.phase, len(seen[-1].metrics) >= 3) == ("Passed", True)
    with pytest.raises(NotFound):
        session.get("job", "on-smoke")


def test_an_interrupt_submits_nothing_and_says_how_to_follow_the_smoke_run(far: Session, near: Session) -> None:
    def interrupt(snapshot: Snapshot) -> None:
        raise KeyboardInterrupt

    with pytest.raises(SmokeInterrupted, match="%cpod follow pytorchjob/stop-smoke --context engine"):
        smoke_all(far, [ddp("stop", HEEDLESS)], show=interrupt)
    with pytest.raises(NotFound):
        far.get("pytorchjob", "stop")
    near.delete("pytorchjob", "stop-smoke")


def test_storages_that_are_submitted_along_are_had_here_first(session: Session, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text("{}")
    text = f"""
apiVersion: cpod.cpod/v1
kind: DataSetStorage
metadata: {{name: facts}}
spec: {{datasetname: {tmp_path / "rows.jsonl"}}}
---
apiVersion: cpod.cpod/v1beta1
kind: FineTune
metadata: {{generateName: tune-}}
spec: {{model: google/gemma-2b-it, dataset: facts, hyperParameters: {{n_epochs: 1}}}}
"""
    objects = session.load(text)
    made = prepared(session, objects[1], objects)[1]
    assert [storage["spec"] for storage in made.storages] == [
        {"modelname": "random://gemma"},
        {"datasetname": f"file://{tmp_path / 'rows.jsonl'}"},
    ]
    assert made.obj["metadata"]["name"] == "tune-smoke"
    assert made.obj["spec"]["dataset"] == "tune-smoke"
    assert made.obj["spec"]["config"]["lora_target"] == "q_proj,v_proj", "as the catalogue says for the real one"


@pytest.mark.timeout(300)
def test_a_fine_tune_of_a_catalogue_model_is_smoked_with_a_tiny_one(session: Session, tmp_path: Path) -> None:
    turns = [{"role": "user", "content": WORDS[0]}, {"role": "assistant", "content": WORDS[1]}]
    (tmp_path / "rows.jsonl").write_text((json.dumps({"messages": turns}) + "\n") * 40)
    session.dataset("boat", datasetname=str(tmp_path / "rows.jsonl"))
    asked = obj_of(
        FINETUNES, "big", model="meta-llama/Llama-2-7b", dataset="boat", gpuCount=64, finetuneType="qlora",
        hyperParameters={"batch_size": "4"},
    )  # fmt: skip
    smoked = session.smoke(asked)
    assert len(smoked.losses) == 2
    told = repr(smoked)
    assert "smoke of finetune/big passed on this machine" in told
    assert "a llama of 2 layers with random weights instead of meta-llama/Llama-2-7b" in told
    assert "lora, not qlora" in told
    assert any("16 conversations; " in line and "; lora fine-tune of " in line for line in smoked.handle.logs())
    assert session.get("model", "smoke-llama").object["metadata"]["labels"][names.LABEL_SMOKE] == "true"
