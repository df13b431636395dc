"""The published definitions, installed over the engine's own, leave the controllers at work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from kubelet.cluster import Cluster

from controllers.training_jobs import replica, submit, wait_condition
from cpod_jupyter.api.resources import (
    CLUSTERTRAININGRUNTIMES,
    CRDS,
    ELASTICDLJOBS,
    ELASTICDLJOBS_OLD,
    JAXJOBS,
    MARSJOBS,
    MARSJOBS_OLD,
    MPIJOBS,
    MPIJOBS_V2BETA1,
    PADDLEJOBS,
    PYTORCHJOBS,
    TFJOBS,
    TRAINJOBS,
    XGBOOSTJOBS,
    Resource,
)
from cpod_jupyter.engine.controllers.trainer import shipped_runtimes
from cpod_jupyter.errors import Invalid

PUBLISHED = Path(__file__).parents[3].parent / "shared" / "crds"
pytestmark = pytest.mark.skipif(
    not PUBLISHED.exists(), reason="the published definitions are not beside the repository"
)

CASES = [
    pytest.param(PYTORCHJOBS, "kubeflow.org_v1_pytorchjobs", "pytorch", ("Master", "Worker"), id="pytorch"),
    pytest.param(TFJOBS, "kubeflow.org_v1_tfjobs", "tensorflow", ("Chief", "Worker"), id="tf"),
    pytest.param(MPIJOBS_V2BETA1, "kubeflow.org_v2beta1_mpijobs", "mpi", ("Launcher", "Worker"), id="mpi-v2beta1"),
    pytest.param(MPIJOBS, "kubeflow.org_v1_mpijobs", "mpi", ("Launcher", "Worker"), id="mpi-v1"),
    pytest.param(ELASTICDLJOBS_OLD, "elasticdl.org_elasticdljobs", "elasticdl", ("Master",), id="elasticdl"),
    pytest.param(MARSJOBS, "training.kubedl.io_marsjobs", "mars", ("Scheduler", "Worker"), id="mars"),
    pytest.param(XGBOOSTJOBS, "kubeflow.org_v1_xgboostjobs", "xgboost", ("Master", "Worker"), id="xgboost"),
    pytest.param(PADDLEJOBS, "kubeflow.org_v1_paddlejobs", "paddle", ("Worker",), id="paddle"),
    pytest.param(JAXJOBS, "kubeflow.org_v1_jaxjobs", "jax", ("Worker",), id="jax"),
    pytest.param(ELASTICDLJOBS, "training.kubedl.io_elasticdljobs", "elasticdl", ("Master",), id="elasticdl-kubedl"),
    pytest.param(MARSJOBS_OLD, "kubedl.io_marsjobs", "mars", ("Scheduler", "Worker"), id="mars-old"),
]


def install(cluster: Cluster, name: str) -> None:
    """As a person would: `kubectl replace -f` of the published file; or anew, where its versions are others than ours
    (both of MPIJob's operators have a definition of that name, with one version each)."""
    published: dict[str, Any] = yaml.safe_load((PUBLISHED / f"{name}.yaml").read_text())
    definition = published["metadata"]["name"]
    there = cluster.api.get(CRDS, definition)
    try:
        published["metadata"]["resourceVersion"] = there["metadata"]["resourceVersion"]
        cluster.api.replace(CRDS, published)
    except Invalid:
        cluster.api.delete(CRDS, definition)
        cluster.wait(lambda: cluster.find(CRDS, definition) is None, "our definition is gone")
        del published["metadata"]["resourceVersion"]
        cluster.api.create(CRDS, published)


FIELDS = {
    "PyTorchJob": "pytorchReplicaSpecs",
    "TFJob": "tfReplicaSpecs",
    "MPIJob": "mpiReplicaSpecs",
    "XGBoostJob": "xgbReplicaSpecs",
    "PaddleJob": "paddleReplicaSpecs",
    "JAXJob": "jaxReplicaSpecs",
    "ElasticDLJob": "elasticdlReplicaSpecs",
    "MarsJob": "marsReplicaSpecs",
}


@pytest.mark.parametrize(("resource", "file", "container", "roles"), CASES)
def test_jobs_run_under_the_published_definition_and_their_status_is_not_written_for_ever(
    cluster: Cluster, resource: Resource, file: str, container: str, roles: tuple[str, ...]
) -> None:
    install(cluster, file)

    def start(name: str, *command: str) -> None:
        specs = {role: replica(container, *command, policy="Never") for role in roles}
        submit(cluster, resource, name, **{FIELDS[resource.kind]: specs})

    def long_job() -> tuple[str, int]:
        job = cluster.get(resource, "long")
        replicas = (job.get("status") or {}).get("replicaStatuses") or {}
        return job["metadata"]["resourceVersion"], sum(entry.get("active", 0) for entry in replicas.values())

    start("long", "sleep", "300")
    wait_condition(cluster, resource, "long", "Running", 60)
    cluster.wait(lambda: long_job()[1] == len(roles), "all replicas are active")
    version = long_job()[0]
    start("short", "true")
    wait_condition(cluster, resource, "short", "Succeeded", 60)
    assert long_job()[0] == version
    status = cluster.get(resource, "short")["status"]
    assert status["replicaStatuses"][roles[0]]["succeeded"] == 1
    assert status["completionTime"]


def test_a_trainjob_runs_under_the_published_definitions_with_the_runtimes_of_the_engine(cluster: Cluster) -> None:
    for kind in ("trainjobs", "trainingruntimes", "clustertrainingruntimes"):
        install(cluster, f"trainer.kubeflow.org_{kind}")
    for runtime in shipped_runtimes():
        cluster.api.create(CLUSTERTRAININGRUNTIMES, runtime)
    trainer = {"command": ["sh", "-c", "test $PET_NNODES = 2 && test -n $PET_MASTER_ADDR"], "numNodes": 2}
    submit(cluster, TRAINJOBS, "short", runtimeRef={"name": "torch-distributed"}, trainer=trainer)
    wait_condition(cluster, TRAINJOBS, "short", "Complete", 60)
    (counts,) = cluster.get(TRAINJOBS, "short")["status"]["jobsStatus"]
    assert (counts["name"], counts["succeeded"]) == ("node", 1)
    submit(cluster, TRAINJOBS, "typo", runtimeRef={"name": "torch"}, trainer=trainer)
    assert "torch-distributed" in wait_condition(cluster, TRAINJOBS, "typo", "Waiting")["message"]
