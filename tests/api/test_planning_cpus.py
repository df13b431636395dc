"""Which CPUs are quicker in bf16."""

from __future__ import annotations

from cpod_jupyter.api.planning.cpus import LABEL_AMX_BF16, bf16_by_cpuinfo, bf16_by_labels

SAPPHIRE_RAPIDS = """processor\t: 0
model name\t: Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz
flags\t\t: fpu vme sse2 avx512_bf16 amx_bf16 avx512_fp16 amx_tile amx_int8 flush_l1d
bugs\t\t: spectre_v1
"""


def test_the_matrix_unit_for_bf16_is_told_by_the_flags() -> None:
    assert bf16_by_cpuinfo(SAPPHIRE_RAPIDS)
    assert not bf16_by_cpuinfo(SAPPHIRE_RAPIDS.replace("amx_bf16", "amx_fp8")), "vectors alone are not quicker"
    assert not bf16_by_cpuinfo("processor: 0\nFeatures\t: fp asimd bf16\n"), "another architecture"
    assert not bf16_by_cpuinfo("")


def test_a_node_tells_it_by_the_label_of_node_feature_discovery() -> None:
    assert bf16_by_labels({LABEL_AMX_BF16: "true"})
    assert not bf16_by_labels({"kubernetes.io/arch": "amd64"})
