"""The GPUs that an engine offers."""

from __future__ import annotations

import pytest

from cpod_jupyter.engine.kubelet.node import Gpu, visible

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
