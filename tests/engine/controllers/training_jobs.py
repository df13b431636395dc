"""Jobs of the training kinds for tests: replica specs, conditions, what the pods printed."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

from kubelet.cluster import Cluster

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import PODS, Object, Resource

SHOW_ENV = "import json, os; print(json.dumps(dict(os.environ)))"


def replica(container: str, *command: str, replicas: int | None = 1, policy: str | None = "Never") -> dict[str, Any]:
    """A replica spec of one container."""
    named = {"name": container, "image": container, "command": list(command)}
    template = {"spec": {"containers": [named], "terminationGracePeriodSeconds": 1}}
    given = {"replicas": replicas, "restartPolicy": policy}
    return {**{key: item for key, item in given.items() if item is not None}, "template": template}


def python(container: str, script: str, **fields: Any) -> dict[str, Any]:
    """A replica spec that runs a Python script."""
    return replica(container, sys.executable, "-c", script, **fields)


def submit(cluster: Cluster, resource: Resource, name: str, **spec: Any) -> None:
    cluster.create(resource, name, spec=spec)


def wait_condition(
    cluster: Cluster, resource: Resource, name: str, kind: str, seconds: float = 30
) -> Mapping[str, Any]:
    """The condition of that type, once it is true."""

    def found() -> Mapping[str, Any] | None:
        job = cluster.get(resource, name)
        return meta.condition(job, kind) if meta.is_true(job, kind) else None

    try:
        return cluster.wait(found, f"{name} is {kind}", seconds) or {}
    except BaseException as error:
        error.add_note(f"its status: {cluster.get(resource, name).get('status')}")
        for pod in cluster.pods():
            error.add_note(f"{meta.name_of(pod)}: {pod.get('status')}\n{printed_all(cluster, pod)}")
        raise


def printed_all(cluster: Cluster, pod: Object) -> str:
    return "\n".join(cluster.output(pod, container["name"]) for container in pod["spec"]["containers"])


def printed(cluster: Cluster, pod: str) -> str:
    """All that a pod's containers wrote."""
    return printed_all(cluster, cluster.get(PODS, pod))


def env_of(cluster: Cluster, pod: str) -> dict[str, str]:
    """The environment that a pod printed by SHOW_ENV."""
    found: dict[str, str] = json.loads(printed(cluster, pod).splitlines()[-1])
    return found
