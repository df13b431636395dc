"""The plan of a FineTune: made before anything is, written where a person finds it, and acted upon."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from operator_cluster import RUNNING, Cluster, unschedulable

from cpod_jupyter.api.kubeflow import LABEL_JOB_NAME
from cpod_jupyter.api.planning import ModelShape
from cpod_jupyter.api.resources import (
    CONFIGMAPS,
    CPODJOBS,
    DATASETSTORAGES,
    FINETUNES,
    JOBS,
    MODELSTORAGES,
    NODES,
    PYTORCHJOBS,
)

SPEC = {"model": "base", "dataset": "facts"}
RTX_3090 = {"nvidia.com/gpu.product": "NVIDIA-GeForce-RTX-3090", "nvidia.com/gpu.memory": "24576"}
T4 = {"nvidia.com/gpu.product": "Tesla-T4", "nvidia.com/gpu.memory": "15360"}
A100 = {"nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB", "nvidia.com/gpu.memory": "81920"}


@pytest.fixture(autouse=True)
def data(cluster: Cluster) -> None:
    """A machine without GPUs, and a dataset."""
    cluster.node("here", {"cpu": "4", "memory": "16Gi"})
    cluster.claim("facts-files")
    cluster.apply(DATASETSTORAGES, "facts", {"pvc": "facts-files"})


def model(cluster: Cluster, billions: float, name: str = "base") -> None:
    """A model whose files are there, and which is known to have so many parameters."""
    cluster.claim(f"{name}-files")
    cluster.apply(MODELSTORAGES, name, {"modeltype": "trained", "pvc": f"{name}-files"})
    cluster.set_status(MODELSTORAGES, name, {"model": shape(billions)})


def shape(billions: float) -> dict[str, Any]:
    return {**ModelShape.from_size(int(billions * 1e9)).to_status(), "approximate": False}


def gpus(cluster: Cluster, count: int, labels: dict[str, str], name: str = "gpus") -> None:
    cluster.node(name, {"cpu": "64", "memory": "1Ti", "nvidia.com/gpu": str(count)}, labels)


def data_of(cluster: Cluster, name: str = "ft") -> dict[str, str]:
    return dict(cluster.get(CONFIGMAPS, f"{name}-config")["data"])


def arguments(cluster: Cluster, name: str = "ft") -> dict[str, Any]:
    return dict(json.loads(data_of(cluster, name)["finetune.json"])["arguments"])


def test_on_a_cpu_one_process_trains_in_fp32_without_deepspeed(cluster: Cluster) -> None:
    """Faults 5 and 6 (B16)."""
    model(cluster, 0.135)
    cluster.apply(FINETUNES, "ft", SPEC)
    plan = cluster.status(FINETUNES, "ft")["plan"]
    assert (plan["device"], plan["processes"], plan["precision"]) == ("CPU", 1, "fp32")
    assert (plan["sharding"], plan["offload"], plan["fits"]) == ("none", "none", True)
    assert 0 < plan["memoryMiB"]["total"] < plan["deviceMemoryMiB"] == 16384
    assert plan["reasons"]["precision"].startswith("fp32, because")
    assert "deepspeed" not in arguments(cluster)
    assert "deepspeed.json" not in data_of(cluster)


AMX = {"feature.node.kubernetes.io/cpu-cpuid.AMXBF16": "true"}


@pytest.mark.parametrize(
    ("labels", "config", "precision", "reason"),
    [
        pytest.param(AMX, {}, "bf16", "bf16, which the CPU has a matrix unit", id="all nodes are quick in it"),
        pytest.param({}, {}, "fp32", "fp32, because the CPU is not known", id="one node may be slow in it"),
        pytest.param(AMX, {"bf16": "false"}, "fp32", "fp32, as config asks", id="config has its way"),
    ],
)
def test_on_a_cpu_the_precision_goes_by_what_its_nodes_have(
    cluster: Cluster, labels: dict[str, str], config: dict[str, str], precision: str, reason: str
) -> None:
    cluster.api.patch(NODES, "here", {"metadata": {"labels": AMX}})
    cluster.node("there", {"cpu": "4", "memory": "16Gi"}, labels)
    model(cluster, 0.135)
    cluster.apply(FINETUNES, "ft", {**SPEC, "config": config} if config else SPEC)
    plan = cluster.status(FINETUNES, "ft")["plan"]
    assert plan["precision"] == precision
    assert plan["reasons"]["precision"].startswith(reason)
    assert arguments(cluster)["bf16"] == ("true" if precision == "bf16" else "false")


@pytest.mark.parametrize("told", ["by the dataset", "by config"])
def test_preferences_are_planned_with_two_answers_at_once_and_a_frozen_copy(cluster: Cluster, told: str) -> None:
    model(cluster, 1)
    cluster.apply(FINETUNES, "plain", {**SPEC, "finetuneType": "full"})
    if told == "by the dataset":
        cluster.set_status(DATASETSTORAGES, "facts", {"examples": "preferences"})
    config = {"config": {"dataset_format": "preference"}} if told == "by config" else {}
    cluster.apply(FINETUNES, "ft", {**SPEC, **config, "finetuneType": "full"})
    plain, plan = (cluster.status(FINETUNES, name)["plan"] for name in ("plain", "ft"))
    assert plan["memoryMiB"]["weights"] == 2 * plain["memoryMiB"]["weights"]
    assert plan["memoryMiB"]["total"] > plain["memoryMiB"]["total"]
    assert "a frozen copy of the model" in plan["reasons"]["preferences"]
    assert "preferences" not in plain["reasons"]


def test_a_fine_tune_is_planned_when_its_dataset_is_there(cluster: Cluster) -> None:
    """Only then is it known what its rows are, and how much memory they take."""
    model(cluster, 0.135)
    cluster.apply(DATASETSTORAGES, "later", {"datasettype": "file", "datasetname": "/home/me/facts.jsonl"})
    cluster.apply(FINETUNES, "ft", {**SPEC, "dataset": "later"})
    assert cluster.status(FINETUNES, "ft")["phase"] == "DataPreparing"
    assert cluster.names(CPODJOBS) == []
    cluster.set_status(DATASETSTORAGES, "later", {"phase": "done", "examples": "preferences"})
    assert cluster.names(CPODJOBS) == ["ft-cpodjob"]
    assert "preferences" in cluster.status(FINETUNES, "ft")["plan"]["reasons"]


def test_memory_is_planned_by_the_longest_example_where_it_is_known(cluster: Cluster) -> None:
    model(cluster, 1)
    cluster.apply(FINETUNES, "unknown", {**SPEC, "config": {"max_length": "2048"}})
    cluster.set_status(DATASETSTORAGES, "facts", {"longest": 300})
    for name, config in (
        ("short", {"max_length": "2048"}),
        ("cut", {"max_length": "128"}),
        ("packed", {"max_length": "2048", "packing": "true"}),
    ):
        cluster.apply(FINETUNES, name, {**SPEC, "config": config})
    plans = {name: cluster.status(FINETUNES, name)["plan"] for name in ("unknown", "short", "cut", "packed")}
    assert {name: (plan["maxLength"], plan["longest"]) for name, plan in plans.items()} == {
        "unknown": (2048, 2048),
        "short": (2048, 300),
        "cut": (128, 128),
        "packed": (2048, 2048),
    }
    assert plans["cut"]["memoryMiB"]["total"] < plans["short"]["memoryMiB"]["total"]
    assert (plans["short"]["gradientCheckpointing"], plans["unknown"]["gradientCheckpointing"]) == (False, True)
    assert "at most, by its bytes" in plans["short"]["reasons"]["length"]
    assert arguments(cluster, "short")["max_length"] == "2048"


def test_what_short_rows_may_make_fit_is_not_refused_before_they_are_there(cluster: Cluster) -> None:
    model(cluster, 1)
    cluster.apply(DATASETSTORAGES, "later", {"datasettype": "file", "datasetname": "/home/me/facts.jsonl"})
    long = {"dataset": "later", "config": {"max_length": "32768", "per_device_train_batch_size": "4"}}
    for name in ("fits", "does-not"):
        cluster.apply(FINETUNES, name, {**SPEC, **long})
        assert cluster.status(FINETUNES, name)["phase"] == "DataPreparing"
        cluster.set_status(DATASETSTORAGES, "later", {"phase": "done", "longest": 200 if name == "fits" else 99_999})
        cluster.settle()
        assert (cluster.status(FINETUNES, name)["phase"] == "Failed") == (name == "does-not")
        cluster.set_status(DATASETSTORAGES, "later", {"phase": "downloading"})


def test_a_person_reads_the_plan_in_the_status_in_a_file_and_in_an_event(cluster: Cluster) -> None:
    model(cluster, 7)
    gpus(cluster, 1, RTX_3090)
    cluster.apply(FINETUNES, "ft", SPEC)
    plan = cluster.status(FINETUNES, "ft")["plan"]
    assert yaml.safe_load(data_of(cluster)["plan.yaml"]) == plan
    assert all(reason.endswith(".") for reason in plan["reasons"].values())
    assert (plan["precision"], plan["device"], plan["deviceMemoryMiB"]) == ("bf16", "NVIDIA-GeForce-RTX-3090", 24576)
    (told,) = [message for _, reason, message in cluster.events("ft") if reason == "Planned"]
    assert "bf16" in told
    assert plan["reasons"]["memory"] in told


def test_an_older_gpu_computes_in_fp16(cluster: Cluster) -> None:
    """Fault 6 (B16): half precision by what the GPU has."""
    model(cluster, 1)
    gpus(cluster, 1, T4)
    cluster.apply(FINETUNES, "ft", SPEC)
    given = arguments(cluster)
    assert (given["fp16"], given["bf16"]) == ("true", "false")


def test_zero_is_used_where_memory_asks_for_it_and_not_before(cluster: Cluster) -> None:
    """Fault 5 (B16): several GPUs alone are no reason for ZeRO-3 with everything offloaded."""
    model(cluster, 7)
    model(cluster, 0.5, "small")
    gpus(cluster, 8, A100)
    cluster.apply(FINETUNES, "small", {**SPEC, "model": "small", "finetuneType": "full", "gpuCount": 8})
    cluster.apply(FINETUNES, "ft", {**SPEC, "finetuneType": "full", "gpuCount": 8})
    small, large = (cluster.status(FINETUNES, name)["plan"] for name in ("small", "ft"))
    assert (small["sharding"], small["offload"]) == ("none", "none")
    assert large["sharding"].startswith("ZeRO-")
    assert large["offload"] == "none"
    written = json.loads(data_of(cluster)["deepspeed.json"])
    assert written["zero_optimization"]["stage"] == int(large["sharding"][-1])
    assert arguments(cluster)["deepspeed"] == written
    assert "deepspeed.json" not in data_of(cluster, "small")


def test_the_batch_that_is_asked_for_may_be_cut_but_stays_the_same_in_effect(cluster: Cluster) -> None:
    model(cluster, 7)
    gpus(cluster, 1, RTX_3090)
    cluster.apply(FINETUNES, "ft", {**SPEC, "hyperParameters": {"batch_size": "64"}, "config": {"max_length": "2048"}})
    given = arguments(cluster)
    batch, times = int(given["per_device_train_batch_size"]), int(given["gradient_accumulation_steps"])
    assert batch < 64 == batch * times


def test_what_config_sets_is_kept_before_all_else_and_the_plan_says_so(cluster: Cluster) -> None:
    model(cluster, 1)
    gpus(cluster, 1, RTX_3090)
    config = {"fp16": "true", "per_device_train_batch_size": "3", "cutoff_len": "512", "lora_target": "all"}
    cluster.apply(FINETUNES, "ft", {**SPEC, "hyperParameters": {"batch_size": "8"}, "config": config})
    given, plan = arguments(cluster), cluster.status(FINETUNES, "ft")["plan"]
    assert (given["fp16"], given["per_device_train_batch_size"], given["max_length"]) == ("true", "3", "512")
    assert given["lora_target"] == "all-linear"
    assert (plan["precision"], plan["perDeviceBatch"], plan["maxLength"]) == ("fp16", 3, 512)
    assert "fp16, lora_target, max_length, per_device_train_batch_size" in plan["reasons"]["config"]


def test_several_gpus_are_one_process_each_on_one_node(cluster: Cluster) -> None:
    """Fault 7 (B18)."""
    model(cluster, 1)
    gpus(cluster, 4, A100)
    cluster.apply(FINETUNES, "ft", {**SPEC, "gpuCount": 4})
    spec = cluster.get(CPODJOBS, "ft-cpodjob")["spec"]
    assert spec["command"] == [
        *("torchrun", "--standalone", "--nproc-per-node=4", "--max-restarts=3"),
        *("-m", "cpod_jupyter.runtime"),
    ]
    assert {"name": "TORCH_DISABLE_SHARE_RDZV_TCP_STORE", "value": "1"} in spec["env"]
    assert (spec["workerReplicas"], spec["gpuRequiredPerReplica"]) == (1, 4)
    assert cluster.get(PYTORCHJOBS, "ft-cpodjob")["spec"]["nprocPerNode"] == "4"


@pytest.mark.parametrize(
    ("per_node", "asked", "replicas", "each"),
    [
        pytest.param(8, 16, 2, 8, id="two whole nodes"),
        pytest.param(4, 6, 2, 3, id="alike on each node"),
        pytest.param(4, 5, 5, 1, id="a number that no other divides"),
    ],
)
def test_more_gpus_than_a_node_has_are_spread_over_several(
    cluster: Cluster, per_node: int, asked: int, replicas: int, each: int
) -> None:
    """B17: the processes of all pods meet through what Kubeflow tells them."""
    model(cluster, 1)
    for name in ("one", "two"):
        gpus(cluster, per_node, A100, name)
    cluster.apply(FINETUNES, "ft", {**SPEC, "gpuCount": asked})
    spec = cluster.get(CPODJOBS, "ft-cpodjob")["spec"]
    assert (spec["workerReplicas"], spec["gpuRequiredPerReplica"]) == (replicas, each)
    assert spec["command"] == ["torchrun", "-m", "cpod_jupyter.runtime"]
    job = cluster.get(PYTORCHJOBS, "ft-cpodjob")["spec"]
    assert job["elasticPolicy"]["rdzvBackend"] == "c10d"
    assert job["nprocPerNode"] == str(each)
    plan = cluster.status(FINETUNES, "ft")["plan"]
    assert (plan["replicas"], plan["processesPerReplica"], plan["processes"]) == (replicas, each, asked)


def test_of_several_types_of_gpu_the_weakest_is_reckoned_with(cluster: Cluster) -> None:
    model(cluster, 1)
    gpus(cluster, 1, A100, "new")
    gpus(cluster, 1, T4, "old")
    cluster.apply(FINETUNES, "any", SPEC)
    cluster.apply(FINETUNES, "new", {**SPEC, "gpuProduct": A100["nvidia.com/gpu.product"]})
    devices = [cluster.status(FINETUNES, name)["plan"]["deviceMemoryMiB"] for name in ("any", "new")]
    assert devices == [15360, 81920]


def test_what_clearly_does_not_fit_is_refused_with_what_would_and_makes_nothing(cluster: Cluster) -> None:
    model(cluster, 70)
    gpus(cluster, 1, RTX_3090)
    cluster.apply(FINETUNES, "ft", {**SPEC, "config": {"deepspeed": "{}"}})
    status = cluster.status(FINETUNES, "ft")
    assert status["phase"] == "Failed"
    assert "It does not fit" in status["failureMessage"]
    assert status["plan"]["advice"]
    assert status["plan"]["advice"][0] in status["failureMessage"]
    assert cluster.names(CPODJOBS) == cluster.names(CONFIGMAPS) == []

    # Whoever knows better insists.
    cluster.api.patch(FINETUNES, "ft", {"metadata": {"annotations": {"cpod.cpod/force": "true"}}}, "default")
    cluster.settle()
    assert cluster.status(FINETUNES, "ft")["phase"] == "DataPreparing"
    assert any(reason == "DoesNotFit" for _, reason, _ in cluster.events("ft"))
    cluster.end(PYTORCHJOBS, "ft-cpodjob", "Failed", "out of memory")
    assert cluster.status(FINETUNES, "ft")["failureMessage"] == "out of memory"


def test_the_plan_waits_for_the_files_that_tell_how_large_the_model_is(cluster: Cluster) -> None:
    gpus(cluster, 1, RTX_3090)
    cluster.apply(MODELSTORAGES, "base", {"modelname": "hf://org/something-7b"})
    cluster.apply(FINETUNES, "ft", SPEC)
    status = cluster.status(FINETUNES, "ft")
    assert (status["phase"], status["plan"]["precision"]) == ("DataPreparing", "bf16")
    assert "about" in status["plan"]["reasons"]["memory"]
    assert cluster.names(CPODJOBS) == cluster.names(CONFIGMAPS) == []

    cluster.set_status(MODELSTORAGES, "base", {"model": shape(7.5)})
    cluster.end(JOBS, "model-base", "Complete")
    assert cluster.status(MODELSTORAGES, "base")["phase"] == "done"
    assert cluster.exists(CPODJOBS, "ft-cpodjob")
    assert "about" not in cluster.status(FINETUNES, "ft")["plan"]["reasons"]["memory"]


def test_a_model_of_unknown_size_is_trained_with_the_trainers_defaults(cluster: Cluster) -> None:
    cluster.claim("base-files")
    cluster.apply(MODELSTORAGES, "base", {"pvc": "base-files"})
    cluster.apply(FINETUNES, "ft", SPEC)
    assert "plan" not in cluster.status(FINETUNES, "ft")
    assert list(data_of(cluster)) == ["finetune.json"]
    assert [reason for _, reason, _ in cluster.events("ft") if reason == "NotPlanned"]
    assert cluster.exists(PYTORCHJOBS, "ft-cpodjob")


def test_a_plan_whose_telling_was_lost_is_told_by_the_next_look(cluster: Cluster) -> None:
    model(cluster, 1)
    cluster.apply(FINETUNES, "ft", SPEC)
    plan = cluster.status(FINETUNES, "ft")["plan"]
    cluster.api.patch(FINETUNES, "ft", {"status": {"plan": None, "phase": None}}, "default", subresource="status")
    cluster.settle()
    assert cluster.status(FINETUNES, "ft")["plan"] == plan


def test_the_claims_have_room_for_the_result_and_two_checkpoints(cluster: Cluster) -> None:
    """B8: the size of the model decides."""
    model(cluster, 7)
    gpus(cluster, 8, A100)
    cluster.apply(FINETUNES, "ft", {**SPEC, "finetuneType": "full", "gpuCount": 8})
    spec = cluster.get(CPODJOBS, "ft-cpodjob")["spec"]
    assert spec["ckptVolumeSize"] > 2 * 12 * 7e9 / 2**20
    assert spec["modelSaveVolumeSize"] >= 30720


def test_qlora_waits_for_a_gpu_that_it_asks_for(cluster: Cluster) -> None:
    model(cluster, 1)
    cluster.apply(FINETUNES, "ft", {**SPEC, "finetuneType": "qlora", "gpuCount": 1})
    sentence = "0/1 nodes are available: 1 Insufficient nvidia.com/gpu."
    cluster.pod(cluster.get(PYTORCHJOBS, "ft-cpodjob"), LABEL_JOB_NAME, unschedulable(sentence))
    assert cluster.status(FINETUNES, "ft")["phase"] == "Pending"
    assert cluster.status(FINETUNES, "ft")["plan"]["finetuneType"] == "qlora"


def test_the_plan_stays_as_it_was_while_the_training_runs(cluster: Cluster) -> None:
    model(cluster, 1)
    cluster.apply(FINETUNES, "ft", SPEC)
    plan = cluster.status(FINETUNES, "ft")["plan"]
    cluster.pod(cluster.get(PYTORCHJOBS, "ft-cpodjob"), LABEL_JOB_NAME, RUNNING)
    gpus(cluster, 8, A100)
    assert cluster.status(FINETUNES, "ft")["plan"] == plan
