"""Inference."""

from __future__ import annotations

from typing import Any

import pytest
from operator_cluster import RUNNING, Cluster, terminated, unschedulable

from cpod_jupyter.api import meta
from cpod_jupyter.api.names import LABEL_INFERENCE_SERVICE
from cpod_jupyter.api.resources import INFERENCES, INFERENCESERVICES, MODELSTORAGES, PODS, Object

READY = {"type": "Ready", "status": "True"}
URL = "http://chat-is.example"


@pytest.fixture(autouse=True)
def models(cluster: Cluster) -> None:
    """A base model and an adapter for it, both ready."""
    for name in ("smol", "extra"):
        cluster.claim(f"{name}-files")
    cluster.apply(MODELSTORAGES, "smol", {"modeltype": "trained", "pvc": "smol-files"})
    base = {"cpod.cpod/baseModelstorageName": "smol"}
    cluster.apply(MODELSTORAGES, "extra", {"modeltype": "trained", "pvc": "extra-files", "isloraadapter": True}, base)


def predictor(cluster: Cluster) -> dict[str, Any]:
    return dict(cluster.get(INFERENCESERVICES, "chat-is")["spec"]["predictor"])


def container(cluster: Cluster) -> dict[str, Any]:
    return dict(predictor(cluster)["containers"][0])


def env(cluster: Cluster) -> dict[str, Any]:
    return {entry["name"]: entry.get("value", entry.get("valueFrom")) for entry in container(cluster)["env"]}


def status(cluster: Cluster) -> dict[str, Any]:
    return cluster.status(INFERENCES, "chat")


def serve(cluster: Cluster, url: str = URL) -> None:
    """KServe's part: the service is Ready."""
    generation = cluster.get(INFERENCESERVICES, "chat-is")["metadata"]["generation"]
    cluster.set_status(
        INFERENCESERVICES, "chat-is", {"conditions": [READY], "url": url, "observedGeneration": generation}
    )


def pod(cluster: Cluster, state: dict[str, Any]) -> Object:
    """A pod of the service, in that state."""
    service = cluster.get(INFERENCESERVICES, "chat-is")
    return cluster.get(PODS, cluster.pod(service, LABEL_INFERENCE_SERVICE, state))


def test_a_model_id_alone_is_enough(cluster: Cluster) -> None:
    cluster.apply(INFERENCES, "chat", {"modelId": "smol", "gpuCount": 1})
    served = container(cluster)
    assert served["name"] == "kserve-container"
    assert served["command"] == ["python", "-m", "cpod_jupyter.runtime"]
    assert served["args"] == [
        *("serve", "--model", "/mnt/models", "--name", "chat", "--host", "$(POD_IP)", "--port", "8080")
    ]
    assert env(cluster) == {"POD_IP": {"fieldRef": {"fieldPath": "status.podIP"}}, "STORAGE_URI": "pvc://smol-files"}
    assert served["readinessProbe"] == {"httpGet": {"path": "/health", "port": 8080}, "periodSeconds": 1}
    assert served["resources"]["limits"] == {"nvidia.com/gpu": "1"}
    assert served["ports"][0]["containerPort"] == 8080


def test_ready_needs_the_service_and_a_ready_pod(cluster: Cluster) -> None:
    cluster.apply(INFERENCES, "chat", {"modelId": "smol"})
    assert (status(cluster)["dataReady"], status(cluster)["ready"]) == (True, False)
    serve(cluster)
    assert status(cluster)["ready"] is False
    pod(cluster, RUNNING)
    assert (status(cluster)["ready"], status(cluster)["url"]) == (True, URL)
    assert [entry["type"] for entry in status(cluster)["conditions"]] == ["DataReady", "Ready"]
    assert ("Normal", "Ready", f"the model answers at {URL}") in cluster.events("chat")


def test_a_crash_loop_is_never_ready(cluster: Cluster) -> None:
    cluster.apply(INFERENCES, "chat", {"modelId": "smol"})
    serve(cluster)
    ended = terminated("the model has no tokenizer", 1)["containerStatuses"][0]
    waiting = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}}
    looping = {**ended, "state": waiting, "lastState": ended["state"], "restartCount": 3}
    pod(cluster, {**RUNNING, "containerStatuses": [looping]})
    assert status(cluster)["ready"] is False
    assert status(cluster)["failureMessage"] == "the model has no tokenizer"


def test_a_url_without_scheme_gets_one(cluster: Cluster) -> None:
    cluster.apply(INFERENCES, "chat", {"modelId": "smol"})
    serve(cluster, "chat-is.example")
    assert status(cluster)["url"] == "http://chat-is.example"


def test_a_pod_that_fits_nowhere_is_told_in_the_schedulers_words(cluster: Cluster) -> None:
    cluster.apply(INFERENCES, "chat", {"modelId": "smol", "gpuCount": 4})
    pod(cluster, unschedulable("0/1 nodes are available: 1 Insufficient nvidia.com/gpu."))
    assert status(cluster)["failureMessage"] == "0/1 nodes are available: 1 Insufficient nvidia.com/gpu."


def test_an_adapter_is_served_with_its_base(cluster: Cluster) -> None:
    cluster.apply(INFERENCES, "chat", {"modelId": "extra"})
    assert env(cluster)["STORAGE_URI"] == "pvc://smol-files"
    assert container(cluster)["args"][-2:] == ["--adapter", "/mnt/adapter"]
    assert container(cluster)["volumeMounts"] == [{"name": "adapter", "mountPath": "/mnt/adapter", "readOnly": True}]
    assert predictor(cluster)["volumes"] == [{"name": "adapter", "persistentVolumeClaim": {"claimName": "extra-files"}}]


def test_an_adapter_without_a_known_base_is_refused(cluster: Cluster) -> None:
    cluster.apply(MODELSTORAGES, "lost", {"pvc": "extra-files", "isloraadapter": True})
    cluster.apply(INFERENCES, "chat", {"modelId": "lost"})
    assert "does not say for which model" in status(cluster)["failureMessage"]


def test_the_name_in_the_uri_counts_and_no_model_id_is_needed(cluster: Cluster) -> None:
    command = ["python", "src/api_demo.py", "--model_name_or_path", "/mnt/models"]
    given = {
        "name": "kserve-container",
        "image": "api:v1",
        "command": command,
        "env": [{"name": "STORAGE_URI", "value": "modelstorage://smol"}],
    }
    cluster.apply(INFERENCES, "chat", {"predictor": {"containers": [given]}, "modelId": "extra"})
    assert env(cluster) == {"STORAGE_URI": "pvc://smol-files"}
    assert container(cluster)["command"] == command


def test_a_predictor_with_a_model_is_taken_over(cluster: Cluster) -> None:
    model = {"modelFormat": {"name": "sklearn"}, "storageUri": "gs://bucket/iris"}
    cluster.apply(INFERENCES, "chat", {"predictor": {"model": model, "minReplicas": 0}})
    assert predictor(cluster)["model"] == model
    serve(cluster)
    assert status(cluster)["ready"] is True, "it may scale to zero"


def test_the_storage_uri_of_a_model_is_resolved(cluster: Cluster) -> None:
    model = {"modelFormat": {"name": "huggingface"}, "storageUri": "modelstorage://smol"}
    cluster.apply(INFERENCES, "chat", {"predictor": {"model": model}, "gpuCount": 2})
    assert predictor(cluster)["model"]["storageUri"] == "pvc://smol-files"
    assert predictor(cluster)["model"]["resources"]["limits"] == {"nvidia.com/gpu": "2"}


def test_an_annotated_adapter_is_mounted_for_the_users_own_server(cluster: Cluster) -> None:
    given = {
        "name": "kserve-container",
        "image": "api:v1",
        "command": ["python", "src/api_demo.py", "--model_name_or_path", "/mnt/models"],
        "env": [{"name": "STORAGE_URI", "value": "modelstorage://smol"}],
    }
    adapter = {"cpod.cpod/cpod-adapter-id-name": "extra"}
    cluster.apply(INFERENCES, "chat", {"predictor": {"containers": [given]}}, adapter)
    assert container(cluster)["command"][-2:] == ["--adapter_name_or_path", "/mnt/adapter"]
    assert predictor(cluster)["volumes"][0]["persistentVolumeClaim"] == {"claimName": "extra-files"}


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        pytest.param({"modelId": "smoll"}, "there are: smol, extra", id="unknown model"),
        pytest.param({}, "neither modelId nor predictor", id="nothing"),
        pytest.param({"modelId": "smol", "backend": "ray"}, "backend ray", id="ray"),
        pytest.param({"modelId": "smol", "params": "{}"}, "params", id="params"),
        pytest.param({"modelId": "smol", "modelIsPublic": True}, "modelIsPublic", id="public"),
        pytest.param({"modelId": "smol", "autoscalerOptions": {"maxReplicas": 2}}, "autoscalerOptions", id="scaling"),
    ],
)
def test_what_cannot_be_served_says_why(cluster: Cluster, spec: dict[str, Any], words: str) -> None:
    cluster.apply(INFERENCES, "chat", spec)
    assert words in status(cluster)["failureMessage"]
    assert (status(cluster)["dataReady"], status(cluster)["ready"]) == (False, False)
    assert [kind for kind, _, _ in cluster.events("chat")] == ["Warning"]
    assert cluster.names(INFERENCESERVICES) == []


def test_it_waits_for_its_model_without_calling_that_a_failure(cluster: Cluster) -> None:
    cluster.apply(MODELSTORAGES, "slow", {"modelname": "pypi://slow"})
    cluster.apply(INFERENCES, "chat", {"modelId": "slow"})
    assert status(cluster).get("failureMessage", "") == ""
    waiting = meta.condition(cluster.get(INFERENCES, "chat"), "DataReady")
    assert waiting is not None
    assert (waiting["status"], waiting["reason"]) == ("False", "Preparing")
    assert "'slow' (downloading)" in waiting["message"]


def test_a_model_that_appears_later_is_served(cluster: Cluster) -> None:
    cluster.apply(INFERENCES, "chat", {"modelId": "later"})
    assert status(cluster)["failureMessage"]
    cluster.apply(MODELSTORAGES, "later", {"pvc": "smol-files"})
    assert env(cluster)["STORAGE_URI"] == "pvc://smol-files"
    assert status(cluster)["failureMessage"] == ""


def test_a_changed_spec_is_applied(cluster: Cluster) -> None:
    cluster.apply(INFERENCES, "chat", {"modelId": "smol", "gpuCount": 1})
    serve(cluster)
    pod(cluster, RUNNING)
    cluster.edit(INFERENCES, "chat", {"gpuCount": 0})
    assert "resources" not in container(cluster)
    assert status(cluster)["ready"] is False, "what answers is still the old specification"
    assert any(reason == "Updated" for _, reason, _ in cluster.events("chat"))


def test_an_edit_that_cannot_be_served_leaves_what_is_deployed(cluster: Cluster) -> None:
    cluster.apply(INFERENCES, "chat", {"modelId": "smol"})
    serve(cluster)
    pod(cluster, RUNNING)
    cluster.edit(INFERENCES, "chat", {"modelId": "smoll"})
    assert env(cluster)["STORAGE_URI"] == "pvc://smol-files"
    assert "'smoll'" in status(cluster)["failureMessage"]
    assert status(cluster)["ready"] is True
