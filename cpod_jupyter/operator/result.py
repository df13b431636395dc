"""What becomes of a CPodJob's result: a claim that outlives the job, a ModelStorage, and a copy in an object store."""

from __future__ import annotations

from typing import Any

from cpod_jupyter.api import meta, names
from cpod_jupyter.api.cpodjob import CPodJobCondition, CPodJobSpec
from cpod_jupyter.api.resources import JOBS, MODELSTORAGES, PVCS, Object
from cpod_jupyter.control.api import KubeApi
from cpod_jupyter.operator import pods as words
from cpod_jupyter.operator.builders import upload, workload
from cpod_jupyter.operator.conditions import Conditions, ended, ending_message, set_condition
from cpod_jupyter.operator.metadata import annotation
from cpod_jupyter.operator.objects import Refused, ensure_child, find, find_child, write_status
from cpod_jupyter.operator.settings import Settings
from cpod_jupyter.operator.storage import adopted_status
from cpod_jupyter.operator.storage_kinds import MODEL
from cpod_jupyter.operator.wakers import pods_of


class Results:
    """The results of CPodJobs in a cluster."""

    def __init__(self, api: KubeApi, settings: Settings) -> None:
        self.api = api
        self.settings = settings

    def refuse_what_cannot_be_kept(self, job: Object, spec: CPodJobSpec) -> None:
        """Raises Refused, before anything is trained, for a result that could go nowhere.

        A result outlives its job; the next job of that name must not write over a model in use.
        """
        if not spec.model_save_path:
            return
        if spec.upload_model:
            upload.root(job, self.settings)
        name, namespace = meta.name_of(job), meta.namespace_of(job)
        claim = find(self.api, PVCS, names.result_claim(name), namespace)
        storage = find(self.api, MODELSTORAGES, names.result_storage(name), namespace)
        if storage is not None or (claim is not None and meta.controller_of(claim) is None):
            raise Refused(
                "ResultExists",
                f"an earlier run under this name left its result, and this one would write over it: choose another "
                f"name, or delete ModelStorage {names.result_storage(name)!r} and the claim "
                f"{names.result_claim(name)!r} first",
            )

    def publish(self, job: Object, outcome: dict[str, Any]) -> str:
        """Make the saved model a ModelStorage, which its claim goes with from now on. Returns the storage's name."""
        name, namespace = meta.name_of(job), meta.namespace_of(job)
        self._release(job, names.result_claim(name))
        base = find(self.api, MODELSTORAGES, workload.base_of(job) or "-", namespace)
        wanted = workload.result_storage(job, base, outcome)
        storage = find(self.api, MODELSTORAGES, meta.name_of(wanted), namespace)
        if storage is None:
            storage = self.api.create(MODELSTORAGES, wanted)
        elif annotation(storage, names.ANNOTATION_MADE_BY) != meta.uid_of(job):
            raise Refused(
                "NameTaken",
                f"the result is in the claim {names.result_claim(name)!r}, but a ModelStorage "
                f"{meta.name_of(wanted)!r} of another origin is in the way",
            )
        self._hand_over(storage, names.result_claim(name))
        write_status(self.api, MODELSTORAGES, storage, adopted_status(MODEL, storage))
        return meta.name_of(wanted)

    def _release(self, job: Object, claim_name: str) -> None:
        """Take the claim out of the job's hands, so that it stays when the job is deleted."""
        claim = find(self.api, PVCS, claim_name, meta.namespace_of(job))
        if claim is None:
            raise Refused("ClaimLost", f"the job succeeded, but the claim {claim_name!r} with its result is gone")
        owners = claim["metadata"].get("ownerReferences") or []
        others = [owner for owner in owners if owner.get("uid") != meta.uid_of(job)]
        if others != owners:
            claim["metadata"]["ownerReferences"] = others
            self.api.replace(PVCS, claim)

    def _hand_over(self, storage: Object, claim_name: str) -> None:
        """Have the claim go with its storage, as one that was fetched does: a result takes up much disk."""
        claim = find(self.api, PVCS, claim_name, meta.namespace_of(storage))
        owners = (claim or {}).get("metadata", {}).get("ownerReferences") or []
        if claim is not None and all(owner.get("uid") != meta.uid_of(storage) for owner in owners):
            claim["metadata"]["ownerReferences"] = [*owners, meta.owner_reference(storage) | {"controller": False}]
            self.api.replace(PVCS, claim)

    def uploaded(self, job: Object, conditions: Conditions) -> Conditions:
        """One step of the upload of a job that has succeeded; its success stays, whatever becomes of the upload."""
        try:
            return self._upload(job, conditions)
        except Refused as refusal:
            return over(conditions, False, refusal.reason, str(refusal))

    def _upload(self, job: Object, conditions: Conditions) -> Conditions:
        found = find_child(self.api, JOBS, names.upload_job(meta.name_of(job)), job)
        if found is None:
            storage = self._storage_of(job)
            root = upload.root(job, self.settings)
            made = upload.upload_job(job, upload.destination(job, storage, root), self.settings)
            found, _ = ensure_child(self.api, JOBS, made, job)
        destination = annotation(found, names.ANNOTATION_DESTINATION)
        outcome = ended(found)
        if outcome == "Succeeded":
            return over(conditions, True, "UploadModelSucceed", f"the model is at {destination}")
        failed = outcome == "Failed"
        if meta.is_going(found) or (failed and annotation(found, names.ANNOTATION_UPLOAD_TO) != asked(job)):
            self._clear_away(found)  # somebody gave another destination: it is tried again there
            return under_way(conditions, "an upload that failed is cleared away, and the next begins")
        pods = pods_of(self.api, found)
        if failed:
            why = ending_message(found, pods)
            again = f"to try again, correct what is wrong and delete the Job {meta.name_of(found)!r}"
            return over(conditions, False, "UploadModelFailed", f"the upload to {destination} failed: {why}; {again}")
        trouble = words.unschedulable(pods) or words.held_up(pods) or words.failure(pods)
        return under_way(conditions, f"uploading to {destination}" + (f"; not done yet: {trouble}" if trouble else ""))

    def _storage_of(self, job: Object) -> Object:
        name, namespace = str((job.get("status") or {}).get("modelStorage") or ""), meta.namespace_of(job)
        storage = find(self.api, MODELSTORAGES, name, namespace) if name else None
        claim = names.result_claim(meta.name_of(job))
        if storage is None or find(self.api, PVCS, claim, namespace) is None:
            raise Refused(
                "ResultLost", f"there is nothing to upload: ModelStorage {name!r} or its claim {claim!r} is gone"
            )
        return storage

    def _clear_away(self, upload_job: Object) -> None:
        if not meta.is_going(upload_job):
            place = meta.name_of(upload_job), meta.namespace_of(upload_job)
            self.api.delete(JOBS, *place, propagation="Foreground", uid=meta.uid_of(upload_job))


def asked(job: Object) -> str:
    """The destination that the job itself names; empty where the settings' is meant."""
    return annotation(job, names.ANNOTATION_UPLOAD_TO)


def under_way(conditions: Conditions, message: str) -> Conditions:
    """The conditions while the model is uploaded."""
    rest = [entry for entry in conditions if entry["type"] != CPodJobCondition.MODEL_UPLOADED]
    return set_condition(rest, CPodJobCondition.MODEL_UPLOADING, True, "UploadingModel", message)


def over(conditions: Conditions, well: bool, reason: str, message: str) -> Conditions:
    """The conditions once the upload has ended, well or not."""
    result = set_condition(conditions, CPodJobCondition.MODEL_UPLOADED, well, reason, message)
    return set_condition(result, CPodJobCondition.MODEL_UPLOADING, False, reason)
