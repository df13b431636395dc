"""The environment by which the pods of a PyTorchJob find each other, and each its place: pure.

Source: training-operator v1.9 (the variables), torch.distributed.run (their PET_ forms).
On one machine a name does not resolve to a pod, so addresses are pods' IPs; the first pod's is its
own, by fieldRef, and the others are made once it is known.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import Any

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import Object

MASTER, WORKER = "Master", "Worker"
Variable = dict[str, Any]


@dataclass(frozen=True)
class Replica:
    """One pod's place: its role, its index in the role, its rank among all pods."""

    role: str
    index: int
    rank: int


def replicas(job: Object) -> list[Replica]:
    """All pods of a job in the order of their ranks: the Master first, then Workers."""
    specs = job["spec"]["pytorchReplicaSpecs"]
    found: list[Replica] = []
    for role in (MASTER, WORKER):
        if specs.get(role) is not None:
            wanted = specs[role].get("replicas")
            count = 1 if wanted is None else int(wanted)
            found += [Replica(role, index, len(found) + index) for index in range(count)]
    return found


def has_master(job: Object) -> bool:
    return job["spec"]["pytorchReplicaSpecs"].get(MASTER) is not None


def is_elastic(job: Object) -> bool:
    return bool(job["spec"].get("elasticPolicy"))


def leads(replica: Replica) -> bool:
    """Whether the others meet at this pod."""
    return replica.rank == 0


def meets(job: Object) -> bool:
    """Whether the pods of the job meet at all: Workers alone, not elastic, are on their own."""
    return has_master(job) or is_elastic(job)


def free_port() -> int:
    """A port that nothing listens on, on any address: torch's store binds them all."""
    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])


def environment(job: Object, replica: Replica, port: int, address: str | None) -> list[Variable]:
    """A pod's variables. `address` is the leading pod's IP; None stands for the pod's own."""
    pods = len(replicas(job))
    policy: dict[str, Any] = job["spec"].get("elasticPolicy") or {}
    wanted = job["spec"].get("nprocPerNode")
    processes = str(wanted or policy.get("nProcPerNode") or "auto")
    found = [
        _value("PYTHONUNBUFFERED", "1"),
        _value("PET_NPROC_PER_NODE", processes),
        _value("PET_NNODES", _nodes(policy, pods)),
    ]
    if not meets(job):
        return found
    found += [_address("CPOD_RENDEZVOUS_HOST", address), _value("GLOO_SOCKET_IFNAME", _loopback())]
    if has_master(job):
        world = pods * (int(processes) if processes.isdigit() else 1)
        found += [
            _value("MASTER_ADDR", "$(CPOD_RENDEZVOUS_HOST)"),
            _value("MASTER_PORT", str(port)),
            _value("WORLD_SIZE", str(world)),
            _value("RANK", str(replica.rank)),
            _value("PET_MASTER_ADDR", "$(CPOD_RENDEZVOUS_HOST)"),
            _value("PET_MASTER_PORT", str(port)),
            _value("PET_NODE_RANK", str(replica.rank)),
        ]
    return found + (_elastic(job, policy, port) if policy else [])


def _elastic(job: Object, policy: dict[str, Any], port: int) -> list[Variable]:
    host = str(policy.get("rdzvHost") or "$(CPOD_RENDEZVOUS_HOST)")
    found = [
        _value("PET_RDZV_BACKEND", str(policy.get("rdzvBackend") or "c10d")),
        _value("PET_RDZV_ENDPOINT", f"{host}:{port}"),
        _value("PET_RDZV_ID", str(policy.get("rdzvId") or meta.name_of(job))),
    ]
    if policy.get("rdzvConf"):
        conf = ",".join(f"{entry.get('key')}={entry.get('value')}" for entry in policy["rdzvConf"])
        found.append(_value("PET_RDZV_CONF", conf))
    if policy.get("maxRestarts") is not None:
        found.append(_value("PET_MAX_RESTARTS", str(policy["maxRestarts"])))
    if policy.get("standalone"):
        found.append(_value("PET_STANDALONE", ""))
    return found


def _nodes(policy: dict[str, Any], pods: int) -> str:
    """`n`, or of an elastic job `min:max`."""
    if not policy:
        return str(pods)
    return f"{policy.get('minReplicas') or pods}:{policy.get('maxReplicas') or pods}"


def _loopback() -> str:
    """Pods' addresses are loopback's; gloo would look for the host's name instead, which need not resolve."""
    names = [name for _, name in socket.if_nameindex()]
    return "lo0" if "lo0" in names else "lo"


def _value(name: str, value: str) -> Variable:
    return {"name": name, "value": value}


def _address(name: str, address: str | None) -> Variable:
    if address is not None:
        return _value(name, address)
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}
