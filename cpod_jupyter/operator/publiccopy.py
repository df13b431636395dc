"""Copies of public storages: made by whoever asks for one (`lookup.wanted_storage`), kept up by this.

A copy is done when the public storage is, and waits or fails with it. It goes when the public one goes, or is made
anew, for then its data are gone: who deletes a public storage takes it from everybody. Deleting a copy harms nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from cpod_jupyter.api import meta, names
from cpod_jupyter.api.resources import PERSISTENTVOLUMES, PVCS, Object
from cpod_jupyter.api.storage import StoragePhase
from cpod_jupyter.control.api import KubeApi
from cpod_jupyter.control.controller import Key, Recorder, to_itself
from cpod_jupyter.errors import Conflict, Forbidden
from cpod_jupyter.operator.builders import publiccopy as build
from cpod_jupyter.operator.metadata import annotation
from cpod_jupyter.operator.objects import Refused, ensure_child, find
from cpod_jupyter.operator.settings import Settings
from cpod_jupyter.operator.storage_kinds import StorageKind, claim_of, is_done, phase_of, standing

Changes = dict[str, Any]
_SAME = ("size", "checksum", "rows", "model", "source")
"""What a copy's status has from the original's."""


def is_copy(storage: Object) -> bool:
    """Whether this operator made it as a copy; those of the original operator name their claim and are adopted."""
    return bool(annotation(storage, names.ANNOTATION_COPY_OF))


class Copies:
    """The copies of one kind."""

    def __init__(self, api: KubeApi, kind: StorageKind, settings: Settings, recorder: Recorder) -> None:
        self.api = api
        self.kind = kind
        self.settings = settings
        self.recorder = recorder

    def keep(self, storage: Object) -> Changes | None:
        """The status that a copy should have; None when it was deleted, since its original is gone."""
        public, name = self.settings.public_namespace, names.public_original(meta.name_of(storage))
        original = find(self.api, self.kind.resource, name, public)
        if original is None or meta.is_going(original) or meta.uid_of(original) != _of(storage):
            self.recorder.warning(
                storage, "PublicGone", f"the public {self.kind.resource.kind} {name!r} is gone, and so goes its copy"
            )
            namespace, uid = meta.namespace_of(storage), meta.uid_of(storage)
            self.api.delete(self.kind.resource, meta.name_of(storage), namespace, uid=uid)
            return None
        if phase_of(original) == StoragePhase.FAILED:
            raise Refused("PublicFailed", f"the public {self.kind.resource.kind} {name!r} failed: {standing(original)}")
        if not is_done(original):
            return _waiting(f"waiting for the public {self.kind.resource.kind} {name!r} ({standing(original)})")
        return self._bound(storage, original)

    def _bound(self, storage: Object, original: Object) -> Changes:
        """The claim of the copy, on a volume of the original's data."""
        public, held_by = self.settings.public_namespace, claim_of(original)
        held = find(self.api, PVCS, held_by, public)
        volume = held and find(self.api, PERSISTENTVOLUMES, str(held["spec"].get("volumeName") or "-"), "")
        if not volume:
            return _waiting(f"waiting for the claim {held_by!r} in namespace {public!r} to be bound to a volume")
        name = build.claim_name(held_by)
        copied = self._volume(build.volume(self.kind, volume, storage, name), storage)
        claim, created = ensure_child(self.api, PVCS, build.claim(name, copied, storage), storage)
        if created:
            of = f"what is in {public}/{held_by}"
            self.recorder.normal(storage, "Copied", f"the claim {name} reads {of}, by volume {meta.name_of(copied)}")
        same = {key: (original.get("status") or {}).get(key) for key in _SAME}
        return {"phase": StoragePhase.DONE.value, "failureMessage": "", "pvc": meta.name_of(claim), **same}

    def _volume(self, wanted: Object, storage: Object) -> Object:
        """The volume, which nothing owns: volumes are the cluster's. Raises Conflict while an old one goes."""
        name = meta.name_of(wanted)
        found = find(self.api, PERSISTENTVOLUMES, name, "")
        if found is None:
            try:
                return self.api.create(PERSISTENTVOLUMES, wanted)
            except Forbidden as error:
                raise Refused("Rejected", f"the cluster does not accept the volume {name!r}: {error}") from error
        if annotation(found, names.ANNOTATION_COPY) != annotation(wanted, names.ANNOTATION_COPY):
            raise Refused("NameTaken", f"a PersistentVolume {name!r} of another origin is in the way; delete it")
        if meta.is_going(found) or self._is_left(found):
            self._delete(found)
            raise Conflict(f"the volume {name} of an earlier copy is still being deleted")
        return found

    def _is_left(self, volume: Object) -> bool:
        """Whether the claim that it was bound to is gone: it never binds another one (phase Released)."""
        bound = volume["spec"].get("claimRef") or {}
        claim = find(self.api, PVCS, str(bound.get("name") or "-"), str(bound.get("namespace") or "-"))
        return bool(bound.get("uid")) and (claim is None or meta.uid_of(claim) != bound["uid"])

    def _delete(self, volume: Object) -> None:
        if not meta.is_going(volume):
            self.api.delete(PERSISTENTVOLUMES, meta.name_of(volume), uid=meta.uid_of(volume))

    def tidy(self, key: Key) -> None:
        """After a copy has gone: its volumes, once their claims have gone too."""
        if not names.is_copy(key.name):
            return
        mark = build.whose(self.kind, key.namespace, key.name)
        for volume in self.api.list(PERSISTENTVOLUMES, label_selector=f"{names.LABEL_COPY}=true").items:
            bound = volume["spec"].get("claimRef") or {}
            if annotation(volume, names.ANNOTATION_COPY) == mark and (
                find(self.api, PVCS, str(bound.get("name") or "-"), key.namespace) is None
            ):
                self._delete(volume)

    # ---- what wakes a copy

    def with_copies(self, storage: Object) -> Iterable[Key]:
        """A storage, and the copies of a public one."""
        yield from to_itself(storage)
        if meta.namespace_of(storage) == self.settings.public_namespace:
            name = meta.name_of(storage)
            for other in self.api.list(self.kind.resource, label_selector=f"{names.LABEL_COPY}=true").items:
                if is_copy(other) and names.public_original(meta.name_of(other)) == name:
                    yield from to_itself(other)

    def of_volume(self, volume: Object) -> Iterable[Key]:
        """A copy, by its volume: one may have gone while no operator ran."""
        kind, _, rest = annotation(volume, names.ANNOTATION_COPY).partition("/")
        if kind == self.kind.resource.kind:
            namespace, _, name = rest.partition("/")
            yield Key(namespace, name)


def _of(storage: Object) -> str:
    return annotation(storage, names.ANNOTATION_COPY_OF)


def _waiting(message: str) -> Changes:
    return {"phase": StoragePhase.DOWNLOADING.value, "failureMessage": message}
