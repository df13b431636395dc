"""GPUs by the product names that nodes carry, their memory, and whether they compute in bfloat16."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

LABEL_PRODUCT = "nvidia.com/gpu.product"
LABEL_MEMORY = "nvidia.com/gpu.memory"
"""Of one GPU, MiB."""
LABEL_MAJOR = "nvidia.com/gpu.compute.major"
"""Labels of NVIDIA's GPU feature discovery ("GPU Feature Discovery", list of labels)."""

BF16_FROM = 8
"""The compute capability's major number from which bfloat16 is in hardware: Ampere (CUDA C++ Programming Guide,
"Compute Capabilities", arithmetic instructions)."""


@dataclass(frozen=True)
class Gpu:
    """One GPU of a product."""

    product: str
    memory_mib: int
    bf16: bool


_PRODUCTS: tuple[tuple[str, int, bool], ...] = (
    ("B200", 183359, True),
    ("H200", 143771, True),
    ("H100-NVL", 95830, True),
    ("H100", 81559, True),
    ("H800", 81559, True),
    ("GH200", 97871, True),
    ("A100-40GB", 40960, True),
    ("A100-SXM4-40GB", 40960, True),
    ("A100-PCIE-40GB", 40960, True),
    ("A100", 81920, True),
    ("A800", 81920, True),
    ("A40", 46068, True),
    ("A30", 24576, True),
    ("A16", 15356, True),
    ("A10G", 23028, True),
    ("A10", 23028, True),
    ("A2", 15356, True),
    ("L40S", 46068, True),
    ("L40", 46068, True),
    ("L20", 46068, True),
    ("L4", 23034, True),
    ("RTX-A6000", 49140, True),
    ("RTX-A5000", 24564, True),
    ("RTX-A4000", 16376, True),
    ("RTX-6000-Ada-Generation", 49140, True),
    ("RTX-5090", 32607, True),
    ("RTX-4090", 24564, True),
    ("RTX-4080", 16376, True),
    ("RTX-3090-Ti", 24564, True),
    ("RTX-3090", 24576, True),
    ("RTX-3080-Ti", 12288, True),
    ("RTX-3080", 10240, True),
    ("RTX-3060", 12288, True),
    ("RTX-2080-Ti", 11264, False),
    ("Quadro-RTX-8000", 49152, False),
    ("Quadro-RTX-6000", 24576, False),
    ("TITAN-RTX", 24576, False),
    ("T4", 15360, False),
    ("V100-SXM2-16GB", 16384, False),
    ("V100-PCIE-16GB", 16384, False),
    ("V100", 32768, False),
    ("P100", 16384, False),
    ("P40", 23040, False),
)
"""Product, MiB as nvidia-smi tells them, bf16; of two names that fit, the first."""

_MIG = re.compile(r"-MIG-\d+g\.(\d+)gb", re.IGNORECASE)


def known_gpu(product: str) -> Gpu | None:
    """The GPU of a product name, as `nvidia.com/gpu.product` spells it or short (`RTX 3090`); None when unknown."""
    plain = re.sub(r"[\s_]+", "-", product.strip())
    words = re.sub(r"-SHARED$", "", plain, flags=re.IGNORECASE)
    words = re.sub(r"^(NVIDIA-|Tesla-|GeForce-)+", "", words, flags=re.IGNORECASE)
    part = _MIG.search(words)
    whole = f"-{_MIG.sub('', words)}-".upper()
    for name, memory, bf16 in _PRODUCTS:
        if f"-{name.upper()}-" in whole:
            return Gpu(product, int(part[1]) * 1000**3 // 1024**2 if part else memory, bf16)
    return None


def gpu_of_node(labels: Mapping[str, str]) -> Gpu | None:
    """The GPU that a node's labels tell of; what they leave out comes from the table. None without a product."""
    product = labels.get(LABEL_PRODUCT, "")
    known = known_gpu(product) if product else None
    memory, major = _number(labels.get(LABEL_MEMORY)), _number(labels.get(LABEL_MAJOR))
    if not product or not (memory or known):
        return None
    bf16 = major >= BF16_FROM if major else known.bf16 if known else False
    return Gpu(product, memory or (known.memory_mib if known else 0), bf16)


def _number(text: str | None) -> int:
    return int(text) if text and text.isdigit() else 0
