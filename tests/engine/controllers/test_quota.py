"""ResourceQuotas."""

from __future__ import annotations

from typing import Any

import pytest
from kubelet.cluster import Cluster

from controllers.workloads import deploy, template
from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import (
    CONFIGMAPS,
    DEPLOYMENTS,
    FINETUNES,
    JOBS,
    PODS,
    PVCS,
    REPLICASETS,
    RESOURCEQUOTAS,
    Object,
)
from cpod_jupyter.errors import Forbidden


def limit(cluster: Cluster, name: str = "team", scopes: list[str] | None = None, **hard: str) -> Object:
    words = {key.replace("__", "/").replace("_", "."): value for key, value in hard.items()}
    return cluster.create(RESOURCEQUOTAS, name, spec={"hard": words, **({"scopes": scopes} if scopes else {})})


def used(cluster: Cluster, name: str = "team") -> dict[str, Any]:
    return (cluster.get(RESOURCEQUOTAS, name).get("status") or {}).get("used") or {}


def pod(cluster: Cluster, name: str, **resources: Any) -> Object:
    spec = template(resources=resources)["spec"]
    return cluster.create(PODS, name, spec={**spec, "nodeName": "another"})


def test_what_goes_beyond_a_quota_is_refused_as_upstream_says_it(cluster: Cluster) -> None:
    limit(cluster, pods="2", requests_cpu="1", limits_memory="1Gi")
    with pytest.raises(Forbidden) as caught:
        pod(cluster, "a")
    assert caught.value.message == (
        'pods "a" is forbidden: failed quota: team: must specify limits.memory for: main; requests.cpu for: main'
    )
    pod(cluster, "a", limits={"cpu": "600m", "memory": "512Mi"})
    with pytest.raises(Forbidden) as caught:
        pod(cluster, "b", limits={"cpu": "600m", "memory": "768Mi"})
    assert caught.value.message == (
        'pods "b" is forbidden: exceeded quota: team, requested: limits.memory=768Mi,requests.cpu=600m, '
        "used: limits.memory=512Mi,requests.cpu=600m, limited: limits.memory=1Gi,requests.cpu=1"
    )
    wanted = {"pods": "1", "requests.cpu": "600m", "limits.memory": "512Mi"}
    cluster.wait(lambda: used(cluster) == wanted, f"the status says so: {used(cluster)}")
    cluster.api.delete(PODS, "a", "default", grace_seconds=0)
    cluster.wait(lambda: used(cluster) == {"pods": "0", "requests.cpu": "0", "limits.memory": "0"}, "it is given back")


def test_numbers_of_any_kind_and_storage_are_limited(cluster: Cluster) -> None:
    limit(cluster, requests_storage="1536Mi", count__jobs_batch="0", configmaps="1", count__finetunes_cpod_cpod="1")
    cluster.create_claim("one")
    with pytest.raises(Forbidden, match=r"requested: requests.storage=1Gi, used: .*=1Gi, limited: .*=1536Mi"):
        cluster.create_claim("two")
    with pytest.raises(Forbidden, match=r"exceeded quota: team, requested: requests\.storage=1Gi"):
        cluster.api.patch(PVCS, "one", {"spec": {"resources": {"requests": {"storage": "2Gi"}}}}, "default")
    with pytest.raises(Forbidden, match=r'jobs.batch "j" is forbidden: .* requested: count/jobs.batch=1'):
        cluster.create(JOBS, "j", spec={"template": {"spec": {**template()["spec"], "restartPolicy": "Never"}}})
    cluster.create(CONFIGMAPS, "first")
    with pytest.raises(Forbidden, match="used: configmaps=1, limited: configmaps=1"):
        cluster.create(CONFIGMAPS, "second")
    cluster.create(FINETUNES, "tune", spec={"model": "m", "dataset": "d"})
    cluster.wait(lambda: used(cluster).get("count/finetunes.cpod.cpod") == "1", "a custom kind is counted")
    assert used(cluster)["requests.storage"] == "1Gi"


def test_a_quota_with_a_scope_counts_the_pods_in_it_alone(cluster: Cluster) -> None:
    limit(cluster, scopes=["BestEffort"], pods="0")
    pod(cluster, "guaranteed", limits={"cpu": "1", "memory": "1Gi"})
    with pytest.raises(Forbidden, match="exceeded quota: team"):
        pod(cluster, "best-effort")


def test_a_deployment_that_meets_a_quota_says_why_it_has_no_pods(cluster: Cluster) -> None:
    limit(cluster, pods="0")
    deploy(cluster)
    cluster.wait(lambda: meta.is_true(cluster.get(DEPLOYMENTS, "web"), "ReplicaFailure"), "the failure is told")
    failure = meta.condition(cluster.get(DEPLOYMENTS, "web"), "ReplicaFailure") or {}
    assert failure["reason"] == "FailedCreate"
    assert "exceeded quota: team, requested: pods=1, used: pods=0, limited: pods=0" in failure["message"]
    assert len(cluster.api.list(REPLICASETS).items) == 1
