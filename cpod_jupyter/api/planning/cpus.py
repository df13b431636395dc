"""Whether a CPU is quicker in bfloat16 than in float32.

One is that has Intel's matrix unit for it (Intel, "Architecture Instruction Set Extensions Programming Reference",
chapter 3, AMX-BF16; oneDNN, on which torch stands, uses it). LoRA on SmolLM2-135M took 2.2 s a step so, and 3.3 in
float32, on two cores that have it (benchmarks/RESULTS.md).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

LABEL_AMX_BF16 = "feature.node.kubernetes.io/cpu-cpuid.AMXBF16"
"""A label of Node Feature Discovery ("Feature labels", CPU); the embedded engine gives its node the same."""


def bf16_by_cpuinfo(text: str) -> bool:
    """Whether a CPU is, by what /proc/cpuinfo says of it; false for an empty text, which is for other systems."""
    flags = re.search(r"^flags\s*:(.*)$", text, re.MULTILINE)
    return flags is not None and {"amx_tile", "amx_bf16"} <= set(flags[1].split())


def bf16_by_labels(labels: Mapping[str, str]) -> bool:
    """Whether a node's CPU is, by the node's labels."""
    return labels.get(LABEL_AMX_BF16) == "true"
