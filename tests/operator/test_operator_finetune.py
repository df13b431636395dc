"""FineTune."""

from __future__ import annotations

import json
from typing import Any

import pytest
from operator_cluster import RUNNING, Cluster, terminated, unschedulable

from cpod_jupyter.api.catalog import find_model
from cpod_jupyter.api.kubeflow import LABEL_JOB_NAME
from cpod_jupyter.api.names import LABEL_JOB
from cpod_jupyter.api.resources import (
    CONFIGMAPS,
    CPODJOBS,
    DATASETSTORAGES,
    FINETUNES,
    JOBS,
    MODELSTORAGES,
    PVCS,
    PYTORCHJOBS,
)
from cpod_jupyter.errors import Invalid

SPEC = {"model": "smol", "dataset": "facts"}
GPU_NODE = {"cpu": "64", "nvidia.com/gpu": "2"}
RTX = {"nvidia.com/gpu.product": "NVIDIA-GeForce-RTX-3090"}


@pytest.fixture(autouse=True)
def data(cluster: Cluster) -> None:
    """A machine without GPUs, a model and a dataset that are ready."""
    cluster.node("here", {"cpu": "4"})
    for name in ("smol", "facts"):
        cluster.claim(f"{name}-files")
    cluster.apply(MODELSTORAGES, "smol", {"modeltype": "trained", "pvc": "smol-files"})
    cluster.apply(DATASETSTORAGES, "facts", {"pvc": "facts-files"})


def config(cluster: Cluster, name: str) -> dict[str, Any]:
    return dict(json.loads(cluster.get(CONFIGMAPS, f"{name}-config")["data"]["finetune.json"]))


def assert_refused(cluster: Cluster, name: str, *words: str) -> None:
    """Failed at once, with a message and a warning, and nothing was made."""
    status = cluster.status(FINETUNES, name)
    assert status["phase"] == "Failed"
    for word in words:
        assert word in status["failureMessage"]
    assert ("Warning", "Failed", status["failureMessage"]) in cluster.events(name)
    assert cluster.names(CPODJOBS) == cluster.names(JOBS) == cluster.names(CONFIGMAPS) == []


def test_it_becomes_a_cpodjob_with_its_configuration_in_a_file(cluster: Cluster) -> None:
    hyper = {"n_epochs": "3", "batch_size": "4", "learning_rate_multiplier": "5e-5"}
    cluster.apply(FINETUNES, "ft", {**SPEC, "hyperParameters": hyper, "config": {"lora_rank": "8"}})

    assert config(cluster, "ft") == {
        "finetuneType": "lora",
        "autoMerge": True,
        "arguments": {
            "num_train_epochs": 3.0,
            "per_device_train_batch_size": 4,
            "learning_rate": 5e-5,
            "lora_rank": "8",
        },
    }
    spec = cluster.get(CPODJOBS, "ft-cpodjob")["spec"]
    assert spec["command"] == ["python", "-m", "cpod_jupyter.runtime"]
    assert spec["args"] == [
        "train",
        *("--config", "/etc/cpod/finetune.json"),
        *("--model", "/data/model", "--dataset", "/data/dataset"),
        *("--output", "/data/save", "--checkpoints", "/data/ckpt"),
    ]
    pod = cluster.get(PYTORCHJOBS, "ft-cpodjob")["spec"]["pytorchReplicaSpecs"]["Worker"]["template"]["spec"]
    mounts = {mount["name"]: mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}
    assert mounts == {
        "pretrain-model": "/data/model",
        "dataset": "/data/dataset",
        "ckpt": "/data/ckpt",
        "modelsave": "/data/save",
        "config": "/etc/cpod",
    }
    assert "nodeSelector" not in pod
    assert "resources" not in pod["containers"][0]


def test_a_value_that_would_be_shell_code_stays_a_value(cluster: Cluster) -> None:
    """Fault 3 (B21)."""
    evil = "$(touch /tmp/x); rm -rf /"
    cluster.apply(FINETUNES, "ft", {**SPEC, "config": {"run_name": evil}})
    assert config(cluster, "ft")["arguments"]["run_name"] == evil
    assert evil not in json.dumps(cluster.get(PYTORCHJOBS, "ft-cpodjob"))


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        pytest.param("lora", "lora", id="lora"),
        pytest.param("", "lora", id="lora when it is empty"),
        pytest.param("qlora", "qlora", id="qlora"),
        pytest.param("pt", "full", id="pt means full"),
        pytest.param("full", "full", id="full"),
    ],
)
def test_fine_tune_types_are_three(cluster: Cluster, given: str, kind: str) -> None:
    cluster.node("gpus", GPU_NODE)
    cluster.apply(FINETUNES, "ft", {**SPEC, "finetuneType": given, "autoMerge": False})
    assert (config(cluster, "ft")["finetuneType"], config(cluster, "ft")["autoMerge"]) == (kind, False)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param({"model": "smoll"}, ("'smoll'", "there are: smol", "`%%cpod model smoll`"), id="unknown model"),
        pytest.param({"dataset": "fact"}, ("'fact'", "there are: facts", "`%%cpod dataset fact`"), id="no dataset"),
        pytest.param({"hyperParameters": {"epochs": "3"}}, ("epochs", "n_epochs"), id="unknown hyperparameter"),
        pytest.param({"config": {"lora_rnk": "8"}}, ("spec.config.lora_rnk", '"lora_rank"'), id="unknown argument"),
        pytest.param({"config": {"max_steps": "few"}}, ("max_steps", "a whole number"), id="argument of another type"),
        pytest.param(
            {"config": {"a": "1", "output_dir": "/"}}, ("config.a", "config.output_dir"), id="several at once"
        ),
        pytest.param({"finetuneType": "full", "config": {"lora_rank": "8"}}, ("lora_rank",), id="for adapters only"),
        pytest.param({"finetuneType": "qlora"}, ("qlora", "takes a GPU"), id="qlora without GPUs"),
        pytest.param({"hyperParameters": {"n_epochs": "many"}}, ("n_epochs", "many"), id="not a number"),
        pytest.param({"upload": True}, ("nowhere is said where to",), id="upload to nowhere"),
        pytest.param({"datasetIsPublic": True}, ("'facts'", "namespace 'public'"), id="no public dataset"),
    ],
)
def test_what_cannot_work_fails_at_once(cluster: Cluster, change: dict[str, Any], words: tuple[str, ...]) -> None:
    """Faults 1 and 2 (B3, B9): nothing is dropped in silence, be it the whole FineTune or one value."""
    cluster.apply(FINETUNES, "ft", {**SPEC, **change})
    assert_refused(cluster, "ft", *words)


def test_a_broken_dataset_passes_its_message_on(cluster: Cluster) -> None:
    cluster.apply(DATASETSTORAGES, "broken", {"datasetname": "gopher://hole"})
    cluster.apply(FINETUNES, "ft", {**SPEC, "dataset": "broken"})
    assert_refused(cluster, "ft", "DataSetStorage 'broken' failed", "gopher")


def test_an_adapter_is_no_base_model(cluster: Cluster) -> None:
    cluster.apply(MODELSTORAGES, "adapter", {"pvc": "smol-files", "isloraadapter": True})
    cluster.apply(FINETUNES, "ft", {**SPEC, "model": "adapter"})
    assert_refused(cluster, "ft", "is a LoRA adapter")


def test_failed_is_final_until_the_spec_is_edited(cluster: Cluster) -> None:
    cluster.apply(FINETUNES, "ft", {**SPEC, "dataset": "later"})
    cluster.apply(DATASETSTORAGES, "later", {"pvc": "facts-files"})
    assert cluster.status(FINETUNES, "ft")["phase"] == "Failed"

    cluster.edit(FINETUNES, "ft", {"hyperParameters": {"n_epochs": "1"}})
    status = cluster.status(FINETUNES, "ft")
    assert (status["phase"], status["failureMessage"], status["observedGeneration"]) == ("DataPreparing", "", 2)


def test_the_phases_follow_the_training_to_a_result_that_exists(cluster: Cluster) -> None:
    cluster.apply(FINETUNES, "ft", SPEC)
    assert cluster.status(FINETUNES, "ft")["phase"] == "DataPreparing"
    job = cluster.get(PYTORCHJOBS, "ft-cpodjob")
    cluster.pod(job, LABEL_JOB_NAME, RUNNING, "worker")
    assert cluster.status(FINETUNES, "ft")["phase"] == "Running"
    assert not cluster.status(FINETUNES, "ft").get("modelStorage")

    cluster.pod(job, LABEL_JOB_NAME, terminated(json.dumps({"size": 7, "adapter": False}), 0), "done")
    cluster.end(PYTORCHJOBS, "ft-cpodjob", "Succeeded")
    status = cluster.status(FINETUNES, "ft")
    assert (status["phase"], status["modelStorage"]) == ("Succeeded", "ft-cpodjob-modelsavestorage")
    storage = cluster.get(MODELSTORAGES, status["modelStorage"])
    assert storage["status"]["phase"] == "done"
    assert storage["metadata"]["annotations"]["cpod.cpod/modelstorageName"] == "ft"
    assert [reason for _, reason, _ in cluster.events("ft") if reason in ("Running", "Succeeded")]


def test_the_result_survives_the_fine_tune(cluster: Cluster) -> None:
    cluster.apply(FINETUNES, "ft", SPEC)
    cluster.end(PYTORCHJOBS, "ft-cpodjob", "Succeeded")
    cluster.api.delete(FINETUNES, "ft", "default")
    cluster.until(lambda: not cluster.exists(PVCS, "ft-cpodjob-ckpt"))
    assert cluster.exists(PVCS, "ft-cpodjob-modelsave-pvc")
    assert cluster.exists(MODELSTORAGES, "ft-cpodjob-modelsavestorage")


def test_the_results_files_go_with_its_storage_and_the_name_is_free_again(cluster: Cluster) -> None:
    cluster.apply(FINETUNES, "ft", SPEC)
    cluster.end(PYTORCHJOBS, "ft-cpodjob", "Succeeded")
    cluster.api.delete(FINETUNES, "ft", "default")
    cluster.until(lambda: not cluster.exists(PVCS, "ft-cpodjob-ckpt"))
    cluster.api.delete(MODELSTORAGES, "ft-cpodjob-modelsavestorage", "default")
    cluster.until(lambda: not cluster.exists(PVCS, "ft-cpodjob-modelsave-pvc"))
    cluster.apply(FINETUNES, "ft", SPEC)
    cluster.end(PYTORCHJOBS, "ft-cpodjob", "Succeeded")
    assert cluster.status(FINETUNES, "ft")["phase"] == "Succeeded"


def uploading(cluster: Cluster) -> None:
    """A FineTune `ft` whose model is trained, and is being uploaded."""
    metadata = {"cpod.cpod/upload-to": "s3://bucket/ft", "cpod.cpod/secret": "keys"}
    cluster.apply(FINETUNES, "ft", {**SPEC, "upload": True}, metadata)
    cluster.pod(cluster.get(PYTORCHJOBS, "ft-cpodjob"), LABEL_JOB_NAME, terminated(json.dumps({"size": 7}), 0))
    cluster.end(PYTORCHJOBS, "ft-cpodjob", "Succeeded")


def test_it_succeeds_once_the_result_is_uploaded_too(cluster: Cluster) -> None:
    uploading(cluster)
    status = cluster.status(FINETUNES, "ft")
    assert (status["phase"], status["modelStorage"]) == ("Running", "ft-cpodjob-modelsavestorage")
    pod = cluster.get(JOBS, "ft-cpodjob-upload")["spec"]["template"]["spec"]["containers"][0]
    assert "s3://bucket/ft" in pod["args"]
    assert pod["envFrom"] == [{"secretRef": {"name": "keys"}}]
    cluster.end(JOBS, "ft-cpodjob-upload", "Complete")
    status = cluster.status(FINETUNES, "ft")
    assert (status["phase"], status["failureMessage"]) == ("Succeeded", "")


def test_a_failed_upload_is_told_of_and_leaves_the_result_and_the_end(cluster: Cluster) -> None:
    """Fault 13 (B26): never without an end."""
    uploading(cluster)
    cluster.pod(cluster.get(JOBS, "ft-cpodjob-upload"), LABEL_JOB, terminated("403 from the store", 1), "up")
    cluster.end(JOBS, "ft-cpodjob-upload", "Failed")
    status = cluster.status(FINETUNES, "ft")
    assert (status["phase"], status["modelStorage"]) == ("Succeeded", "ft-cpodjob-modelsavestorage")
    assert "403 from the store" in status["failureMessage"]
    assert ("Warning", "NotUploaded", status["failureMessage"]) in cluster.events("ft")

    # Tried again, as the message says; and when the CPodJob goes, nothing begins anew.
    cluster.api.delete(JOBS, "ft-cpodjob-upload", "default")
    cluster.until(lambda: cluster.exists(JOBS, "ft-cpodjob-upload"))
    cluster.end(JOBS, "ft-cpodjob-upload", "Complete")
    status = cluster.status(FINETUNES, "ft")
    assert (status["phase"], status["failureMessage"]) == ("Succeeded", "")
    cluster.api.delete(CPODJOBS, "ft-cpodjob", "default")
    cluster.settle()
    assert (cluster.status(FINETUNES, "ft")["phase"], cluster.names(CPODJOBS)) == ("Succeeded", [])


@pytest.mark.parametrize(
    ("auto_merge", "adapter"), [pytest.param(True, False, id="merged"), pytest.param(False, True, id="kept apart")]
)
def test_the_result_says_what_it_is_and_comes_from(cluster: Cluster, auto_merge: bool, adapter: bool) -> None:
    """Fault 17 (B4, B5, B6): by what the trainer left, under a name that exists and stays the same."""
    cluster.edit(MODELSTORAGES, "smol", {"template": "chatml", "category": "Chat"})
    cluster.apply(FINETUNES, "ft", {**SPEC, "autoMerge": auto_merge})
    outcome = json.dumps({"size": 7, "adapter": adapter})
    cluster.pod(cluster.get(PYTORCHJOBS, "ft-cpodjob"), LABEL_JOB_NAME, terminated(outcome, 0))
    cluster.end(PYTORCHJOBS, "ft-cpodjob", "Succeeded")
    storage = cluster.get(MODELSTORAGES, cluster.status(FINETUNES, "ft")["modelStorage"])
    kept = {key: storage["spec"].get(key, False) for key in ("isloraadapter", "template", "category", "modelname")}
    assert kept == {"isloraadapter": adapter, "template": "chatml", "category": "Chat", "modelname": "ft"}
    annotations = storage["metadata"]["annotations"]
    assert annotations["cpod.cpod/baseModelstorageName"] == "smol"
    assert annotations["cpod.cpod/cpod-finetune-id"] == "ft"


def test_a_failed_training_gives_the_trainers_own_words_and_no_result(cluster: Cluster) -> None:
    """Fault 13 (B1, B7): a failed training is a failure, and publishes nothing."""
    cluster.apply(FINETUNES, "ft", SPEC)
    worker = cluster.get(PYTORCHJOBS, "ft-cpodjob")["spec"]["pytorchReplicaSpecs"]["Worker"]
    assert worker["restartPolicy"] == "ExitCode", "only what was killed is tried again"
    cluster.pod(cluster.get(PYTORCHJOBS, "ft-cpodjob"), LABEL_JOB_NAME, terminated("lora_rnk is not an argument", 1))
    cluster.end(PYTORCHJOBS, "ft-cpodjob", "Failed", "PyTorchJob ft-cpodjob is failed")
    status = cluster.status(FINETUNES, "ft")
    assert (status["phase"], status["failureMessage"]) == ("Failed", "lora_rnk is not an argument")
    assert not status.get("modelStorage")
    assert cluster.names(MODELSTORAGES) == ["smol"]


def test_an_edit_after_a_failure_trains_anew(cluster: Cluster) -> None:
    cluster.apply(FINETUNES, "ft", SPEC)
    cluster.end(PYTORCHJOBS, "ft-cpodjob", "Failed", "no")
    old = cluster.get(CPODJOBS, "ft-cpodjob")["metadata"]["uid"]
    cluster.edit(FINETUNES, "ft", {"config": {"lora_rank": "4"}})

    def anew() -> bool:
        return (
            cluster.exists(PYTORCHJOBS, "ft-cpodjob") and cluster.get(CPODJOBS, "ft-cpodjob")["metadata"]["uid"] != old
        )

    cluster.until(anew)
    assert cluster.status(FINETUNES, "ft")["phase"] == "DataPreparing"
    assert config(cluster, "ft")["arguments"] == {"lora_rank": "4"}


def test_a_waiting_pod_makes_the_fine_tune_pending_with_the_schedulers_sentence(cluster: Cluster) -> None:
    cluster.apply(FINETUNES, "ft", {**SPEC, "gpuCount": 1})
    sentence = "0/1 nodes are available: 1 Insufficient nvidia.com/gpu."
    cluster.pod(cluster.get(PYTORCHJOBS, "ft-cpodjob"), LABEL_JOB_NAME, unschedulable(sentence))
    status = cluster.status(FINETUNES, "ft")
    assert (status["phase"], status["failureMessage"]) == ("Pending", sentence)


@pytest.mark.parametrize(
    ("nodes", "asked", "given"),
    [
        pytest.param({}, 0, 0, id="the CPU where there are no GPUs"),
        pytest.param(GPU_NODE, 0, 1, id="one where there are some"),
        pytest.param(GPU_NODE, 2, 2, id="as many as asked for"),
    ],
)
def test_gpus_are_chosen_by_what_the_cluster_has(
    cluster: Cluster, nodes: dict[str, str], asked: int, given: int
) -> None:
    if nodes:
        cluster.node("gpus", nodes)
    cluster.apply(FINETUNES, "ft", {**SPEC, "gpuCount": asked})
    assert cluster.get(CPODJOBS, "ft-cpodjob")["spec"]["gpuRequiredPerReplica"] == given


def test_a_gpu_type_asks_for_a_gpu_even_without_a_number(cluster: Cluster) -> None:
    cluster.apply(FINETUNES, "ft", {**SPEC, "gpuProduct": RTX["nvidia.com/gpu.product"]})
    spec = cluster.get(CPODJOBS, "ft-cpodjob")["spec"]
    assert (spec["gpuRequiredPerReplica"], spec["gpuType"]) == (1, RTX["nvidia.com/gpu.product"])


def test_nothing_is_downloaded_for_work_that_no_node_can_run(cluster: Cluster) -> None:
    spec = {**SPEC, "model": "LLaMA-2-7B", "gpuCount": 1, "gpuProduct": RTX["nvidia.com/gpu.product"]}
    cluster.apply(FINETUNES, "ft", spec)
    status = cluster.status(FINETUNES, "ft")
    sentence = "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector."
    assert (status["phase"], status["failureMessage"]) == ("Pending", sentence)
    assert ("Warning", "Unschedulable", sentence) in cluster.events("ft")
    assert cluster.names(MODELSTORAGES) == ["smol"]
    assert cluster.names(JOBS) == cluster.names(CPODJOBS) == []

    cluster.node("gpus", GPU_NODE, RTX)
    model = find_model("LLaMA-2-7B")
    assert model is not None
    assert cluster.status(FINETUNES, "ft")["phase"] == "DataPreparing"
    storage = cluster.get(MODELSTORAGES, model.storage_name)
    assert "ownerReferences" not in storage["metadata"]
    assert cluster.names(JOBS) == [f"model-{model.storage_name}"]
    claim = f"pvc-{model.storage_name.replace('model-storage', 'model')}"
    assert claim in cluster.names(PVCS)


def test_a_catalogue_model_is_fetched_once_for_all(cluster: Cluster) -> None:
    cluster.node("gpus", GPU_NODE)
    cluster.apply(FINETUNES, "one", {**SPEC, "model": "google/gemma-2b-it"})
    cluster.apply(FINETUNES, "two", {**SPEC, "model": "gemma-2b-it"})
    assert len(cluster.names(MODELSTORAGES)) == 2
    assert {job["spec"]["pretrainModelName"] for job in cluster.api.list(CPODJOBS).items} == {
        "model-storage-0ce92f029254ff34"
    }


def test_somebody_elses_cpodjob_is_not_adopted(cluster: Cluster) -> None:
    cluster.apply(CPODJOBS, "ft-cpodjob", {"image": "busybox"})
    cluster.apply(FINETUNES, "ft", SPEC)
    assert "does not belong to this FineTune" in cluster.status(FINETUNES, "ft")["failureMessage"]


@pytest.mark.parametrize("phase", ["DataPreparing", "Running", "Succeeded"])
def test_what_has_begun_takes_no_changes(cluster: Cluster, phase: str) -> None:
    cluster.apply(FINETUNES, "ft", SPEC)
    if phase != "DataPreparing":
        cluster.pod(cluster.get(PYTORCHJOBS, "ft-cpodjob"), LABEL_JOB_NAME, RUNNING)
    if phase == "Succeeded":
        cluster.end(PYTORCHJOBS, "ft-cpodjob", "Succeeded")
    assert cluster.status(FINETUNES, "ft")["phase"] == phase
    with pytest.raises(Invalid, match="apply it under another name, or delete this FineTune first"):
        cluster.edit(FINETUNES, "ft", {"hyperParameters": {"n_epochs": "9"}})


def test_what_waits_for_a_node_may_be_changed_and_begins_anew(cluster: Cluster) -> None:
    cluster.apply(FINETUNES, "ft", {**SPEC, "gpuCount": 1})
    cluster.pod(cluster.get(PYTORCHJOBS, "ft-cpodjob"), LABEL_JOB_NAME, unschedulable("0/1 nodes are available."))
    assert cluster.status(FINETUNES, "ft")["phase"] == "Pending"
    cluster.edit(FINETUNES, "ft", {"gpuCount": 0})

    def anew() -> bool:
        there = cluster.exists(CPODJOBS, "ft-cpodjob")
        return there and cluster.get(CPODJOBS, "ft-cpodjob")["spec"]["gpuRequiredPerReplica"] == 0

    cluster.until(anew)


def test_a_fine_tune_applied_again_waits_for_the_end_of_the_last(cluster: Cluster) -> None:
    cluster.apply(FINETUNES, "ft", SPEC)
    old = cluster.get(CPODJOBS, "ft-cpodjob")["metadata"]["uid"]
    cluster.api.delete(FINETUNES, "ft", "default")
    cluster.apply(FINETUNES, "ft", SPEC)
    cluster.until(lambda: cluster.exists(PYTORCHJOBS, "ft-cpodjob") and bool(cluster.status(FINETUNES, "ft")))
    assert cluster.get(CPODJOBS, "ft-cpodjob")["metadata"]["uid"] != old
    assert cluster.status(FINETUNES, "ft")["phase"] == "DataPreparing"


def test_an_image_that_cannot_be_pulled_shows(cluster: Cluster) -> None:
    cluster.apply(FINETUNES, "ft", SPEC)
    waiting = {"waiting": {"reason": "ErrImagePull", "message": "no such image"}}
    entry = {"name": "pytorch", "image": "x", "imageID": "", "ready": False, "restartCount": 0, "state": waiting}
    job = cluster.get(PYTORCHJOBS, "ft-cpodjob")
    cluster.pod(job, LABEL_JOB_NAME, {"phase": "Pending", "containerStatuses": [entry]})
    assert cluster.status(FINETUNES, "ft")["failureMessage"] == "ErrImagePull: no such image"
