"""The GPUs of a cluster: by node and type, how many are free, and which pods hold the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cpod_jupyter.api import meta, scheduling
from cpod_jupyter.api.quantity import parse_quantity
from cpod_jupyter.api.resources import NODES, PODS, Object
from cpod_jupyter.errors import Forbidden
from cpod_jupyter.sdk.view.rows import Rows

if TYPE_CHECKING:
    import pandas as pd

    from cpod_jupyter.client.client import Client

_PRODUCT = "nvidia.com/gpu.product"
"""The label in which NVIDIA's device plugin says what a node's GPUs are."""


@dataclass(frozen=True)
class NodeGpus:
    """The GPUs of one node of one resource name. `holders` are `namespace/pod (count)`."""

    node: str
    product: str
    total: int
    free: int
    holders: tuple[str, ...] = ()


class Gpus(Rows[NodeGpus]):
    """The GPUs of all nodes. Shown as a table; `to_df()` for pandas."""

    columns = ("node", "type", "total", "free", "held by")
    empty = "no node has GPUs"

    def summary(self) -> str:
        """`3 of 4 NVIDIA-H100 free`, a part for each type; empty where there are none."""
        free: Counter[str] = Counter()
        for row in self:
            free[row.product] += row.free
        return ", ".join(f"{free[product]} of {count} {product} free" for product, count in self._counts().items())

    def totals(self) -> str:
        """`4 NVIDIA-H100`, a part for each type; empty where there are none."""
        return ", ".join(f"{count} {product}" for product, count in self._counts().items())

    def _counts(self) -> Counter[str]:
        total: Counter[str] = Counter()
        for row in self:
            total[row.product] += row.total
        return total

    def rows(self) -> list[tuple[str, ...]]:
        return [(row.node, row.product, str(row.total), str(row.free), ", ".join(row.holders)) for row in self]

    def to_dicts(self) -> list[dict[str, Any]]:
        """The same for programs."""
        return [
            {"node": row.node, "type": row.product, "total": row.total, "free": row.free, "heldBy": list(row.holders)}
            for row in self
        ]

    def to_df(self) -> pd.DataFrame:
        import pandas as pd

        return pd.DataFrame(self.rows(), columns=list(self.columns)).astype({"total": int, "free": int})


def read_gpus(client: Client, namespace: str) -> Gpus:
    """The GPUs as they are now; pods of namespaces that one may not see count as holding none.

    Raises Forbidden where one may not see the nodes.
    """
    nodes = client.list(NODES).items
    try:
        pods = client.list(PODS).items
    except Forbidden:
        pods = client.list(PODS, namespace).items
    return gpus_of(nodes, pods)


def gpus_of(nodes: Sequence[Object], pods: Sequence[Object]) -> Gpus:
    """What the nodes offer and the pods bound to them ask for. Pods that have ended hold nothing."""
    rows = []
    for node in nodes:
        name = meta.name_of(node)
        offered = (node.get("status") or {}).get("allocatable") or {}
        product = str((node["metadata"].get("labels") or {}).get(_PRODUCT, ""))
        for resource in sorted(offered):
            total = int(parse_quantity(offered[resource])) if resource.endswith("/gpu") else 0
            if not total:
                continue
            held = [(pod, int(scheduling.used_on(name, [pod]).get(resource, 0))) for pod in pods]
            holders = [f"{meta.namespace_of(pod)}/{meta.name_of(pod)} ({count})" for pod, count in held if count]
            free = max(0, total - sum(count for _, count in held))
            rows.append(NodeGpus(name, product or resource, total, free, tuple(holders)))
    return Gpus(rows)
