"""The manifests of PyTorchJobs, and what pods say: pure functions."""

from __future__ import annotations

from typing import Any

import pytest
from operator_cluster import terminated

from cpod_jupyter.api.resources import Object
from cpod_jupyter.operator import pods as words
from cpod_jupyter.operator.builders.jobs import workload
from cpod_jupyter.operator.builders.workload import Facts
from cpod_jupyter.operator.conditions import ending_message
from cpod_jupyter.operator.settings import Settings

IN_IB_CLUSTER = Facts(rdma=True)


def cpodjob(**spec: Any) -> Object:
    return {
        "apiVersion": "cpod.cpod/v1beta1",
        "kind": "CPodJob",
        "metadata": {"name": "t", "namespace": "default", "uid": "u", "generation": 1},
        "spec": {"jobType": "pytorch", "image": "me/train", **spec},
    }


def build(facts: Facts = Facts(), **spec: Any) -> dict[str, Any]:  # noqa: B008 -- frozen
    return dict(workload(cpodjob(**spec), facts, Settings())["spec"])


def pod_of(job: dict[str, Any]) -> dict[str, Any]:
    return dict(job["pytorchReplicaSpecs"]["Worker"]["template"]["spec"])


def test_one_worker_is_neither_elastic_nor_on_infiniband() -> None:
    job = build(IN_IB_CLUSTER, gpuRequiredPerReplica=8, gpuType="NVIDIA-A100-SXM4-80GB")
    assert "elasticPolicy" not in job
    assert job["runPolicy"] == {"cleanPodPolicy": "Running", "backoffLimit": 2}
    pod = pod_of(job)
    (container,) = pod["containers"]
    assert container["name"] == "pytorch"
    assert container["resources"]["limits"] == {"nvidia.com/gpu": "8"}
    assert "env" not in container
    assert "securityContext" not in container
    assert pod["nodeSelector"] == {"nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB"}


@pytest.mark.parametrize(
    ("gpus", "workers", "processes"),
    [
        pytest.param(8, 1, "8", id="one replica"),
        pytest.param(4, 2, "4", id="two replicas"),
        pytest.param(0, 3, "1", id="the CPU"),
    ],
)
def test_processes_are_counted_by_the_gpus_of_a_replica(gpus: int, workers: int, processes: str) -> None:
    assert build(gpuRequiredPerReplica=gpus, workerReplicas=workers)["nprocPerNode"] == processes


def test_several_workers_meet_by_c10d() -> None:
    job = build(workerReplicas=3)
    assert job["elasticPolicy"] == {"rdzvBackend": "c10d", "minReplicas": 3, "maxReplicas": 3}
    assert job["runPolicy"]["cleanPodPolicy"] == "None", "with Running the first worker goes when another has ended"
    assert job["pytorchReplicaSpecs"]["Worker"]["replicas"] == 3
    assert "env" not in pod_of(job)["containers"][0], "no InfiniBand where there is none"


def test_workers_use_infiniband_where_nodes_offer_it() -> None:
    (container,) = pod_of(build(IN_IB_CLUSTER, workerReplicas=2, env=[{"name": "NCCL_NET", "value": "Socket"}]))[
        "containers"
    ]
    assert container["resources"]["limits"]["rdma/rdma_shared_device_a"] == "1"
    assert container["securityContext"] == {"capabilities": {"add": ["IPC_LOCK"]}}
    assert [entry["value"] for entry in container["env"]] == ["IB", "0", "Socket"], "the user's value comes last"


def test_an_empty_gpu_type_selects_no_node() -> None:
    assert "nodeSelector" not in pod_of(build(gpuType=""))


@pytest.mark.parametrize(
    ("gpus", "shared"), [pytest.param(1, False, id="one GPU"), pytest.param(2, True, id="two GPUs")]
)
def test_several_gpus_get_shared_memory(gpus: int, shared: bool) -> None:
    pod = pod_of(build(gpuRequiredPerReplica=gpus))
    volume = {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "5Gi"}}
    assert (volume in pod["volumes"]) is shared
    assert ({"name": "shm", "mountPath": "/dev/shm"} in pod["containers"][0]["volumeMounts"]) is shared


@pytest.mark.parametrize(
    ("limit", "policy"),
    [
        pytest.param(None, "OnFailure", id="none given"),
        pytest.param(3, "OnFailure", id="three"),
        pytest.param(0, "Never", id="the first failure is final"),
    ],
)
def test_restarts_follow_the_backoff_limit(limit: int | None, policy: str) -> None:
    job = build(backoffLimit=limit)
    assert job["pytorchReplicaSpecs"]["Worker"]["restartPolicy"] == policy
    assert job["runPolicy"]["backoffLimit"] == (2 if limit is None else limit)


def test_the_duration_is_minutes() -> None:
    assert build(duration=2)["runPolicy"]["activeDeadlineSeconds"] == 120


def pod(state: dict[str, Any], name: str = "p") -> Object:
    return {"metadata": {"name": name}, "status": state}


@pytest.mark.parametrize(
    ("state", "said"),
    [
        pytest.param(terminated("no such column", 1), "no such column", id="its message"),
        pytest.param(terminated("", 3), "container main of pod p ended with exit code 3", id="no message"),
        pytest.param(terminated("bye", 143), "", id="ended from outside"),
        pytest.param(
            {"phase": "Failed", "reason": "Evicted", "message": "The node was low on memory."},
            "pod p: Evicted: The node was low on memory.",
            id="evicted",
        ),
    ],
)
def test_a_failure_is_told_by_whoever_knows_it(state: dict[str, Any], said: str) -> None:
    assert words.failure([pod(state)]) == said


def test_running_out_of_memory_is_said_in_words() -> None:
    state = terminated("", 137)
    state["containerStatuses"][0]["state"]["terminated"]["reason"] = "OOMKilled"
    assert "needed more memory" in words.failure([pod(state)])


def test_a_deadline_is_the_jobs_to_tell() -> None:
    failed = {"type": "Failed", "status": "True", "reason": "DeadlineExceeded", "message": "active too long"}
    job = {"kind": "Job", "metadata": {"name": "j"}, "status": {"conditions": [failed]}}
    assert ending_message(job, [pod(terminated("killed", 137))]) == "active too long"


@pytest.mark.parametrize(
    "message",
    [
        pytest.param("", id="none"),
        pytest.param("{half", id="broken JSON"),
        pytest.param("all is well", id="a sentence"),
    ],
)
def test_an_image_that_leaves_no_object_tells_nothing(message: str) -> None:
    assert words.outcome([pod(terminated(message, 0))]) == {}


def test_an_image_that_cannot_be_pulled_is_told() -> None:
    waiting = {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}
    assert words.held_up([pod({"containerStatuses": [{"name": "c", "state": waiting}]})]) == (
        "ImagePullBackOff: no such image"
    )
