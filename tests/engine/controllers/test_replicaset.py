"""apps/v1 ReplicaSets."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from kubelet.cluster import NAMESPACE, Cluster

from controllers.workloads import LABELS, template
from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import PODS, REPLICASETS, Object
from cpod_jupyter.engine.controllers.replicaset import failure_delay, first_to_go


def keep(cluster: Cluster, name: str = "web", replicas: int = 1, **spec: Any) -> Object:
    wanted = {"replicas": replicas, "selector": {"matchLabels": LABELS}, "template": template(), **spec}
    return cluster.create(REPLICASETS, name, spec=wanted)


def names(cluster: Cluster) -> set[str]:
    return {meta.name_of(pod) for pod in cluster.pods("app=web") if not pod["metadata"].get("deletionTimestamp")}


def ready(cluster: Cluster, number: int, name: str = "web") -> None:
    def counted() -> bool:
        return (cluster.get(REPLICASETS, name).get("status") or {}).get("readyReplicas", 0) == number

    cluster.wait(counted, f"{number} are ready; {name} is {cluster.get(REPLICASETS, name).get('status')}")


def test_pods_are_made_replaced_and_given_up(cluster: Cluster) -> None:
    keep(cluster, replicas=2)
    ready(cluster, 2)
    status = cluster.get(REPLICASETS, "web")["status"]
    assert (status["replicas"], status["fullyLabeledReplicas"], status["availableReplicas"]) == (2, 2, 2)
    assert status["observedGeneration"] == 1
    lost = sorted(names(cluster))[0]
    cluster.api.delete(PODS, lost, NAMESPACE)
    cluster.wait(lambda: lost not in names(cluster) and len(names(cluster)) == 2, "another takes its place")
    cluster.api.patch(REPLICASETS, "web", {"spec": {"replicas": 0}}, NAMESPACE)
    cluster.wait(lambda: not cluster.pods("app=web"), "no pod is left")
    cluster.wait(lambda: cluster.get(REPLICASETS, "web")["status"] == {"replicas": 0, "observedGeneration": 2}, "zeros")


def test_a_stray_pod_is_adopted_and_a_relabelled_one_let_go(cluster: Cluster) -> None:
    cluster.create(PODS, "stray", metadata={"name": "stray", "labels": LABELS}, spec=template()["spec"])
    made = keep(cluster)
    cluster.wait(lambda: meta.is_controlled_by(cluster.get(PODS, "stray"), made), "the stray is adopted")
    assert names(cluster) == {"stray"}
    cluster.api.patch(PODS, "stray", {"metadata": {"labels": {"app": "debug"}}}, NAMESPACE)
    cluster.wait(lambda: len(names(cluster)) == 1, "another takes its place")
    assert meta.controller_of(cluster.get(PODS, "stray")) is None


def pod(name: str, *, node: str = "n", phase: str = "Running", ready_at: str | None = None, cost: str = "") -> Object:
    conditions = [{"type": "Ready", "status": "True", "lastTransitionTime": ready_at}] if ready_at else []
    return {
        "metadata": {"name": name, "annotations": {"controller.kubernetes.io/pod-deletion-cost": cost}},
        "spec": {"nodeName": node},
        "status": {"phase": phase, "conditions": conditions},
    }


def test_what_serves_longest_goes_last() -> None:
    early, late = "2026-11-24T19:00:00Z", "2026-11-24T20:00:00Z"
    pods = [
        pod("old", ready_at=early),
        pod("new", ready_at=late),
        pod("cheap", ready_at=early, cost="-1"),
        pod("unready"),
        pod("pending", phase="Pending"),
        pod("unscheduled", node="", phase="Pending"),
    ]
    order = [meta.name_of(item) for item in first_to_go(pods)]
    assert order == ["unscheduled", "pending", "unready", "cheap", "new", "old"]


@pytest.mark.parametrize(("failures", "delay"), [(0, 0.0), (1, 0.5), (3, 8.5)])
def test_pods_that_fail_are_replaced_ever_later(failures: int, delay: float) -> None:
    state = {"state": {"terminated": {"exitCode": 1, "finishedAt": "2026-11-24T19:00:00Z"}}}
    failed = [{"metadata": {}, "status": {"phase": "Failed", "containerStatuses": [state]}}] * failures
    now = dt.datetime(2026, 11, 24, 19, 0, 0, 500_000, tzinfo=dt.UTC)
    assert failure_delay(failed, now) == delay
