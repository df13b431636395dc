"""CPodJobs of type mpi and tensorFlow, and replicaSpecs: what they become."""

from __future__ import annotations

from typing import Any

import pytest
from operator_cluster import Cluster

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import CPODJOBS, MPIJOBS_V2BETA1, PYTORCHJOBS, TFJOBS
from cpod_jupyter.operator.builders import jobs
from cpod_jupyter.operator.builders.workload import Facts
from cpod_jupyter.operator.settings import Settings

GPU = "nvidia.com/gpu"


def failed(cluster: Cluster, name: str) -> tuple[str, str]:
    entry = meta.condition(cluster.get(CPODJOBS, name), "Failed") or {}
    return str(entry.get("reason")), str(entry.get("message"))


def container(spec: dict[str, Any], role: str) -> dict[str, Any]:
    (found,) = spec[role]["template"]["spec"]["containers"]
    return dict(found)


def test_an_mpi_job_has_a_launcher_with_the_command_and_workers_with_the_gpus(cluster: Cluster) -> None:
    env = [{"name": "A", "value": "b"}]
    cluster.apply(
        CPODJOBS, "sim",
        {"jobType": "mpi", "image": "me/mpi", "command": ["mpirun", "./sim"], "workerReplicas": 3, "env": env,
         "gpuRequiredPerReplica": 2, "gpuType": "A100", "duration": 5, "backoffLimit": 1},
    )  # fmt: skip
    spec = cluster.get(MPIJOBS_V2BETA1, "sim")["spec"]
    assert spec["slotsPerWorker"] == 2
    assert {key: spec["runPolicy"][key] for key in ("backoffLimit", "activeDeadlineSeconds")} == {
        "backoffLimit": 1, "activeDeadlineSeconds": 300,
    }  # fmt: skip
    launcher, worker = (container(spec["mpiReplicaSpecs"], role) for role in ("Launcher", "Worker"))
    assert (launcher["name"], launcher["command"]) == ("launcher", ["mpirun", "./sim"])
    assert "resources" not in launcher
    assert (worker["name"], "command" in worker) == ("worker", False)
    assert worker["resources"]["limits"] == {GPU: "2"}
    assert launcher["env"] == worker["env"] == env
    assert spec["mpiReplicaSpecs"]["Worker"]["replicas"] == 3
    launched = spec["mpiReplicaSpecs"]["Launcher"]["template"]["spec"]
    assert "hostIPC" not in launched
    assert "nodeSelector" not in launched


def test_a_tensorflow_job_has_workers(cluster: Cluster) -> None:
    cluster.apply(
        CPODJOBS, "tf", {"jobType": "tensorFlow", "image": "me/tf", "command": ["python", "t.py"], "workerReplicas": 2}
    )
    spec = cluster.get(TFJOBS, "tf")["spec"]
    assert spec["tfReplicaSpecs"]["Worker"]["replicas"] == 2
    worker = container(spec["tfReplicaSpecs"], "Worker")
    assert (worker["name"], worker["command"]) == ("tensorflow", ["python", "t.py"])


def test_replica_specs_are_taken_over(cluster: Cluster) -> None:
    def role(command: str, **more: Any) -> dict[str, Any]:
        found = {"name": "pytorch", "image": "other", "command": [command]}
        return {"template": {"metadata": {"labels": {"own": "yes"}}, "spec": {"containers": [found]}}, **more}

    given = {"Master": role("lead"), "Worker": role("follow", replicas=2, restartPolicy="ExitCode")}
    cluster.apply(CPODJOBS, "t", {"jobType": "pytorch", "image": "me/train", "replicaSpecs": given})
    spec = cluster.get(PYTORCHJOBS, "t")["spec"]["pytorchReplicaSpecs"]
    assert [container(spec, name)["command"] for name in ("Master", "Worker")] == [["lead"], ["follow"]]
    assert (spec["Master"]["replicas"], spec["Worker"]["replicas"]) == (1, 2)
    assert spec["Worker"]["restartPolicy"] == "ExitCode"
    assert spec["Worker"]["template"]["metadata"]["labels"]["own"] == "yes"


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        pytest.param(
            {"jobType": "pytorch", "replicaSpecs": {"Wroker": {}}},
            'Wroker is none of Master, Worker of a pytorch job; did you mean "Worker"?', id="misspelt",
        ),
        pytest.param({"replicaSpecs": {"Worker": {}}}, "a job of type general has no replica types", id="general"),
        pytest.param(
            {"jobType": "mpi", "replicaSpecs": {"Worker": {"replicas": 2}}},
            "replicaSpecs.Worker: template.spec.containers is required", id="no template",
        ),
        pytest.param({"gitRepo": {"repository": "https://x/y"}}, "gitRepo without codePath", id="no code path"),
    ],
)  # fmt: skip
def test_what_does_not_go_together_is_refused(cluster: Cluster, spec: dict[str, Any], said: str) -> None:
    cluster.apply(CPODJOBS, "t", {"image": "me/train", **spec})
    reason, message = failed(cluster, "t")
    assert reason == "BadSpec"
    assert said in message


@pytest.mark.parametrize("kind", ["general", "pytorch", "tensorFlow"])
def test_the_repository_is_cloned_before_the_work_begins(kind: str) -> None:
    repo = {"repository": "https://example.com/x.git", "revision": "v1"}
    spec = {"jobType": kind, "image": "me/train", "gitRepo": repo, "codePath": "/code"}
    metadata = {"name": "t", "namespace": "default", "uid": "u"}
    owner = {"apiVersion": CPODJOBS.api_version, "kind": CPODJOBS.kind, "metadata": metadata, "spec": spec}
    made = jobs.workload(owner, Facts(), Settings())
    field = jobs.KINDS[kind].specs_field
    template = made["spec"][field]["Worker"]["template"] if field else made["spec"]["template"]
    (clone,), (work,) = template["spec"]["initContainers"], template["spec"]["containers"]
    assert clone["args"][:3] == ["clone", "--repository", "https://example.com/x.git"]
    assert {mount["mountPath"] for mount in clone["volumeMounts"]} == {"/code"}
    assert "/code" in {mount["mountPath"] for mount in work["volumeMounts"]}
