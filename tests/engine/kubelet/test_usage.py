"""What pods and the node use, as kubectl asks for it."""

from __future__ import annotations

import sys
from typing import Any

from .cluster import Cluster
from .controlled import cluster, kubeconfig

__all__ = ["cluster", "kubeconfig"]


def test_kubectl_top_shows_what_a_pod_and_the_node_use(kubectl: Any, cluster: Cluster) -> None:
    busy = "kept = bytearray(200 * 2**20)\nwhile True: pass"
    kubectl("run", "busy", "--image=python:3.11", "--command", "--", sys.executable, "-c", busy)
    kubectl("wait", "--for=condition=Ready", "pod/busy", "--timeout=60s")

    def numbers() -> tuple[int, int]:
        name, cpu, memory = kubectl("top", "pod", "busy", "--no-headers").split()
        assert name == "busy"
        return int(cpu.removesuffix("m")), int(memory.removesuffix("Mi"))

    cluster.wait(lambda: numbers()[0] > 100 and numbers()[1] > 190, "the pod uses a core and 200 MiB")
    assert "busy" in kubectl("top", "pods", "-A", "--containers")
    _, cpu, _, memory, _ = kubectl("top", "node", "--no-headers").split()
    assert int(cpu.removesuffix("m")) > 0
    assert int(memory.removesuffix("Mi")) > 200
    kubectl("delete", "pod", "busy", "--grace-period=0", "--force")
    assert "not found" in kubectl("top", "pod", "busy", fails=True)
