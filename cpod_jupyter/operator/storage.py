"""ModelStorage and DataSetStorage: a claim, and the Job that fetches the files into it.

A storage that names a claim (`spec.pvc`) is taken over as it is, never fetched and never wiped; so is one that an
original operator has fetched (phase done, and no observedGeneration). One whose source is edited after it was fetched
is fetched again; one that failed is tried again with any edit. Nothing waits for a claim to be bound: where a class
binds on first use, the download's pod is that use. A claim that proves too small is made anew, larger, once.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import ValidationError

from cpod_jupyter.api import meta, names
from cpod_jupyter.api.quantity import parse_quantity
from cpod_jupyter.api.resources import JOBS, MODELSTORAGES, PERSISTENTVOLUMES, PODS, PVCS, Object
from cpod_jupyter.api.storage import ModelShapeStatus, StoragePhase
from cpod_jupyter.control.api import KubeApi
from cpod_jupyter.control.controller import Controller, Key, Mapper, Recorder, to_controller
from cpod_jupyter.operator import admission
from cpod_jupyter.operator import pods as words
from cpod_jupyter.operator.builders import download
from cpod_jupyter.operator.builders.claims import with_headroom
from cpod_jupyter.operator.conditions import ended, ending_message
from cpod_jupyter.operator.metadata import annotation, generation, observed_generation
from cpod_jupyter.operator.objects import Refused, ensure_child, find, find_child, find_live, write_status
from cpod_jupyter.operator.progress import ProgressReader
from cpod_jupyter.operator.publiccopy import Copies, is_copy
from cpod_jupyter.operator.settings import Settings
from cpod_jupyter.operator.storage_kinds import StorageKind, phase_of
from cpod_jupyter.operator.wakers import label_to, pods_of

Changes = dict[str, Any]


class StorageReconciler:
    """One for each of the two kinds."""

    def __init__(self, api: KubeApi, kind: StorageKind, settings: Settings, recorder: Recorder) -> None:
        self.api = api
        self.kind = kind
        self.settings = settings
        self.recorder = recorder
        self.copies = Copies(api, kind, settings, recorder)
        self.progress = ProgressReader(api, settings.progress_seconds)

    def reconcile(self, key: Key) -> float | None:
        storage = find_live(self.api, self.kind.resource, key.name, key.namespace)
        if storage is None:
            self.copies.tidy(key)
            return None
        again: float | None = None
        try:
            if is_copy(storage):
                changes = self.copies.keep(storage)
            elif storage["spec"].get("pvc"):
                changes = self._adopted(storage)
            else:
                changes, again = self._fetched(storage)
        except Refused as refusal:
            changes = {"phase": StoragePhase.FAILED.value, "failureMessage": str(refusal)}
        if changes is None:
            return None
        if changes.get("phase") not in (None, StoragePhase.DOWNLOADING):
            self.progress.forget(storage)
            changes.setdefault("progress", None)
        if self.kind.resource is MODELSTORAGES and storage["spec"].get("converttensortrengine"):
            changes["converttensortrenginestatus"] = "Failed"
        if write_status(self.api, self.kind.resource, storage, changes):
            self._tell(storage, changes)
        return again

    # ---- a claim that is there

    def _adopted(self, storage: Object) -> Changes:
        """Somebody else's claim: done as soon as it is there. Not there yet is no failure, the claim may come.

        An original operator names the claim too while it fetches: what had not ended under that one is not whole.
        """
        phase = phase_of(storage)
        if phase == StoragePhase.FAILED and observed_generation(storage) == generation(storage):
            return {}
        if phase in (StoragePhase.DOWNLOADING, StoragePhase.FAILED) and not observed_generation(storage):
            raise Refused(
                "NotWhole",
                f"another operator's download into the claim {storage['spec']['pvc']!r} has not ended well (phase "
                f"{phase}); delete this {self.kind.resource.kind} and apply it without pvc to fetch it, or edit it if "
                "the claim is whole",
            )
        claim = str(storage["spec"]["pvc"])
        if find(self.api, PVCS, claim, meta.namespace_of(storage)) is None:
            return {"phase": "", "failureMessage": f"the claim {claim!r} that spec.pvc names does not exist"}
        return adopted_status(self.kind, storage)

    def _taken_over(self, storage: Object, source: str) -> Changes:
        """What an original operator fetched: the claim of its name, whoever owns it."""
        claim = names.storage_claim(self.kind.word, meta.name_of(storage))
        if find(self.api, PVCS, claim, meta.namespace_of(storage)) is None:
            raise Refused(
                "ClaimLost",
                f"its phase says done, but there is no claim {claim!r}; name the claim that holds the files in "
                "spec.pvc, or edit it to have them fetched",
            )
        self.recorder.normal(storage, "TakenOver", f"the claim {claim} is used as it is, nothing is fetched")
        return {"phase": StoragePhase.DONE.value, "failureMessage": "", "pvc": claim, "source": source}

    # ---- a claim of its own, and what is fetched into it

    def _fetched(self, storage: Object) -> tuple[Changes, float | None]:
        """One step of the way from a source to files in a claim of the storage's own."""
        source = admission.source_of(self.kind, storage)
        status, phase = storage.get("status") or {}, phase_of(storage)
        unchanged = observed_generation(storage) == generation(storage)
        if phase == StoragePhase.DONE and not observed_generation(storage):
            return self._taken_over(storage, source), None
        if phase == StoragePhase.DONE and (status.get("source") or (source if unchanged else "")) == source:
            return self._done(storage, source, {}), None
        job = find_child(self.api, JOBS, names.download_job(self.kind.word, meta.name_of(storage)), storage)
        if job is not None and (meta.is_going(job) or self._outdated(job, storage, source)):
            self._clear_away(job)
            return _downloading(""), None
        if job is None:
            return ({} if phase == StoragePhase.FAILED and unchanged else self._begin(storage, source)), None
        return self._observed(storage, source, job)

    def _observed(self, storage: Object, source: str, job: Object) -> tuple[Changes, float | None]:
        """The status from the Job and its pods."""
        pods = pods_of(self.api, job)
        outcome = ended(job)
        if outcome == "Succeeded":
            return self._done(storage, source, words.outcome(pods)), None
        if outcome == "Failed":
            needed = words.needed_bytes(pods)
            if needed and self._too_small(storage, needed):
                return self._enlarged(storage, job, needed), None
            raise Refused("DownloadFailed", ending_message(job, pods))
        failed = words.failure(pods)
        trying = f"a try failed, and another follows: {failed}" if failed else ""
        changes = _downloading(words.unschedulable(pods) or words.held_up(pods) or trying)
        progress, again = self.progress.look(storage, pods)
        if progress is not None:
            changes["progress"] = progress
        return changes, again

    def _outdated(self, job: Object, storage: Object, source: str) -> bool:
        if annotation(job, names.ANNOTATION_SOURCE) != source:
            return True
        failed = phase_of(storage) == StoragePhase.FAILED
        return failed and annotation(job, names.ANNOTATION_OWNER_GENERATION) != str(generation(storage))

    def _clear_away(self, job: Object) -> None:
        """Delete the Job and, before it goes, its pods: two of them must not write into one claim."""
        if not meta.is_going(job):
            self.api.delete(
                JOBS, meta.name_of(job), meta.namespace_of(job), propagation="Foreground", uid=meta.uid_of(job)
            )

    def _begin(self, storage: Object, source: str) -> Changes:
        wanted = download.storage_claim(self.kind, storage, self.settings)
        found = find(self.api, PVCS, meta.name_of(wanted), meta.namespace_of(storage))
        if found is not None and meta.is_going(found) and meta.is_controlled_by(found, storage):
            return _downloading(f"waiting for the old claim {meta.name_of(found)} to go")
        if found is not None and meta.controller_of(found) is None:
            raise Refused(
                "NameTaken",
                f"there is a claim {meta.name_of(found)!r} already, and it is not this {self.kind.resource.kind}'s: if "
                f"it holds the {self.kind.word}, name it in spec.pvc and it is used as it is; else delete it",
            )
        claim, _ = ensure_child(self.api, PVCS, wanted, storage)
        _, created = ensure_child(
            self.api, JOBS, download.download_job(self.kind, storage, source, self.settings), storage
        )
        if created:
            self.recorder.normal(storage, "Downloading", f"fetching {source} into the claim {meta.name_of(claim)}")
        return _downloading("")

    def _own_claim(self, storage: Object) -> Object | None:
        claim = names.storage_claim(self.kind.word, meta.name_of(storage))
        return find(self.api, PVCS, claim, meta.namespace_of(storage))

    def _too_small(self, storage: Object, needed: int) -> bool:
        """Whether a larger claim would help, and nothing is lost with this one."""
        claim = self._own_claim(storage)
        if claim is None or not meta.is_controlled_by(claim, storage) or (storage.get("status") or {}).get("pvc"):
            return False
        asked = claim["spec"]["resources"]["requests"]["storage"]
        return parse_quantity(asked) < parse_quantity(with_headroom(needed))

    def _enlarged(self, storage: Object, job: Object, needed: int) -> Changes:
        """Take the claim away, and its Job first; the next step makes both anew."""
        claim = self._own_claim(storage)
        self._clear_away(job)
        if claim is not None and not meta.is_going(claim):
            self.recorder.warning(
                storage,
                "ClaimTooSmall",
                f"the claim {meta.name_of(claim)} is too small for {needed / 1e9:.1f} GB; it is made anew with "
                f"{with_headroom(needed)}",
            )
            self.api.delete(PVCS, meta.name_of(claim), meta.namespace_of(claim), uid=meta.uid_of(claim))
        progress = {"phase": "download", "doneBytes": 0, "totalBytes": needed, "percent": 0}
        return {**_downloading(""), "progress": progress}

    def _done(self, storage: Object, source: str, outcome: dict[str, Any]) -> Changes:
        claim = str((storage.get("status") or {}).get("pvc") or "")
        claim = claim if phase_of(storage) == StoragePhase.DONE else ""
        claim = claim or names.storage_claim(self.kind.word, meta.name_of(storage))
        if find(self.api, PVCS, claim, meta.namespace_of(storage)) is None:
            raise Refused(
                "ClaimLost",
                f"the claim {claim!r} that held the files is gone; delete this {self.kind.resource.kind} and apply it "
                "again to fetch them anew",
            )
        changes: Changes = {"phase": StoragePhase.DONE.value, "failureMessage": "", "pvc": claim, "source": source}
        if outcome:  # the pod may be gone by now, and what it said is in the status already
            changes["size"] = words.whole_number(outcome.get("size"))
            changes["checksum"] = str(outcome.get("sha256") or "")
            if self.kind.word == "dataset":
                changes["rows"] = words.whole_number(outcome.get("rows"))
                changes["examples"] = str(outcome.get("examples") or "")
                changes["longest"] = words.whole_number(outcome.get("longest"))
            else:
                changes["model"] = shape_of(outcome)
        return changes

    def _tell(self, storage: Object, changes: Changes) -> None:
        phase, message = changes.get("phase"), changes.get("failureMessage") or ""
        old = storage.get("status") or {}
        if message and message != old.get("failureMessage"):
            self.recorder.warning(storage, "Failed" if phase == StoragePhase.FAILED else "Waiting", message)
        if phase == StoragePhase.DONE and phase_of(storage) != StoragePhase.DONE:
            self.recorder.normal(storage, "Done", f"the {self.kind.word} is in the claim {changes.get('pvc')}")
        if "converttensortrenginestatus" in changes and not old.get("converttensortrenginestatus"):
            self.recorder.warning(storage, "NotSupported", "this version does not convert models to TensorRT engines")


def _downloading(message: str) -> Changes:
    return {"phase": StoragePhase.DOWNLOADING.value, "failureMessage": message}


def shape_of(outcome: dict[str, Any]) -> dict[str, Any] | None:
    """The model's shape from what a pod of the runtime said last; None where it said none, or nonsense."""
    try:
        shape = ModelShapeStatus.model_validate(outcome.get("model"))
    except ValidationError:
        return None
    return shape.model_dump(by_alias=True)


def adopted_status(kind: StorageKind, storage: Object) -> Changes:
    """The status of a storage whose claim was given and exists; its size is what its annotation says."""
    changes: Changes = {"phase": StoragePhase.DONE.value, "failureMessage": "", "pvc": str(storage["spec"]["pvc"])}
    size = download.stated_size(kind, storage)
    if size:
        changes["size"] = size
    return changes


def controller(api: KubeApi, kind: StorageKind, settings: Settings, recorder: Recorder) -> Controller:
    """Woken by the storage, its Job and claim, claims that it took over, its pods, and for a copy by the original."""
    reconciler = StorageReconciler(api, kind, settings, recorder)
    return Controller(
        kind.resource.plural,
        reconciler.reconcile,
        {
            kind.resource: reconciler.copies.with_copies,
            JOBS: to_controller(kind.resource.kind),
            PVCS: _claim_to_storages(reconciler, to_controller(kind.resource.kind)),
            PODS: label_to(kind.label),
            PERSISTENTVOLUMES: reconciler.copies.of_volume,
        },
    )


def _claim_to_storages(reconciler: StorageReconciler, to_owner: Mapper) -> Mapper:
    """The storages of a claim, their own or taken over, and the copies of a public one."""

    def mapper(claim: Object) -> Iterable[Key]:
        yield from to_owner(claim)
        for storage in reconciler.api.list(reconciler.kind.resource, meta.namespace_of(claim)).items:
            named = storage["spec"].get("pvc") or (storage.get("status") or {}).get("pvc")
            if named == meta.name_of(claim):
                yield from reconciler.copies.with_copies(storage)

    return mapper
