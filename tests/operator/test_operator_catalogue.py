"""The ConfigMap that extends the catalogue of base models."""

from __future__ import annotations

import json
from typing import Any

import pytest
from operator_cluster import Cluster

from cpod_jupyter.api.catalog import CATALOG
from cpod_jupyter.api.resources import (
    CONFIGMAPS,
    CPODJOBS,
    DATASETSTORAGES,
    EVENTS,
    FINETUNES,
    JOBS,
    MODELSTORAGES,
    NODES,
)
from cpod_jupyter.operator.catalogue import catalogue

SPEC = {"model": "team/base", "dataset": "facts"}


@pytest.fixture(autouse=True)
def data(cluster: Cluster) -> None:
    cluster.node("here", {"cpu": "4"})
    cluster.claim("facts-files")
    cluster.apply(DATASETSTORAGES, "facts", {"pvc": "facts-files"})


def support(cluster: Cluster, *entries: Any) -> None:
    """Put these entries into the ConfigMap, and let the operator do what it does about it."""
    data = {"models": json.dumps(entries)}
    metadata = {"name": "support-models", "namespace": "public"}
    made = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
    if any(each["metadata"]["name"] == "support-models" for each in cluster.api.list(CONFIGMAPS, "public").items):
        cluster.api.patch(CONFIGMAPS, "support-models", {"data": data}, "public")
    else:
        cluster.api.create(CONFIGMAPS, made)
    cluster.settle()


def told(cluster: Cluster) -> list[tuple[str, str, int]]:
    """Reason, message and count of the warnings on the ConfigMap."""
    events = cluster.api.list(EVENTS, "public").items
    return [(event["reason"], event["message"], event["count"]) for event in events if event["type"] == "Warning"]


def arguments(cluster: Cluster, name: str) -> dict[str, Any]:
    return dict(json.loads(cluster.get(CONFIGMAPS, f"{name}-config")["data"]["finetune.json"])["arguments"])


def test_a_model_of_the_config_map_is_fetched_and_trained_as_it_says(cluster: Cluster) -> None:
    """B10: the ConfigMap counts."""
    target, storage = {"LoRATarget": "qkv", "parameters": 10**9}, "team-base"
    support(cluster, {"Name": "team/base", "ModelStorageName": storage, "source": "s3://models/base", **target})
    cluster.apply(FINETUNES, "ft", SPEC)
    cluster.apply(FINETUNES, "own", {**SPEC, "config": {"lora_target": "o_proj"}})
    spec = cluster.get(MODELSTORAGES, storage)["spec"]
    assert (spec["modeltype"], spec["modelname"], spec["category"]) == ("s3", "s3://models/base", "Chat")
    cluster.end(JOBS, f"model-{storage}", "Complete")
    assert cluster.get(CPODJOBS, "ft-cpodjob")["spec"]["pretrainModelName"] == storage
    assert (arguments(cluster, "ft")["lora_target"], arguments(cluster, "own")["lora_target"]) == ("qkv", "o_proj")


def test_a_bad_entry_is_a_warning_on_the_config_map_once_and_the_good_ones_work(cluster: Cluster) -> None:
    support(cluster, {"Name": "team/base"}, {"Name": "team/other", "Temperature": 1})
    assert [model.name for model in catalogue(cluster.api, cluster.settings)][:2] == ["team/base", CATALOG[0].name]
    [(reason, message, count)] = told(cluster)
    assert (reason, count) == ("BadModel", 1)
    assert message.startswith("entry 2 of models is left out: 'Temperature' is not a field of a model")
    support(cluster, {"Name": "team/base"})
    cluster.apply(FINETUNES, "ft", SPEC)
    assert cluster.status(FINETUNES, "ft")["phase"] == "DataPreparing"
    assert [entry[2] for entry in told(cluster)] == [1]


def test_the_type_of_gpu_that_the_catalogue_names_is_taken_where_there_is_one(cluster: Cluster) -> None:
    for name, product in (("a", "NVIDIA-A100-SXM4-80GB"), ("b", "NVIDIA-L4")):
        cluster.node(name, {"cpu": "64", "nvidia.com/gpu": "1"}, {"nvidia.com/gpu.product": product})
    entry = {"Name": "team/base", "ModelStorageName": "team-base", "parameters": 10**9}
    cluster.claim("team-files")
    cluster.apply(MODELSTORAGES, "team-base", {"pvc": "team-files"})
    support(cluster, {**entry, "RequireGPUType": "NVIDIA-L4", "Image": "registry/llamafactory:v2"})
    cluster.apply(FINETUNES, "there", SPEC)
    support(cluster, {**entry, "RequireGPUType": "NVIDIA-B200"})
    cluster.apply(FINETUNES, "elsewhere", SPEC)
    types = [cluster.get(CPODJOBS, f"{name}-cpodjob")["spec"].get("gpuType") for name in ("there", "elsewhere")]
    assert types == ["NVIDIA-L4", ""]
    assert {"GpuTypeChosen", "ImageNotUsed"} <= {reason for _, reason, _ in cluster.events("there")}


def test_a_storage_that_the_catalogue_names_and_nobody_has_is_said(cluster: Cluster) -> None:
    support(cluster, {"Name": "team/base", "ModelStorageName": "team-base"})
    cluster.apply(FINETUNES, "ft", SPEC)
    status = cluster.status(FINETUNES, "ft")
    assert status["phase"] == "Failed"
    assert "'team-base'" in status["failureMessage"]
    assert "which the catalogue names for 'team/base'" in status["failureMessage"]


def test_what_waits_for_a_node_looks_at_the_catalogue_again(cluster: Cluster) -> None:
    entry = {"Name": "team/base", "source": "hf://team/base"}
    support(cluster, entry)
    cluster.apply(FINETUNES, "ft", {**SPEC, "gpuCount": 1})
    assert cluster.status(FINETUNES, "ft")["phase"] == "Pending"
    assert "plan" not in cluster.status(FINETUNES, "ft")
    support(cluster, {**entry, "parameters": 10**9})
    assert cluster.status(FINETUNES, "ft")["plan"]["finetuneType"] == "lora"
    cluster.api.patch(NODES, "here", {"status": {"allocatable": {"nvidia.com/gpu": "1"}}}, subresource="status")
    cluster.settle()
    assert cluster.status(FINETUNES, "ft")["phase"] == "DataPreparing"
