"""This machine as a Node: what it is called, what it has, how it is labelled."""

from __future__ import annotations

import functools
import importlib
import os
import platform
import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import NODES, Object
from cpod_jupyter.control.api import KubeApi
from cpod_jupyter.engine.kubelet.builder import GPU
from cpod_jupyter.engine.kubelet.network import HOST_IP
from cpod_jupyter.errors import AlreadyExists
from cpod_jupyter.version import KUBERNETES

_PODS = 110
_ARCHITECTURES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


@dataclass(frozen=True)
class Gpu:
    """One GPU; `memory_mib` as GPU feature discovery counts it, `cuda_name` as CUDA_VISIBLE_DEVICES names it."""

    cuda_name: str
    uuid: str
    product: str
    memory_mib: int


def default_node_name() -> str:
    """This host's name as an object's name."""
    name = re.sub(r"[^a-z0-9.-]+", "-", socket.gethostname().lower()).strip("-.")
    return name or "localhost"


@functools.cache
def gpus() -> tuple[Gpu, ...]:
    """The NVIDIA GPUs that the engine may use, by NVML; none where there is no driver."""
    try:
        pynvml: Any = importlib.import_module("pynvml")  # untyped, and only where there may be GPUs
    except ImportError:
        return ()
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return ()
    try:
        found = []
        for index in range(pynvml.nvmlDeviceGetCount()):
            handle = pynvml.nvmlDeviceGetHandleByIndex(index)
            memory = int(pynvml.nvmlDeviceGetMemoryInfo(handle).total) // 2**20
            uuid, product = _text(pynvml.nvmlDeviceGetUUID(handle)), _text(pynvml.nvmlDeviceGetName(handle))
            found.append(Gpu(str(index), uuid, product, memory))
        return visible(found, os.environ.get("CUDA_VISIBLE_DEVICES"))
    except pynvml.NVMLError:
        return ()
    finally:
        pynvml.nvmlShutdown()


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


def cpu_count() -> int:
    """The CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def node_object(name: str) -> Object:
    """The Node, status included. A machine with several kinds of GPU is labelled by its first."""
    found = gpus()
    architecture = _ARCHITECTURES.get(platform.machine().lower(), platform.machine().lower())
    system = platform.system().lower()
    labels = {"kubernetes.io/os": system, "kubernetes.io/arch": architecture, "kubernetes.io/hostname": name}
    capacity = {"cpu": str(cpu_count()), "memory": f"{psutil.virtual_memory().total // 1024}Ki", "pods": str(_PODS)}
    if found:
        capacity[GPU] = str(len(found))
        labels["nvidia.com/gpu.present"] = "true"
        labels["nvidia.com/gpu.product"] = found[0].product.replace(" ", "-")
        labels["nvidia.com/gpu.memory"] = str(found[0].memory_mib)
        labels["nvidia.com/gpu.count"] = str(len(found))
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels},
        "spec": {},
        "status": {
            "capacity": capacity,
            "allocatable": dict(capacity),
            "addresses": [{"type": "InternalIP", "address": HOST_IP}, {"type": "Hostname", "address": name}],
            "conditions": [_ready()],
            "nodeInfo": _node_info(system, architecture),
        },
    }


def _ready() -> dict[str, Any]:
    stamp = meta.now()
    return {
        "type": "Ready",
        "status": "True",
        "reason": "KubeletReady",
        "message": "the embedded engine runs pods as processes",
        "lastHeartbeatTime": stamp,
        "lastTransitionTime": stamp,
    }


def _node_info(system: str, architecture: str) -> dict[str, str]:
    def read(path: str) -> str:
        try:
            return Path(path).read_text().strip()
        except OSError:
            return ""

    release = dict(re.findall(r'^(\w+)="?([^"\n]*)', read("/etc/os-release"), re.MULTILINE))
    return {
        "architecture": architecture,
        "bootID": read("/proc/sys/kernel/random/boot_id"),
        "containerRuntimeVersion": "process://1",
        "kernelVersion": platform.release(),
        "kubeProxyVersion": "",
        "kubeletVersion": KUBERNETES,
        "machineID": read("/etc/machine-id"),
        "operatingSystem": system,
        "osImage": release.get("PRETTY_NAME") or f"{platform.system()} {platform.release()}",
        "systemUUID": "",
    }


def register(api: KubeApi, name: str) -> Object:
    """Make the Node, or bring the one there is up to date."""
    node = node_object(name)
    try:
        api.create(NODES, node)
    except AlreadyExists:
        kept = api.get(NODES, name)  # with the labels that people gave it
        labels = kept["metadata"].get("labels") or {}
        others = {key: value for key, value in labels.items() if not key.startswith("nvidia.com/gpu.")}
        api.replace(
            NODES, {**kept, "metadata": {**kept["metadata"], "labels": {**others, **node["metadata"]["labels"]}}}
        )
    return api.replace(NODES, {**api.get(NODES, name), "status": node["status"]}, subresource="status")
