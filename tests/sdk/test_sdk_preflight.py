"""A verdict before submission: on a real engine, and on facts of a cluster with GPUs, which no test machine has."""

from __future__ import annotations

import dataclasses
import json
import time
from pathlib import Path
from typing import Any

import pytest

from cpod_jupyter.api.resources import CPODJOBS, FINETUNES, MODELSTORAGES, NODES, PODS, Object
from cpod_jupyter.errors import PreflightFailed
from cpod_jupyter.sdk import Session
from cpod_jupyter.sdk.preflight.facts import Data, Facts, Speed
from cpod_jupyter.sdk.preflight.rules import judge
from cpod_jupyter.sdk.preflight.verdict import Verdict

LLAMA_2_7B = {
    "parameters": 6_738_415_616, "layers": 32, "hiddenSize": 4096, "intermediateSize": 11008, "attentionHeads": 32,
    "kvHeads": 32, "headDim": 128, "vocabSize": 32000, "dtypeBytes": 2, "maxPositions": 4096, "modelType": "llama",
}  # fmt: skip


def finetune(**spec: Any) -> Object:
    spec = {"model": "llama", "dataset": "facts", **spec}
    metadata = {"name": "f", "namespace": "default"}
    return {"apiVersion": FINETUNES.api_version, "kind": FINETUNES.kind, "metadata": metadata, "spec": spec}


def job(**spec: Any) -> Object:
    metadata = {"name": "j", "namespace": "default"}
    content = {"image": "python:3.11", "command": ["true"], **spec}
    return {"apiVersion": CPODJOBS.api_version, "kind": CPODJOBS.kind, "metadata": metadata, "spec": content}


def node(name: str, gpus: int, product: str = "NVIDIA-GeForce-RTX-3090") -> Object:
    allocatable = {"cpu": "64", "memory": "256Gi", "nvidia.com/gpu": str(gpus)}
    labels = {"nvidia.com/gpu.product": product}
    return {
        "kind": NODES.kind,
        "metadata": {"name": name, "labels": labels},
        "spec": {},
        "status": {"allocatable": allocatable},
    }


def gpu_pod(name: str, gpus: int, on: str = "") -> Object:
    container = {"resources": {"limits": {"nvidia.com/gpu": str(gpus)}}}
    spec: dict[str, Any] = {"containers": [container], **({"nodeName": on} if on else {})}
    return {"kind": PODS.kind, "metadata": {"name": name, "namespace": "other"}, "spec": spec, "status": {}}


def llama(phase: str = "done") -> Object:
    spec = {"modeltype": "huggingface", "modelname": "meta-llama/Llama-2-7b-hf"}
    return {
        "apiVersion": MODELSTORAGES.api_version,
        "kind": MODELSTORAGES.kind,
        "metadata": {"name": "llama"},
        "spec": spec,
        "status": {"phase": phase, "model": LLAMA_2_7B},
    }


def told(verdict: Verdict, about: str, level: str) -> str:
    return "\n".join(item.sentence for item in verdict.findings if (item.about, item.level) == (about, level))


def on_gpus(obj: Object, *nodes: Object, pods: tuple[Object, ...] = ()) -> Facts:
    resource = FINETUNES if obj["kind"] == FINETUNES.kind else CPODJOBS
    return Facts(resource=resource, obj=obj, models=[llama()], nodes=nodes, pods=pods)


def test_a_name_that_is_nearly_right_is_an_error_that_names_the_right_one(session: Session, tmp_path: Path) -> None:
    (tmp_path / "facts.jsonl").write_text(json.dumps({"prompt": "Who?", "completion": "Me."}) + "\n")
    session.dataset("capitals", datasetname=str(tmp_path / "facts.jsonl"))
    obj = finetune(dataset="capitols")
    obj["metadata"]["namespace"] = session.namespace
    verdict = session.preflight(obj)
    assert not verdict.ok
    assert 'did you mean "capitals"?' in told(verdict, "dataset", "error")
    assert 'no model "llama"' in told(verdict, "model", "error")
    with pytest.raises(PreflightFailed, match="capitols") as failed:
        verdict.check()
    assert len(failed.value.problems) == len(verdict.errors)
    assert [handle.name for handle in session.list("finetune")] == []


def test_bad_rows_of_a_file_are_named_before_anything_runs(session: Session, tmp_path: Path) -> None:
    data = tmp_path / "train.jsonl"
    rows = [json.dumps({"prompt": "Who rows?", "completion": "She does."}), '{"prompt": "only"}', "no json"]
    data.write_text("\n".join(rows) + "\n")
    session.dataset("rows", datasetname=str(data))
    obj = finetune(dataset="rows")
    obj["metadata"]["namespace"] = session.namespace
    verdict = session.preflight(obj)
    said = told(verdict, "data", "error")
    assert "2 of 3 rows are wrong" in said
    assert "train.jsonl row 2: `completion` is missing or not a text" in said
    assert "train.jsonl row 3: invalid JSON" in said


def test_a_secret_that_is_not_there_and_gpus_that_no_node_has_are_errors(session: Session) -> None:
    token = {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "mine", "key": "token"}}}
    obj = job(env=[token], gpuRequiredPerReplica=64)
    obj["metadata"]["namespace"] = session.namespace
    verdict = session.preflight(obj)
    assert "no Secret mine" in told(verdict, "secrets", "error")
    assert "no node could ever run it" in told(verdict, "GPUs", "error")


def test_what_the_server_refuses_is_in_the_verdict(session: Session) -> None:
    obj = job(workerReplicas=-1)
    obj["metadata"]["namespace"] = session.namespace
    assert "workerReplicas" in told(session.preflight(obj), "server", "error")


def test_a_small_job_is_judged_before_a_person_notices(session: Session) -> None:
    obj = job()
    obj["metadata"]["namespace"] = session.namespace
    assert session.preflight(obj).ok
    taken = []
    for _ in range(5):
        began = time.perf_counter()
        session.preflight(obj)
        taken.append(time.perf_counter() - began)
    print(f"preflight of a small job: best {min(taken) * 1000:.0f} ms, worst {max(taken) * 1000:.0f} ms")
    assert min(taken) < 0.15


def test_more_gpus_than_are_free_wait_behind_those_before_and_are_told_who_holds_them() -> None:
    pods = (gpu_pod("theirs", 3, on="a"), gpu_pod("first", 2), gpu_pod("second", 4))
    verdict = judge(on_gpus(job(gpuRequiredPerReplica=2), node("a", 4), pods=pods))
    assert verdict.ok
    said = told(verdict, "GPUs", "warning")
    assert "behind 2 pods" in said
    assert "held by other/theirs (3)" in said
    assert told(judge(on_gpus(job(gpuRequiredPerReplica=2), node("a", 4))), "GPUs", "note") == "2 are free for it now"


def test_pods_that_each_fit_but_never_together_are_an_error() -> None:
    verdict = judge(on_gpus(job(workerReplicas=3, gpuRequiredPerReplica=4, jobType="pytorch"), node("a", 8)))
    assert "all nodes have 8" in told(verdict, "GPUs", "error")


@pytest.mark.parametrize("kind", ["full", "lora"])
def test_the_setting_that_is_said_to_fit_does(kind: str) -> None:
    config = {"per_device_train_batch_size": "512", "gradient_accumulation_steps": "1", "max_length": "4096"}
    facts = on_gpus(finetune(finetuneType=kind, config=config, gpuCount=1), node("a", 1))
    verdict = judge(facts)
    said = "\n".join(item.sentence for item in verdict.findings if item.about == "memory")
    assert not told(verdict, "memory", "note")
    assert "What fits: write " in said, said
    first = said.split("What fits: write ")[1].split("; or ")[0]
    pairs = [part.split(": ") for part in first.replace(" and ", ", ").split(", ")]
    spec = json.loads(json.dumps(facts.obj["spec"]))
    for field, value in pairs:
        outer, _, inner = field.partition(".")
        if inner:
            spec.setdefault(outer, {})[inner] = value
        else:
            spec[outer] = value
        if inner == "batch_size":
            del spec["config"]["per_device_train_batch_size"]
    again = judge(dataclasses.replace(facts, obj={**facts.obj, "spec": spec}))
    assert told(again, "memory", "note"), again


def test_the_rows_of_preferences_are_planned_as_such() -> None:
    facts = on_gpus(finetune(finetuneType="full", gpuCount=8), node("one", 8, "NVIDIA-A100-SXM4-80GB"))
    datasets: list[Object] = [{"metadata": {"name": "facts"}, "spec": {}, "status": {}}]
    known = [
        dataclasses.replace(facts, datasets=datasets, data=Data(rows=10, tokens=1000, examples=examples))
        for examples in ("conversations", "preferences")
    ]
    needs = [int(told(judge(each), "memory", "note").split()[1]) for each in known]
    assert needs[1] > needs[0]


def test_memory_is_foretold_by_the_longest_row_that_was_read_here() -> None:
    facts = on_gpus(finetune(gpuCount=1), node("one", 1, "NVIDIA-A100-SXM4-80GB"))
    datasets: list[Object] = [{"metadata": {"name": "facts"}, "spec": {}, "status": {}}]
    known = [
        dataclasses.replace(facts, datasets=datasets, data=Data(rows=10, tokens=1000, longest=longest))
        for longest in (0, 1024, 200)
    ]
    needs = [int(told(judge(each), "memory", "note").split()[1]) for each in known]
    assert needs[2] < needs[1] == needs[0]


def test_a_time_is_told_only_where_an_earlier_run_gives_a_speed() -> None:
    facts = dataclasses.replace(
        on_gpus(finetune(hyperParameters={"n_epochs": "2"}), node("a", 1)), data=Data(100, 60_000)
    )
    assert "not known" in told(judge(facts), "time", "note")
    known = dataclasses.replace(facts, speed=Speed(1000.0, "finetune/before"))
    said = told(judge(known), "time", "note")
    assert said.startswith("about 2 min of training: 60000 tokens x 2 epochs at 1000 tokens/s")
    assert "finetune/before" in said


def test_a_verdict_shows_itself_as_text_and_as_html_and_to_programs() -> None:
    verdict = judge(on_gpus(job(gpuRequiredPerReplica=9), node("a", 4)))
    shown = verdict._repr_mimebundle_()
    assert "preflight of job/j: it cannot work as it is" in shown["text/plain"]
    assert "no node could ever run it" in shown["text/html"]
    assert verdict.to_dict()["ok"] is False
    assert json.loads(json.dumps(verdict.to_dict()))["findings"][0]["level"] == "error"
