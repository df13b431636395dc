"""Kubeflow's PyTorchJob."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from kubelet.cluster import NAMESPACE, Cluster

from controllers import training_jobs
from controllers.training_jobs import SHOW_ENV, env_of, submit
from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import PODS, PYTORCHJOBS, SERVICES
from cpod_jupyter.engine.controllers.training.addresses import Endpoint
from cpod_jupyter.engine.controllers.training.kind import Replica, TrainingJob
from cpod_jupyter.engine.controllers.training.pytorch import PyTorch
from cpod_jupyter.engine.controllers.training.reconciler import RESTARTS_ANNOTATION

ALL_REDUCE = """
import torch, torch.distributed as dist
dist.init_process_group("gloo")
tensor = torch.tensor([float(dist.get_rank() + 1)])
dist.all_reduce(tensor)
print("sum", tensor.item(), "of", dist.get_world_size())
dist.destroy_process_group()
"""


def replica(*command: str, replicas: int = 1, policy: str = "Never") -> dict[str, Any]:
    return training_jobs.replica("pytorch", *command, replicas=replicas, policy=policy)


def run_job(cluster: Cluster, name: str, specs: dict[str, Any], **spec: Any) -> None:
    submit(cluster, PYTORCHJOBS, name, pytorchReplicaSpecs=specs, **spec)


def wait_condition(cluster: Cluster, name: str, kind: str, seconds: float = 30) -> Mapping[str, Any]:
    return training_jobs.wait_condition(cluster, PYTORCHJOBS, name, kind, seconds)


def test_master_and_workers_are_told_of_each_other(cluster: Cluster, tmp_path: Path) -> None:
    shown = tmp_path / "shown"  # the master's success ends the job, so it lets the worker go first
    first = replica(sys.executable, "-c", f"{SHOW_ENV}\nopen({str(shown)!r}, 'w').close()")
    wait = f"import os, time\nwhile not os.path.exists({str(shown)!r}): time.sleep(0.02)"
    run_job(cluster, "pair", {"Master": replica(sys.executable, "-c", f"{wait}\n{SHOW_ENV}"), "Worker": first})
    wait_condition(cluster, "pair", "Succeeded")
    cluster.wait_phase("pair-worker-0", "Succeeded")
    master, worker = env_of(cluster, "pair-master-0"), env_of(cluster, "pair-worker-0")
    address = cluster.get(PODS, "pair-master-0")["status"]["podIP"]
    port = master["MASTER_PORT"]
    for found, rank in ((master, "0"), (worker, "1")):
        assert (found["RANK"], found["PET_NODE_RANK"]) == (rank, rank)
        assert (found["WORLD_SIZE"], found["PET_NNODES"]) == ("2", "2")
        assert (found["MASTER_ADDR"], found["MASTER_PORT"]) == (address, port)
        assert (found["PET_MASTER_ADDR"], found["PET_MASTER_PORT"]) == (address, port)
    service = cluster.get(SERVICES, "pair-master-0")["spec"]
    labels = cluster.get(PODS, "pair-master-0")["metadata"]["labels"]
    assert (service["selector"], service["clusterIP"]) == (labels, "None")
    assert labels["training.kubeflow.org/job-name"] == "pair"
    assert labels["training.kubeflow.org/job-role"] == "master"


@pytest.mark.timeout(120)
def test_two_pods_reduce_a_tensor_together(cluster: Cluster) -> None:
    pytest.importorskip("torch")
    add = replica(sys.executable, "-c", ALL_REDUCE)
    run_job(cluster, "reduce", {"Master": add, "Worker": add})
    wait_condition(cluster, "reduce", "Succeeded", 90)
    assert cluster.output(cluster.get(PODS, "reduce-master-0"), "pytorch") == "sum 3.0 of 2\n"


@pytest.mark.timeout(180)
def test_elastic_workers_find_each_other_by_torchrun(cluster: Cluster, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    script = tmp_path / "reduce.py"
    script.write_text(ALL_REDUCE)
    add = replica(sys.executable, "-m", "torch.distributed.run", str(script), replicas=2)
    policy = {"minReplicas": 2, "maxReplicas": 2, "rdzvBackend": "c10d"}
    run_job(cluster, "elastic", {"Worker": add}, elasticPolicy=policy, nprocPerNode="1")
    wait_condition(cluster, "elastic", "Succeeded", 120)
    for pod in ("elastic-worker-0", "elastic-worker-1"):
        cluster.wait_phase(pod, "Succeeded")
        assert "sum 3.0 of 2" in cluster.output(cluster.get(PODS, pod), "pytorch")


def test_workers_alone_have_no_master(cluster: Cluster) -> None:
    run_job(cluster, "single", {"Worker": replica(sys.executable, "-c", SHOW_ENV)})
    wait_condition(cluster, "single", "Succeeded")
    found = env_of(cluster, "single-worker-0")
    assert "MASTER_ADDR" not in found
    assert (found["PET_NNODES"], found["PET_NPROC_PER_NODE"]) == ("1", "auto")
    status = cluster.get(PYTORCHJOBS, "single")["status"]
    assert status["replicaStatuses"]["Worker"]["succeeded"] == 1
    assert [entry["type"] for entry in status["conditions"]][-1] == "Succeeded"
    assert status["startTime"] <= status["completionTime"]


def test_a_failure_carries_pod_exit_code_and_last_words(cluster: Cluster) -> None:
    script = "echo 'CUDA out of memory' > /dev/termination-log; exit 5"
    run_job(cluster, "bad", {"Worker": replica("sh", "-c", script)})
    condition = wait_condition(cluster, "bad", "Failed")
    assert condition["reason"] == "PyTorchJobFailed"
    assert "pod bad-worker-0 exited with 5 (Error): CUDA out of memory" in condition["message"]
    assert not meta.is_true(cluster.get(PYTORCHJOBS, "bad"), "Running")


def test_a_retryable_exit_code_replaces_the_pod_and_a_permanent_one_fails_the_job(cluster: Cluster) -> None:
    cluster.create_claim("state")
    worker = replica("sh", "-c", "test -f /s/again && exit 7; touch /s/again; exit 130", policy="ExitCode")
    pod_spec = worker["template"]["spec"]
    pod_spec["containers"][0]["volumeMounts"] = [{"name": "s", "mountPath": "/s"}]
    pod_spec["volumes"] = [{"name": "s", "persistentVolumeClaim": {"claimName": "state"}}]
    run_job(cluster, "codes", {"Worker": worker})
    assert "exited with 7" in wait_condition(cluster, "codes", "Failed")["message"]
    assert cluster.get(PYTORCHJOBS, "codes")["metadata"]["annotations"][RESTARTS_ANNOTATION] == "1"


def test_restarts_past_the_backoff_limit_fail_the_job(cluster: Cluster) -> None:
    policy = {"backoffLimit": 1, "cleanPodPolicy": "Running"}
    run_job(cluster, "loop", {"Worker": replica("false", policy="OnFailure")}, runPolicy=policy)
    assert "backoff limit: pod loop-worker-0 exited with 1" in wait_condition(cluster, "loop", "Failed")["message"]
    cluster.wait(lambda: not cluster.pods(), "what ran is deleted")


def test_clean_pod_policy_running_ends_what_still_runs_and_keeps_the_rest(cluster: Cluster) -> None:
    specs = {"Master": replica("sleep", "1"), "Worker": replica("sleep", "300")}
    run_job(cluster, "clean", specs, runPolicy={"cleanPodPolicy": "Running"})
    cluster.wait_phase("clean-worker-0", "Running")
    wait_condition(cluster, "clean", "Succeeded")
    cluster.wait_gone(PODS, "clean-worker-0")
    assert cluster.phase("clean-master-0") == "Succeeded"


def test_a_suspended_job_loses_its_pods_and_runs_when_resumed(cluster: Cluster) -> None:
    run_job(cluster, "held", {"Worker": replica("sleep", "300")})
    wait_condition(cluster, "held", "Running")
    cluster.api.patch(PYTORCHJOBS, "held", {"spec": {"runPolicy": {"suspend": True}}}, NAMESPACE)
    wait_condition(cluster, "held", "Suspended")
    cluster.wait(lambda: not cluster.pods(), "its pods are gone")
    cluster.api.patch(PYTORCHJOBS, "held", {"spec": {"runPolicy": {"suspend": False}}}, NAMESPACE)
    wait_condition(cluster, "held", "Running")
    assert not meta.is_true(cluster.get(PYTORCHJOBS, "held"), "Suspended")


def test_the_deadline_fails_the_job_and_ends_its_pods(cluster: Cluster) -> None:
    run_job(cluster, "slow", {"Worker": replica("sleep", "300")}, runPolicy={"activeDeadlineSeconds": 1})
    assert "deadline of 1 s" in wait_condition(cluster, "slow", "Failed")["message"]
    cluster.wait_gone(PODS, "slow-worker-0")


def environment(specs: dict[str, Any], replica: Replica, **spec: Any) -> dict[str, str]:
    """What a replica is told when its job's pods listen at 127.9.9.2:4000, 127.9.9.3:4001 and so on."""
    metadata = {"name": "j", "namespace": NAMESPACE}
    job = TrainingJob(PyTorch(), {"metadata": metadata, "spec": {"pytorchReplicaSpecs": specs, **spec}})
    places = {peer.key: Endpoint(f"127.9.9.{2 + peer.rank}", 4000 + peer.rank) for peer in job.replicas}
    return {entry["name"]: entry["value"] for entry in job.kind.environment(job, replica, places)}


def test_an_elastic_job_meets_at_its_first_worker() -> None:
    policy = {"minReplicas": 1, "maxReplicas": 3, "maxRestarts": 2, "rdzvConf": [{"key": "timeout", "value": "9"}]}
    worker = Replica("Worker", 1, 1)
    found = environment({"Worker": {"replicas": 2}}, worker, elasticPolicy=policy, nprocPerNode="2")
    assert "MASTER_ADDR" not in found
    assert {key: value for key, value in found.items() if key.startswith("PET_")} == {
        "PET_NPROC_PER_NODE": "2",
        "PET_NNODES": "1:3",
        "PET_RDZV_BACKEND": "c10d",
        "PET_RDZV_ENDPOINT": "127.9.9.2:4000",
        "PET_RDZV_ID": "j",
        "PET_LOCAL_ADDR": "127.9.9.3",
        "PET_RDZV_CONF": "timeout=9",
        "PET_MAX_RESTARTS": "2",
    }


def test_a_port_that_the_master_declares_is_where_the_others_go() -> None:
    ports = [{"name": "pytorchjob-port", "containerPort": 23456}]
    master = {"template": {"spec": {"containers": [{"name": "pytorch", "ports": ports}]}}}
    found = environment({"Master": master, "worker": {"replicas": 3}}, Replica("Worker", 2, 3), nprocPerNode="2")
    assert (found["MASTER_ADDR"], found["MASTER_PORT"]) == ("127.9.9.2", "23456")
    assert (found["WORLD_SIZE"], found["RANK"]) == ("8", "3")


def test_a_pod_that_was_lost_is_replaced(cluster: Cluster) -> None:
    run_job(cluster, "lost", {"Worker": replica("sleep", "300", policy="OnFailure")})
    wait_condition(cluster, "lost", "Running")
    old = cluster.get(PODS, "lost-worker-0")
    cluster.kill_supervisor(old)

    def replaced() -> bool:
        pod = cluster.find(PODS, "lost-worker-0")
        return pod is not None and meta.uid_of(pod) != meta.uid_of(old)

    cluster.wait(replaced, "the pod is replaced")
    cluster.wait_phase("lost-worker-0", "Running")
    said = " ".join(cluster.events("PyTorchJobRestarting"))
    assert "restarting because 1 Worker replica(s) failed: pod lost-worker-0 exited with 137 (SupervisorLost)" in said
