"""GPUs from the labels of nodes, and from product names as people write them."""

from __future__ import annotations

import pytest

from cpod_jupyter.api.planning import Gpu, gpu_of_node, known_gpu


@pytest.mark.parametrize(
    ("product", "memory_mib", "bf16"),
    [
        ("NVIDIA-GeForce-RTX-3090", 24576, True),
        ("RTX 3090", 24576, True),
        ("NVIDIA-GeForce-RTX-4090", 24564, True),
        ("NVIDIA-A100-SXM4-40GB", 40960, True),
        ("NVIDIA-A100-SXM4-80GB", 81920, True),
        ("NVIDIA-A100-80GB-PCIe", 81920, True),
        ("NVIDIA-A100-SXM4-40GB-MIG-3g.20gb", 19073, True),
        ("NVIDIA-H100-80GB-HBM3", 81559, True),
        ("NVIDIA-H200", 143771, True),
        ("NVIDIA-L4", 23034, True),
        ("NVIDIA-L40S-SHARED", 46068, True),
        ("NVIDIA-A10", 23028, True),
        ("NVIDIA-RTX-A6000", 49140, True),
        ("Tesla-T4", 15360, False),
        ("Tesla-V100-SXM2-16GB", 16384, False),
        ("Tesla-V100-SXM2-32GB", 32768, False),
    ],
)
def test_a_product_is_known_by_the_name_that_nodes_carry(product: str, memory_mib: int, bf16: bool) -> None:
    assert known_gpu(product) == Gpu(product, memory_mib, bf16)


def test_the_labels_of_a_node_win_over_the_table() -> None:
    labels = {
        "nvidia.com/gpu.product": "NVIDIA-GeForce-RTX-3090",
        "nvidia.com/gpu.memory": "24000",
        "nvidia.com/gpu.compute.major": "8",
    }
    assert gpu_of_node(labels) == Gpu("NVIDIA-GeForce-RTX-3090", 24000, True)
    assert gpu_of_node({"nvidia.com/gpu.product": "Tesla-T4"}) == Gpu("Tesla-T4", 15360, False)


def test_a_new_product_is_taken_from_its_labels_alone_and_nothing_is_made_up_without_them() -> None:
    new = {"nvidia.com/gpu.product": "NVIDIA-Z900", "nvidia.com/gpu.memory": "500000"}
    assert gpu_of_node(new) == Gpu("NVIDIA-Z900", 500000, False)
    assert gpu_of_node({**new, "nvidia.com/gpu.compute.major": "12"}) == Gpu("NVIDIA-Z900", 500000, True)
    assert gpu_of_node({"nvidia.com/gpu.product": "NVIDIA-Z900"}) is None
    assert gpu_of_node({}) is None
    assert known_gpu("NVIDIA-Z900") is None
