"""The short form of a training kind in a cell: an image, a command and a number of workers become its spec. Pure.

A cell whose body has none of these fields is the kind's spec as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cpod_jupyter.api.model import kubernetes_schema
from cpod_jupyter.api.resources import (
    ELASTICDLJOBS,
    ELASTICDLJOBS_OLD,
    JAXJOBS,
    MPIJOBS,
    MPIJOBS_V2BETA1,
    PADDLEJOBS,
    PYTORCHJOBS,
    TFJOBS,
    TRAINJOBS,
    XGBOOSTJOBS,
    Resource,
)

RUNTIME = "torch-distributed"
"""The runtime of a TrainJob that names none: the one that every installation of the Trainer brings."""

_FORMS: dict[Resource, tuple[str, str, tuple[str, str]]] = {
    PYTORCHJOBS: ("pytorchReplicaSpecs", "pytorch", ("Master", "Worker")),
    XGBOOSTJOBS: ("xgbReplicaSpecs", "xgboost", ("Master", "Worker")),
    TFJOBS: ("tfReplicaSpecs", "tensorflow", ("", "Worker")),
    PADDLEJOBS: ("paddleReplicaSpecs", "paddle", ("", "Worker")),
    JAXJOBS: ("jaxReplicaSpecs", "jax", ("", "Worker")),
    ELASTICDLJOBS: ("elasticdlReplicaSpecs", "elasticdl", ("Master", "")),
    ELASTICDLJOBS_OLD: ("elasticdlReplicaSpecs", "elasticdl", ("Master", "")),
}
"""The field of the replica specs, the container's name, and the roles: the first worker's, and the others'."""
_MPI = (MPIJOBS, MPIJOBS_V2BETA1)


def is_short(resource: Resource, body: Mapping[str, Any]) -> bool:
    """Whether a body is the short form of its kind."""
    return resource in (*_FORMS, *_MPI, TRAINJOBS) and bool({"image", "command"} & body.keys())


def schema_of(resource: Resource) -> dict[str, Any]:
    """What a short form may have."""
    words = {"type": "array", "items": {"type": "string"}}
    fields: dict[str, Any] = {
        "image": {"type": "string", "minLength": 1},
        "command": words,
        "args": words,
        "env": {"type": "array", "items": kubernetes_schema("V1EnvVar")},
        "gpus": {"type": "integer", "minimum": 0},
    }
    if resource not in (ELASTICDLJOBS, ELASTICDLJOBS_OLD):  # its one master makes the workers
        fields["workers"] = {"type": "integer", "minimum": 1}
    if resource == TRAINJOBS:
        fields["runtime"] = {"type": "string", "minLength": 1}
        return {"type": "object", "properties": fields}
    return {"type": "object", "properties": fields, "required": ["image"]}


def expanded(resource: Resource, body: Mapping[str, Any]) -> dict[str, Any]:
    """The spec that a short form stands for. A pod that fails is not started again: its words are wanted at once.

    `workers` is the number of pods that work, each with `gpus` GPUs.
    """
    workers, gpus = int(body.get("workers") or 1), int(body.get("gpus") or 0)
    if resource == TRAINJOBS:
        return _train_job(body, workers, gpus)
    if resource in _MPI:
        return {
            "slotsPerWorker": max(gpus, 1),
            "runPolicy": {"cleanPodPolicy": "Running", "backoffLimit": 0},
            "mpiReplicaSpecs": {
                "Launcher": _replica("mpi", body, 1, 0),
                "Worker": _replica("mpi", {"image": body["image"]}, workers, gpus),
            },
        }
    field, container, (first, others) = _FORMS[resource]
    counts = {first: 1, others: workers - 1} if first else {others: workers}
    spec: dict[str, Any] = {
        field: {role: _replica(container, body, count, gpus) for role, count in counts.items() if role and count}
    }
    if resource == PYTORCHJOBS:
        spec["nprocPerNode"] = str(max(gpus, 1))
    return spec


def _replica(name: str, body: Mapping[str, Any], count: int, gpus: int) -> dict[str, Any]:
    container = {"name": name, **{field: body[field] for field in ("image", "command", "args", "env") if field in body}}
    if gpus:
        container["resources"] = _gpus(gpus)
    return {"replicas": count, "restartPolicy": "Never", "template": {"spec": {"containers": [container]}}}


def _train_job(body: Mapping[str, Any], workers: int, gpus: int) -> dict[str, Any]:
    trainer: dict[str, Any] = {field: body[field] for field in ("image", "command", "args", "env") if field in body}
    trainer |= {"numNodes": workers, "numProcPerNode": max(gpus, 1)}
    if gpus:
        trainer["resourcesPerNode"] = _gpus(gpus)
    return {"runtimeRef": {"name": body.get("runtime") or RUNTIME}, "trainer": trainer}


def _gpus(count: int) -> dict[str, Any]:
    return {"limits": {"nvidia.com/gpu": count}, "requests": {"nvidia.com/gpu": count}}
