"""What a training uses of its GPU, where there is one: memory from PyTorch, utilisation from NVIDIA's library."""

from __future__ import annotations

import importlib
from typing import Any

import torch


def gpu_use() -> dict[str, Any]:
    """For a metrics record, of this process's own GPU; nothing without CUDA.

    `gpu_memory_bytes` is the most that PyTorch has reserved so far (torch.cuda.memory_stats, `reserved_bytes.all.peak`:
    what tensors hold, and what is kept for the next ones), `gpu_memory_total_bytes` what the GPU has. `gpu_utilization`
    is the percent of the last second or so in which the GPU computed (NVML, `nvmlDeviceGetUtilizationRates`), left out
    where pynvml is not installed or does not know it, as of a part of a GPU (MIG).
    """
    if not torch.cuda.is_available():
        return {}
    device = torch.cuda.current_device()
    properties = torch.cuda.get_device_properties(device)
    reserved = torch.cuda.memory_stats(device).get("reserved_bytes.all.peak", 0)
    found: dict[str, Any] = {"gpu_memory_bytes": reserved, "gpu_memory_total_bytes": properties.total_memory}
    busy = utilization(str(getattr(properties, "uuid", "")))
    return found if busy is None else {**found, "gpu_utilization": busy}


def utilization(uuid: str) -> int | None:
    """Percent of time, of the GPU with that UUID as PyTorch writes it; None where nothing tells."""
    try:
        pynvml: Any = importlib.import_module("pynvml")  # untyped, and only where there may be GPUs
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()  # counts its calls, and does nothing after the first
        handle = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}")
        return int(pynvml.nvmlDeviceGetUtilizationRates(handle).gpu)
    except pynvml.NVMLError:
        return None
