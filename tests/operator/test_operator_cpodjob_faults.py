"""The original's faults that concern CPodJobs, by their numbers (RESOURCES.md, last section; FACTS.md, part B)."""

from __future__ import annotations

from typing import Any

import pytest
from operator_cluster import NAMESPACE, RUNNING, Cluster, terminated

from cpod_jupyter.api import meta
from cpod_jupyter.api.kubeflow import LABEL_JOB_NAME
from cpod_jupyter.api.names import LABEL_JOB
from cpod_jupyter.api.resources import (
    CPODJOBS,
    JOBS,
    MODELSTORAGES,
    MPIJOBS_V2BETA1,
    PODS,
    PVCS,
    PYTORCHJOBS,
    TFJOBS,
    Object,
    Resource,
)
from cpod_jupyter.control.controller import Key
from cpod_jupyter.errors import Conflict, Invalid
from cpod_jupyter.operator.builders import jobs
from cpod_jupyter.operator.builders.workload import Facts
from cpod_jupyter.operator.settings import Settings

GPU = "nvidia.com/gpu"
KINDS = [
    pytest.param("general", JOBS, id="general"),
    pytest.param("pytorch", PYTORCHJOBS, id="pytorch"),
    pytest.param("mpi", MPIJOBS_V2BETA1, id="mpi"),
    pytest.param("tensorFlow", TFJOBS, id="tensorFlow"),
]


def typed(resource: Resource) -> dict[str, str]:
    return {"apiVersion": resource.api_version, "kind": resource.kind}


def cpodjob(**spec: Any) -> Object:
    metadata = {"name": "t", "namespace": NAMESPACE, "uid": "u", "generation": 1}
    return {**typed(CPODJOBS), "metadata": metadata, "spec": {"image": "me/train", **spec}}


def build(facts: Facts = Facts(), **spec: Any) -> dict[str, Any]:  # noqa: B008 -- frozen
    return dict(jobs.workload(cpodjob(**spec), facts, Settings())["spec"])


def worker_pod(made: dict[str, Any], kind: str) -> dict[str, Any]:
    field = jobs.KINDS[kind].specs_field
    return dict((made[field]["Worker"]["template"] if field else made["template"])["spec"])


def condition(cluster: Cluster, kind: str, name: str = "t") -> dict[str, Any]:
    return meta.condition(cluster.get(CPODJOBS, name), kind) or {}


@pytest.mark.parametrize("kind", ["pytorch", "mpi"])
def test_processes_are_the_gpus_of_a_replica(kind: str) -> None:
    """Fault 7 (B18): the original starts as many processes as there are workers; its MPI workers have no slots."""
    made = build(jobType=kind, gpuRequiredPerReplica=4, workerReplicas=2)
    assert str(made["nprocPerNode" if kind == "pytorch" else "slotsPerWorker"]) == "4"


def test_infiniband_is_asked_for_only_where_nodes_with_the_gpus_offer_it(cluster: Cluster) -> None:
    """B18: NCCL_NET=IB is forced there, InfiniBand or not."""
    spec = {"jobType": "pytorch", "image": "me/train", "workerReplicas": 2, "gpuType": "A100"}
    rdma, product = {"rdma/rdma_shared_device_a": "1"}, "nvidia.com/gpu.product"
    cluster.node("one", rdma, {product: "A100"})
    cluster.node("other", rdma, {product: "H100"})
    cluster.apply(CPODJOBS, "without", spec)
    cluster.node("two", rdma, {product: "A100"})
    cluster.apply(CPODJOBS, "with", spec)
    for name, wanted in (("without", False), ("with", True)):
        pod = worker_pod(cluster.get(PYTORCHJOBS, name)["spec"], "pytorch")
        assert ("securityContext" in pod["containers"][0]) is wanted
        assert ("env" in pod["containers"][0]) is wanted


@pytest.mark.parametrize(("kind", "resource"), KINDS)
def test_every_job_type_becomes_a_job_and_the_duration_its_deadline(
    cluster: Cluster, kind: str, resource: Resource
) -> None:
    """Fault 8 (B11, B19): tensorFlow and `duration` are accepted there and do nothing."""
    cluster.apply(CPODJOBS, "t", {"jobType": kind, "image": "me/train", "duration": 3, "backoffLimit": 1})
    spec = cluster.get(resource, "t")["spec"]
    policy = spec if kind == "general" else spec["runPolicy"]
    assert (policy["activeDeadlineSeconds"], policy["backoffLimit"]) == (180, 1)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        pytest.param({"jobType": "spark", "image": "x"}, 'supported values: "pytorch"', id="jobType"),
        pytest.param({"jobType": "pytorch"}, "spec.image: Required", id="no image"),
        pytest.param({"image": "x", "workerReplicas": -1}, "spec.workerReplicas", id="a negative number"),
    ],
)
def test_what_makes_no_sense_is_refused_by_the_api_server(cluster: Cluster, spec: dict[str, Any], said: str) -> None:
    """B11: that definition has no enums, and the operator goes on with no object at all."""
    with pytest.raises(Invalid, match=said):
        cluster.apply(CPODJOBS, "t", spec)


def test_a_general_job_has_its_gpus_its_replicas_and_its_retries() -> None:
    """B19."""
    made = build(gpuRequiredPerReplica=2, gpuType="A100", workerReplicas=3, backoffLimit=5)
    assert (made["completions"], made["parallelism"], made["backoffLimit"]) == (3, 3, 5)
    pod = worker_pod(made, "general")
    assert pod["containers"][0]["resources"] == {"requests": {GPU: "2"}, "limits": {GPU: "2"}}
    assert pod["nodeSelector"] == {"nvidia.com/gpu.product": "A100"}
    assert {"name": "shm", "mountPath": "/dev/shm"} in pod["containers"][0]["volumeMounts"]


@pytest.mark.parametrize("kind", ["general", "pytorch", "mpi", "tensorFlow"])
def test_no_gpu_type_selects_no_node(kind: str) -> None:
    """Fault 11 (B20)."""
    for gpus in (0, 1):
        assert "nodeSelector" not in worker_pod(build(jobType=kind, gpuRequiredPerReplica=gpus), kind)


@pytest.mark.parametrize(("kind", "resource"), KINDS)
def test_a_change_of_the_job_below_wakes_the_cpodjob_and_waiting_is_no_error(
    cluster: Cluster, kind: str, resource: Resource
) -> None:
    """Fault 10 (B13, B14): there only MPIJobs are watched, and a job that runs is an error that backs off."""
    cluster.apply(CPODJOBS, "t", {"jobType": kind, "image": "me/train"})
    controller = next(found for found in cluster.controllers if found.name == CPODJOBS.plural)
    child = cluster.get(resource, "t")
    assert list(controller.sources[resource](child)) == [Key(NAMESPACE, "t")]
    cluster.pod(child, LABEL_JOB if kind == "general" else LABEL_JOB_NAME, RUNNING)
    assert controller.reconcile(Key(NAMESPACE, "t")) is None
    assert condition(cluster, "Running")["status"] == "True"


def test_the_first_condition_is_kept_in_the_status(cluster: Cluster) -> None:
    """B12: there it is set in the informer's cache, and nobody ever sees it."""
    cluster.apply(CPODJOBS, "t", {"image": "me/train"})
    assert condition(cluster, "Created")["status"] == "True"


@pytest.mark.parametrize(("size", "warned"), [pytest.param(100, True, id="100 MiB"), pytest.param(0, False, id="none")])
def test_a_result_that_may_not_fit_is_warned_of_and_the_default_fits(cluster: Cluster, size: int, warned: bool) -> None:
    """B8: the README's 100 MiB for a model of 7B. Not refused, for an adapter would fit."""
    cluster.claim("base-files")
    annotations = {"cpod.cpod/cpod-model-size": str(60 * 2**30)}
    cluster.apply(MODELSTORAGES, "base", {"modeltype": "trained", "pvc": "base-files"}, annotations)
    spec = {"image": "me/train", "pretrainModelName": "base", "pretrainModelPath": "/model", "modelSavePath": "/save"}
    cluster.apply(CPODJOBS, "t", {**spec, "modelSaveVolumeSize": size})
    told = [message for kind, reason, message in cluster.events("t") if reason == "ResultVolumeSmall"]
    assert bool(told) is warned
    claim = cluster.get(PVCS, "t-modelsave-pvc")["spec"]["resources"]["requests"]["storage"]
    assert claim == ("100Mi" if size else "73728Mi")
    assert not told or "61440 MiB" in told[0]
    assert cluster.exists(JOBS, "t")


def test_a_released_claim_that_is_deleted_comes_not_back_empty(cluster: Cluster) -> None:
    """B25."""
    cluster.apply(CPODJOBS, "t", {"image": "me/train", "modelSavePath": "/save"})
    cluster.end(JOBS, "t", "Complete")
    assert meta.controller_of(cluster.get(PVCS, "t-modelsave-pvc")) is None
    cluster.api.delete(PVCS, "t-modelsave-pvc", NAMESPACE)
    cluster.api.delete(JOBS, "t", NAMESPACE)
    cluster.settle()
    assert cluster.names(PVCS) == cluster.names(JOBS) == []


# ---- objects of the original operator


def of_the_original(cluster: Cluster, ended: str, **spec: Any) -> str:
    """A CPodJob and its PyTorchJob as the Go operator leaves them; the CPodJob's version."""
    made = cluster.api.create(
        CPODJOBS,
        {
            **typed(CPODJOBS),
            "metadata": {"name": "old", "namespace": NAMESPACE, "labels": {"cpod.cpod/cpodjob-source": "sxwl"}},
            "spec": {"jobType": "pytorch", "image": "me/train", "command": ["python", "t.py"], **spec},
        },
    )
    entries = [("Created", "True", "CPodJobCreated"), ("DataPreparing", "True", "DataReady")]
    entries += [("Running", "False" if ended else "True", "BaseJobRunning")] + ([(ended, "True", "x")] if ended else [])
    stamp = "2025-01-01T00:00:00Z"
    conditions = [
        {"type": kind, "status": status, "reason": reason, "lastUpdateTime": stamp, "lastTransitionTime": stamp}
        for kind, status, reason in entries
    ]
    status = {"conditions": conditions, "startTime": stamp, "lastReconcileTime": stamp}
    made = cluster.api.patch(CPODJOBS, "old", {"status": status}, NAMESPACE, subresource="status")
    replica = {"replicas": 1, "restartPolicy": "OnFailure",
               "template": {"spec": {"containers": [{"name": "pytorch", "image": "me/train"}]}}}  # fmt: skip
    cluster.api.create(
        PYTORCHJOBS,
        {
            **typed(PYTORCHJOBS),
            "metadata": {"name": "old", "namespace": NAMESPACE, "ownerReferences": [meta.owner_reference(made)]},
            "spec": {"runPolicy": {"cleanPodPolicy": "Running"}, "pytorchReplicaSpecs": {"Worker": replica}},
        },
    )
    return str(made["metadata"]["resourceVersion"])


@pytest.mark.parametrize("ended", ["Succeeded", "Failed"])
def test_a_job_that_ended_under_the_original_operator_is_left_alone(cluster: Cluster, ended: str) -> None:
    version = of_the_original(cluster, ended, modelSavePath="/save", modelSaveVolumeSize=1, uploadModel=True)
    child = cluster.get(PYTORCHJOBS, "old")["metadata"]["resourceVersion"]
    cluster.settle()
    assert cluster.get(CPODJOBS, "old")["metadata"]["resourceVersion"] == version
    assert cluster.get(PYTORCHJOBS, "old")["metadata"]["resourceVersion"] == child
    assert cluster.names(JOBS) == cluster.names(PVCS) == cluster.names(MODELSTORAGES) == []
    assert cluster.events("old") == []


def test_a_job_that_runs_under_the_original_operator_is_followed_to_its_end(cluster: Cluster) -> None:
    of_the_original(cluster, "")
    cluster.pod(cluster.get(PYTORCHJOBS, "old"), LABEL_JOB_NAME, RUNNING)
    assert condition(cluster, "Running", "old")["status"] == "True"
    cluster.end(PYTORCHJOBS, "old", "Succeeded")
    assert condition(cluster, "Succeeded", "old")["status"] == "True"
    assert cluster.status(CPODJOBS, "old")["startTime"] == "2025-01-01T00:00:00Z"
    assert "ChangeIgnored" not in {reason for _, reason, _ in cluster.events("old")}


# ---- edits


@pytest.mark.parametrize(("kind", "resource"), KINDS)
def test_a_failed_job_that_is_edited_starts_anew_once_its_pods_are_gone(
    cluster: Cluster, kind: str, resource: Resource
) -> None:
    cluster.apply(CPODJOBS, "t", {"jobType": kind, "image": "me/train"})
    old = cluster.get(resource, "t")
    pod = cluster.pod(old, LABEL_JOB if kind == "general" else LABEL_JOB_NAME, terminated("no such file", 2))
    cluster.api.patch(PODS, pod, {"metadata": {"finalizers": ["test/slow-to-go"]}}, NAMESPACE)
    cluster.end(resource, "t", "Failed")
    assert condition(cluster, "Failed")["message"] == "no such file"

    cluster.edit(CPODJOBS, "t", {"image": "me/train:2"})
    assert condition(cluster, "Failed") == {}
    assert condition(cluster, "DataPreparing")["reason"] == "Restarting"
    assert "completionTime" not in cluster.status(CPODJOBS, "t")
    assert cluster.exists(PODS, pod)
    assert meta.uid_of(cluster.get(resource, "t")) == meta.uid_of(old), "two must not write into one claim"
    cluster.api.patch(PODS, pod, {"metadata": {"finalizers": []}}, NAMESPACE)
    cluster.until(lambda: condition(cluster, "DataPreparing").get("status") == "True")
    new = cluster.get(resource, "t")
    assert meta.uid_of(new) != meta.uid_of(old)
    assert worker_pod(new["spec"], kind)["containers"][0]["image"] == "me/train:2"


def test_an_edit_between_the_jobs_making_and_the_word_that_it_began_is_applied(cluster: Cluster) -> None:
    """Until the status says so, the job has not begun for whoever reads it, and the rule lets the edit through."""
    controller = next(found for found in cluster.controllers if found.name == CPODJOBS.plural)
    cluster.api.create(
        CPODJOBS,
        {**typed(CPODJOBS), "metadata": {"name": "t", "namespace": NAMESPACE}, "spec": {"image": "one"}},
    )
    create = cluster.api.create

    def edited_meanwhile(resource: Resource, obj: Object) -> Object:
        made = create(resource, obj)
        if resource == JOBS:
            cluster.api.patch(CPODJOBS, "t", {"spec": {"image": "two"}}, NAMESPACE)
        return made

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(cluster.api, "create", edited_meanwhile)
        with pytest.raises(Conflict):
            controller.reconcile(Key(NAMESPACE, "t"))
    cluster.until(lambda: bool(condition(cluster, "Running")))
    assert worker_pod(cluster.get(JOBS, "t")["spec"], "general")["containers"][0]["image"] == "two"
