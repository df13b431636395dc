"""Which pods get a node, and what is said to those that don't."""

from __future__ import annotations

import functools
from pathlib import Path

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import NODES, PODS, Object, Resource
from cpod_jupyter.control.api import ObjectList
from cpod_jupyter.control.controller import Key
from cpod_jupyter.engine.kubelet import node
from cpod_jupyter.engine.kubelet.builder import GPU, GPU_ANNOTATION
from cpod_jupyter.engine.kubelet.scheduler import Scheduler, free_gpus
from cpod_jupyter.engine.local_api import LocalApi
from cpod_jupyter.engine.objects import Objects

from .cluster import NAMESPACE, NODE, Cluster


def wait_unschedulable(cluster: Cluster, name: str) -> str:
    def message() -> str | None:
        condition = meta.condition(cluster.get(PODS, name), "PodScheduled") or {}
        return str(condition["message"]) if condition.get("reason") == "Unschedulable" else None

    return str(cluster.wait(message, f"{name} is unschedulable"))


def wait_looked_at(cluster: Cluster, name: str) -> None:
    cluster.wait(lambda: meta.condition(cluster.get(PODS, name), "PodScheduled"), f"the scheduler has looked at {name}")


def gpu(count: int) -> dict[str, object]:
    return {"resources": {"limits": {GPU: str(count)}}}


def offer_gpus(cluster: Cluster, count: int) -> None:
    """Have the Node offer GPUs, as on a machine that has them."""
    change = {"status": {"allocatable": {GPU: str(count)}, "capacity": {GPU: str(count)}}}
    cluster.api.patch(NODES, NODE, change, subresource="status")


def test_a_pod_that_asks_for_a_gpu_where_there_is_none_is_told_in_the_schedulers_words(cluster: Cluster) -> None:
    cluster.run("train", "true", container=gpu(1))
    sentence = "0/1 nodes are available: 1 Insufficient nvidia.com/gpu."
    assert wait_unschedulable(cluster, "train") == sentence
    cluster.wait(lambda: cluster.events("FailedScheduling") == [sentence], "the event says it")
    assert cluster.phase("train") == "Pending"


def test_a_pod_waits_for_its_claim_by_name_and_runs_when_it_is_there(cluster: Cluster) -> None:
    cluster.run("reader", "true", volumes=[{"name": "d", "persistentVolumeClaim": {"claimName": "data"}}])
    assert 'persistentvolumeclaim "data" not found' in wait_unschedulable(cluster, "reader")
    cluster.create_claim("data")
    cluster.wait_phase("reader", "Succeeded")


def test_a_pod_waits_for_what_another_has_and_runs_when_that_ends(cluster: Cluster) -> None:
    offered = cluster.api.get(NODES, NODE)["status"]["allocatable"]["cpu"]
    everything = {"resources": {"requests": {"cpu": offered}}}
    cluster.run("first", "sh", "-c", "until test -f stop; do sleep 0.05; done", container=everything)
    first = cluster.wait_phase("first", "Running")
    cluster.run("second", "true", container=everything)
    assert wait_unschedulable(cluster, "second") == "0/1 nodes are available: 1 Insufficient cpu."
    (cluster.scratch(first) / "work" / "main" / "stop").touch()
    cluster.wait_phase("second", "Succeeded")


def test_gpus_are_given_by_index_and_are_free_again_when_their_pod_is_gone(cluster: Cluster) -> None:
    offer_gpus(cluster, 3)
    for name, count in (("one", 1), ("two", 2), ("three", 1)):
        cluster.run(name, "true", container=gpu(count))
        wait_looked_at(cluster, name)

    def granted(name: str) -> str | None:
        annotations = cluster.get(PODS, name)["metadata"].get("annotations") or {}
        return annotations.get(GPU_ANNOTATION)

    assert [granted(name) for name in ("one", "two", "three")] == ["0", "1,2", None]
    cluster.api.delete(PODS, "one", NAMESPACE)
    assert cluster.wait(lambda: granted("three"), "it is given a GPU") == "0"


def test_gpus_of_pods_that_ended_are_free() -> None:
    node = {"metadata": {"name": NODE}, "status": {"allocatable": {GPU: "4"}}}

    def pod(gpus: str, phase: str) -> dict[str, object]:
        return {
            "metadata": {"name": "p", "namespace": NAMESPACE, "annotations": {GPU_ANNOTATION: gpus}},
            "spec": {"nodeName": NODE, "containers": []},
            "status": {"phase": phase},
        }

    assert free_gpus(node, [pod("0", "Running"), pod("1,2", "Succeeded")]) == [1, 2, 3]


def test_of_pods_that_wait_for_one_gpu_the_first_created_gets_it(cluster: Cluster) -> None:
    offer_gpus(cluster, 1)
    names = ["holder", "zebra", "apple", "mango"]
    for name in names:
        cluster.run(name, "sleep", "300", container=gpu(1))
        wait_looked_at(cluster, name)

    def has_gpu(name: str) -> bool:
        return GPU_ANNOTATION in (cluster.get(PODS, name)["metadata"].get("annotations") or {})

    for ending, following, *later in (names, names[1:], names[2:]):
        cluster.api.delete(PODS, ending, NAMESPACE, grace_seconds=0)
        cluster.wait(functools.partial(has_gpu, following), f"{following} is given the GPU of {ending}")
        assert not any(has_gpu(name) for name in later)


def test_a_cordoned_node_takes_no_pods_until_it_is_uncordoned(cluster: Cluster) -> None:
    cluster.api.patch(NODES, NODE, {"spec": {"unschedulable": True}})
    cluster.run("late", "true")
    assert wait_unschedulable(cluster, "late") == "0/1 nodes are available: 1 node(s) were unschedulable."
    cluster.api.patch(NODES, NODE, {"spec": {"unschedulable": None}})
    cluster.wait_phase("late", "Succeeded")


def test_a_pod_that_is_gated_or_has_another_scheduler_is_left_alone(cluster: Cluster) -> None:
    cluster.run("gated", "true", schedulingGates=[{"name": "example.org/quota"}])
    cluster.run("foreign", "true", schedulerName="volcano")
    cluster.wait(
        lambda: (meta.condition(cluster.get(PODS, "gated"), "PodScheduled") or {}).get("reason") == "SchedulingGated",
        "the gate is told of",
    )
    cluster.run("plain", "true")
    cluster.wait_phase("plain", "Succeeded")
    assert not any(cluster.get(PODS, name)["spec"].get("nodeName") for name in ("gated", "foreign"))


def test_a_pod_that_comes_while_the_others_are_looked_at_is_not_missed(objects: Objects, tmp_path: Path) -> None:
    class Meanwhile(LocalApi):
        """An API in which a pod is made just after the scheduler has listed them."""

        def list(self, resource: Resource, namespace: str | None = None, **selectors: str) -> ObjectList:
            listed = super().list(resource, namespace, **selectors)
            if resource == PODS and not made:
                made.append(self.create(PODS, pod))
                tell(made[0])
            return listed

    container = {"name": "main", "image": "python:3.11", "command": ["true"]}
    pod: Object = {"metadata": {"name": "late", "namespace": NAMESPACE}, "spec": {"containers": [container]}}
    made: list[Object] = []
    api = Meanwhile(objects)
    node.register(api, NODE, tmp_path)
    scheduler = Scheduler(api)
    tell = scheduler.controller().sources[PODS]
    for _ in range(2):  # the news of the pod asks for another look
        scheduler.reconcile(Key("", ""))
    assert api.get(PODS, "late", NAMESPACE)["spec"]["nodeName"] == NODE
