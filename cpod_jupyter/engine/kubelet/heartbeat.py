"""How the node is: its conditions, and the lease by which others see that it lives.

Kubernetes, "Node status": a lease in kube-node-lease every ten seconds, the conditions when one changes
and every five minutes.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import LEASES, NAMESPACES, NODES, Object
from cpod_jupyter.control.api import KubeApi
from cpod_jupyter.errors import AlreadyExists, NotFound

NAMESPACE = "kube-node-lease"
LEASE_SECONDS, RENEW_SECONDS, REPORT_SECONDS = 40, 10.0, 300.0
_LEAST_MEMORY = 100 * 2**20
"""The kubelet's threshold, memory.available<100Mi."""
_LEAST_DISK = 2**30
"""The kubelet's tenth of a disk would speak of pressure on many a healthy laptop; a GiB is what a checkpoint needs."""
_MOST_PIDS = 0.95

Condition = dict[str, Any]


def conditions(home: Path, old: Sequence[Condition] = ()) -> list[Condition]:
    """The node's conditions as of now; transition times are kept from the old ones."""
    memory = psutil.virtual_memory().available < _LEAST_MEMORY
    disk = psutil.disk_usage(str(home)).free < _LEAST_DISK
    found = [
        _pressure("MemoryPressure", memory, "InsufficientMemory", "SufficientMemory", "memory available"),
        _pressure("DiskPressure", disk, "DiskPressure", "NoDiskPressure", "disk space"),
        _pressure("PIDPressure", _pids_are_scarce(), "InsufficientPID", "SufficientPID", "PID available"),
        {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "kubelet is posting ready status"},
    ]
    stamp, before = meta.now(), {entry["type"]: entry for entry in old}
    for entry in found:
        same = before.get(entry["type"], {}).get("status") == entry["status"]
        entry["lastHeartbeatTime"] = stamp
        entry["lastTransitionTime"] = before[entry["type"]]["lastTransitionTime"] if same else stamp
    return found


def _pressure(kind: str, bad: bool, bad_word: str, good_word: str, what: str) -> Condition:
    message = f"kubelet has {'insufficient' if bad else 'sufficient'} {what}"
    if kind == "DiskPressure":
        message = f"kubelet has {'disk pressure' if bad else 'no disk pressure'}"
    return {
        "type": kind,
        "status": "True" if bad else "False",
        "reason": f"KubeletHas{bad_word if bad else good_word}",
        "message": message,
    }


def _pids_are_scarce() -> bool:
    try:
        most = int(Path("/proc/sys/kernel/pid_max").read_text())
        return int(Path("/proc/loadavg").read_text().split()[3].split("/")[1]) > most * _MOST_PIDS
    except (OSError, ValueError, IndexError):
        return False


class Heartbeat:
    """Tells that a node lives. `beat` is called often, and does what is due."""

    def __init__(self, api: KubeApi, node: str, home: Path) -> None:
        self._api = api
        self._node = node
        self._home = home
        self._renew_at = 0.0
        self._report_at = time.monotonic() + REPORT_SECONDS

    def beat(self) -> None:
        now = time.monotonic()
        if now < self._renew_at:
            return
        self._renew_at = now + RENEW_SECONDS
        self._renew()
        node = self._api.get(NODES, self._node)
        old = (node.get("status") or {}).get("conditions") or []
        new = conditions(self._home, old)
        if now >= self._report_at or _states(new) != _states(old):
            self._report_at = now + REPORT_SECONDS
            change = {"status": {"conditions": new}}
            self._api.patch(NODES, self._node, change, subresource="status")

    def _renew(self) -> None:
        stamp = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        try:
            self._api.patch(LEASES, self._node, {"spec": {"renewTime": stamp}}, NAMESPACE)
        except NotFound:
            self._make(stamp)

    def _make(self, stamp: str) -> None:
        """The lease, and its namespace, which a person may have removed."""
        node = self._api.get(NODES, self._node)
        owner = {"apiVersion": "v1", "kind": "Node", "name": self._node, "uid": meta.uid_of(node)}
        spec = {"holderIdentity": self._node, "leaseDurationSeconds": LEASE_SECONDS, "renewTime": stamp}
        lease: Object = {
            "apiVersion": LEASES.api_version,
            "kind": LEASES.kind,
            "metadata": {"name": self._node, "namespace": NAMESPACE, "ownerReferences": [owner]},
            "spec": spec,
        }
        with contextlib.suppress(AlreadyExists):
            self._api.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
        self._api.create(LEASES, lease)


def _states(found: Sequence[Condition]) -> dict[str, str]:
    return {entry["type"]: entry["status"] for entry in found}


def disk_bytes(home: Path) -> int:
    """The size of the disk that pods write to."""
    return os.statvfs(home).f_blocks * os.statvfs(home).f_frsize
