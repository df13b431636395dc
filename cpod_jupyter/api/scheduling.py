"""Whether a pod fits on a node, and why not, in the words of the Kubernetes scheduler.

Pure: the engine's scheduler binds pods by it, and the operator asks it before it prepares data
for work that no node could run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from cpod_jupyter.api import placement
from cpod_jupyter.api.quantity import parse_quantity
from cpod_jupyter.api.resources import Object

Amounts = dict[str, Decimal]


def requests(pod_spec: Mapping[str, Any]) -> Amounts:
    """What a pod asks for: its containers and sidecars together, or the most that it needs while it starts up.

    An init container runs beside the sidecars before it (Kubernetes, "Sidecar Containers").
    """
    sidecars: Amounts = {}
    starting: Amounts = {}
    for container in pod_spec.get("initContainers") or []:
        asked = _container_requests(container)
        if container.get("restartPolicy") == "Always":
            sidecars = _sum(sidecars, asked)
            asked = {}
        for name, amount in _sum(sidecars, asked).items():
            starting[name] = max(starting.get(name, Decimal(0)), amount)
    total = sidecars
    for container in pod_spec.get("containers") or []:
        total = _sum(total, _container_requests(container))
    most = {name: max(total.get(name, Decimal(0)), starting.get(name, Decimal(0))) for name in {**total, **starting}}
    overhead = {name: parse_quantity(amount) for name, amount in (pod_spec.get("overhead") or {}).items()}
    return _sum(most, overhead)


def _sum(one: Amounts, other: Amounts) -> Amounts:
    return {name: one.get(name, Decimal(0)) + other.get(name, Decimal(0)) for name in {**one, **other}}


def _container_requests(container: Mapping[str, Any]) -> Amounts:
    resources = container.get("resources") or {}
    asked = {**(resources.get("limits") or {}), **(resources.get("requests") or {})}
    return {name: parse_quantity(amount) for name, amount in asked.items()}


def used_on(node: str, pods: Iterable[Object]) -> Amounts:
    """What the pods bound to a node and not yet ended ask for together."""
    total: Amounts = {}
    for pod in pods:
        if pod["spec"].get("nodeName") != node:
            continue
        if (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
            continue
        for name, amount in requests(pod["spec"]).items():
            total[name] = total.get(name, Decimal(0)) + amount
    return total


def allocatable(node: Object, name: str) -> Decimal:
    """What a node has of a resource for pods, taken or free; 0 of what it lacks."""
    return parse_quantity(((node.get("status") or {}).get("allocatable") or {}).get(name, 0))


def misfits(pod_spec: Mapping[str, Any], node: Object, used: Mapping[str, Decimal] | None = None) -> list[str]:
    """The scheduler's reasons why the pod does not fit on the node; none when it does.

    With no `used`, the node is taken as empty: whether the pod could ever run there.
    """
    if found := placement.misplaced(pod_spec, node):
        return found
    reasons = []
    for name, amount in sorted(requests(pod_spec).items()):
        free = allocatable(node, name) - (used or {}).get(name, Decimal(0))
        if amount > free:
            reasons.append(f"Insufficient {name}")
    return reasons


def verdict(reasons_by_node: Mapping[str, list[str]]) -> str:
    """The scheduler's sentence over all nodes, for example `0/1 nodes are available: 1 Insufficient nvidia.com/gpu.`"""
    counts = Counter(reason for reasons in reasons_by_node.values() for reason in reasons)
    listed = ", ".join(f"{count} {reason}" for reason, count in sorted(counts.items()))
    return f"0/{len(reasons_by_node)} nodes are available: {listed or 'no nodes'}."


def never_fits(pod_spec: Mapping[str, Any], nodes: Iterable[Object]) -> str | None:
    """Why no node, were it empty, could run the pod; None when one could."""
    reasons = {node["metadata"]["name"]: misfits(pod_spec, node) for node in nodes}
    if any(not found for found in reasons.values()):
        return None
    return verdict(reasons)
