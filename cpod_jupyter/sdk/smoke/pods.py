"""The same image and command in one small pod of each role, told to be short. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cpod_jupyter.api.resources import CPODJOBS, JOBS, TRAINJOBS, Resource

SECONDS = 300
"""That a smoke run's pods may take."""
SMOKE, MAX_STEPS = "CPOD_SMOKE", "CPOD_MAX_STEPS"
"""In the environment of each container: `1`, and how many steps are wanted. A program may heed them."""

_PLACEMENT = (
    "nodeSelector", "nodeName", "affinity", "tolerations", "topologySpreadConstraints", "schedulerName",
    "priorityClassName", "runtimeClassName", "serviceAccountName", "imagePullSecrets",
)  # fmt: skip
"""Fields of a pod that speak of a cluster's nodes and accounts."""


def shrink(resource: Resource, spec: dict[str, Any], steps: int) -> list[str]:
    """Change the spec of a kind that runs pods; how it differs then, in sentences."""
    env = [{"name": SMOKE, "value": "1"}, {"name": MAX_STEPS, "value": str(steps)}]
    before = _count(resource, spec)
    if resource == CPODJOBS:
        _cpodjob(spec, env)
    elif resource == TRAINJOBS:
        _train_job(spec, env)
    elif resource == JOBS:
        spec |= {"backoffLimit": 0, "activeDeadlineSeconds": SECONDS}
        spec |= {field: 1 for field in ("parallelism", "completions") if spec.get(field)}
        _template(spec.get("template") or {}, env)
    else:
        _roles(spec, env)
        limits = {"backoffLimit": 0, "activeDeadlineSeconds": SECONDS}
        if resource.group == "kubeflow.org":
            spec["runPolicy"] = {**(spec.get("runPolicy") or {}), **limits, "suspend": False}
            spec["runPolicy"].pop("schedulingPolicy", None)
        else:
            spec |= limits
            spec.pop("schedulingPolicy", None)
        _processes(spec)
    pods = "" if before == 1 else f", not {before}"
    return [
        f"{SMOKE}=1 and {MAX_STEPS}={steps} in the environment",
        f"one pod of each role{pods}, without GPUs and requests, for {SECONDS} s at most",
    ]


def templates(resource: Resource, spec: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The pod templates that a spec of such a kind has."""
    if resource == JOBS:
        yield spec.get("template") or {}
    for entry in _entries(spec):
        yield entry.get("template") or {}


def images(resource: Resource, spec: dict[str, Any]) -> list[str]:
    """The images that its containers name, each once."""
    found = [spec.get("image"), (spec.get("trainer") or {}).get("image")]
    for template in templates(resource, spec):
        found += [container.get("image") for container in _containers(template)]
    return list(dict.fromkeys(str(image) for image in found if image))


def _count(resource: Resource, spec: dict[str, Any]) -> int:
    if resource == CPODJOBS and not spec.get("replicaSpecs"):
        return max(1, int(spec.get("workerReplicas") or 1))
    if resource == TRAINJOBS:
        return int((spec.get("trainer") or {}).get("numNodes") or 1)
    if resource == JOBS:
        return int(spec.get("parallelism") or 1)
    return sum(1 if entry.get("replicas") is None else int(entry["replicas"]) for entry in _entries(spec))


def _entries(spec: dict[str, Any]) -> list[dict[str, Any]]:
    field = next((name for name in spec if name.lower().endswith("replicaspecs")), "")
    return [entry for entry in (spec.get(field) or {}).values() if entry] if field else []


def _roles(spec: dict[str, Any], env: list[dict[str, Any]]) -> None:
    for entry in _entries(spec):
        if entry.get("replicas") is None or entry["replicas"] > 1:
            entry["replicas"] = 1
        entry["restartPolicy"] = "Never"
        _template(entry.get("template") or {}, env)


def _cpodjob(spec: dict[str, Any], env: list[dict[str, Any]]) -> None:
    spec["env"] = _with(spec.get("env"), env)
    spec |= {"workerReplicas": 1, "gpuRequiredPerReplica": 0, "gpuType": "", "backoffLimit": 0}
    spec |= {"duration": SECONDS // 60, "uploadModel": False}
    _roles(spec, env)


def _train_job(spec: dict[str, Any], env: list[dict[str, Any]]) -> None:
    trainer = spec["trainer"] = dict(spec.get("trainer") or {})
    trainer["env"] = _with(trainer.get("env"), env)
    trainer |= {"numNodes": 1, "numProcPerNode": 1}
    trainer.pop("resourcesPerNode", None)
    spec |= {"activeDeadlineSeconds": SECONDS, "suspend": False}


def _processes(spec: dict[str, Any]) -> None:
    """One process a pod, where the spec says how many: there is no GPU for each of several."""
    if "nprocPerNode" in spec:
        spec["nprocPerNode"] = "1"
    if "slotsPerWorker" in spec:
        spec["slotsPerWorker"] = 1
    if elastic := spec.get("elasticPolicy"):
        elastic |= {field: 1 for field in ("minReplicas", "maxReplicas", "nProcPerNode") if elastic.get(field)}
        elastic.pop("metrics", None)


def _template(template: dict[str, Any], env: list[dict[str, Any]]) -> None:
    pod = template.get("spec") or {}
    for name in _PLACEMENT:
        pod.pop(name, None)
    for container in _containers(template):
        container.pop("resources", None)
        container["env"] = _with(container.get("env"), env)


def _containers(template: dict[str, Any]) -> list[dict[str, Any]]:
    pod = template.get("spec") or {}
    return [*(pod.get("initContainers") or []), *(pod.get("containers") or [])]


def _with(env: list[dict[str, Any]] | None, more: list[dict[str, Any]]) -> list[dict[str, Any]]:
    ours = {entry["name"] for entry in more}
    return [*(entry for entry in env or [] if entry.get("name") not in ours), *more]
