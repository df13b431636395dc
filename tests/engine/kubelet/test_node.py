"""The GPUs that an engine offers."""

from __future__ import annotations

from pathlib import Path

import pytest

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import LEASES, NODES, Object
from cpod_jupyter.engine.kubelet.gpus import Gpu, Inventory, labels, visible
from cpod_jupyter.errors import NotFound

from .cluster import NODE, Cluster

GPUS = [Gpu(str(index), f"GPU-{letter}123", "NVIDIA H100", 81559) for index, letter in enumerate("abcd")]


@pytest.mark.parametrize(
    ("allowed", "names"),
    [
        pytest.param(None, "0123", id="not set"),
        pytest.param("", "", id="none"),
        pytest.param("2,0", "20", id="by index, in order"),
        pytest.param("GPU-b", "1", id="by the beginning of a UUID"),
        pytest.param("1,-1,2", "1", id="ends at what is no GPU"),
    ],
)
def test_only_the_gpus_that_the_engine_may_use_are_offered(allowed: str | None, names: str) -> None:
    assert "".join(gpu.cuda_name for gpu in visible(GPUS, allowed)) == names


def test_a_node_with_gpus_has_the_labels_of_gpu_feature_discovery() -> None:
    gpu = Gpu("0", "GPU-a", "NVIDIA H100 80GB HBM3", 81559, (9, 0))
    found = labels(Inventory((gpu, gpu), "550.54.15", 12040))
    expected = {
        "gpu.present": "true",
        "gpu.count": "2",
        "gpu.product": "NVIDIA-H100-80GB-HBM3",
        "gpu.memory": "81559",
        "gpu.family": "hopper",
        "gpu.compute.major": "9",
        "gpu.compute.minor": "0",
        "cuda.driver.major": "550",
        "cuda.driver-version.full": "550.54.15",
        "cuda.driver-version.revision": "15",
        "cuda.runtime-version.full": "12.4",
        "cuda.runtime.minor": "4",
    }
    assert {key: found[f"nvidia.com/{key}"] for key in expected} == expected
    assert labels(Inventory()) == {}


def test_the_node_says_how_it_is_and_that_it_lives(cluster: Cluster) -> None:
    status = cluster.api.get(NODES, NODE)["status"]
    assert {entry["type"]: entry["status"] for entry in status["conditions"]}.keys() == {
        "Ready", "MemoryPressure", "DiskPressure", "PIDPressure",
    }  # fmt: skip
    assert set(status["allocatable"]) >= {"cpu", "memory", "pods", "ephemeral-storage"}

    def lease() -> Object | None:
        try:
            return cluster.api.get(LEASES, NODE, "kube-node-lease")
        except NotFound:
            return None

    found = cluster.wait(lease, "the lease is there")
    assert found is not None
    assert found["spec"]["holderIdentity"] == NODE


def test_what_people_gave_the_node_is_kept_when_the_engine_starts_again(cluster: Cluster) -> None:
    taint = {"key": "mine", "effect": "PreferNoSchedule"}
    change = {"metadata": {"labels": {"rack": "3"}}, "spec": {"unschedulable": True, "taints": [taint]}}
    cluster.api.patch(NODES, NODE, change)
    before = cluster.api.get(NODES, NODE)["status"]["conditions"][-1]["lastTransitionTime"]
    cluster.stop()
    cluster.start()
    node = cluster.api.get(NODES, NODE)
    assert node["metadata"]["labels"]["rack"] == "3"
    assert node["spec"] == {"unschedulable": True, "taints": [taint]}
    assert meta.condition(node, "Ready")["lastTransitionTime"] == before  # type: ignore[index]


def test_the_node_is_labelled_for_its_cpu_as_node_feature_discovery_does(cluster: Cluster) -> None:
    label = cluster.api.get(NODES, NODE)["metadata"]["labels"].get("feature.node.kubernetes.io/cpu-cpuid.AMXBF16")
    assert label == ("true" if "amx_bf16" in Path("/proc/cpuinfo").read_text() else None)
