"""The ClusterTrainingRuntimes that the engine brings, under upstream's names where upstream has them. Pure.

They are what really runs on one machine. A node that fails is not begun again (`backoffLimit: 0`): what failed is a
person's program, and its words are wanted at once.
"""

from __future__ import annotations

from typing import Any

from cpod_jupyter.api.resources import CLUSTERTRAININGRUNTIMES, Object
from cpod_jupyter.api.trainjob import (
    DATASET_INITIALIZER,
    LABEL_ANCESTOR,
    LAUNCHER,
    MODEL_INITIALIZER,
    NODE,
    TRAINER,
)
from cpod_jupyter.engine.kubelet.images import RUNTIME_ENTRYPOINT, RUNTIME_REPOSITORY
from cpod_jupyter.version import VERSION

IMAGE = f"{RUNTIME_REPOSITORY}:{VERSION}"
_VOLUME = "initializer"
_PATHS = {DATASET_INITIALIZER: "/workspace/dataset", MODEL_INITIALIZER: "/workspace/model"}
_KINDS = {DATASET_INITIALIZER: "dataset", MODEL_INITIALIZER: "model"}


def shipped_runtimes() -> list[Object]:
    """torch-distributed, jax-distributed and xgboost-distributed; torch-initialized, which fetches a dataset and a
    model first; and mpi-distributed, whose launcher runs mpirun."""
    return [
        _runtime("torch-distributed", "torch", {"torch": {}}, [_node()]),
        _runtime("jax-distributed", "jax", {"jax": {}}, [_node()]),
        _runtime("xgboost-distributed", "xgboost", {"xgboost": {}}, [_node()]),
        _initialized(),
        _mpi(),
    ]


def _runtime(name: str, framework: str, policy: dict[str, Any], jobs: list[dict[str, Any]], **jobset: Any) -> Object:
    return {
        "apiVersion": CLUSTERTRAININGRUNTIMES.api_version,
        "kind": CLUSTERTRAININGRUNTIMES.kind,
        "metadata": {"name": name, "labels": {"trainer.kubeflow.org/framework": framework}},
        "spec": {"mlPolicy": {"numNodes": 1, **policy}, "template": {"spec": {"replicatedJobs": jobs, **jobset}}},
    }


def _job(name: str, container: dict[str, Any], ancestor: str = "", needs: list[dict[str, str]] | None = None) -> Any:
    template: dict[str, Any] = {
        "spec": {
            "backoffLimit": 0,
            "template": {"spec": {"restartPolicy": "Never", "containers": [{"image": IMAGE, **container}]}},
        }
    }
    if ancestor:
        template["metadata"] = {"labels": {LABEL_ANCESTOR: ancestor}}
    return {"name": name, **({"dependsOn": needs} if needs else {}), "template": template}


def _node(**container: Any) -> Any:
    return _job(NODE, {"name": NODE, "terminationMessagePolicy": "FallbackToLogsOnError", **container}, TRAINER)


def _initialized() -> Object:
    """Dataset and model are fetched by this project's own download into a volume of the job's own. Without a
    storageUri there is nothing to fetch."""
    jobs = []
    for name in (DATASET_INITIALIZER, MODEL_INITIALIZER):
        path, kind = _PATHS[name], _KINDS[name]
        container = {
            "name": name,
            "command": [*RUNTIME_ENTRYPOINT, "download"],
            "args": ["--kind", kind, "--source", "$(STORAGE_URI)", "--destination", path],
            "terminationMessagePolicy": "FallbackToLogsOnError",
            "volumeMounts": [{"name": _VOLUME, "mountPath": path, "subPath": kind}],
        }
        jobs.append(_job(name, container, name))
    mounts = [{"name": _VOLUME, "mountPath": path, "subPath": _KINDS[name]} for name, path in _PATHS.items()]
    node = _node(volumeMounts=mounts)
    node["dependsOn"] = [{"name": name, "status": "Complete"} for name in _PATHS]
    claim = {
        "metadata": {"name": _VOLUME},
        "spec": {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "20Gi"}}},
    }
    return _runtime(
        "torch-initialized", "torch", {"torch": {}}, [*jobs, node], volumeClaimPolicies=[{"templates": [claim]}]
    )


def _mpi() -> Object:
    """The launcher is no node: it runs mpirun, and ranks run in the nodes."""
    node = _job(NODE, {"name": NODE, "command": ["/usr/sbin/sshd"], "args": ["-De"]})
    launcher = _job(
        LAUNCHER,
        {"name": NODE, "terminationMessagePolicy": "FallbackToLogsOnError"},
        TRAINER,
        [{"name": NODE, "status": "Ready"}],
    )
    success = {"operator": "All", "targetReplicatedJobs": [LAUNCHER]}
    policy = {"mpi": {"numProcPerNode": 1, "mpiImplementation": "OpenMPI"}}
    return _runtime("mpi-distributed", "mpi", policy, [node, launcher], successPolicy=success)
