"""PersistentVolumeClaims: bound at once to a directory of this machine, which goes with the claim."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import PODS, PVCS, Object
from cpod_jupyter.control.api import KubeApi
from cpod_jupyter.control.controller import Controller, Key, to_itself
from cpod_jupyter.engine.kubelet.volumes import claim_directories, claim_directory, referenced_claims
from cpod_jupyter.errors import NotFound


def bound_status(claim: Object) -> dict[str, Any]:
    """The status of a claim that has what it asked for. Sizes are not enforced: the disk is shared."""
    spec = claim["spec"]
    requests = (spec.get("resources") or {}).get("requests") or {}
    return {
        "phase": "Bound",
        "accessModes": list(spec.get("accessModes") or ["ReadWriteOnce"]),
        "capacity": {"storage": str(requests.get("storage", "0"))},
    }


class ClaimReconciler:
    """`home` is the engine's; claims live below HOME/volumes."""

    def __init__(self, api: KubeApi, home: Path) -> None:
        self._api = api
        self._home = home.resolve()

    def reconcile(self, key: Key) -> float | None:
        try:
            claim = self._api.get(PVCS, key.name, key.namespace)
        except NotFound:
            claim = None
        current = claim_directory(self._home, claim) if claim else None
        self._remove_others(key, current)
        if claim is None or current is None or claim["metadata"].get("deletionTimestamp"):
            return None
        current.mkdir(parents=True, exist_ok=True)
        if not claim["spec"].get("volumeName"):
            volume = {"spec": {"volumeName": f"pvc-{meta.uid_of(claim)}"}}
            claim = self._api.patch(PVCS, key.name, volume, key.namespace)
        wanted = bound_status(claim)
        if (claim.get("status") or {}).get("phase") != "Bound" or claim["status"].get("capacity") != wanted["capacity"]:
            self._api.patch(PVCS, key.name, {"status": wanted}, key.namespace, subresource="status")
        return None

    def _remove_others(self, key: Key, current: Path | None) -> None:
        """Remove what deleted claims of that name left, once no pod that runs has it mounted."""
        left = [path for path in claim_directories(self._home, key.namespace, key.name) if path != current]
        if not left:
            return
        for pod in self._api.list(PODS, key.namespace).items:
            ended = (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")
            if not ended and key.name in referenced_claims(pod):
                return  # the pod's end is told of, and this is looked at again
        for path in left:
            shutil.rmtree(path, ignore_errors=True)

    def keys_on_disk(self) -> Iterable[Key]:
        """The claims that have directories: one may have been deleted while no engine ran."""
        for path in (self._home / "volumes").glob("*/*"):
            yield Key(path.parent.name, path.name.rpartition("-")[0])


def _claims_of(pod: Object) -> Iterable[Key]:
    return [Key(meta.namespace_of(pod), claim) for claim in referenced_claims(pod)]


def pvc_controller(api: KubeApi, home: Path) -> Controller:
    """Binds claims, and removes the files of those that are gone."""
    reconciler = ClaimReconciler(api, home)
    controller = Controller("persistentvolume-binder", reconciler.reconcile, {PVCS: to_itself, PODS: _claims_of})
    for key in reconciler.keys_on_disk():
        controller.queue.add(key)
    return controller
