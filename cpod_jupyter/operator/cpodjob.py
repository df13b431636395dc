"""CPodJob: wait for model and dataset, run the job of its type, keep the result as a ModelStorage.

A job that has begun takes no changes, as a Kubernetes Job doesn't: an edit is answered with an event.
One that failed before it began starts anew when it is edited.
"""

from __future__ import annotations

from typing import Any

from cpod_jupyter.api import meta, names
from cpod_jupyter.api.cpodjob import CPodJobCondition, CPodJobSpec
from cpod_jupyter.api.quantity import parse_quantity
from cpod_jupyter.api.resources import (
    CPODJOBS,
    DATASETSTORAGES,
    MODELSTORAGES,
    NODES,
    PODS,
    PVCS,
    Object,
)
from cpod_jupyter.control.api import KubeApi
from cpod_jupyter.control.controller import Controller, Key, Recorder, to_controller, to_itself
from cpod_jupyter.operator import pods as words
from cpod_jupyter.operator.builders import jobs, workload
from cpod_jupyter.operator.conditions import (
    TROUBLE,
    Conditions,
    Work,
    is_finished,
    observe,
    set_condition,
    with_work,
)
from cpod_jupyter.operator.lookup import wanted_storage
from cpod_jupyter.operator.metadata import annotation, generation, observed_generation
from cpod_jupyter.operator.objects import Refused, ensure_child, find, find_live, write_status
from cpod_jupyter.operator.settings import Settings
from cpod_jupyter.operator.storage import adopted_status
from cpod_jupyter.operator.storage_kinds import DATASET, MODEL, StorageKind, claim_of, is_done, standing
from cpod_jupyter.operator.wakers import label_to, pods_of, to_waiting

Changes = dict[str, Any]


class CPodJobReconciler:
    def __init__(self, api: KubeApi, settings: Settings, recorder: Recorder) -> None:
        self.api = api
        self.settings = settings
        self.recorder = recorder

    def reconcile(self, key: Key) -> None:
        job = find_live(self.api, CPODJOBS, key.name, key.namespace)
        if job is None or (is_finished(job) and observed_generation(job) == generation(job)):
            return
        work = self._underlying(job)
        try:
            changes = self._observed(job, work) if work else self._prepared(job)
        except Refused as refusal:
            failed = Work(CPodJobCondition.FAILED, True, refusal.reason, str(refusal))
            changes = {"conditions": with_work(_conditions(job), failed)}
        self._write(job, changes)

    def _underlying(self, job: Object) -> Object | None:
        """The job that was started for this one, of whichever kind: `jobType` may have been edited since."""
        for resource in jobs.RESOURCES:
            found = find(self.api, resource, meta.name_of(job), meta.namespace_of(job))
            if found is not None and meta.is_controlled_by(found, job):
                return found
        return None

    def _prepared(self, job: Object) -> Changes:
        """One step towards the underlying job: everything it needs, then the job itself."""
        if meta.is_true(job, CPodJobCondition.SUCCEEDED):
            self._tell_unchanged(job)
            return {}
        spec = workload.spec_of(job)
        self._refuse_unsupported(job, spec)
        model = self._storage(MODEL, spec.pretrain_model_name, job)
        dataset = self._storage(DATASET, spec.dataset_name, job)
        self._refuse_earlier_result(job, spec)
        conditions = [entry for entry in _conditions(job) if entry["type"] != CPodJobCondition.FAILED]
        waiting = [
            f"{kind.resource.kind} {meta.name_of(storage)!r} ({standing(storage)})"
            for kind, storage in ((MODEL, model), (DATASET, dataset))
            if storage is not None and not is_done(storage)
        ]
        preparing = CPodJobCondition.DATA_PREPARING
        if waiting:
            message = f"waiting for {' and '.join(waiting)}"
            return {"conditions": set_condition(conditions, preparing, False, "Preparing", message)}
        facts = workload.Facts(
            model_claim=claim_of(model) if model else "",
            dataset_claim=claim_of(dataset) if dataset else "",
            rdma=self._rdma(spec),
        )
        for claim in workload.claims(job, self.settings):
            ensure_child(self.api, PVCS, claim, job)
        ensure_child(self.api, jobs.kind_of(spec).resource, jobs.workload(job, facts, self.settings), job)
        return {"conditions": set_condition(conditions, preparing, True, "DataReady", "everything it needs is ready")}

    def _refuse_unsupported(self, job: Object, spec: CPodJobSpec) -> None:
        if sentence := jobs.not_supported(spec):
            raise Refused("NotSupported", sentence)
        if sentence := jobs.contradiction(spec):
            raise Refused("BadSpec", sentence)
        if too_long := names.too_long(CPODJOBS.kind, meta.name_of(job)):
            raise Refused("BadName", too_long)
        for name, path, fields in (
            (spec.pretrain_model_name, spec.pretrain_model_path, "pretrainModelName without pretrainModelPath"),
            (spec.dataset_name, spec.dataset_path, "datasetName without datasetPath"),
        ):
            if name and not path and observed_generation(job) != generation(job):
                self.recorder.warning(job, "NotMounted", f"{fields}: {name!r} is made ready, but mounted nowhere")

    def _storage(self, kind: StorageKind, name: str, job: Object) -> Object | None:
        return wanted_storage(self.api, kind, name, meta.namespace_of(job)) if name else None

    def _refuse_earlier_result(self, job: Object, spec: CPodJobSpec) -> None:
        """A result outlives its job; the next job of that name must not write over a model in use."""
        if not spec.model_save_path:
            return
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

    def _rdma(self, spec: CPodJobSpec) -> bool:
        if spec.worker_replicas < 2:
            return False
        offers = (
            ((node.get("status") or {}).get("allocatable") or {}).get(workload.RDMA, 0)
            for node in self.api.list(NODES).items
        )
        return sum(parse_quantity(amount) > 0 for amount in offers) >= 2

    def _observed(self, job: Object, work: Object) -> Changes:
        """The conditions from the underlying job, and the result once that succeeded."""
        if observed_generation(job) != generation(job) and (
            annotation(work, names.ANNOTATION_OWNER_GENERATION) != str(generation(job))
        ):
            self._tell_unchanged(job)
        if is_finished(job):
            return {}
        conditions = _conditions(job)
        if not meta.is_true(job, CPodJobCondition.DATA_PREPARING):
            # The underlying job was created and the status lost: it exists, so the data were ready.
            ready = (CPodJobCondition.DATA_PREPARING, True, "DataReady", "everything it needs is ready")
            conditions = set_condition(conditions, *ready)
        pods = pods_of(self.api, work)
        seen = observe(work, pods, conditions)
        changes: Changes = {"conditions": with_work(conditions, seen)}
        if seen.type is CPodJobCondition.SUCCEEDED and workload.spec_of(job).model_save_path:
            changes["modelStorage"] = self._publish(job, words.outcome(pods))
        return changes

    def _publish(self, job: Object, outcome: dict[str, Any]) -> str:
        """Make the saved model a ModelStorage, and its claim independent of the job. Returns the storage's name."""
        name, namespace = meta.name_of(job), meta.namespace_of(job)
        self._release(job, names.result_claim(name))
        base = find(self.api, MODELSTORAGES, workload.spec_of(job).pretrain_model_name or "-", namespace)
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

    def _tell_unchanged(self, job: Object) -> None:
        self.recorder.warning(
            job, "ChangeIgnored", "the job has begun and takes no changes; delete it and apply it again to run it anew"
        )

    def _write(self, job: Object, changes: Changes) -> None:
        old = job.get("status") or {}
        if observed_generation(job) == generation(job) and all(old.get(key) == changes[key] for key in changes):
            return
        now = meta.now()
        changes["startTime"] = old.get("startTime") or now
        changes["lastReconcileTime"] = now
        if "conditions" in changes:
            changes["completionTime"] = now if is_finished({"status": changes}) else None
        if write_status(self.api, CPODJOBS, job, changes):
            self._tell(job, changes.get("conditions") or [])

    def _tell(self, job: Object, conditions: Conditions) -> None:
        """An event for each condition that says something new."""
        for entry in conditions:
            old = meta.condition(job, entry["type"]) or {}
            if not entry["message"] or all(old.get(key) == entry[key] for key in ("status", "reason", "message")):
                continue
            failed = entry["type"] == CPodJobCondition.FAILED
            tell = self.recorder.warning if failed or entry["reason"] in TROUBLE else self.recorder.normal
            tell(job, entry["reason"], entry["message"])


def _conditions(job: Object) -> Conditions:
    """The conditions so far; the first is there from the first look on."""
    so_far = list((job.get("status") or {}).get("conditions") or [])
    return set_condition(so_far, CPodJobCondition.CREATED, True, "JobCreated", "the operator has taken the job on")


def _waits_for(field: str) -> Any:
    def waits(job: Object, storage: Object) -> bool:
        return job["spec"].get(field) == meta.name_of(storage) and not is_finished(job)

    return waits


def controller(api: KubeApi, settings: Settings, recorder: Recorder) -> Controller:
    """Woken by the job, its children and pods, and the storages that it waits for."""
    to_owner = to_controller(CPODJOBS.kind)
    return Controller(
        CPODJOBS.plural,
        CPodJobReconciler(api, settings, recorder).reconcile,
        {
            CPODJOBS: to_itself,
            **dict.fromkeys(jobs.RESOURCES, to_owner),
            PVCS: to_owner,
            PODS: label_to(names.LABEL_CPODJOB),
            MODELSTORAGES: to_waiting(api, CPODJOBS, _waits_for("pretrainModelName")),
            DATASETSTORAGES: to_waiting(api, CPODJOBS, _waits_for("datasetName")),
        },
    )
