"""What pods and the node use, as kubectl asks for it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cpod_jupyter.engine.controllers import controllers

from .cluster import Cluster
from .served import served


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    home = tmp_path / "home"
    found = Cluster(home, lambda api: controllers(api, home))
    found.start()
    yield found
    found.stop()
    found.remove_pods()


@pytest.fixture
def kubeconfig(cluster: Cluster) -> Iterator[Path]:
    with served(cluster) as path:
        yield path


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
