"""PyTorchJob: torch.distributed's variables, torchrun's (PET_), and the elastic policy.

Source: training-operator v1.9, package pytorch; torch.distributed.run (the PET_ forms).
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

from cpod_jupyter.api.resources import PYTORCHJOBS
from cpod_jupyter.engine.controllers.training.addresses import Endpoint, Endpoints
from cpod_jupyter.engine.controllers.training.kind import Replica, TrainingJob, Variable, value
from cpod_jupyter.engine.controllers.training.master_worker import MASTER, MasterAndWorkers


class PyTorch(MasterAndWorkers):
    """One Master at most, and Workers. Workers alone, not elastic, are on their own."""

    resource = PYTORCHJOBS
    specs_field = "pytorchReplicaSpecs"
    container = "pytorch"
    port_name, port = "pytorchjob-port", 23456
    operator = "pytorchjob-controller"

    def faults(self, job: TrainingJob) -> Iterator[str]:
        if job.count(MASTER) > 1:
            yield f"{self.specs_field}[{MASTER}].replicas must be 1, not {job.count(MASTER)}"
        policy = _policy(job)
        if policy.get("nProcPerNode") is not None and job.spec.get("nprocPerNode") is not None:
            yield "elasticPolicy.nProcPerNode and nprocPerNode are both set: leave out the former, which is deprecated"

    def environment(self, job: TrainingJob, replica: Replica, places: Endpoints) -> list[Variable]:
        policy = _policy(job)
        processes = str(job.spec.get("nprocPerNode") or policy.get("nProcPerNode") or "auto")
        found = [
            value("PYTHONUNBUFFERED", 1),
            value("PET_NPROC_PER_NODE", processes),
            value("PET_NNODES", _nodes(policy, len(job.replicas))),
        ]
        if not (job.has(MASTER) or is_elastic(job)):
            return found
        first = job.replicas[0]
        leader = job.endpoint(first, places)
        found.append(value("GLOO_SOCKET_IFNAME", loopback()))
        if job.has(MASTER):
            world = len(job.replicas) * (int(processes) if processes.isdigit() else 1)
            found += [
                value("MASTER_ADDR", leader.address),
                value("MASTER_PORT", leader.port),
                value("WORLD_SIZE", world),
                value("RANK", replica.rank),
                value("PET_MASTER_ADDR", leader.address),
                value("PET_MASTER_PORT", leader.port),
                value("PET_NODE_RANK", replica.rank),
            ]
        return found + (_elastic(job, policy, leader, job.endpoint(replica, places)) if policy else [])


def is_elastic(job: TrainingJob) -> bool:
    return bool(_policy(job))


def _policy(job: TrainingJob) -> dict[str, Any]:
    return dict(job.spec.get("elasticPolicy") or {})


def _elastic(job: TrainingJob, policy: dict[str, Any], leader: Endpoint, own: Endpoint) -> list[Variable]:
    """What torchrun is told. It gives ranks in the order of its nodes' addresses, as texts (`_NodeDesc`): on a cluster
    those are the pods' names, here the whole machine has one. With an address of its own worker 0 has rank 0, of up to
    eight workers, also when it was started again, and so goes on speaking for the job."""
    host, port = policy.get("rdzvHost") or leader.address, policy.get("rdzvPort") or leader.port
    found = [
        value("PET_RDZV_BACKEND", policy.get("rdzvBackend") or "c10d"),
        value("PET_RDZV_ENDPOINT", f"{host}:{port}"),
        value("PET_RDZV_ID", policy.get("rdzvId") or job.name),
        value("PET_LOCAL_ADDR", own.address),
    ]
    if policy.get("rdzvConf"):
        conf = ",".join(f"{entry.get('key')}={entry.get('value')}" for entry in policy["rdzvConf"])
        found.append(value("PET_RDZV_CONF", conf))
    if policy.get("maxRestarts") is not None:
        found.append(value("PET_MAX_RESTARTS", policy["maxRestarts"]))
    if policy.get("standalone"):
        found.append(value("PET_STANDALONE", ""))
    return found


def _nodes(policy: dict[str, Any], pods: int) -> str:
    """`n`, or of an elastic job `min:max`."""
    if not policy:
        return str(pods)
    return f"{policy.get('minReplicas') or pods}:{policy.get('maxReplicas') or pods}"


def loopback() -> str:
    """Pods' addresses are loopback's; gloo would look for the host's name instead, which need not resolve."""
    names = [name for _, name in socket.if_nameindex()]
    return "lo0" if "lo0" in names else "lo"
