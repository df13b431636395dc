"""TFJob: TF_CONFIG, its rules of success, and what the generic job controller does for every kind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from kubelet.cluster import NAMESPACE, Cluster

from controllers.training_jobs import SHOW_ENV, env_of, python, replica, submit, wait_condition
from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import PODS, SERVICES, TFJOBS

MEET = """
import json, os, socket, time
config = json.loads(os.environ["TF_CONFIG"])
task = config["task"]
members = [(role, *peer.rsplit(":", 1)) for role, peers in config["cluster"].items() for peer in peers]
host, port = config["cluster"][task["type"]][task["index"]].rsplit(":", 1)
server = socket.create_server((host, int(port)))
for role, host, port in members:
    until = time.monotonic() + 20
    while True:
        try:
            socket.create_connection((host, int(port)), timeout=5).close()
            break
        except ConnectionRefusedError:
            assert time.monotonic() < until, f"{role} {host}:{port} does not listen"
            time.sleep(0.02)
for _ in members:
    server.accept()
print("met", len(members))
"""


def test_every_entry_of_tf_config_is_reachable_from_every_pod(cluster: Cluster) -> None:
    meet = python("tensorflow", MEET)
    specs = {"Chief": meet, "PS": meet, "Worker": {**meet, "replicas": 2}}
    submit(cluster, TFJOBS, "meet", tfReplicaSpecs=specs)
    condition = wait_condition(cluster, TFJOBS, "meet", "Succeeded")
    assert condition["message"] == f"TFJob {NAMESPACE}/meet successfully completed."
    assert condition["reason"] == "TFJobSucceeded"
    assert cluster.output(cluster.get(PODS, "meet-chief-0"), "tensorflow") == "met 4\n"
    labels = cluster.get(PODS, "meet-chief-0")["metadata"]["labels"]
    assert labels["training.kubeflow.org/job-role"] == "master"
    assert cluster.find(SERVICES, "meet-ps-0") is not None


def config_of(cluster: Cluster, pod: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(env_of(cluster, pod)["TF_CONFIG"])
    return found


def test_an_evaluator_is_told_of_the_cluster_and_is_not_part_of_it(cluster: Cluster) -> None:
    show = python("tensorflow", SHOW_ENV)
    submit(cluster, TFJOBS, "eval", tfReplicaSpecs={"Worker": {**show, "replicas": 2}, "Evaluator": show})
    cluster.wait_phase("eval-evaluator-0", "Succeeded")
    found = config_of(cluster, "eval-evaluator-0")
    assert found["task"] == {"type": "evaluator", "index": 0}
    assert (list(found["cluster"]), len(found["cluster"]["worker"])) == (["worker"], 2)
    assert found["environment"] == "cloud"


def test_with_dynamic_workers_the_cluster_is_sparse_and_a_worker_may_fail(cluster: Cluster, tmp_path: Path) -> None:
    done = tmp_path / "done"
    script = f"{SHOW_ENV}\nif os.environ['HOSTNAME'].endswith('worker-1'): open({str(done)!r}, 'w').close(); exit(1)"
    wait = f"import os, time\nwhile not os.path.exists({str(done)!r}): time.sleep(0.02)\n"
    slow = python("tensorflow", wait + SHOW_ENV)
    specs = {"PS": slow, "Worker": python("tensorflow", script, replicas=2), "Chief": slow}
    submit(cluster, TFJOBS, "sparse", tfReplicaSpecs=specs, enableDynamicWorker=True)
    wait_condition(cluster, TFJOBS, "sparse", "Succeeded")
    cluster.wait_phase("sparse-ps-0", "Succeeded")
    cluster.wait_phase("sparse-worker-1", "Failed")
    ps, worker = config_of(cluster, "sparse-ps-0"), config_of(cluster, "sparse-worker-1")
    assert ps["sparseCluster"]["worker"] == {}
    assert worker["sparseCluster"]["ps"] == ps["sparseCluster"]["ps"]
    assert list(worker["sparseCluster"]["worker"]) == ["1"]
    assert worker["task"] == {"type": "worker", "index": 1}


@pytest.mark.parametrize(("policy", "state"), [("", "Succeeded"), ("AllWorkers", "Running")])
def test_worker_0_decides_unless_all_workers_must_succeed(cluster: Cluster, policy: str, state: str) -> None:
    command = ("sh", "-c", 'case "$HOSTNAME" in *-0) exit 0;; esac; sleep 300')
    specs = {"Worker": replica("tensorflow", *command, replicas=2)}
    submit(cluster, TFJOBS, "first", tfReplicaSpecs=specs, successPolicy=policy)
    cluster.wait_phase("first-worker-0", "Succeeded")
    wait_condition(cluster, TFJOBS, "first", state)
    assert meta.is_true(cluster.get(TFJOBS, "first"), "Succeeded") is (state == "Succeeded")


def test_a_job_of_one_replica_has_no_tf_config(cluster: Cluster) -> None:
    submit(cluster, TFJOBS, "alone", tfReplicaSpecs={"Worker": python("tensorflow", SHOW_ENV)})
    wait_condition(cluster, TFJOBS, "alone", "Succeeded")
    assert "TF_CONFIG" not in env_of(cluster, "alone-worker-0")


def test_a_job_with_faults_fails_and_says_which(cluster: Cluster) -> None:
    submit(cluster, TFJOBS, "typo", tfReplicaSpecs={"Wroker": replica("tf", "true"), "Chief": replica("tf", "true")})
    condition = wait_condition(cluster, TFJOBS, "typo", "Failed")
    assert condition["reason"] == "TFJobFailedValidation"
    assert "tfReplicaSpecs[Wroker] is not a replica type of TFJob" in condition["message"]
    assert "tfReplicaSpecs[Chief].template has no container named tensorflow, only tf" in condition["message"]
    assert not cluster.pods()


def test_scaling_down_takes_the_last_replicas_away_and_up_brings_them_back(cluster: Cluster) -> None:
    spec = {"Worker": replica("tensorflow", "sleep", "300", replicas=2)}
    submit(cluster, TFJOBS, "scale", tfReplicaSpecs=spec)
    address = cluster.wait_phase("scale-worker-1", "Running")["status"]["podIP"]
    fewer = {"spec": {"tfReplicaSpecs": {"Worker": {"replicas": 1}}}}
    cluster.api.patch(TFJOBS, "scale", fewer, NAMESPACE)
    cluster.wait_gone(PODS, "scale-worker-1")
    assert cluster.find(SERVICES, "scale-worker-1") is None
    cluster.api.patch(TFJOBS, "scale", {"spec": {"tfReplicaSpecs": {"Worker": {"replicas": 2}}}}, NAMESPACE)
    assert cluster.wait_phase("scale-worker-1", "Running")["status"]["podIP"] == address


def test_a_job_of_another_manager_is_left_alone(cluster: Cluster) -> None:
    policy = {"managedBy": "kueue.x-k8s.io/multikueue"}
    submit(cluster, TFJOBS, "theirs", tfReplicaSpecs={"Worker": replica("tensorflow", "true")}, runPolicy=policy)
    submit(cluster, TFJOBS, "ours", tfReplicaSpecs={"Worker": replica("tensorflow", "true")})
    wait_condition(cluster, TFJOBS, "ours", "Succeeded")
    assert "status" not in cluster.get(TFJOBS, "theirs")
    assert cluster.find(PODS, "theirs-worker-0") is None


def test_a_finished_job_is_deleted_when_its_time_to_live_is_over(cluster: Cluster) -> None:
    policy = {"ttlSecondsAfterFinished": 1}
    submit(cluster, TFJOBS, "brief", tfReplicaSpecs={"Worker": replica("tensorflow", "true")}, runPolicy=policy)
    cluster.wait_gone(TFJOBS, "brief")
    cluster.wait_gone(PODS, "brief-worker-0")
    cluster.wait_gone(SERVICES, "brief-worker-0")
