"""CPodJob."""

from __future__ import annotations

import json
from typing import Any

import pytest
from operator_cluster import RUNNING, Cluster, terminated, unschedulable

from cpod_jupyter.api import meta
from cpod_jupyter.api.kubeflow import LABEL_JOB_NAME
from cpod_jupyter.api.names import LABEL_JOB
from cpod_jupyter.api.resources import CPODJOBS, CRDS, DATASETSTORAGES, JOBS, MODELSTORAGES, PODS, PVCS, PYTORCHJOBS
from cpod_jupyter.errors import Invalid, NotFound

TRAINING = {
    "jobType": "pytorch",
    "image": "me/train",
    "command": ["python", "train.py"],
    "pretrainModelName": "base",
    "pretrainModelPath": "/data/model",
    "modelSavePath": "/data/save",
    "modelSaveVolumeSize": 100,
    "backoffLimit": 0,
}


def ready_base(cluster: Cluster) -> None:
    cluster.claim("base-files")
    spec = {"modeltype": "trained", "pvc": "base-files", "template": "llama3", "category": "Chat"}
    cluster.apply(MODELSTORAGES, "base", spec)


def conditions(cluster: Cluster, name: str) -> dict[str, tuple[str, str]]:
    """Status and reason by type."""
    listed = cluster.status(CPODJOBS, name)["conditions"]
    return {entry["type"]: (entry["status"], entry["reason"]) for entry in listed}


def message(cluster: Cluster, name: str, kind: str) -> str:
    entry = meta.condition(cluster.get(CPODJOBS, name), kind)
    assert entry is not None
    return str(entry["message"])


def train(cluster: Cluster, outcome: dict[str, Any] | str) -> None:
    """Run the PyTorchJob `t` to its end: well with an object, in failure with a sentence."""
    well = isinstance(outcome, dict)
    text = json.dumps(outcome) if isinstance(outcome, dict) else outcome
    cluster.pod(cluster.get(PYTORCHJOBS, "t"), LABEL_JOB_NAME, terminated(text, 0 if well else 1))
    cluster.end(PYTORCHJOBS, "t", "Succeeded" if well else "Failed", "PyTorchJob t has failed.")


def test_a_general_job_becomes_a_job_of_its_name(cluster: Cluster) -> None:
    spec = {"image": "busybox", "command": ["echo", "hello"], "duration": 5, "backoffLimit": 1}
    cluster.apply(CPODJOBS, "hello", {**spec, "gpuRequiredPerReplica": 1})

    job = cluster.get(JOBS, "hello")["spec"]
    assert (job["activeDeadlineSeconds"], job["backoffLimit"]) == (300, 1)
    pod = job["template"]["spec"]
    assert pod["restartPolicy"] == "Never"
    assert "nodeSelector" not in pod
    (container,) = pod["containers"]
    assert (container["name"], container["command"]) == ("general", ["echo", "hello"])
    assert container["resources"]["limits"] == {"nvidia.com/gpu": "1"}


def test_the_conditions_follow_the_job(cluster: Cluster) -> None:
    cluster.apply(CPODJOBS, "hello", {"image": "busybox"})
    assert conditions(cluster, "hello") == {
        "Created": ("True", "JobCreated"),
        "DataPreparing": ("True", "DataReady"),
        "Running": ("False", "Starting"),
    }
    pod = cluster.pod(cluster.get(JOBS, "hello"), LABEL_JOB, RUNNING)
    assert conditions(cluster, "hello")["Running"] == ("True", "JobRunning")
    assert cluster.status(CPODJOBS, "hello")["conditions"][-1]["type"] == "Running"

    cluster.set_status(PODS, pod, terminated("", 0))
    cluster.end(JOBS, "hello", "Complete")
    assert conditions(cluster, "hello")["Running"] == ("False", "JobSucceeded")
    assert conditions(cluster, "hello")["Succeeded"] == ("True", "JobSucceeded")
    status = cluster.status(CPODJOBS, "hello")
    assert status["completionTime"]
    assert status["startTime"]
    assert status["observedGeneration"] == 1


def test_nothing_is_written_when_nothing_changed(cluster: Cluster) -> None:
    cluster.apply(CPODJOBS, "hello", {"image": "busybox"})
    before = cluster.get(CPODJOBS, "hello")["metadata"]["resourceVersion"]
    cluster.settle()
    assert cluster.get(CPODJOBS, "hello")["metadata"]["resourceVersion"] == before


def test_it_waits_for_its_data_and_goes_on_by_itself(cluster: Cluster) -> None:
    """B15: what it waits for is named, be it the dataset or the model; DataPreparing is True when they are there."""
    cluster.apply(DATASETSTORAGES, "facts", {"pvc": "later"})
    spec = {"image": "busybox", "datasetName": "facts", "datasetPath": "/data"}
    cluster.apply(CPODJOBS, "hello", spec)
    assert conditions(cluster, "hello")["DataPreparing"] == ("False", "Preparing")
    assert "DataSetStorage 'facts'" in message(cluster, "hello", "DataPreparing")
    assert cluster.names(JOBS) == []

    cluster.claim("later")
    assert conditions(cluster, "hello")["DataPreparing"] == ("True", "DataReady")
    pod = cluster.get(JOBS, "hello")["spec"]["template"]["spec"]
    assert pod["volumes"] == [{"name": "dataset", "persistentVolumeClaim": {"claimName": "later"}}]
    assert pod["containers"][0]["volumeMounts"] == [{"name": "dataset", "mountPath": "/data", "readOnly": True}]


def test_a_missing_dataset_is_not_reported_as_a_missing_model(cluster: Cluster) -> None:
    ready_base(cluster)
    cluster.apply(DATASETSTORAGES, "facts", {"pvc": "x"})
    cluster.apply(DATASETSTORAGES, "other", {"pvc": "x"})
    cluster.apply(CPODJOBS, "t", {**TRAINING, "datasetName": "fact", "datasetPath": "/data"})
    assert conditions(cluster, "t")["Failed"] == ("True", "DatasetNotFound")
    assert "there are: facts, other" in message(cluster, "t", "Failed")
    assert "`%%cpod dataset fact`" in message(cluster, "t", "Failed")


def test_a_failed_download_fails_the_job_with_its_message(cluster: Cluster) -> None:
    cluster.apply(MODELSTORAGES, "base", {"modelname": "gopher://hole"})
    cluster.apply(CPODJOBS, "t", TRAINING)
    assert conditions(cluster, "t")["Failed"] == ("True", "ModelFailed")
    assert "gopher" in message(cluster, "t", "Failed")


def test_an_edit_gives_a_job_that_never_began_another_chance(cluster: Cluster) -> None:
    cluster.apply(CPODJOBS, "hello", {"image": "busybox", "uploadModel": True})  # and no modelSavePath
    cluster.edit(CPODJOBS, "hello", {"uploadModel": False})
    assert "Failed" not in conditions(cluster, "hello")
    assert "completionTime" not in cluster.status(CPODJOBS, "hello")
    assert cluster.names(JOBS) == ["hello"]


def test_the_spec_of_a_job_that_has_begun_is_fixed_and_the_refusal_says_what_to_do(cluster: Cluster) -> None:
    cluster.apply(CPODJOBS, "hello", {"image": "busybox"})
    with pytest.raises(Invalid, match=r"spec: Forbidden: the job has begun.* delete this CPodJob first"):
        cluster.edit(CPODJOBS, "hello", {"image": "other"})
    cluster.api.patch(CPODJOBS, "hello", {"metadata": {"labels": {"mine": "yes"}}}, "default")
    cluster.end(JOBS, "hello", "Complete")
    with pytest.raises(Invalid):
        cluster.edit(CPODJOBS, "hello", {"image": "other"})


def test_an_edit_is_taken_while_the_job_waits_for_its_data(cluster: Cluster) -> None:
    cluster.apply(DATASETSTORAGES, "facts", {"pvc": "later"})
    cluster.apply(CPODJOBS, "hello", {"image": "busybox", "datasetName": "facts", "datasetPath": "/data"})
    cluster.edit(CPODJOBS, "hello", {"image": "other"})
    cluster.claim("later")
    assert cluster.get(JOBS, "hello")["spec"]["template"]["spec"]["containers"][0]["image"] == "other"


def test_an_edit_that_an_older_definition_lets_through_is_answered_and_not_applied(cluster: Cluster) -> None:
    """The original's definition, which a cluster may still have, has no rules."""
    definition = cluster.api.get(CRDS, CPODJOBS.qualified)
    del definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["x-kubernetes-validations"]
    cluster.api.replace(CRDS, definition)
    cluster.apply(CPODJOBS, "hello", {"image": "busybox"})
    cluster.edit(CPODJOBS, "hello", {"image": "other"})
    assert [reason for kind, reason, _ in cluster.events("hello") if kind == "Warning"] == ["ChangeIgnored"]
    assert cluster.get(JOBS, "hello")["spec"]["template"]["spec"]["containers"][0]["image"] == "busybox"
    assert cluster.status(CPODJOBS, "hello")["observedGeneration"] == 2


def test_a_job_of_somebody_else_is_not_adopted(cluster: Cluster) -> None:
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "x", "image": "x"}]}}
    cluster.apply(JOBS, "hello", {"template": template})
    cluster.apply(CPODJOBS, "hello", {"image": "busybox"})
    assert conditions(cluster, "hello")["Failed"] == ("True", "NameTaken")


def test_a_pod_that_fits_nowhere_leaves_the_job_waiting_with_the_schedulers_sentence(cluster: Cluster) -> None:
    spec = {"jobType": "pytorch", "image": "me/train", "gpuRequiredPerReplica": 8, "gpuType": "NVIDIA-A100-SXM4-80GB"}
    cluster.apply(CPODJOBS, "t", spec)
    sentence = "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector."
    cluster.pod(cluster.get(PYTORCHJOBS, "t"), LABEL_JOB_NAME, unschedulable(sentence))

    assert conditions(cluster, "t")["Running"] == ("False", "Unschedulable")
    assert message(cluster, "t", "Running") == sentence
    assert cluster.status(CPODJOBS, "t")["conditions"][-1]["type"] != "Running"
    assert ("Warning", "Unschedulable", sentence) in cluster.events("t")


def test_the_trained_model_becomes_a_storage_that_is_ready_to_use(cluster: Cluster) -> None:
    """B7, B25: its size is its own, not the base's, and one pass is enough."""
    ready_base(cluster)
    names = {"cpod.cpod/modelstorageName": "t-readable", "cpod.cpod/cpod-finetune-id": "ft"}
    cluster.apply(CPODJOBS, "t", TRAINING, names)
    assert cluster.get(PVCS, "t-modelsave-pvc")["spec"]["resources"]["requests"]["storage"] == "100Mi"
    assert not cluster.exists(MODELSTORAGES, "t-modelsavestorage")
    train(cluster, {"size": 4321, "adapter": False, "loss": 1.5, "steps": 45})

    storage = cluster.get(MODELSTORAGES, "t-modelsavestorage")
    assert storage["spec"]["pvc"] == "t-modelsave-pvc"
    assert (storage["spec"]["template"], storage["spec"]["category"]) == ("llama3", "Chat")
    assert (storage["spec"]["modeltype"], storage["spec"]["isloraadapter"]) == ("trained", False)
    assert (storage["status"]["phase"], storage["status"]["size"]) == ("done", 4321)
    assert storage["metadata"]["annotations"]["cpod.cpod/baseModelstorageName"] == "base"
    assert storage["metadata"]["annotations"]["cpod.cpod/modelstorageName"] == "t-readable"
    assert cluster.status(CPODJOBS, "t")["modelStorage"] == "t-modelsavestorage"
    assert cluster.names(JOBS) == []


@pytest.mark.parametrize("adapter", [pytest.param(True, id="unmerged"), pytest.param(False, id="merged")])
def test_only_an_unmerged_result_is_an_adapter(cluster: Cluster, adapter: bool) -> None:
    """Fault 17 (B4): isloraadapter is set the wrong way round there."""
    ready_base(cluster)
    cluster.apply(CPODJOBS, "t", TRAINING)
    train(cluster, {"size": 1, "adapter": adapter})
    assert cluster.get(MODELSTORAGES, "t-modelsavestorage")["spec"]["isloraadapter"] is adapter


def test_the_job_is_made_while_its_claims_still_wait_for_a_consumer(cluster: Cluster) -> None:
    """Fault 16 (B23): a claim that waits for its first consumer is bound once there is a pod."""
    cluster.apply(CPODJOBS, "t", {"image": "busybox", "ckptPath": "/ckpt", "ckptVolumeSize": 10})
    cluster.set_status(PVCS, "t-ckpt", {"phase": "Pending"})
    assert cluster.exists(JOBS, "t")


def test_the_result_survives_its_job(cluster: Cluster) -> None:
    ready_base(cluster)
    cluster.apply(CPODJOBS, "t", {**TRAINING, "ckptPath": "/data/ckpt"})
    train(cluster, {"size": 1})
    cluster.api.delete(CPODJOBS, "t", "default")
    cluster.until(lambda: not cluster.exists(PVCS, "t-ckpt") and not cluster.exists(PYTORCHJOBS, "t"))
    assert cluster.exists(PVCS, "t-modelsave-pvc")
    assert cluster.status(MODELSTORAGES, "t-modelsavestorage")["phase"] == "done"


def test_a_second_run_does_not_write_over_the_result_of_the_first(cluster: Cluster) -> None:
    ready_base(cluster)
    cluster.apply(CPODJOBS, "t", TRAINING)
    train(cluster, {"size": 1})
    cluster.api.delete(CPODJOBS, "t", "default")
    cluster.until(lambda: not cluster.exists(PYTORCHJOBS, "t"))

    cluster.apply(CPODJOBS, "t", TRAINING)
    assert conditions(cluster, "t")["Failed"] == ("True", "ResultExists")
    assert "t-modelsavestorage" in message(cluster, "t", "Failed")


def test_a_failed_job_publishes_no_model_and_says_why(cluster: Cluster) -> None:
    """Fault 13 (B7)."""
    ready_base(cluster)
    cluster.apply(CPODJOBS, "t", TRAINING)
    train(cluster, "line 3 of data.jsonl is not JSON")
    assert conditions(cluster, "t")["Failed"] == ("True", "JobFailed")
    assert message(cluster, "t", "Failed") == "line 3 of data.jsonl is not JSON"
    assert cluster.names(MODELSTORAGES) == ["base"]
    cluster.api.delete(CPODJOBS, "t", "default")
    cluster.until(lambda: not cluster.exists(PVCS, "t-modelsave-pvc"))


def test_the_reason_is_remembered_when_the_pod_that_knew_it_is_gone(cluster: Cluster) -> None:
    cluster.apply(CPODJOBS, "t", {"jobType": "pytorch", "image": "me/train", "backoffLimit": 1})
    ended = terminated("CUDA out of memory", 1)["containerStatuses"][0]
    restarted = {**ended, "restartCount": 1, "state": {"running": {}}, "lastState": ended["state"]}
    pod = cluster.pod(
        cluster.get(PYTORCHJOBS, "t"), LABEL_JOB_NAME, {"phase": "Running", "containerStatuses": [restarted]}
    )
    assert conditions(cluster, "t")["Running"] == ("True", "Restarted")

    cluster.api.delete(PODS, pod, "default", grace_seconds=0)
    cluster.end(PYTORCHJOBS, "t", "Failed", "PyTorchJob t has reached the specified backoff limit")
    assert message(cluster, "t", "Failed") == "CUDA out of memory"


def test_a_finished_job_recreates_nothing(cluster: Cluster) -> None:
    ready_base(cluster)
    cluster.apply(CPODJOBS, "t", TRAINING)
    train(cluster, {"size": 1})
    cluster.api.delete(PVCS, "t-modelsave-pvc", "default")
    cluster.settle()
    assert not cluster.exists(PVCS, "t-modelsave-pvc")


def test_a_cluster_without_kubeflow_is_told_so(cluster: Cluster) -> None:
    cluster.api.delete(CRDS, "pytorchjobs.kubeflow.org")
    cluster.until(lambda: not served(cluster))
    cluster.apply(CPODJOBS, "t", {"jobType": "pytorch", "image": "me/train"})
    assert conditions(cluster, "t")["Failed"] == ("True", "KindUnknown")
    assert "PyTorchJob (kubeflow.org/v1)" in message(cluster, "t", "Failed")


def served(cluster: Cluster) -> bool:
    try:
        cluster.api.list(PYTORCHJOBS)
    except NotFound:
        return False
    return True


def test_what_the_api_server_refuses_is_told_in_its_words(cluster: Cluster) -> None:
    definition = cluster.api.get(CRDS, "pytorchjobs.kubeflow.org")
    schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    schema["properties"]["nprocPerNode"]["enum"] = ["gpu"]  # a training operator of another version
    cluster.api.replace(CRDS, definition)
    cluster.apply(CPODJOBS, "t", {"jobType": "pytorch", "image": "me/train"})
    assert conditions(cluster, "t")["Failed"] == ("True", "Rejected")
    assert "spec.nprocPerNode" in message(cluster, "t", "Failed")
