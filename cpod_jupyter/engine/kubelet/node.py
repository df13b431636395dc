"""This machine as a Node: what it is called, what it has, how it is labelled."""

from __future__ import annotations

import os
import platform
import re
import socket
from pathlib import Path

import psutil

from cpod_jupyter.api.planning.cpus import LABEL_AMX_BF16, bf16_by_cpuinfo
from cpod_jupyter.api.resources import NODES, Object
from cpod_jupyter.control.api import KubeApi
from cpod_jupyter.engine.kubelet import gpus
from cpod_jupyter.engine.kubelet.builder import GPU
from cpod_jupyter.engine.kubelet.heartbeat import conditions, disk_bytes
from cpod_jupyter.engine.kubelet.network import HOST_IP
from cpod_jupyter.errors import AlreadyExists
from cpod_jupyter.version import KUBERNETES

_PODS = 110
_ARCHITECTURES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


def default_node_name() -> str:
    """This host's name as an object's name."""
    name = re.sub(r"[^a-z0-9.-]+", "-", socket.gethostname().lower()).strip("-.")
    return name or "localhost"


def cpu_count() -> int:
    """The CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def node_object(name: str, home: Path) -> Object:
    """The Node, status included. `home` is on the disk that pods write to."""
    found = gpus.inventory()
    architecture = _ARCHITECTURES.get(platform.machine().lower(), platform.machine().lower())
    system = platform.system().lower()
    labels = {
        "kubernetes.io/os": system,
        "kubernetes.io/arch": architecture,
        "kubernetes.io/hostname": name,
        "beta.kubernetes.io/os": system,
        "beta.kubernetes.io/arch": architecture,
    }
    capacity = {
        "cpu": str(cpu_count()),
        "memory": f"{psutil.virtual_memory().total // 1024}Ki",
        "ephemeral-storage": f"{disk_bytes(home) // 1024}Ki",
        "pods": str(_PODS),
    }
    if found.gpus:
        capacity[GPU] = str(len(found.gpus))
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {**labels, **cpu_labels(), **gpus.labels(found)}},
        "spec": {},
        "status": {
            "capacity": capacity,
            "allocatable": dict(capacity),
            "addresses": [{"type": "InternalIP", "address": HOST_IP}, {"type": "Hostname", "address": name}],
            "conditions": conditions(home),
            "nodeInfo": _node_info(system, architecture),
        },
    }


def cpu_labels() -> dict[str, str]:
    """What Node Feature Discovery would say of the CPU, as far as plans depend on it."""
    return {LABEL_AMX_BF16: "true"} if bf16_by_cpuinfo(_read("/proc/cpuinfo")) else {}


def _read(path: str) -> str:
    """What a file of the system says; nothing where there is none."""
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def _node_info(system: str, architecture: str) -> dict[str, str]:
    release = dict(re.findall(r'^(\w+)="?([^"\n]*)', _read("/etc/os-release"), re.MULTILINE))
    return {
        "architecture": architecture,
        "bootID": _read("/proc/sys/kernel/random/boot_id"),
        "containerRuntimeVersion": "process://1",
        "kernelVersion": platform.release(),
        "kubeProxyVersion": "",
        "kubeletVersion": KUBERNETES,
        "machineID": _read("/etc/machine-id"),
        "operatingSystem": system,
        "osImage": release.get("PRETTY_NAME") or f"{platform.system()} {platform.release()}",
        "systemUUID": _read("/sys/class/dmi/id/product_uuid"),
    }


def register(api: KubeApi, name: str, home: Path) -> Object:
    """Make the Node, or bring the one there is up to date; what people gave it, labels and taints, it keeps."""
    node = node_object(name, home)
    try:
        api.create(NODES, node)
    except AlreadyExists:
        kept = api.get(NODES, name)
        labels = kept["metadata"].get("labels") or {}
        others = {key: value for key, value in labels.items() if not key.startswith((*gpus.PREFIXES, LABEL_AMX_BF16))}
        labelled = {**kept["metadata"], "labels": {**others, **node["metadata"]["labels"]}}
        api.replace(NODES, {**kept, "metadata": labelled})
    current = api.get(NODES, name)
    old = (current.get("status") or {}).get("conditions") or []
    found = {**node["status"], "conditions": conditions(home, old)}
    return api.replace(NODES, {**current, "status": found}, subresource="status")
