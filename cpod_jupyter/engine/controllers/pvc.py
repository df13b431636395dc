"""PersistentVolumeClaims: bound to a volume made by hand that fits, else to a directory of this machine.

A directory that the engine made goes with its claim, or stays if the volume's reclaim policy was set to Retain; the
files of a volume made by hand are never touched.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import EVENTS, PERSISTENTVOLUMES, PODS, PVCS, Object
from cpod_jupyter.control.api import KubeApi
from cpod_jupyter.control.controller import Controller, Key, Recorder, to_itself
from cpod_jupyter.engine.controllers import volume_binding as binding
from cpod_jupyter.engine.kubelet.volumes import claim_directories, claim_directory, referenced_claims
from cpod_jupyter.errors import AlreadyExists, NotFound


class ClaimReconciler:
    """Keys are claims, and volumes where the namespace is empty. `home` is the engine's: HOME/volumes."""

    def __init__(self, api: KubeApi, home: Path) -> None:
        self._api = api
        self._home = home.resolve()
        self._events = Recorder(api, "persistentvolume-controller", EVENTS)

    def reconcile(self, key: Key) -> float | None:
        if not key.namespace:
            self._volume(key.name)
            return None
        try:
            claim = self._api.get(PVCS, key.name, key.namespace)
        except NotFound:
            claim = None
        self._release(key, claim)
        if claim is not None and not meta.is_going(claim):
            self._bind(claim)
        return None

    # ---- claims

    def _bind(self, claim: Object) -> None:
        volumes = self._api.list(PERSISTENTVOLUMES).items
        volume = next((item for item in volumes if binding.is_of(item, claim)), None)
        if volume is None and claim["spec"].get("volumeName") != binding.made_name(claim):
            volume = binding.choose(claim, volumes)
        if volume is None and binding.waits_for_a_volume(claim):
            text = "no persistent volumes available for this claim, and it takes none that is made for it"
            if (claim.get("status") or {}).get("phase") == "Bound":
                self._set_status(PVCS, claim, {**claim["status"], "phase": "Lost"})
            self._events.normal(claim, "FailedBinding", text)
            return
        if volume is None:
            volume = self._make(claim)
        if not binding.is_of(volume, claim):
            change = {"spec": {"claimRef": binding.reference(claim)}}
            volume = self._api.patch(PERSISTENTVOLUMES, meta.name_of(volume), change)
        if binding.is_provisioned(volume):
            claim_directory(self._home, claim).mkdir(parents=True, exist_ok=True)
            volume = self._grown(volume, claim)
        self._set_status(PERSISTENTVOLUMES, volume, {**(volume.get("status") or {}), "phase": "Bound"})
        if claim["spec"].get("volumeName") != meta.name_of(volume):
            named = {"spec": {"volumeName": meta.name_of(volume)}}
            claim = self._api.patch(PVCS, meta.name_of(claim), named, meta.namespace_of(claim))
        self._set_status(PVCS, claim, {**(claim.get("status") or {}), **binding.claim_status(volume)})

    def _make(self, claim: Object) -> Object:
        wanted = binding.made_volume(claim, claim_directory(self._home, claim))
        try:
            made = self._api.create(PERSISTENTVOLUMES, wanted)
        except AlreadyExists:
            return self._api.get(PERSISTENTVOLUMES, meta.name_of(wanted))
        text = f"Successfully provisioned volume {meta.name_of(made)}"
        self._events.normal(claim, "ProvisioningSucceeded", text)
        return made

    def _grown(self, volume: Object, claim: Object) -> Object:
        """A directory is as large as its claim asks."""
        size = {"storage": binding.requested(claim)}
        if volume["spec"]["capacity"] == size:
            return volume
        return self._api.patch(PERSISTENTVOLUMES, meta.name_of(volume), {"spec": {"capacity": size}})

    def _set_status(self, resource: Any, obj: Object, status: dict[str, Any]) -> None:
        if status != obj.get("status"):
            namespace = meta.namespace_of(obj) or None
            self._api.patch(resource, meta.name_of(obj), {"status": status}, namespace, subresource="status")

    # ---- volumes whose claims have gone

    def _volume(self, name: str) -> None:
        try:
            volume = self._api.get(PERSISTENTVOLUMES, name)
        except NotFound:
            return
        if not volume["spec"].get("claimRef"):
            self._set_status(PERSISTENTVOLUMES, volume, {**(volume.get("status") or {}), "phase": "Available"})

    def _release(self, key: Key, claim: Object | None) -> None:
        """Let go of the volumes and directories of past claims of a name, once no pod that runs has them mounted."""
        past = [volume for volume in self._api.list(PERSISTENTVOLUMES).items if self._is_past(volume, key, claim)]
        for volume in past:
            self._set_status(PERSISTENTVOLUMES, volume, {**(volume.get("status") or {}), "phase": "Released"})
            if volume["spec"].get("persistentVolumeReclaimPolicy") != "Delete" and binding.is_provisioned(volume):
                _retained(Path(volume["spec"]["hostPath"]["path"])).touch()
        current = claim_directory(self._home, claim) if claim else None
        left = [path for path in claim_directories(self._home, key.namespace, key.name) if path != current]
        left = [path for path in left if not _retained(path).exists()]
        deleted = [volume for volume in past if volume["spec"].get("persistentVolumeReclaimPolicy") == "Delete"]
        if not (left or deleted) or self._is_used(key):
            return  # a pod's end is told of, and this is looked at again
        for path in left:
            shutil.rmtree(path, ignore_errors=True)
        for volume in deleted:
            self._delete(volume)

    @staticmethod
    def _is_past(volume: Object, key: Key, claim: Object | None) -> bool:
        kept_for = volume["spec"].get("claimRef") or {}
        if (kept_for.get("namespace"), kept_for.get("name")) != (key.namespace, key.name) or not kept_for.get("uid"):
            return False
        return claim is None or kept_for["uid"] != meta.uid_of(claim)

    def _is_used(self, key: Key) -> bool:
        for pod in self._api.list(PODS, key.namespace).items:
            ended = (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")
            if not ended and key.name in referenced_claims(pod):
                return True
        return False

    def _delete(self, volume: Object) -> None:
        if binding.is_provisioned(volume):
            with contextlib.suppress(NotFound):
                self._api.delete(PERSISTENTVOLUMES, meta.name_of(volume), uid=meta.uid_of(volume))
            return
        text = "the engine does not delete files of a volume that was made by hand: delete the volume, and them"
        status = {**(volume.get("status") or {}), "phase": "Failed", "message": text}
        self._set_status(PERSISTENTVOLUMES, volume, status)
        self._events.warning(volume, "VolumeFailedDelete", text)

    # ---- what wakes it

    def keys_on_disk(self) -> Iterable[Key]:
        """The claims that have directories: one may have been deleted while no engine ran."""
        for path in (self._home / "volumes").glob("*/*"):
            if path.is_dir():
                yield Key(path.parent.name, path.name.rpartition("-")[0])

    def of_volume(self, volume: Object) -> Iterable[Key]:
        """A volume, the claim that it is for, and the claims that wait for any."""
        yield Key("", meta.name_of(volume))
        if kept_for := volume["spec"].get("claimRef"):
            yield Key(str(kept_for.get("namespace")), str(kept_for.get("name")))
            return
        for claim in self._api.list(PVCS).items:
            if (claim.get("status") or {}).get("phase") != "Bound":
                yield Key(meta.namespace_of(claim), meta.name_of(claim))


def _retained(directory: Path) -> Path:
    """What marks a directory that stays though its claim has gone."""
    return directory.with_name(f".retained-{directory.name}")


def _claims_of(pod: Object) -> Iterable[Key]:
    return [Key(meta.namespace_of(pod), claim) for claim in referenced_claims(pod)]


def pvc_controller(api: KubeApi, home: Path) -> Controller:
    """Binds claims, and removes the files of those that are gone."""
    reconciler = ClaimReconciler(api, home)
    sources = {PVCS: to_itself, PERSISTENTVOLUMES: reconciler.of_volume, PODS: _claims_of}
    controller = Controller("persistentvolume-binder", reconciler.reconcile, sources)
    for key in reconciler.keys_on_disk():
        controller.queue.add(key)
    return controller
