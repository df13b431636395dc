"""Inference with backend ray: the RayService that KubeRay gets, and the status from it."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from operator_cluster import RUNNING, Cluster
from ray_kind import RAY_CRD

from cpod_jupyter.api import meta
from cpod_jupyter.api.names import LABEL_INFERENCE, ray_serve_service
from cpod_jupyter.api.resources import CRDS, INFERENCES, MODELSTORAGES, PODS, RAYSERVICES, Object


@pytest.fixture(autouse=True)
def models(cluster: Cluster) -> None:
    cluster.claim("smol-files")
    cluster.apply(MODELSTORAGES, "smol", {"modeltype": "trained", "pvc": "smol-files"})


@pytest.fixture
def kuberay(cluster: Cluster) -> Cluster:
    """A cluster on which KubeRay is installed."""
    cluster.api.create(CRDS, RAY_CRD)
    return cluster


def status(cluster: Cluster) -> dict[str, Any]:
    return cluster.status(INFERENCES, "chat")


def ray_service(cluster: Cluster) -> Object:
    return cluster.get(RAYSERVICES, "chat")


def llm_config(cluster: Cluster) -> dict[str, Any]:
    served = yaml.safe_load(ray_service(cluster)["spec"]["serveConfigV2"])
    (application,) = served["applications"]
    assert (application["import_path"], application["route_prefix"]) == ("ray.serve.llm:build_openai_app", "/")
    assert "runtime_env" not in application, "no code from a URL"
    (config,) = application["args"]["llm_configs"]
    return dict(config)


def test_a_ray_service_serves_the_mounted_model_with_ray_serves_own_application(kuberay: Cluster) -> None:
    """B31: the GPU type counts, the model is a claim, and no code is fetched from a fixed URL."""
    spec = {
        "modelId": "smol",
        "backend": "ray",
        "gpuCount": 2,
        "gpuType": "NVIDIA-L4",
        "params": '{"max_model_len": 2048}',
        "autoscalerOptions": {"minReplicas": 1, "maxReplicas": 3},
    }
    kuberay.apply(INFERENCES, "chat", spec)
    config = llm_config(kuberay)
    assert config["model_loading_config"] == {"model_id": "chat", "model_source": "/mnt/models"}
    assert config["engine_kwargs"] == {"tensor_parallel_size": 2, "max_model_len": 2048}
    assert config["deployment_config"] == {"autoscaling_config": {"min_replicas": 1, "max_replicas": 3}}

    cluster_spec = ray_service(kuberay)["spec"]["rayClusterConfig"]
    (workers,) = cluster_spec["workerGroupSpecs"]
    assert (workers["minReplicas"], workers["maxReplicas"], cluster_spec["enableInTreeAutoscaling"]) == (1, 3, True)
    pod = workers["template"]["spec"]
    assert pod["nodeSelector"] == {"nvidia.com/gpu.product": "NVIDIA-L4"}
    assert pod["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "2"
    assert pod["volumes"][0]["persistentVolumeClaim"] == {"claimName": "smol-files"}
    mounts = {mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}
    assert mounts == {"/mnt/models", "/dev/shm"}
    assert cluster_spec["rayVersion"] == "2.52.0"


def test_ready_needs_ray_serve_and_a_ready_pod(kuberay: Cluster) -> None:
    kuberay.apply(INFERENCES, "chat", {"modelId": "smol", "backend": "ray", "gpuCount": 1})
    assert (status(kuberay)["ready"], status(kuberay)["url"]) == (
        False,
        "http://chat-serve-svc.default.svc.cluster.local:8000",
    )
    active = {"rayClusterName": "chat-abcde"}
    kuberay.set_status(RAYSERVICES, "chat", {"serviceStatus": "Running", "activeServiceStatus": active})
    assert status(kuberay)["ready"] is False
    _pod(kuberay, "chat-abcde")
    assert status(kuberay)["ready"] is True
    assert status(kuberay)["engine"] == "Ray Serve"


def _pod(cluster: Cluster, ray_cluster: str) -> None:
    name = cluster.pod(ray_service(cluster), LABEL_INFERENCE, {}, f"{ray_cluster}-head")
    cluster.api.patch(PODS, name, {"metadata": {"labels": {"ray.io/cluster": ray_cluster}}}, "default")
    cluster.set_status(PODS, name, RUNNING)


def test_an_application_that_ray_cannot_deploy_is_told_in_rays_words(kuberay: Cluster) -> None:
    kuberay.apply(INFERENCES, "chat", {"modelId": "smol", "backend": "ray", "gpuCount": 1})
    failed = {"llm": {"status": "DEPLOY_FAILED", "message": "no such model"}}
    pending = {"rayClusterName": "chat-abcde", "applicationStatuses": failed}
    kuberay.set_status(RAYSERVICES, "chat", {"serviceStatus": "", "pendingServiceStatus": pending})
    assert status(kuberay)["failureMessage"] == "application llm is DEPLOY_FAILED: no such model"


def test_another_model_wants_a_new_cluster_and_another_number_of_replicas_does_not(kuberay: Cluster) -> None:
    kuberay.apply(INFERENCES, "chat", {"modelId": "smol", "backend": "ray", "gpuCount": 1})

    def heads() -> Any:
        return ray_service(kuberay)["spec"]["rayClusterConfig"]["headGroupSpec"]

    before = heads()
    kuberay.edit(INFERENCES, "chat", {"autoscalerOptions": {"minReplicas": 2}})
    assert heads() == before
    assert llm_config(kuberay)["deployment_config"]["autoscaling_config"]["min_replicas"] == 2
    kuberay.edit(INFERENCES, "chat", {"params": '{"max_model_len": 512}'})
    assert heads() != before


@pytest.mark.parametrize(
    ("more", "words"),
    [
        pytest.param({"autoscalerOptions": {"minReplicas": 4, "maxReplicas": 2}}, "minReplicas is 4", id="B31 bounds"),
        pytest.param({"predictor": {"containers": [{"name": "x"}]}}, "predictor.containers means nothing", id="whose"),
        pytest.param({"params": '{"model": "other"}'}, "model is set by the operator", id="params"),
    ],
)
def test_what_ray_cannot_serve_says_why(kuberay: Cluster, more: dict[str, Any], words: str) -> None:
    kuberay.apply(INFERENCES, "chat", {"modelId": "smol", "backend": "ray", "gpuCount": 1, **more})
    assert words in status(kuberay)["failureMessage"]
    assert kuberay.names(RAYSERVICES) == []


def test_an_adapter_is_refused_with_what_to_do(kuberay: Cluster) -> None:
    base = {"cpod.cpod/baseModelstorageName": "smol"}
    kuberay.apply(MODELSTORAGES, "extra", {"pvc": "smol-files", "isloraadapter": True}, base)
    kuberay.apply(INFERENCES, "chat", {"modelId": "extra", "backend": "ray"})
    assert "autoMerge: true" in status(kuberay)["failureMessage"]


def test_a_cluster_without_kuberay_says_so(cluster: Cluster) -> None:
    cluster.apply(INFERENCES, "chat", {"modelId": "smol", "backend": "ray"})
    assert status(cluster)["failureMessage"].startswith("the cluster does not know the kind RayService (ray.io/v1)")
    assert meta.condition(cluster.get(INFERENCES, "chat"), "DataReady") is not None
    assert status(cluster)["dataReady"] is True


def test_the_service_of_a_long_name_is_the_one_that_kuberay_makes() -> None:
    assert ray_serve_service("chat") == "chat-serve-svc"
    assert ray_serve_service("a" * 39 + "1" + "b" * 9) == "a" * 30 + "1" + "b" * 9 + "-serve-svc"
    assert ray_serve_service("a" * 3 + "1" + "b" * 39) == "r" + "b" * 39 + "-serve-svc"
