"""The GPUs of this machine, by NVML, and the labels that GPU feature discovery gives a node that has them.

Names and values of the labels: NVIDIA/k8s-device-plugin, docs/gpu-feature-discovery.
"""

from __future__ import annotations

import functools
import importlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_FAMILIES = {
    1: "tesla", 2: "fermi", 3: "kepler", 5: "maxwell", 6: "pascal", 7: "volta", 8: "ampere", 9: "hopper",
    10: "blackwell", 12: "blackwell",
}  # fmt: skip
_FAMILIES_BY_MINOR = {(7, 5): "turing", (8, 9): "ada-lovelace"}
PREFIXES = ("nvidia.com/gpu.", "nvidia.com/cuda.", "nvidia.com/mig.")


@dataclass(frozen=True)
class Gpu:
    """One GPU; `memory_mib` as GPU feature discovery counts it, `cuda_name` as CUDA_VISIBLE_DEVICES names it."""

    cuda_name: str
    uuid: str
    product: str
    memory_mib: int
    compute: tuple[int, int] = (0, 0)
    """The compute capability, major and minor; zero where the driver doesn't say."""


@dataclass(frozen=True)
class Inventory:
    """What NVML says. `driver` is as 550.54.15, `cuda` the newest CUDA that it runs, as 12040; empty for unknown."""

    gpus: tuple[Gpu, ...] = ()
    driver: str = ""
    cuda: int = 0


@functools.cache
def inventory() -> Inventory:
    """The NVIDIA GPUs that the engine may use; none where there is no driver."""
    try:
        pynvml: Any = importlib.import_module("pynvml")  # untyped, and only where there may be GPUs
    except ImportError:
        return Inventory()
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return Inventory()
    try:
        return _read(pynvml)
    except pynvml.NVMLError:
        return Inventory()
    finally:
        pynvml.nvmlShutdown()


def _read(pynvml: Any) -> Inventory:
    found = []
    for index in range(pynvml.nvmlDeviceGetCount()):
        handle = pynvml.nvmlDeviceGetHandleByIndex(index)
        memory = int(pynvml.nvmlDeviceGetMemoryInfo(handle).total) // 2**20
        uuid, product = _text(pynvml.nvmlDeviceGetUUID(handle)), _text(pynvml.nvmlDeviceGetName(handle))
        major, minor = pynvml.nvmlDeviceGetCudaComputeCapability(handle)
        found.append(Gpu(str(index), uuid, product, memory, (int(major), int(minor))))
    driver = _text(pynvml.nvmlSystemGetDriverVersion())
    return Inventory(
        visible(found, os.environ.get("CUDA_VISIBLE_DEVICES")), driver, int(pynvml.nvmlSystemGetCudaDriverVersion())
    )


def visible(found: Sequence[Gpu], allowed: str | None) -> tuple[Gpu, ...]:
    """The GPUs that CUDA_VISIBLE_DEVICES leaves to this process, in its order; all when it is not set.

    By index or by UUID, which may be shortened; the first that is no GPU ends the list (CUDA
    Programming Guide, "CUDA Environment Variables").
    """
    if allowed is None:
        return tuple(found)
    result: list[Gpu] = []
    for name in (word.strip() for word in allowed.split(",")):
        match = [gpu for gpu in found if name and (gpu.cuda_name == name or gpu.uuid.startswith(name))]
        if not match:
            break
        result.append(match[0])
    return tuple(result)


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


def family(compute: tuple[int, int]) -> str:
    """The architecture's name by compute capability (CUDA GPUs, developer.nvidia.com/cuda-gpus)."""
    return _FAMILIES_BY_MINOR.get(compute) or _FAMILIES.get(compute[0], "undefined")


def labels(found: Inventory) -> dict[str, str]:
    """The node's labels; none without a GPU. A machine with several kinds is labelled by its first."""
    if not found.gpus:
        return {}
    first = found.gpus[0]
    result = {
        "nvidia.com/gpu.present": "true",
        "nvidia.com/gpu.count": str(len(found.gpus)),
        "nvidia.com/gpu.replicas": "1",
        "nvidia.com/gpu.product": _value(first.product),
        "nvidia.com/gpu.memory": str(first.memory_mib),
        "nvidia.com/gpu.machine": _value(_machine()),
    }
    if first.compute != (0, 0):
        result["nvidia.com/gpu.family"] = family(first.compute)
        result["nvidia.com/gpu.compute.major"], result["nvidia.com/gpu.compute.minor"] = map(str, first.compute)
    if found.driver:
        major, minor, revision = (*found.driver.split("."), "", "")[:3]
        result |= {
            "nvidia.com/cuda.driver.major": major,
            "nvidia.com/cuda.driver.minor": minor,
            "nvidia.com/cuda.driver.rev": revision,
            "nvidia.com/cuda.driver-version.full": found.driver,
            "nvidia.com/cuda.driver-version.major": major,
            "nvidia.com/cuda.driver-version.minor": minor,
            "nvidia.com/cuda.driver-version.revision": revision,
        }
    if found.cuda:
        cuda = (str(found.cuda // 1000), str(found.cuda % 1000 // 10))
        result["nvidia.com/cuda.runtime.major"], result["nvidia.com/cuda.runtime.minor"] = cuda
        result["nvidia.com/cuda.runtime-version.full"] = ".".join(cuda)
        result["nvidia.com/cuda.runtime-version.major"], result["nvidia.com/cuda.runtime-version.minor"] = cuda
    return result


def _machine() -> str:
    try:
        return Path("/sys/class/dmi/id/product_name").read_text().strip() or "unknown"
    except OSError:
        return "unknown"


def _value(text: str) -> str:
    """Text as a label's value: letters, digits, `-_.`, at most 63 characters, beginning and ending well."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text.strip())[:63].strip("-_.")
