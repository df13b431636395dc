"""ModelStorage and DataSetStorage: a claim, and the Job that fetches the files into it.

A storage that names a claim (`spec.pvc`) is taken over as it is. One whose source is edited after it
was fetched is fetched again; one that failed is tried again with any edit.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

from cpod_jupyter.api import meta, names
from cpod_jupyter.api.resources import JOBS, MODELSTORAGES, PODS, PVCS, Object
from cpod_jupyter.api.sources import source_uri
from cpod_jupyter.api.storage import StoragePhase
from cpod_jupyter.control.api import KubeApi
from cpod_jupyter.control.controller import Controller, Key, Mapper, Recorder, to_controller, to_itself
from cpod_jupyter.operator import pods as words
from cpod_jupyter.operator.builders import download
from cpod_jupyter.operator.conditions import ended, ending_message
from cpod_jupyter.operator.metadata import annotation, generation, is_going, observed_generation
from cpod_jupyter.operator.objects import Refused, ensure_child, find, find_child, find_live, write_status
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

    def reconcile(self, key: Key) -> None:
        storage = find_live(self.api, self.kind.resource, key.name, key.namespace)
        if storage is None:
            return
        try:
            changes = self._adopted(storage) if storage["spec"].get("pvc") else self._fetched(storage)
        except Refused as refusal:
            changes = {"phase": StoragePhase.FAILED.value, "failureMessage": str(refusal)}
        if self.kind.resource is MODELSTORAGES and storage["spec"].get("converttensortrengine"):
            changes["converttensortrenginestatus"] = "Failed"
        if write_status(self.api, self.kind.resource, storage, changes):
            self._tell(storage, changes)

    def _adopted(self, storage: Object) -> Changes:
        """Somebody else's claim: done as soon as it is there. Not there yet is no failure, the claim may come."""
        claim = str(storage["spec"]["pvc"])
        if find(self.api, PVCS, claim, meta.namespace_of(storage)) is None:
            return {"phase": "", "failureMessage": f"the claim {claim!r} that spec.pvc names does not exist"}
        return adopted_status(self.kind, storage)

    def _fetched(self, storage: Object) -> Changes:
        """One step of the way from a source to files in a claim of the storage's own."""
        source = self._source(storage)
        job = find_child(self.api, JOBS, names.download_job(self.kind.word, meta.name_of(storage)), storage)
        settled = phase_of(storage) in (StoragePhase.DONE, StoragePhase.FAILED) and observed_generation(
            storage
        ) == generation(storage)
        if job is not None and (is_going(job) or self._outdated(job, storage, source)):
            self._clear_away(job)
            return _downloading("")
        if job is None and settled:
            return self._done(storage, {}) if phase_of(storage) == StoragePhase.DONE else {}
        if job is None:
            return self._begin(storage, source)
        pods = pods_of(self.api, job)
        outcome = ended(job)
        if outcome == "Succeeded":
            return self._done(storage, words.outcome(pods))
        if outcome == "Failed":
            raise Refused("DownloadFailed", ending_message(job, pods))
        failed = words.failure(pods)
        trying = f"a try failed, and another follows: {failed}" if failed else ""
        return _downloading(words.unschedulable(pods) or words.held_up(pods) or trying)

    def _source(self, storage: Object) -> str:
        too_long = names.too_long(self.kind.resource.kind, meta.name_of(storage))
        if too_long:
            raise Refused("BadName", too_long)
        try:
            return source_uri(self.kind.type_of(storage), self.kind.name_of(storage))
        except ValueError as error:
            raise Refused("BadSource", str(error)) from error

    def _outdated(self, job: Object, storage: Object, source: str) -> bool:
        if annotation(job, names.ANNOTATION_SOURCE) != source:
            return True
        failed = phase_of(storage) == StoragePhase.FAILED
        return failed and annotation(job, names.ANNOTATION_OWNER_GENERATION) != str(generation(storage))

    def _clear_away(self, job: Object) -> None:
        """Delete the Job and, before it goes, its pods: two of them must not write into one claim."""
        if not is_going(job):
            self.api.delete(
                JOBS, meta.name_of(job), meta.namespace_of(job), propagation="Foreground", uid=meta.uid_of(job)
            )

    def _begin(self, storage: Object, source: str) -> Changes:
        claim, _ = ensure_child(self.api, PVCS, download.storage_claim(self.kind, storage, self.settings), storage)
        _, created = ensure_child(
            self.api, JOBS, download.download_job(self.kind, storage, source, self.settings), storage
        )
        if created:
            self.recorder.normal(storage, "Downloading", f"fetching {source} into the claim {meta.name_of(claim)}")
        return _downloading("")

    def _done(self, storage: Object, outcome: dict[str, Any]) -> Changes:
        claim = names.storage_claim(self.kind.word, meta.name_of(storage))
        if find(self.api, PVCS, claim, meta.namespace_of(storage)) is None:
            raise Refused(
                "ClaimLost",
                f"the claim {claim!r} that held the files is gone; delete this {self.kind.resource.kind} and apply it "
                "again to fetch them anew",
            )
        changes: Changes = {"phase": StoragePhase.DONE.value, "failureMessage": "", "pvc": claim}
        if outcome:  # the pod may be gone by now, and what it said is in the status already
            changes["size"] = words.whole_number(outcome.get("size"))
            changes["checksum"] = str(outcome.get("sha256") or "")
            if self.kind.word == "dataset":
                changes["rows"] = words.whole_number(outcome.get("rows"))
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


def adopted_status(kind: StorageKind, storage: Object) -> Changes:
    """The status of a storage whose claim was given and exists; its size is what its annotation says."""
    changes: Changes = {"phase": StoragePhase.DONE.value, "failureMessage": "", "pvc": str(storage["spec"]["pvc"])}
    size = download.stated_size(kind, storage)
    if size:
        changes["size"] = size
    return changes


def controller(api: KubeApi, kind: StorageKind, settings: Settings, recorder: Recorder) -> Controller:
    """Woken by the storage, its Job and claim, claims that it took over, and its pods."""
    reconciler = StorageReconciler(api, kind, settings, recorder)
    return Controller(
        kind.resource.plural,
        reconciler.reconcile,
        {
            kind.resource: to_itself,
            JOBS: to_controller(kind.resource.kind),
            PVCS: functools.partial(_claim_to_storages, api, kind, to_controller(kind.resource.kind)),
            PODS: label_to(kind.label),
        },
    )


def _claim_to_storages(api: KubeApi, kind: StorageKind, to_owner: Mapper, claim: Object) -> Iterable[Key]:
    yield from to_owner(claim)
    for storage in api.list(kind.resource, meta.namespace_of(claim)).items:
        if storage["spec"].get("pvc") == meta.name_of(claim):
            yield from to_itself(storage)
