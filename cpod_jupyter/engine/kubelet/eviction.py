"""Pods that use more of the disk than they may are ended, as the kubelet's eviction manager does.

Counted are the pod's own files: emptyDir volumes, working directories, logs (Kubernetes, "Local
ephemeral storage"). Claims and host paths are not the pod's own.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cpod_jupyter.api.quantity import parse_quantity
from cpod_jupyter.api.resources import Object
from cpod_jupyter.engine.kubelet.plan import read_json, write_json

_NOTE = "evicted.json"
_STORAGE = "ephemeral-storage"


def has_limits(pod: Object) -> bool:
    """Whether there is anything to count for a pod."""
    return bool(_volume_limits(pod)) or _limit_of_all(pod) is not None


def excess(pod: Object, pod_dir: Path, scratch: Path) -> str | None:
    """What a pod uses more of than it may, in the kubelet's words; None when it keeps its limits."""
    for name, limit in _volume_limits(pod).items():
        if _size(scratch / "volumes" / name) > parse_quantity(limit):
            return f'Usage of EmptyDir volume "{name}" exceeds the limit "{limit}". '
    total = _limit_of_all(pod)
    if total is not None and _size(pod_dir) + _size(scratch) > total:
        return f"Pod ephemeral local storage usage exceeds the total limit of containers {int(total)}. "
    return None


def _volume_limits(pod: Object) -> dict[str, str]:
    return {
        str(volume["name"]): str(volume["emptyDir"]["sizeLimit"])
        for volume in pod["spec"].get("volumes") or []
        if (volume.get("emptyDir") or {}).get("sizeLimit")
    }


def _limit_of_all(pod: Object) -> float | None:
    """The sum of the containers' limits; none unless each has one, for the others may use what they like."""
    limits = [_limit(container) for container in pod["spec"]["containers"]]
    return None if None in limits else float(sum(parse_quantity(limit) for limit in limits if limit is not None))


def _limit(container: Mapping[str, Any]) -> str | None:
    found = ((container.get("resources") or {}).get("limits") or {}).get(_STORAGE)
    return None if found is None else str(found)


def _size(directory: Path) -> int:
    """Bytes on disk below a directory, or below what it links to."""
    total = 0
    for folder, _, names in os.walk(os.path.realpath(directory)):
        for name in names:
            with contextlib.suppress(OSError):  # it may be gone again
                total += os.lstat(os.path.join(folder, name)).st_blocks * 512
    return total


def mark(pod_dir: Path, message: str) -> None:
    """Note why a pod is being ended; it holds over engine restarts."""
    write_json(pod_dir / _NOTE, {"message": message})


def why(pod_dir: Path) -> str | None:
    """Why a pod was ended for its use of the machine; None when it was not."""
    note = read_json(pod_dir / _NOTE)
    return None if note is None else str(note["message"])
