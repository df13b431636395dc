"""TrainJobs of Kubeflow Trainer: the jobs of a runtime run in order and find each other. Pods are real programs."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from kubelet.cluster import NAMESPACE, Cluster

from controllers.test_mpijob import REDUCE
from controllers.test_training_kinds import MEET_AT
from controllers.training_jobs import SHOW_ENV, env_of, printed, wait_condition
from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import (
    CLUSTERTRAININGRUNTIMES,
    EVENTS,
    JOBS,
    PVCS,
    SERVICES,
    TRAININGRUNTIMES,
    TRAINJOBS,
    Object,
)
from cpod_jupyter.api.trainjob import LABEL_ANCESTOR
from cpod_jupyter.engine.controllers.trainer import shipped_runtimes
from cpod_jupyter.errors import Invalid

MEET = MEET_AT.format(
    number="os.environ['PET_NODE_RANK']",
    count="os.environ['PET_NNODES']",
    address="(os.environ['PET_MASTER_ADDR'] + ':' + os.environ['PET_MASTER_PORT'])",
)


@pytest.fixture
def trainer(cluster: Cluster) -> Cluster:
    """The cluster with the runtimes that the engine brings."""
    for runtime in shipped_runtimes():
        cluster.api.create(CLUSTERTRAININGRUNTIMES, runtime)
    return cluster


def train(cluster: Cluster, name: str, script: str = "", runtime: Any = "torch-distributed", **spec: Any) -> Object:
    own = {"command": [sys.executable, "-c", script], **spec.pop("trainer", {})} if script else spec.pop("trainer", {})
    reference = {"name": runtime} if isinstance(runtime, str) else runtime
    return cluster.create(TRAINJOBS, name, spec={"runtimeRef": reference, "trainer": own, **spec})


def job(name: str, *command: str, ancestor: str = "", needs: str = "", **spec: Any) -> dict[str, Any]:
    """A job of a runtime's template."""
    container = {"name": name, "image": "busybox", **({"command": list(command)} if command else {})}
    pod = {"restartPolicy": "Never", "containers": [container]}
    template: dict[str, Any] = {"spec": {"backoffLimit": 0, "template": {"spec": pod}, **spec}}
    if ancestor:
        template["metadata"] = {"labels": {LABEL_ANCESTOR: ancestor}}
    found: dict[str, Any] = {"name": name, "template": template}
    if needs:
        needed, _, state = needs.partition(" ")
        found["dependsOn"] = [{"name": needed, "status": state}]
    return found


def runtime(cluster: Cluster, name: str, *jobs: dict[str, Any], policy: Any = None, **jobset: Any) -> dict[str, str]:
    """A runtime of the namespace, and the reference to it."""
    spec = {"mlPolicy": policy or {}, "template": {"spec": {"replicatedJobs": list(jobs), **jobset}}}
    cluster.create(TRAININGRUNTIMES, name, spec=spec)
    return {"name": name, "kind": "TrainingRuntime"}


def pods_of(cluster: Cluster, name: str) -> list[str]:
    found = [pod for pod in cluster.pods() if pod["metadata"]["labels"].get("jobset.sigs.k8s.io/jobset-name") == name]
    return sorted(meta.name_of(pod) for pod in found)


def events(cluster: Cluster, name: str) -> list[str]:
    return [item["reason"] for item in cluster.api.list(EVENTS).items if item["involvedObject"]["name"] == name]


def test_two_nodes_meet_at_the_first(trainer: Cluster) -> None:
    train(trainer, "pair", MEET, trainer={"numNodes": 2, "numProcPerNode": 3})
    condition = wait_condition(trainer, TRAINJOBS, "pair", "Complete")
    assert (condition["reason"], condition["observedGeneration"]) == ("AllJobsCompleted", 1)
    first, second = pods_of(trainer, "pair")
    assert printed(trainer, first) == "met ['1']\n"
    assert (first.rpartition("-")[0], second.rpartition("-")[0]) == ("pair-node-0-0", "pair-node-0-1")
    status = trainer.get(TRAINJOBS, "pair")["status"]
    none = {"ready": 0, "failed": 0, "active": 0, "suspended": 0}
    assert status["jobsStatus"] == [{"name": "node", "succeeded": 1, **none}]
    assert trainer.get(SERVICES, "pair")["spec"]["clusterIP"] == "None"


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_torchrun_in_two_nodes_reduces_over_gloo(trainer: Cluster, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="torch is not installed (extra `runtime`)")
    program = tmp_path / "reduce.py"
    program.write_text(
        "import torch, torch.distributed as dist\n"
        "dist.init_process_group('gloo')\n"
        "mine = torch.tensor([dist.get_rank() + 1.0])\n"
        "dist.all_reduce(mine)\n"
        "print('sum', mine.item(), 'of', dist.get_world_size(), flush=True)\n"
        "dist.destroy_process_group()\n"
    )
    command = [sys.executable, "-m", "torch.distributed.run", str(program)]
    train(trainer, "gloo", trainer={"command": command, "numNodes": 2, "numProcPerNode": 1})
    wait_condition(trainer, TRAINJOBS, "gloo", "Complete", 150)
    for pod in pods_of(trainer, "gloo"):
        assert "sum 3.0 of 2" in printed(trainer, pod)


@pytest.mark.parametrize(
    ("framework", "wanted"),
    [
        ("jax", {"JAX_NUM_PROCESSES": "1", "JAX_PROCESS_ID": "0", "JAX_DISTRIBUTED_BACKEND": "gloo"}),
        ("xgboost", {"DMLC_NUM_WORKER": "1", "DMLC_TASK_ID": "0"}),
        ("torch", {"PET_NNODES": "1", "PET_NODE_RANK": "0", "PET_NPROC_PER_NODE": "2"}),
    ],
)
def test_each_framework_has_its_variables(trainer: Cluster, framework: str, wanted: dict[str, str]) -> None:
    resources = {"requests": {"cpu": "2", "memory": "32Mi"}, "limits": {"cpu": "2"}}
    own = {"env": [{"name": "MINE", "value": "1"}], "resourcesPerNode": resources}
    if framework != "torch":
        own.pop("resourcesPerNode")
    train(trainer, framework, SHOW_ENV, f"{framework}-distributed", trainer=own)
    wait_condition(trainer, TRAINJOBS, framework, "Complete")
    (pod,) = pods_of(trainer, framework)
    assert wanted.items() | {("MINE", "1")} <= env_of(trainer, pod).items()


@pytest.mark.skipif(shutil.which("mpirun") is None, reason="mpirun is not installed (Debian: openmpi-bin)")
@pytest.mark.timeout(120)
def test_mpirun_starts_a_rank_in_each_node(trainer: Cluster) -> None:
    command = ["mpirun", "--oversubscribe", "-np", "2", sys.executable, "-c", REDUCE]
    train(trainer, "ranks", runtime="mpi-distributed", trainer={"command": command, "numNodes": 2})
    wait_condition(trainer, TRAINJOBS, "ranks", "Complete", 90)
    launcher = next(pod for pod in pods_of(trainer, "ranks") if "launcher" in pod)
    said = printed(trainer, launcher)
    assert "sum 3.0 of 2 in ranks-node-0-0" in said
    assert "sum 3.0 of 2 in ranks-node-0-1" in said
    trainer.wait(lambda: pods_of(trainer, "ranks") == [launcher], "the nodes, which wait for ever, have been ended")


@pytest.mark.skipif(shutil.which("mpirun") is None, reason="mpirun is not installed (Debian: openmpi-bin)")
@pytest.mark.timeout(120)
def test_a_launcher_may_be_a_node_itself_as_in_upstreams_deepspeed_runtime(cluster: Cluster) -> None:
    probe = {"tcpSocket": {"port": 2222}, "initialDelaySeconds": 5}
    node = job("node", "/usr/sbin/sshd", "-De", "-f", "/home/mpiuser/.sshd_config")
    node["template"]["spec"]["template"]["spec"]["containers"][0]["readinessProbe"] = probe
    launcher = job("launcher", ancestor="trainer", needs="node Ready")
    launcher["template"]["spec"]["template"]["spec"]["containers"][0]["name"] = "node"
    policy = {"numNodes": 1, "mpi": {"runLauncherAsNode": True, "sshAuthMountPath": "/home/mpiuser/.ssh"}}
    success = {"operator": "All", "targetReplicatedJobs": ["launcher"]}
    reference = runtime(cluster, "deepspeed-distributed", node, launcher, policy=policy, successPolicy=success)
    command = ["mpirun", "-np", "2", sys.executable, "-c", REDUCE]
    train(cluster, "deep", runtime=reference, trainer={"command": command, "numNodes": 2})
    wait_condition(cluster, TRAINJOBS, "deep", "Complete", 90)
    said = printed(cluster, next(pod for pod in pods_of(cluster, "deep") if "launcher" in pod))
    assert "sum 3.0 of 2 in deep-launcher-0-0" in said
    assert "sum 3.0 of 2 in deep-node-0-0" in said


def test_what_is_fetched_comes_first_and_lies_where_the_nodes_look(trainer: Cluster, tmp_path: Path) -> None:
    rows = '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}\n'
    (tmp_path / "rows.jsonl").write_text(rows)
    look = "import os; print(sorted(os.listdir('/workspace/dataset')))"
    source = {"dataset": {"storageUri": f"file://{tmp_path}/rows.jsonl"}}
    train(trainer, "fetch", look, "torch-initialized", initializer=source)
    wait_condition(trainer, TRAINJOBS, "fetch", "Complete", 60)
    node = next(pod for pod in pods_of(trainer, "fetch") if "-node-" in pod)
    assert "rows.jsonl" in printed(trainer, node)
    assert [entry["name"] for entry in trainer.get(TRAINJOBS, "fetch")["status"]["jobsStatus"]] == [
        "dataset-initializer",
        "node",
    ], "no model was asked for, so none is fetched"
    assert meta.is_controlled_by(trainer.get(PVCS, "initializer-fetch"), trainer.get(TRAINJOBS, "fetch"))


def test_an_initializer_that_fails_is_the_reason_and_the_nodes_never_run(trainer: Cluster) -> None:
    train(trainer, "gone", "print(1)", "torch-initialized", initializer={"model": {"storageUri": "file:///no/such"}})
    condition = wait_condition(trainer, TRAINJOBS, "gone", "Failed", 60)
    assert condition["message"].startswith("the job gone-model-initializer-0 failed: ")
    assert "/no/such" in condition["message"]
    assert not any("-node-" in pod for pod in pods_of(trainer, "gone"))


def test_a_failed_node_is_told_with_its_last_words(trainer: Cluster) -> None:
    train(trainer, "bad", "import sys; print('row 7 is empty'); sys.exit(3)")
    condition = wait_condition(trainer, TRAINJOBS, "bad", "Failed")
    assert condition["reason"] == "FailedJobs"
    assert "exited with 3" in condition["message"]
    assert "row 7 is empty" in condition["message"]
    trainer.wait(lambda: "FailedJobs" in events(trainer, "bad"), "that is told of")


def test_jobs_wait_for_what_they_depend_on_and_the_success_policy_decides(cluster: Cluster) -> None:
    server = job("server", "sleep", "300", parallelism=2)
    client = job("client", "true", ancestor="trainer", needs="server Ready")
    reference = runtime(
        cluster, "served", server, client, successPolicy={"operator": "All", "targetReplicatedJobs": ["client"]}
    )
    train(cluster, "served", runtime=reference)
    wait_condition(cluster, TRAINJOBS, "served", "Complete")
    cluster.wait(lambda: not any("server" in pod for pod in pods_of(cluster, "served")), "the servers are ended")


def test_all_jobs_begin_again_as_often_as_the_runtime_allows(cluster: Cluster, tmp_path: Path) -> None:
    count = f"echo x >> {tmp_path}/tries; test $(wc -l < {tmp_path}/tries) -ge 3"
    node = job("node", "sh", "-c", count, ancestor="trainer")
    train(cluster, "again", runtime=runtime(cluster, "twice", node, failurePolicy={"maxRestarts": 2}))
    wait_condition(cluster, TRAINJOBS, "again", "Complete", 60)
    assert (tmp_path / "tries").read_text().count("x") == 3
    assert events(cluster, "again").count("Restarting") == 2


def test_a_suspended_job_has_no_pods_until_it_is_resumed(trainer: Cluster, tmp_path: Path) -> None:
    wait = f"import os, time\nwhile not os.path.exists('{tmp_path}/go'): time.sleep(0.05)"
    train(trainer, "held", wait)
    trainer.wait(lambda: pods_of(trainer, "held"), "its pod is there")
    trainer.api.patch(TRAINJOBS, "held", {"spec": {"suspend": True}}, NAMESPACE)
    wait_condition(trainer, TRAINJOBS, "held", "Suspended")
    trainer.wait(lambda: not pods_of(trainer, "held"), "its pod is gone")
    assert trainer.get(TRAINJOBS, "held")["status"]["jobsStatus"][0]["suspended"] == 1
    (tmp_path / "go").touch()
    trainer.api.patch(TRAINJOBS, "held", {"spec": {"suspend": False}}, NAMESPACE)
    wait_condition(trainer, TRAINJOBS, "held", "Complete")
    condition = meta.condition(trainer.get(TRAINJOBS, "held"), "Suspended") or {}
    assert (condition["status"], condition["reason"]) == ("False", "Resumed")


def test_a_job_that_runs_too_long_fails_and_is_ended(trainer: Cluster) -> None:
    train(trainer, "long", "import time; time.sleep(300)", activeDeadlineSeconds=1)
    condition = wait_condition(trainer, TRAINJOBS, "long", "Failed")
    assert condition["reason"] == "DeadlineExceeded"
    trainer.wait(lambda: not pods_of(trainer, "long"), "its pod is ended")


def test_a_job_waits_for_its_runtime_and_says_which_there_are(trainer: Cluster) -> None:
    train(trainer, "early", "print(1)", {"name": "mine", "kind": "TrainingRuntime"})
    assert wait_condition(trainer, TRAINJOBS, "early", "Waiting")["message"] == (
        'there is no TrainingRuntime "mine"; there is none'
    )
    train(trainer, "typo", "print(1)", "torch-distribted")
    assert 'did you mean "torch-distributed"' in wait_condition(trainer, TRAINJOBS, "typo", "Waiting")["message"]
    runtime(trainer, "mine", job("node", "false", ancestor="trainer"))
    wait_condition(trainer, TRAINJOBS, "early", "Complete")
    assert meta.condition(trainer.get(TRAINJOBS, "early"), "Waiting") is None


def patch(name: str, **pod: Any) -> dict[str, Any]:
    template = {"spec": {"template": {"metadata": {"labels": {"by": "me"}}, "spec": pod}}}
    spec = {"template": {"spec": {"replicatedJobs": [{"name": name, "template": template}]}}}
    return {"manager": "example.com/me", "trainingRuntimeSpec": spec}


def test_runtime_patches_change_the_pods_of_this_job(trainer: Cluster) -> None:
    volumes = {"volumes": [{"name": "tmp", "emptyDir": {}}]}
    mounts = [{"name": "node", "volumeMounts": [{"name": "tmp", "mountPath": "/scratch"}]}]
    patches = [patch("node", containers=mounts, **volumes)]
    train(trainer, "patched", "open('/scratch/x', 'w'); print('written')", runtimePatches=patches)
    wait_condition(trainer, TRAINJOBS, "patched", "Complete")
    (pod,) = (found for found in trainer.pods() if meta.name_of(found).startswith("patched-"))
    assert pod["metadata"]["labels"]["by"] == "me"


def test_a_job_of_anothers_with_the_name_that_is_wanted_is_told_of(trainer: Cluster) -> None:
    pod = {"restartPolicy": "Never", "containers": [{"name": "c", "image": "busybox", "command": ["true"]}]}
    trainer.create(JOBS, "same-node-0", spec={"template": {"spec": pod}})
    train(trainer, "same", "print(1)")
    said = wait_condition(trainer, TRAINJOBS, "same", "Waiting")["message"]
    assert said.startswith("there is a Job same-node-0 already, which is not this TrainJob's")


REFUSED = {
    "too long a name": ({"name": "n" * 60}, "the name is too long"),
    "a job that the runtime lacks": ({"runtimePatches": [patch("nod")]}, 'names the job "nod"'),
    "a container that the job lacks": (
        {"runtimePatches": [patch("node", containers=[{"name": "nodes"}])]},
        'names the container "nodes", which node lacks; did you mean "node"',
    ),
    "a reserved variable": ({"trainer": {"env": [{"name": "PET_NNODES", "value": "9"}]}}, "must not set PET_NNODES"),
    "no initializer": (
        {"initializer": {"model": {"storageUri": "hf://a/b"}}},
        "initializer.model needs a runtime with a job and a container named model-initializer",
    ),
    "torchtune": ({"trainer": {"command": ["tune", "run", "x"]}}, "torchtune (tune run) is not offered"),
}


@pytest.mark.parametrize(("spec", "words"), REFUSED.values(), ids=REFUSED)
def test_what_a_runtime_cannot_do_is_refused_in_words(trainer: Cluster, spec: dict[str, Any], words: str) -> None:
    name = spec.get("name", "no")
    train(trainer, **{"name": name, **spec})
    condition = wait_condition(trainer, TRAINJOBS, name, "Failed")
    assert condition["reason"] == "TrainJobRuntimeNotSupported"
    assert words in condition["message"]
    assert trainer.api.list(JOBS).items == []


def test_what_a_job_was_made_with_is_fixed_and_suspend_is_not(trainer: Cluster) -> None:
    train(trainer, "fixed", "print(1)", suspend=True)
    for change in ({"trainer": {"numNodes": 3}}, {"runtimeRef": {"name": "other"}}, {"initializer": {"model": {}}}):
        with pytest.raises(Invalid, match=rf"spec.{next(iter(change))} cannot be changed"):
            trainer.api.patch(TRAINJOBS, "fixed", {"spec": change}, NAMESPACE)
    trainer.api.patch(TRAINJOBS, "fixed", {"spec": {"suspend": False}}, NAMESPACE)
    wait_condition(trainer, TRAINJOBS, "fixed", "Complete")
    with pytest.raises(Invalid, match="must be a DNS label"):
        train(trainer, "1st", "print(1)")


def test_a_job_that_another_manages_is_left_alone(trainer: Cluster) -> None:
    train(trainer, "theirs", "print(1)", managedBy="kueue.x-k8s.io/multikueue")
    train(trainer, "ours", "print(1)")
    wait_condition(trainer, TRAINJOBS, "ours", "Complete")
    assert not trainer.get(TRAINJOBS, "theirs").get("status")


def test_a_runtime_that_goes_while_a_job_runs_does_not_hold_it(cluster: Cluster, tmp_path: Path) -> None:
    """And a Job's end is noticed by watching it. Fault 10 (B14)."""
    wait = f"until test -e {tmp_path}/go; do sleep 0.05; done"
    reference = runtime(cluster, "brief", job("node", "sh", "-c", wait, ancestor="trainer"))
    train(cluster, "brief", runtime=reference)
    cluster.wait(lambda: pods_of(cluster, "brief"), "its pod is there")
    cluster.api.delete(TRAININGRUNTIMES, "brief", NAMESPACE)
    (tmp_path / "go").touch()
    wait_condition(cluster, TRAINJOBS, "brief", "Complete")
