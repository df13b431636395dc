"""apps/v1 Deployments."""

from __future__ import annotations

from typing import Any

import pytest
from kubelet.cluster import NAMESPACE, Cluster

from controllers.workloads import change, deploy, template
from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import DEPLOYMENTS, REPLICASETS, Object
from cpod_jupyter.engine.controllers.deployment_rollout import (
    DESIRED,
    MAXIMUM,
    REVISION,
    bounds,
    scaled_sizes,
    size_of_new,
    sizes_of_old,
)


def progressing(cluster: Cluster, name: str = "web") -> dict[str, Any]:
    return meta.condition(cluster.get(DEPLOYMENTS, name), "Progressing") or {}


def rolled_out(cluster: Cluster, replicas: int, name: str = "web") -> Object:
    """Wait as `kubectl rollout status` does."""

    def through() -> Object | None:
        found = cluster.get(DEPLOYMENTS, name)
        status = found.get("status") or {}
        counts = [status.get(key, 0) for key in ("replicas", "updatedReplicas", "availableReplicas")]
        seen = status.get("observedGeneration") == found["metadata"]["generation"]
        return found if seen and counts == [replicas] * 3 and progressing(cluster, name).get("reason") == (
            "NewReplicaSetAvailable"
        ) else None  # fmt: skip

    return cluster.wait(through, f"{name} is rolled out: {cluster.get(DEPLOYMENTS, name).get('status')}") or {}


def sizes(cluster: Cluster) -> dict[str, int]:
    """Wanted pods by revision."""
    found = cluster.api.list(REPLICASETS, NAMESPACE).items
    return {item["metadata"]["annotations"][REVISION]: item["spec"]["replicas"] for item in found}


def with_variable(value: str) -> dict[str, Any]:
    return template(env=[{"name": "VERSION", "value": value}])


def test_a_rollout_ends_with_pods_of_the_new_template_and_can_be_undone(cluster: Cluster) -> None:
    deploy(cluster, replicas=2, template=with_variable("1"))
    found = rolled_out(cluster, 2)
    assert meta.is_true(found, "Available")
    assert meta.condition(found, "Available")["reason"] == "MinimumReplicasAvailable"  # type: ignore[index]
    assert "has successfully progressed" in progressing(cluster)["message"]
    change(cluster, template=with_variable("2"))
    found = rolled_out(cluster, 2)
    assert found["metadata"]["annotations"][REVISION] == "2"
    assert sizes(cluster) == {"1": 0, "2": 2}
    (first,) = [item for item in cluster.api.list(REPLICASETS, NAMESPACE).items if not item["spec"]["replicas"]]
    change(cluster, template=with_variable("1"))
    found = rolled_out(cluster, 2)
    assert sizes(cluster) == {"2": 0, "3": 2}, "the first ReplicaSet is the third revision now"
    assert cluster.get(REPLICASETS, meta.name_of(first))["spec"]["replicas"] == 2
    cluster.wait(lambda: len(cluster.pods()) == 2, "only the new pods are left")
    assert {pod["spec"]["containers"][0]["env"][0]["value"] for pod in cluster.pods()} == {"1"}


def test_a_deployment_is_scaled_and_its_pods_go_with_it(cluster: Cluster) -> None:
    deploy(cluster)
    rolled_out(cluster, 1)
    change(cluster, replicas=3)
    rolled_out(cluster, 3)
    assert sizes(cluster) == {"1": 3}
    cluster.api.delete(DEPLOYMENTS, "web", NAMESPACE)
    cluster.wait(lambda: not cluster.pods() and not cluster.api.list(REPLICASETS, NAMESPACE).items, "all is gone")


def test_recreate_ends_the_old_pods_before_it_starts_new_ones(cluster: Cluster) -> None:
    deploy(cluster, strategy={"type": "Recreate"}, template=with_variable("1"))
    rolled_out(cluster, 1)
    (old,) = cluster.pods()
    change(cluster, template=with_variable("2"))
    rolled_out(cluster, 1)
    (new,) = cluster.pods()
    assert meta.uid_of(new) != meta.uid_of(old)


def test_what_happens_in_a_pause_is_rolled_out_after_it(cluster: Cluster) -> None:
    deploy(cluster, template=with_variable("1"))
    rolled_out(cluster, 1)
    change(cluster, paused=True, template=with_variable("2"))
    cluster.wait(lambda: progressing(cluster)["reason"] == "DeploymentPaused", "it is paused")
    assert sizes(cluster) == {"1": 1}
    change(cluster, paused=False)
    rolled_out(cluster, 1)
    assert sizes(cluster) == {"1": 0, "2": 1}


def test_a_rollout_that_does_not_move_passes_its_deadline_and_keeps_what_serves(cluster: Cluster) -> None:
    deploy(cluster, progressDeadlineSeconds=1)
    rolled_out(cluster, 1)
    probe = {"exec": {"command": ["false"]}, "periodSeconds": 1}
    change(cluster, template=template(readinessProbe=probe))
    cluster.wait(lambda: progressing(cluster)["reason"] == "ProgressDeadlineExceeded", "the deadline is passed")
    assert progressing(cluster)["status"] == "False"
    assert meta.is_true(cluster.get(DEPLOYMENTS, "web"), "Available")
    assert sizes(cluster) == {"1": 1, "2": 1}


def test_the_history_has_its_limit(cluster: Cluster) -> None:
    deploy(cluster, replicas=0, revisionHistoryLimit=1)
    rolled_out(cluster, 0)
    for number in range(4):
        change(cluster, template=with_variable(str(number)))
        rolled_out(cluster, 0)
    cluster.wait(lambda: sorted(sizes(cluster)) == ["4", "5"], "the last but one stays")


# ---- arithmetic


def deployment(replicas: int, surge: Any = "25%", unavailable: Any = "25%") -> Object:
    rolling = {"maxSurge": surge, "maxUnavailable": unavailable}
    return {"metadata": {"name": "d"}, "spec": {"replicas": replicas, "strategy": {
        "type": "RollingUpdate", "rollingUpdate": rolling}}}  # fmt: skip


def replicaset(name: str, replicas: int, available: int, **annotations: str) -> Object:
    metadata = {"name": name, "creationTimestamp": name, "annotations": annotations}
    return {"metadata": metadata, "spec": {"replicas": replicas}, "status": {"availableReplicas": available}}


@pytest.mark.parametrize(
    ("replicas", "surge", "unavailable", "wanted"),
    [
        pytest.param(10, "25%", "25%", (3, 2), id="surge rounds up, unavailability down"),
        pytest.param(1, "25%", "25%", (1, 0), id="one pod"),
        pytest.param(3, 0, "25%", (0, 1), id="a rollout can always move"),
        pytest.param(2, 1, 5, (1, 2), id="numbers"),
    ],
)
def test_how_far_a_rollout_may_go(replicas: int, surge: Any, unavailable: Any, wanted: tuple[int, int]) -> None:
    assert bounds(deployment(replicas, surge, unavailable)) == wanted


def test_the_new_grow_within_the_surge_and_the_old_shrink_as_those_come() -> None:
    wanted, old = deployment(10), replicaset("1", 10, 10)
    assert size_of_new(wanted, None, [old]) == 3
    new = replicaset("2", 3, 0)
    assert sizes_of_old(wanted, new, [old]) == {"1": 8}
    new, old = replicaset("2", 5, 3), replicaset("1", 8, 8)
    assert sizes_of_old(wanted, new, [old]) == {"1": 5}


def test_old_pods_that_do_not_work_go_first() -> None:
    broken, fine = replicaset("2", 2, 0), replicaset("1", 8, 8)
    assert sizes_of_old(deployment(10), replicaset("3", 3, 3), [fine, broken]) == {"1": 5, "2": 0}


def test_scaling_in_the_midst_of_a_rollout_is_in_proportion() -> None:
    notes = {DESIRED: "10", MAXIMUM: "13"}
    old, new = replicaset("1", 8, 8, **notes), replicaset("2", 5, 2, **notes)
    assert scaled_sizes(deployment(20), new, [old, new]) == {"1": 15, "2": 10}
