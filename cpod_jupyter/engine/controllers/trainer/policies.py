"""How the nodes of a TrainJob find each other: the variables of each framework. Pure.

Source: Kubeflow Trainer v2.3, runtime/framework/plugins (torch, jax, xgboost). A cluster names the first node
`JOB-node-0-0.JOB`, at port 29500 (JAX: 6666); here names resolve nowhere, and the nodes are told its address and port.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cpod_jupyter.api.quantity import parse_quantity
from cpod_jupyter.api.resources import Object
from cpod_jupyter.api.trainjob import NODE, TRAINER
from cpod_jupyter.engine.controllers.job_indexes import INDEX
from cpod_jupyter.engine.controllers.trainer.steps import Step, ml_policy, set_env, trainer_of
from cpod_jupyter.engine.controllers.training.addresses import Endpoint, Endpoints
from cpod_jupyter.engine.controllers.training.kind import Variable, value
from cpod_jupyter.engine.controllers.training.pytorch import loopback

_RESERVED = {
    "torch": ("PET_NNODES", "PET_NPROC_PER_NODE", "PET_NODE_RANK", "PET_MASTER_ADDR", "PET_MASTER_PORT"),
    "xgboost": ("DMLC_TRACKER_URI", "DMLC_TRACKER_PORT", "DMLC_TASK_ID", "DMLC_NUM_WORKER"),
}
"""Variables that a job must not set itself."""


def place_key(step: Step, index: int) -> str:
    return f"{step.name}-{index}"


def inject(job: Object, runtime: Object, found: Sequence[Step], places: Endpoints) -> None:
    """Give the training containers their framework's variables."""
    policy = ml_policy(runtime)
    trainer = next((step for step in found if step.ancestor == TRAINER), None)
    if trainer is None or "mpi" in policy:
        return
    first = places[place_key(trainer, 0)]
    if "torch" in policy:
        variables = _torch(job, policy["torch"] or {}, trainer.count, first)
        for container in _torch_containers(policy["torch"] or {}, trainer, found):
            set_env(container, variables)
        return
    variables = []
    if "jax" in policy:
        variables = _jax(trainer.count, first)
    elif "xgboost" in policy:
        variables = _xgboost(trainer, first)
    for container in filter(None, [trainer.container(NODE)]):
        set_env(container, variables)


def policy_faults(job: Object, runtime: Object) -> Iterator[str]:
    """Variables that the job sets and the policy sets too."""
    given = {str(entry["name"]) for entry in trainer_of(job).get("env") or []}
    for source, names in _RESERVED.items():
        taken = sorted(given.intersection(names))
        if source in ml_policy(runtime) and taken:
            yield f"trainer.env must not set {', '.join(taken)}, which mlPolicy.{source} sets"


def processes_per_node(job: Object, policy: Mapping[str, Any]) -> str:
    """The trainer's number, else the policy's; `auto` of a node that asks for CPUs and no GPU is their number."""
    trainer = trainer_of(job)
    asked = str(trainer.get("numProcPerNode") or policy.get("numProcPerNode") or "auto")
    resources = trainer.get("resourcesPerNode")
    if not resources or asked not in ("auto", "cpu"):
        return asked
    for kind in ("limits", "requests"):
        amounts = resources.get(kind) or {}
        if any("gpu" in name.lower() for name in amounts) and asked == "auto":
            return "auto"
        if "cpu" in amounts:
            return str(max(1, int(parse_quantity(amounts["cpu"]))))
    return "auto" if asked == "auto" else "1"


def gpus_of(resources: Mapping[str, Any] | None) -> int:
    """The GPUs that a container asks for."""
    for kind in ("limits", "requests"):
        for name, amount in ((resources or {}).get(kind) or {}).items():
            if "gpu" in name.lower():
                return int(parse_quantity(amount))
    return 0


def _rank(name: str) -> Variable:
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": f"metadata.annotations['{INDEX}']"}}}


def _torch(job: Object, policy: Mapping[str, Any], count: int, first: Endpoint) -> list[Variable]:
    return [
        value("PET_NNODES", count),
        value("PET_NPROC_PER_NODE", processes_per_node(job, policy)),
        _rank("PET_NODE_RANK"),
        value("PET_MASTER_ADDR", first.address),
        value("PET_MASTER_PORT", first.port),
        value("GLOO_SOCKET_IFNAME", loopback()),
    ]


def _torch_containers(policy: Mapping[str, Any], trainer: Step, found: Sequence[Step]) -> Iterator[dict[str, Any]]:
    """The trainer's, and those that envInjection names."""
    node = trainer.container(NODE)
    if node is not None:
        yield node
    for target in (policy.get("envInjection") or {}).get("targets") or []:
        for step in found:
            if step.name == target["jobName"]:
                for name in target["containerNames"]:
                    container = step.container(name)
                    if container is not None and container is not node:
                        yield container


def _jax(count: int, first: Endpoint) -> list[Variable]:
    return [
        value("JAX_NUM_PROCESSES", count),
        _rank("JAX_PROCESS_ID"),
        value("JAX_COORDINATOR_ADDRESS", first),
        value("JAX_COORDINATOR_PORT", first.port),
        value("JAX_DISTRIBUTED_BACKEND", "gloo"),
    ]


def _xgboost(trainer: Step, first: Endpoint) -> list[Variable]:
    node = trainer.container(NODE) or {}
    return [
        value("DMLC_TRACKER_URI", first.address),
        value("DMLC_TRACKER_PORT", first.port),
        _rank("DMLC_TASK_ID"),
        value("DMLC_NUM_WORKER", trainer.count * max(1, gpus_of(node.get("resources")))),
    ]
