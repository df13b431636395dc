"""MPIJob of both operators, with Open MPI's real mpirun (Debian: openmpi-bin)."""

from __future__ import annotations

import shutil
import sys
from typing import Any

import pytest
from kubelet.cluster import NAMESPACE, Cluster

from controllers.training_jobs import printed, replica, submit, wait_condition
from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import CONFIGMAPS, MPIJOBS, MPIJOBS_V2BETA1, PODS, SECRETS, SERVICES, Resource
from cpod_jupyter.engine.kubelet.rsh import split_ssh

REDUCE = """
import ctypes, os
mpi = ctypes.CDLL("libmpi.so.40", mode=ctypes.RTLD_GLOBAL)
def handle(name): return ctypes.byref(ctypes.c_char.in_dll(mpi, "ompi_mpi_" + name))
mpi.MPI_Init(None, None)
rank, size = ctypes.c_int(), ctypes.c_int()
mpi.MPI_Comm_rank(handle("comm_world"), ctypes.byref(rank))
mpi.MPI_Comm_size(handle("comm_world"), ctypes.byref(size))
mine, total = ctypes.c_double(rank.value + 1), ctypes.c_double()
sum_of = [ctypes.byref(mine), ctypes.byref(total), 1, handle("double"), handle("op_sum"), handle("comm_world")]
mpi.MPI_Allreduce(*sum_of)
print(f"sum {total.value} of {size.value} in {os.environ['HOSTNAME']}", flush=True)
mpi.MPI_Finalize()
"""

needs_mpirun = pytest.mark.skipif(
    shutil.which("mpirun") is None, reason="mpirun is not installed (Debian: apt-get install openmpi-bin)"
)
BOTH = pytest.mark.parametrize("resource", [MPIJOBS, MPIJOBS_V2BETA1], ids=lambda found: found.version)


def worker(replicas: int = 2) -> dict[str, Any]:
    return replica("mpi", "/usr/sbin/sshd", "-De", replicas=replicas, policy=None)


def mpi_job(cluster: Cluster, resource: Resource, name: str, *command: str, **spec: Any) -> None:
    specs = {"Launcher": replica("mpi", *command, policy="Never"), "Worker": worker()}
    submit(cluster, resource, name, mpiReplicaSpecs=specs, **spec)


@needs_mpirun
@BOTH
@pytest.mark.timeout(120)
def test_mpirun_starts_a_rank_in_each_workers_pod(cluster: Cluster, resource: Resource) -> None:
    policy = {"cleanPodPolicy": "Running"}
    mpi_job(cluster, resource, "add", "mpirun", "-np", "2", sys.executable, "-c", REDUCE, runPolicy=policy)
    condition = wait_condition(cluster, resource, "add", "Succeeded", 60)
    assert condition["reason"] == "MPIJobSucceeded"
    said = printed(cluster, "add-launcher")
    for number in (0, 1):
        assert f"sum 3.0 of 2 in add-worker-{number}" in said
    cluster.wait_gone(PODS, "add-worker-0")
    assert cluster.phase("add-launcher") == "Succeeded"


@needs_mpirun
@pytest.mark.timeout(120)
def test_ranks_end_with_the_workers_pod_that_they_run_in(cluster: Cluster) -> None:
    mpi_job(cluster, MPIJOBS_V2BETA1, "fall", "mpirun", "sh", "-c", "echo up in $HOSTNAME; sleep 300")
    wait_condition(cluster, MPIJOBS_V2BETA1, "fall", "Running")
    cluster.wait(lambda: printed(cluster, "fall-launcher").count("up in") == 2, "both ranks run", 60)
    cluster.api.delete(PODS, "fall-worker-1", NAMESPACE, grace_seconds=0)
    condition = wait_condition(cluster, MPIJOBS_V2BETA1, "fall", "Failed", 60)
    assert "pod fall-launcher exited with" in condition["message"]


def test_the_launcher_may_wait_for_workers_and_be_one(cluster: Cluster) -> None:
    specs = {"Launcher": replica("mpi", "sh", "-c", 'cat "$HYDRA_HOST_FILE"'), "Worker": worker()}
    how = {"launcherCreationPolicy": "WaitForWorkersReady", "runLauncherAsWorker": True, "slotsPerWorker": 2}
    submit(cluster, MPIJOBS_V2BETA1, "wait", mpiReplicaSpecs=specs, mpiImplementation="MPICH", **how)
    wait_condition(cluster, MPIJOBS_V2BETA1, "wait", "Succeeded")
    pods = [cluster.get(PODS, name) for name in ("wait-launcher", "wait-worker-0", "wait-worker-1")]
    assert printed(cluster, "wait-launcher") == "".join(f"{pod['status']['podIP']}:2\n" for pod in pods)
    ready = [str((meta.condition(pod, "Ready") or {})["lastTransitionTime"]) for pod in pods[1:]]
    assert max(ready) <= pods[0]["metadata"]["creationTimestamp"]
    assert cluster.get(SECRETS, "wait-ssh")["type"] == "kubernetes.io/ssh-auth"
    assert cluster.get(SERVICES, "wait")["spec"]["clusterIP"] == "None"


def test_discover_hosts_lists_the_workers_that_run(cluster: Cluster) -> None:
    mpi_job(cluster, MPIJOBS, "found", "sleep", "300", slotsPerWorker=3)
    addresses = [cluster.wait_phase(f"found-worker-{number}", "Running")["status"]["podIP"] for number in (0, 1)]
    wanted = "#!/bin/sh\n" + "".join(f"echo {address}:3\n" for address in addresses)

    def listed() -> bool:
        return cluster.get(CONFIGMAPS, "found-config")["data"]["discover_hosts.sh"] == wanted

    cluster.wait(listed, "both workers are listed")
    assert cluster.find(SECRETS, "found-ssh") is None, "v1 has no keys"


def test_the_launcher_is_told_the_paths_of_the_workers_claims(cluster: Cluster) -> None:
    cluster.create_claim("data")
    specs = {"Launcher": replica("mpi", "sh", "-c", "cat /data/name"), "Worker": worker(replicas=1)}
    pod = specs["Worker"]["template"]["spec"]
    pod["volumes"] = [{"name": "d", "persistentVolumeClaim": {"claimName": "data"}}]
    pod["containers"][0]["volumeMounts"] = [{"name": "d", "mountPath": "/data"}]
    pod["containers"][0]["command"] = ["sh", "-c", "echo $HOSTNAME > /data/name; sleep 300"]
    how = {"launcherCreationPolicy": "WaitForWorkersReady", "runPolicy": {"backoffLimit": 3}}
    specs["Launcher"]["restartPolicy"] = "OnFailure"
    submit(cluster, MPIJOBS_V2BETA1, "paths", mpiReplicaSpecs=specs, **how)
    wait_condition(cluster, MPIJOBS_V2BETA1, "paths", "Succeeded")
    assert printed(cluster, "paths-launcher") == "paths-worker-0\n"


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        pytest.param(["h", "orted -x 1"], ("h", "orted -x 1"), id="plain"),
        pytest.param(["-o", "A=1", "-x", "-p22", "me@h", "orted", "-x"], ("h", "orted -x"), id="options"),
    ],
)
def test_options_of_ssh_are_passed_over(words: list[str], wanted: tuple[str, str]) -> None:
    assert split_ssh(words) == wanted


REDUCE_BY_MPICH = """
import ctypes, os
mpi = ctypes.CDLL("libmpich.so.12", mode=ctypes.RTLD_GLOBAL)
world, double, sum_of = 0x44000000, 0x4C00080B, 0x58000003  # MPI_COMM_WORLD, MPI_DOUBLE, MPI_SUM in MPICH's ABI
mpi.MPI_Init(None, None)
rank, total = ctypes.c_int(), ctypes.c_double()
mpi.MPI_Comm_rank(world, ctypes.byref(rank))
mpi.MPI_Allreduce(ctypes.byref(ctypes.c_double(rank.value + 1)), ctypes.byref(total), 1, double, sum_of, world)
proxy = open(f"/proc/{os.getppid()}/environ").read().split(chr(0))  # ranks have the launcher's own variables
host = next(entry for entry in proxy if entry.startswith("HOSTNAME="))
os.write(1, f"sum {total.value} in {host}\\n".encode())  # at once: ranks write to one log
mpi.MPI_Finalize()
"""


@pytest.mark.skipif(
    shutil.which("mpiexec.hydra") is None, reason="mpiexec.hydra is not installed (Debian: apt-get install mpich)"
)
@pytest.mark.timeout(120)
def test_hydra_starts_a_rank_in_each_workers_pod(cluster: Cluster) -> None:
    command = ["mpiexec.hydra", "-np", "2", sys.executable, "-c", REDUCE_BY_MPICH]
    mpi_job(cluster, MPIJOBS_V2BETA1, "hydra", *command, mpiImplementation="MPICH")
    wait_condition(cluster, MPIJOBS_V2BETA1, "hydra", "Succeeded", 60)
    said = printed(cluster, "hydra-launcher")
    for number in (0, 1):
        assert f"sum 3.0 in HOSTNAME=hydra-worker-{number}" in said
