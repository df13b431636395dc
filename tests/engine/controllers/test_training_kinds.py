"""XGBoostJob, PaddleJob, JAXJob, ElasticDLJob, MarsJob: programs that use the variables they are given."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from kubelet.cluster import NAMESPACE, Cluster

from controllers.training_jobs import SHOW_ENV, env_of, printed, python, replica, submit, wait_condition
from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import (
    ELASTICDLJOBS,
    ELASTICDLJOBS_OLD,
    JAXJOBS,
    MARSJOBS,
    MARSJOBS_OLD,
    PADDLEJOBS,
    PODS,
    XGBOOSTJOBS,
    Resource,
)

BOOST = """
import os, threading
import numpy, xgboost
from xgboost import collective
from xgboost.tracker import RabitTracker
rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
if rank == 0:
    tracker = RabitTracker(n_workers=world, host_ip=address, port=port, sortby="task")
    tracker.start()
    waiting = threading.Thread(target=tracker.wait_for)
    waiting.start()
with collective.CommunicatorContext(dmlc_tracker_uri=address, dmlc_tracker_port=port, dmlc_task_id=f"{rank:03}"):
    features = numpy.random.default_rng(rank).normal(size=(200, 3))
    data = xgboost.DMatrix(features, features[:, 0] * 2 + rank, nthread=1)
    model = xgboost.train({"nthread": 1, "max_depth": 3, "seed": 7}, data, num_boost_round=4)
    total = collective.allreduce(numpy.array([rank + 1.0]), collective.Op.SUM)
    print("sum", total[0], "model", sum(model.save_raw("json")), flush=True)
if rank == 0:
    waiting.join()
"""

MEET_AT = """
import os, socket, time
number, count = int({number}), int({count})
host, port = {address}.rsplit(":", 1)
if number == 0:
    server = socket.create_server((host, int(port)))
    met = sorted(server.accept()[0].recv(99).decode() for _ in range(count - 1))
    print("met", met)
else:
    until = time.monotonic() + 20
    while True:
        try:
            with socket.create_connection((host, int(port)), timeout=5) as peer:
                peer.send(b"%d" % number)
            break
        except ConnectionRefusedError:
            assert time.monotonic() < until
            time.sleep(0.02)
"""


@pytest.mark.timeout(120)
def test_xgboost_workers_train_one_model_through_the_masters_tracker(cluster: Cluster) -> None:
    pytest.importorskip("xgboost", reason="xgboost-cpu is not installed (extra `test`)")
    boost = python("xgboost", BOOST)
    submit(cluster, XGBOOSTJOBS, "boost", xgbReplicaSpecs={"Master": boost, "Worker": boost})
    wait_condition(cluster, XGBOOSTJOBS, "boost", "Succeeded", 60)
    cluster.wait_phase("boost-worker-0", "Succeeded")
    said = {printed(cluster, pod).splitlines()[-1] for pod in ("boost-master-0", "boost-worker-0")}
    assert len(said) == 1, "every pod has the same sum and the same model"
    assert said.pop().startswith("sum 3.0 model ")


def test_xgboost_workers_are_listed_for_lightgbm(cluster: Cluster) -> None:
    show = python("xgboost", SHOW_ENV)
    submit(cluster, XGBOOSTJOBS, "light", xgbReplicaSpecs={"Master": show, "Worker": {**show, "replicas": 2}})
    found = env_of(cluster, cluster.wait_phase("light-worker-1", "Succeeded")["metadata"]["name"])
    assert (found["RANK"], found["WORLD_SIZE"]) == ("2", "3")
    addresses = [cluster.wait_phase(f"light-worker-{number}", "Succeeded")["status"]["podIP"] for number in (0, 1)]
    assert found["WORKER_ADDRS"] == ",".join(addresses)
    assert found["WORKER_PORT"].isdigit()


def test_an_xgboost_job_needs_its_master(cluster: Cluster) -> None:
    submit(cluster, XGBOOSTJOBS, "headless", xgbReplicaSpecs={"Worker": replica("xgboost", "true")})
    condition = wait_condition(cluster, XGBOOSTJOBS, "headless", "Failed")
    assert "xgbReplicaSpecs[Master].replicas must be 1, not 0" in condition["message"]


def test_jax_processes_meet_at_the_coordinator(cluster: Cluster) -> None:
    address = "os.environ['COORDINATOR_ADDRESS'] + ':' + os.environ['COORDINATOR_PORT']"
    script = MEET_AT.format(
        number="os.environ['PROCESS_ID']", count="os.environ['NUM_PROCESSES']", address=f"({address})"
    )
    submit(cluster, JAXJOBS, "jax", jaxReplicaSpecs={"Worker": python("jax", script, replicas=3)})
    condition = wait_condition(cluster, JAXJOBS, "jax", "Succeeded")
    assert condition["message"] == f"JAXJob {NAMESPACE}/jax successfully completed."
    assert printed(cluster, "jax-worker-0") == "met ['1', '2']\n"
    assert cluster.get(PODS, "jax-worker-0")["metadata"]["labels"]["training.kubeflow.org/job-role"] == "master"


def test_a_pod_of_another_kinds_job_of_the_same_name_is_told_of(cluster: Cluster) -> None:
    submit(cluster, PADDLEJOBS, "twin", paddleReplicaSpecs={"Worker": replica("paddle", "sleep", "300")})
    cluster.wait_phase("twin-worker-0", "Running")
    submit(cluster, JAXJOBS, "twin", jaxReplicaSpecs={"Worker": replica("jax", "true")})
    wanted = "there is a pod twin-worker-0 already, which belongs to PaddleJob twin"
    cluster.wait(lambda: any(said.startswith(wanted) for said in cluster.events("FailedCreatePod")), "it is told of")
    cluster.api.delete(PADDLEJOBS, "twin", NAMESPACE)
    wait_condition(cluster, JAXJOBS, "twin", "Succeeded")


def test_paddle_trainers_meet_at_the_first_of_them(cluster: Cluster) -> None:
    number = "os.environ['HOSTNAME'].rsplit('-', 1)[1]"
    script = MEET_AT.format(number=number, count="os.environ['PADDLE_NNODES']", address="os.environ['PADDLE_MASTER']")
    submit(cluster, PADDLEJOBS, "fly", paddleReplicaSpecs={"Worker": python("paddle", script, replicas=2)})
    wait_condition(cluster, PADDLEJOBS, "fly", "Succeeded")
    assert printed(cluster, "fly-worker-0") == "met ['1']\n"


def test_paddle_masters_are_servers_and_workers_are_trainers(cluster: Cluster) -> None:
    show = python("paddle", SHOW_ENV)
    submit(cluster, PADDLEJOBS, "ps", paddleReplicaSpecs={"Master": show, "Worker": show})
    cluster.wait_phase("ps-worker-0", "Succeeded")
    wait_condition(cluster, PADDLEJOBS, "ps", "Succeeded")
    master, worker = env_of(cluster, "ps-master-0"), env_of(cluster, "ps-worker-0")
    assert master["PADDLE_MASTER"] == worker["PADDLE_MASTER"]
    assert master["PADDLE_MASTER"].startswith(master["POD_IP_DUMMY"] + ":")
    assert (master["PADDLE_SERVER_NUM"], worker["PADDLE_TRAINER_NUM"]) == ("1", "1")
    assert {found["PADDLE_JOB_ID"] for found in (master, worker)} == {"ps"}
    assert "PADDLE_TRAINER_NUM" not in master


@pytest.mark.parametrize("resource", [ELASTICDLJOBS, ELASTICDLJOBS_OLD], ids=lambda found: found.group)
def test_an_elasticdl_master_is_let_into_the_api(cluster: Cluster, resource: Resource) -> None:
    submit(cluster, resource, "dl", elasticdlReplicaSpecs={"Master": python("elasticdl-test-mnist-master", SHOW_ENV)})
    condition = wait_condition(cluster, resource, "dl", "Succeeded")
    assert condition["reason"] == "JobSucceeded"
    assert env_of(cluster, "dl-master-0")["KUBECONFIG"] == str(cluster.home.resolve() / "kubeconfig")
    labels = cluster.get(PODS, "dl-master-0")["metadata"]["labels"]
    assert (labels["job-name"], labels["job-role"], labels["group-name"]) == ("dl", "master", resource.group)


@pytest.mark.parametrize("resource", [MARSJOBS, MARSJOBS_OLD], ids=lambda found: found.group)
def test_mars_workers_and_web_services_find_their_scheduler(cluster: Cluster, resource: Resource) -> None:
    detail = "__import__('json').loads(os.environ['MARS_CLUSTER_DETAIL'])"
    number = f"['scheduler', 'worker', 'webservice'].index({detail}['task']['type'])"
    script = MEET_AT.format(number=number, count="3", address=f"{detail}['cluster']['scheduler'][0]")
    stay = {"Worker": "ExitCode", "WebService": "Never"}
    specs = {role: python("mars", script + SHOW_ENV, policy=policy) for role, policy in stay.items()}
    container = specs["Worker"]["template"]["spec"]["containers"][0]
    container["resources"] = {"requests": {"cpu": "100m", "memory": "64Mi"}}
    tuning = {"spillDirs": ["/spill/a"], "workerCachePercentage": 50}
    specs["Scheduler"] = python("mars", script, policy=None)
    submit(cluster, resource, "mars", marsReplicaSpecs=specs, workerMemoryTuningPolicy=tuning)
    condition = wait_condition(cluster, resource, "mars", "Succeeded")
    assert condition["message"] == "MarsJob mars has successfully completed."
    assert printed(cluster, "mars-scheduler-0") == "met ['1', '2']\n"
    for pod in ("mars-worker-0", "mars-webservice-0"):
        cluster.wait_phase(pod, "Succeeded")
    worker = env_of(cluster, "mars-worker-0")
    task = json.loads(worker["MARS_CLUSTER_DETAIL"])["task"]
    assert task == {"type": "worker", "index": 0, "resources": {"cpu_procs": 1, "phy_mem": 64}}
    assert (worker["MARS_CACHE_MEM_SIZE"], worker["MARS_PLASMA_DIRS"]) == (str(32 << 20), "/dev/shm")
    assert worker["MARS_SPILL_DIRS"] != "/spill/a", "a path of the pod is put in this machine's terms"
    web = json.loads(env_of(cluster, "mars-webservice-0")["MARS_CLUSTER_DETAIL"])["cluster"]["webservice"][0]
    assert cluster.get(resource, "mars")["status"]["webServiceAddresses"] == [f"http://{web}"]


def test_a_mars_job_fails_when_its_scheduler_does_and_not_for_a_worker(cluster: Cluster, tmp_path: Path) -> None:
    over = tmp_path / "over"
    scheduler = replica("mars", "sh", "-c", f"until test -e {over}; do sleep 0.05; done; exit 4")
    specs = {"Scheduler": scheduler, "Worker": replica("mars", "false", policy="ExitCode")}
    submit(cluster, MARSJOBS, "crash", marsReplicaSpecs=specs)
    cluster.wait_phase("crash-worker-0", "Failed")
    wait_condition(cluster, MARSJOBS, "crash", "Created")
    assert not meta.is_true(cluster.get(MARSJOBS, "crash"), "Failed")
    over.touch()
    condition = wait_condition(cluster, MARSJOBS, "crash", "Failed")
    assert condition["reason"] == "MarsJobFailed"
    assert "because 1 Scheduler replica(s) failed: pod crash-scheduler-0 exited with 4" in condition["message"]


def test_a_cron_policy_is_refused_in_words(cluster: Cluster) -> None:
    specs = {"Master": replica("elasticdl", "true")}
    submit(cluster, ELASTICDLJOBS, "nightly", elasticdlReplicaSpecs=specs, cronPolicy={"schedule": "0 1 * * *"})
    condition = wait_condition(cluster, ELASTICDLJOBS, "nightly", "Failed")
    assert "cronPolicy is not offered by the embedded engine" in condition["message"]
