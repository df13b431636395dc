"""CPodJobs of type mpi and tensorFlow, and replicaSpecs: what they become."""

from __future__ import annotations

from typing import Any

import pytest
from operator_cluster import Cluster

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import CPODJOBS, JOBS, MODELSTORAGES, MPIJOBS_V2BETA1, PYTORCHJOBS, TFJOBS
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
    """B18: slots and retries, and no hostIPC, which a namespace of the baseline standard refuses."""
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
    """Fault 8 (B11)."""
    cluster.apply(
        CPODJOBS, "tf", {"jobType": "tensorFlow", "image": "me/tf", "command": ["python", "t.py"], "workerReplicas": 2}
    )
    spec = cluster.get(TFJOBS, "tf")["spec"]
    assert spec["tfReplicaSpecs"]["Worker"]["replicas"] == 2
    worker = container(spec["tfReplicaSpecs"], "Worker")
    assert (worker["name"], worker["command"]) == ("tensorflow", ["python", "t.py"])


def replica(name: str = "pytorch", mount: str = "/mine", volume: str = "mine", **container: Any) -> dict[str, Any]:
    """A role of `replicaSpecs` with a volume of its own."""
    found = {"name": name, "volumeMounts": [{"name": volume, "mountPath": mount}], **container}
    return {"template": {"spec": {"containers": [found], "volumes": [{"name": volume, "emptyDir": {}}]}}}


def test_given_replicas_have_the_jobs_data_and_environment_at_hand(cluster: Cluster) -> None:
    """Fault 8 (B19): what is mounted for other jobs is mounted for these, or their results would be empty."""
    cluster.claim("base-files")
    cluster.apply(MODELSTORAGES, "base", {"modeltype": "trained", "pvc": "base-files"})
    own = {"env": [{"name": "A", "value": "own"}], "image": "other"}
    cluster.apply(
        CPODJOBS, "t",
        {"jobType": "pytorch", "image": "me/train", "replicaSpecs": {"Master": replica(), "Worker": replica(**own)},
         "env": [{"name": "A", "value": "shared"}], "pretrainModelName": "base", "pretrainModelPath": "/model",
         "ckptPath": "/ckpt", "modelSavePath": "/save", "codePath": "/code",
         "gitRepo": {"repository": "https://example.com/x.git"}},
    )  # fmt: skip
    spec = cluster.get(PYTORCHJOBS, "t")["spec"]["pytorchReplicaSpecs"]
    for role, image, value in (("Master", "me/train", "shared"), ("Worker", "other", "own")):
        found, pod = container(spec, role), spec[role]["template"]["spec"]
        assert (found["image"], found["env"]) == (image, [{"name": "A", "value": value}])
        assert {mount["mountPath"]: mount["name"] for mount in found["volumeMounts"]} == {
            "/mine": "mine", "/model": "pretrain-model", "/ckpt": "ckpt", "/save": "modelsave", "/code": "code",
        }  # fmt: skip
        assert {volume["name"] for volume in pod["volumes"]} == {"mine", "pretrain-model", "ckpt", "modelsave", "code"}
        assert [clone["name"] for clone in pod["initContainers"]] == ["clone"]


@pytest.mark.parametrize(
    ("specs", "processes", "elastic"),
    [
        pytest.param({"Worker": replica(resources={"limits": {GPU: "4"}})}, "4", False, id="one worker"),
        pytest.param({"Worker": {**replica(), "replicas": 3}}, "1", True, id="three workers"),
        pytest.param({"Master": replica(), "Worker": {**replica(), "replicas": 3}}, "1", False, id="with a master"),
    ],
)
def test_given_replicas_find_each_other_as_made_ones_do(specs: dict[str, Any], processes: str, elastic: bool) -> None:
    """Fault 7 (B18): the processes of a replica are its GPUs."""
    spec = {"jobType": "pytorch", "image": "me/train", "replicaSpecs": specs}
    metadata = {"name": "t", "namespace": "default", "uid": "u"}
    owner = {"apiVersion": CPODJOBS.api_version, "kind": CPODJOBS.kind, "metadata": metadata, "spec": spec}
    made = jobs.workload(owner, Facts(), Settings())["spec"]
    assert made["nprocPerNode"] == processes
    policy = {"rdzvBackend": "c10d", "minReplicas": 3, "maxReplicas": 3}
    assert made.get("elasticPolicy") == (policy if elastic else None)


def test_tensorboards_claim_is_mounted_where_a_namespace_has_one(cluster: Cluster) -> None:
    cluster.apply(CPODJOBS, "before", {"image": "me/train"})
    cluster.claim("log-volume-tensorboard-0")
    cluster.apply(CPODJOBS, "after", {"image": "me/train"})
    cluster.apply(CPODJOBS, "own", {"image": "me/train", "ckptPath": "/logs"})
    mounts = {
        name: cluster.get(JOBS, name)["spec"]["template"]["spec"]["containers"][0].get("volumeMounts")
        for name in ("before", "after", "own")
    }
    assert not mounts["before"]
    assert mounts["after"] == [{"name": "logs", "mountPath": "/logs"}]
    assert mounts["own"] == [{"name": "ckpt", "mountPath": "/logs"}]


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
        pytest.param({"uploadModel": True}, "uploadModel without modelSavePath", id="nothing to upload"),
        pytest.param({"ckptPath": "/x", "modelSavePath": "/x/"}, "are both /x", id="one path for two"),
        pytest.param({"ckptPath": "data/ckpt"}, "ckptPath is 'data/ckpt': it has to be", id="relative"),
        pytest.param(
            {"jobType": "pytorch", "ckptPath": "/ckpt", "replicaSpecs": {"Worker": replica(mount="/ckpt/")}},
            "replicaSpecs.Worker: container pytorch mounts /ckpt/ itself, which is ckptPath too", id="its own mount",
        ),
        pytest.param(
            {"jobType": "pytorch", "ckptPath": "/ckpt", "replicaSpecs": {"Worker": replica(volume="ckpt")}},
            "replicaSpecs.Worker: the volume name ckpt is the operator's", id="its own volume",
        ),
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
