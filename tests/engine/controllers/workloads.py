"""Small workloads for the tests of controllers."""

from __future__ import annotations

from typing import Any

from kubelet.cluster import NAMESPACE, Cluster

from cpod_jupyter.api.resources import DEPLOYMENTS, Object

LABELS = {"app": "web"}


def template(script: str = "sleep 300", labels: dict[str, str] | None = None, **container: Any) -> dict[str, Any]:
    """A pod template whose one container runs a shell script; it ends at once when asked to."""
    command = ["sh", "-c", f"trap 'exit 0' TERM; {script} & wait"]
    entry = {"name": "main", "image": "busybox", "command": command, **container}
    return {
        "metadata": {"labels": labels or LABELS},
        "spec": {"containers": [entry], "terminationGracePeriodSeconds": 1},
    }


def deploy(cluster: Cluster, name: str = "web", **spec: Any) -> Object:
    wanted = {"selector": {"matchLabels": LABELS}, "template": template(), **spec}
    return cluster.create(DEPLOYMENTS, name, spec=wanted)


def change(cluster: Cluster, name: str = "web", **spec: Any) -> Object:
    return cluster.api.patch(DEPLOYMENTS, name, {"spec": spec}, NAMESPACE)
