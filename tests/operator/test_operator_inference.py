"""Inference through KServe: what is deployed, what the status says, and what an edit does."""

from __future__ import annotations

from typing import Any

import pytest
from operator_cluster import RUNNING, Cluster, terminated, unschedulable

from cpod_jupyter.api import meta
from cpod_jupyter.api.names import LABEL_INFERENCE_SERVICE
from cpod_jupyter.api.resources import INFERENCES, INFERENCESERVICES, MODELSTORAGES, NODES, PODS, Object
from cpod_jupyter.errors import Invalid

READY = {"type": "Ready", "status": "True"}
URL = "http://chat-is.example"
API_DEMO = ["python", "src/api_demo.py", "--model_name_or_path", "/mnt/models"]


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


def condition(cluster: Cluster, kind: str) -> tuple[str, str, str]:
    found = meta.condition(cluster.get(INFERENCES, "chat"), kind)
    assert found is not None
    return found["status"], found["reason"], found["message"]


def reasons(cluster: Cluster) -> list[str]:
    return [reason for _, reason, _ in cluster.events("chat")]


def serve(cluster: Cluster, url: str = URL, **more: Any) -> None:
    """KServe's part: the service is Ready."""
    generation = cluster.get(INFERENCESERVICES, "chat-is")["metadata"]["generation"]
    changes = {"conditions": [READY], "url": url, "observedGeneration": generation, **more}
    cluster.set_status(INFERENCESERVICES, "chat-is", changes)


def pod(cluster: Cluster, state: dict[str, Any], revision: str = "old") -> Object:
    """A pod of the service, in that state."""
    service = cluster.get(INFERENCESERVICES, "chat-is")
    name = cluster.pod(service, LABEL_INFERENCE_SERVICE, {}, f"chat-is-predictor-{revision}")
    cluster.api.patch(PODS, name, {"metadata": {"labels": {"pod-template-hash": revision}}}, "default")
    cluster.set_status(PODS, name, state)
    return cluster.get(PODS, name)


def crash_loop(words: str) -> dict[str, Any]:
    ended = terminated(words, 1)["containerStatuses"][0]
    waiting = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}}
    looping = {**ended, "state": waiting, "lastState": ended["state"], "restartCount": 3}
    return {"phase": "Running", "conditions": [], "containerStatuses": [looping]}


def given(*command: str, image: str = "api:v1", **more: Any) -> dict[str, Any]:
    """A predictor with a server of the user's own."""
    uri = {"name": "STORAGE_URI", "value": "modelstorage://smol"}
    return {
        "containers": [{"name": "kserve-container", "image": image, "command": list(command), "env": [uri], **more}]
    }


# ---- what is deployed


def test_a_model_id_alone_is_enough(cluster: Cluster) -> None:
    cluster.apply(INFERENCES, "chat", {"modelId": "smol"})
    served = container(cluster)
    assert served["name"] == "kserve-container"
    assert served["command"] == ["python", "-m", "cpod_jupyter.runtime"]
    assert served["args"] == [
        *("serve", "--model", "/mnt/models", "--name", "chat", "--host", "$(POD_IP)", "--port", "8080")
    ]
    assert env(cluster) == {"POD_IP": {"fieldRef": {"fieldPath": "status.podIP"}}, "STORAGE_URI": "pvc://smol-files"}
    assert served["readinessProbe"] == {"httpGet": {"path": "/health", "port": 8080}, "periodSeconds": 1}
    assert "resources" not in served
    assert served["ports"][0]["containerPort"] == 8080
    chosen = next(message for _, reason, message in cluster.events("chat") if reason == "EngineChosen")
    assert chosen.startswith("transformers on CPU serves the model: gpuCount is 0")


def test_a_gpu_is_asked_for_and_vllm_serves(cluster: Cluster) -> None:
    """Fault 15 (B29): gpuCount and params do something with KServe."""
    cluster.apply(INFERENCES, "chat", {"modelId": "smol", "gpuCount": 2, "params": '{"max_model_len": 4096}'})
    served = container(cluster)
    assert (served["image"], served["command"]) == (cluster.settings.vllm_image, ["vllm", "serve"])
    assert served["args"] == [
        *("/mnt/models", "--served-model-name=chat", "--host=$(POD_IP)", "--port=8080"),
        *("--tensor-parallel-size=2", "--max-model-len=4096"),
    ]
    assert served["resources"]["limits"] == {"nvidia.com/gpu": "2"}
    assert served["startupProbe"]["failureThreshold"] * served["startupProbe"]["periodSeconds"] == 3600
    assert served["volumeMounts"] == [{"name": "shm", "mountPath": "/dev/shm"}]
    assert status(cluster)["engine"] == "vLLM"


def test_an_adapter_is_served_with_its_base(cluster: Cluster) -> None:
    cluster.apply(INFERENCES, "chat", {"modelId": "extra"})
    assert env(cluster)["STORAGE_URI"] == "pvc://smol-files"
    assert container(cluster)["args"][-2:] == ["--adapter", "/mnt/adapter"]
    assert container(cluster)["volumeMounts"] == [{"name": "adapter", "mountPath": "/mnt/adapter", "readOnly": True}]
    assert predictor(cluster)["volumes"] == [{"name": "adapter", "persistentVolumeClaim": {"claimName": "extra-files"}}]


def test_the_name_in_the_uri_counts_and_no_model_id_is_needed(cluster: Cluster) -> None:
    """Fault 15 (B27): the samples' own Inference has no modelId, and its URI names the model."""
    cluster.apply(INFERENCES, "chat", {"predictor": given(*API_DEMO), "modelId": "extra"})
    assert env(cluster) == {"STORAGE_URI": "pvc://smol-files"}
    assert container(cluster)["command"] == API_DEMO


def test_an_annotated_adapter_is_mounted_for_the_users_own_server(cluster: Cluster) -> None:
    adapter = {"cpod.cpod/cpod-adapter-id-name": "extra"}
    cluster.apply(INFERENCES, "chat", {"predictor": given(*API_DEMO)}, adapter)
    assert container(cluster)["args"] == ["--adapter_name_or_path", "/mnt/adapter"]
    assert predictor(cluster)["volumes"][0]["persistentVolumeClaim"] == {"claimName": "extra-files"}


def test_an_adapter_is_never_named_to_a_command_that_does_not_know_it(cluster: Cluster) -> None:
    """B30."""
    adapter = {"cpod.cpod/cpod-adapter-id-name": "extra"}
    cluster.apply(INFERENCES, "chat", {"predictor": given("python", "-m", "my_server")}, adapter)
    assert "args" not in container(cluster)
    assert container(cluster)["volumeMounts"][0]["mountPath"] == "/mnt/adapter"
    assert "AdapterMounted" in reasons(cluster)


def test_annotations_for_kserve_and_knative_are_handed_on_and_go_again(cluster: Cluster) -> None:
    mine = {"autoscaling.knative.dev/target": "3", "serving.kserve.io/autoscalerClass": "keda", "example.com/x": "y"}
    cluster.apply(INFERENCES, "chat", {"modelId": "smol"}, mine)
    passed = cluster.get(INFERENCESERVICES, "chat-is")["metadata"]["annotations"]
    assert {**passed, **dict(list(mine.items())[:2])} == passed
    assert "example.com/x" not in passed

    gone = {"metadata": {"annotations": {"autoscaling.knative.dev/target": None}}}
    cluster.api.patch(INFERENCES, "chat", gone, "default")
    cluster.settle()
    passed = cluster.get(INFERENCESERVICES, "chat-is")["metadata"]["annotations"]
    assert "autoscaling.knative.dev/target" not in passed
    assert passed["serving.kserve.io/autoscalerClass"] == "keda"


def test_autoscaler_options_are_the_predictors_bounds(cluster: Cluster) -> None:
    """Fault 15 (B29): autoscalerOptions do something with KServe."""
    options = {"minReplicas": 2, "maxReplicas": 5}
    cluster.apply(INFERENCES, "chat", {"modelId": "smol", "autoscalerOptions": options})
    assert {key: predictor(cluster)[key] for key in options} == options
    cluster.edit(INFERENCES, "chat", {"autoscalerOptions": {"minReplicas": 0}})
    assert predictor(cluster)["minReplicas"] == 0
    assert "Scaled" in reasons(cluster)


def test_the_choice_of_an_engine_stays_when_nodes_go(cluster: Cluster) -> None:
    cluster.api.patch(MODELSTORAGES, "smol", {"status": {"size": 40_000_000_000}}, "default", subresource="status")
    labels = {"nvidia.com/gpu.memory": "24576"}
    cluster.node("big", {"cpu": "8", "nvidia.com/gpu": "4"}, labels)
    cluster.apply(INFERENCES, "chat", {"modelId": "smol"})
    assert container(cluster)["resources"]["limits"] == {"nvidia.com/gpu": "2"}, "50 GB on GPUs of 24 GiB"
    none = {"status": {"allocatable": {"nvidia.com/gpu": "0"}}}
    cluster.api.patch(NODES, "big", none, subresource="status")
    cluster.settle()
    assert container(cluster)["resources"]["limits"] == {"nvidia.com/gpu": "2"}


# ---- the status


def test_ready_needs_the_service_and_a_ready_pod(cluster: Cluster) -> None:
    """Conditions stay when it is ready: B28."""
    cluster.apply(INFERENCES, "chat", {"modelId": "smol"})
    assert (status(cluster)["dataReady"], status(cluster)["ready"]) == (True, False)
    serve(cluster, conditions=[READY, {"type": "PredictorReady", "status": "True"}])
    assert status(cluster)["ready"] is False
    pod(cluster, RUNNING)
    assert (status(cluster)["ready"], status(cluster)["url"]) == (True, URL)
    kinds = [entry["type"] for entry in status(cluster)["conditions"]]
    assert kinds == ["DataReady", "UpToDate", "Ready", "PredictorReady"]
    assert ("Normal", "Ready", f"the model answers at {URL}") in cluster.events("chat")
    assert status(cluster)["observedGeneration"] == 1


def test_a_crash_loop_is_never_ready(cluster: Cluster) -> None:
    """Fault 12."""
    cluster.apply(INFERENCES, "chat", {"modelId": "smol"})
    serve(cluster)
    pod(cluster, {**crash_loop("the model has no tokenizer"), "conditions": RUNNING["conditions"]})
    assert status(cluster)["ready"] is False
    assert condition(cluster, "Ready")[0] == "False", "KServe's own is True"
    assert status(cluster)["failureMessage"] == "the model has no tokenizer"


def test_a_url_without_scheme_gets_one(cluster: Cluster) -> None:
    """Fault 12 (B28)."""
    cluster.apply(INFERENCES, "chat", {"modelId": "smol"})
    serve(cluster, "chat-is.example")
    assert status(cluster)["url"] == "http://chat-is.example"


def test_a_pod_that_fits_nowhere_is_told_in_the_schedulers_words(cluster: Cluster) -> None:
    cluster.apply(INFERENCES, "chat", {"modelId": "smol", "gpuCount": 4})
    pod(cluster, unschedulable("0/1 nodes are available: 1 Insufficient nvidia.com/gpu."))
    assert status(cluster)["failureMessage"] == "0/1 nodes are available: 1 Insufficient nvidia.com/gpu."


def test_nothing_runs_and_yet_it_is_ready_when_it_scaled_to_zero(cluster: Cluster) -> None:
    model = {"modelFormat": {"name": "sklearn"}, "storageUri": "gs://bucket/iris"}
    cluster.apply(INFERENCES, "chat", {"predictor": {"model": model, "minReplicas": 0}})
    assert predictor(cluster)["model"] == model
    serve(cluster)
    assert status(cluster)["ready"] is True
    assert condition(cluster, "UpToDate")[1] == "ScaledToZero"
    assert "ScaledToZero" in reasons(cluster)


def test_it_waits_for_its_model_without_calling_that_a_failure(cluster: Cluster) -> None:
    cluster.apply(MODELSTORAGES, "slow", {"modelname": "pypi://slow"})
    cluster.apply(INFERENCES, "chat", {"modelId": "slow"})
    assert status(cluster).get("failureMessage", "") == ""
    state, reason, message = condition(cluster, "DataReady")
    assert (state, reason) == ("False", "Preparing")
    assert "'slow' (downloading)" in message


def test_a_model_that_appears_later_is_served(cluster: Cluster) -> None:
    cluster.apply(INFERENCES, "chat", {"modelId": "later"})
    assert status(cluster)["failureMessage"]
    cluster.apply(MODELSTORAGES, "later", {"pvc": "smol-files"})
    assert env(cluster)["STORAGE_URI"] == "pvc://smol-files"
    assert status(cluster)["failureMessage"] == ""


# ---- what is refused


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        pytest.param({"modelId": "smoll"}, "there are: smol, extra", id="unknown model"),
        pytest.param({}, "neither modelId nor predictor", id="nothing"),
        pytest.param({"modelId": "smol", "params": "[1]"}, "params is a JSON array", id="params no object"),
        pytest.param({"modelId": "smol", "params": "max=1"}, "params is not JSON", id="params no JSON"),
        pytest.param({"modelId": "smol", "params": '{"max_token": 9}'}, "it has max_tokens", id="params unknown"),
        pytest.param(
            {"predictor": given("python", "-m", "mine"), "params": '{"x": 1}'},
            "does not know the server",
            id="whose params",
        ),
        pytest.param(
            {"modelId": "smol", "autoscalerOptions": {"minReplicas": 3, "maxReplicas": 2}},
            "minReplicas is 3",
            id="bounds",
        ),
        pytest.param(
            {"predictor": {**given("serve"), "minReplicas": 1}, "autoscalerOptions": {"minReplicas": 2}},
            "leave one of them out",
            id="bounds twice",
        ),
        pytest.param({"predictor": {"contaners": []}}, "near it: containers", id="unknown field"),
        pytest.param(
            {"predictor": {**given("x"), "sklearn": {"storageUri": "gs://x/y"}}}, "takes one", id="two servers"
        ),
    ],
)
def test_what_cannot_be_served_says_why(cluster: Cluster, spec: dict[str, Any], words: str) -> None:
    cluster.apply(INFERENCES, "chat", spec)
    assert words in status(cluster)["failureMessage"]
    assert status(cluster)["ready"] is False
    assert [kind for kind, _, _ in cluster.events("chat")] == ["Warning"]
    assert cluster.names(INFERENCESERVICES) == []


def test_an_adapter_without_a_known_base_is_refused(cluster: Cluster) -> None:
    cluster.apply(MODELSTORAGES, "lost", {"pvc": "extra-files", "isloraadapter": True})
    cluster.apply(INFERENCES, "chat", {"modelId": "lost"})
    assert "does not say for which model" in status(cluster)["failureMessage"]


def test_an_embedding_model_needs_vllm(cluster: Cluster) -> None:
    cluster.apply(MODELSTORAGES, "bge", {"pvc": "smol-files", "category": "Embedding"})
    cluster.apply(INFERENCES, "chat", {"modelId": "bge"})
    assert "has no /v1/embeddings" in status(cluster)["failureMessage"]
    cluster.edit(INFERENCES, "chat", {"gpuCount": 1})
    assert {"--runner=pooling", "--convert=embed"} <= set(container(cluster)["args"])


def test_the_backend_is_fixed_and_the_refusal_says_what_to_do(cluster: Cluster) -> None:
    cluster.apply(INFERENCES, "chat", {"modelId": "smol"})
    with pytest.raises(Invalid, match="make a second Inference with the other backend"):
        cluster.edit(INFERENCES, "chat", {"backend": "ray"})


# ---- an edit


def test_a_changed_spec_is_applied_and_the_old_one_is_ready_until_the_new_one_is(cluster: Cluster) -> None:
    """Fault 15 (B29): a changed Inference is applied."""
    cluster.apply(INFERENCES, "chat", {"modelId": "smol", "gpuCount": 1})
    serve(cluster)
    pod(cluster, RUNNING)
    cluster.edit(INFERENCES, "chat", {"gpuCount": 0})
    assert "resources" not in container(cluster)
    assert status(cluster)["ready"] is True
    assert condition(cluster, "UpToDate")[:2] == ("False", "RollingOut")

    pod(cluster, {"phase": "Pending", "conditions": []}, "new")
    serve(cluster)
    assert condition(cluster, "UpToDate")[:2] == ("False", "RollingOut"), "there are two revisions"
    cluster.set_status(PODS, "chat-is-predictor-new", RUNNING)
    cluster.api.delete(PODS, "chat-is-predictor-old", "default", grace_seconds=0)
    cluster.settle()
    assert (status(cluster)["ready"], condition(cluster, "UpToDate")[0]) == (True, "True")
    assert {"Updated", "RolledOut"} <= set(reasons(cluster))


def test_a_rollout_that_fails_is_told_while_the_old_one_answers(cluster: Cluster) -> None:
    cluster.apply(INFERENCES, "chat", {"modelId": "smol"})
    serve(cluster)
    pod(cluster, RUNNING)
    cluster.edit(INFERENCES, "chat", {"params": '{"max_tokens": 5}'})
    pod(cluster, crash_loop("there is no such option"), "new")
    wrong = {"components": {"predictor": {"latestCreatedRevision": "new"}}}
    # On Knative KServe's own Ready is False now, and the route still leads to the old revision.
    conditions = [{"type": "Ready", "status": "False"}, {"type": "IngressReady", "status": "True"}]
    serve(cluster, conditions=conditions, modelStatus={"transitionStatus": "BlockedByFailedLoad"}, **wrong)
    assert status(cluster)["ready"] is True
    assert condition(cluster, "UpToDate")[1] == "RolloutHeldUp"
    assert status(cluster)["failureMessage"].startswith("there is no such option (what was deployed before")
    assert ("Warning", "RolloutHeldUp") in [(kind, reason) for kind, reason, _ in cluster.events("chat")]


def test_an_edit_that_cannot_be_served_leaves_what_is_deployed(cluster: Cluster) -> None:
    cluster.apply(INFERENCES, "chat", {"modelId": "smol"})
    serve(cluster)
    pod(cluster, RUNNING)
    cluster.edit(INFERENCES, "chat", {"modelId": "smoll"})
    assert env(cluster)["STORAGE_URI"] == "pvc://smol-files"
    assert "'smoll'" in status(cluster)["failureMessage"]
    assert (status(cluster)["ready"], status(cluster)["dataReady"]) == (True, False)
