"""CPodJob: wait for model and dataset, run the job of its type, keep the result as a ModelStorage.

A job that has begun takes no changes, as a Kubernetes Job doesn't: a rule of its definition refuses them
(`api.cpodjob.FIXED`), and where a cluster still has an older definition, an event answers them. One that failed
starts anew when it is edited.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from cpod_jupyter.api import meta, names, scheduling
from cpod_jupyter.api.cpodjob import CPodJobCondition, CPodJobSpec
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
from cpod_jupyter.operator import admission
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
from cpod_jupyter.operator.result import Results, under_way
from cpod_jupyter.operator.settings import Settings
from cpod_jupyter.operator.storage_kinds import DATASET, MODEL, StorageKind, claim_of, is_done, standing
from cpod_jupyter.operator.wakers import label_to, pods_of, to_waiting

Changes = dict[str, Any]


class CPodJobReconciler:
    def __init__(self, api: KubeApi, settings: Settings, recorder: Recorder) -> None:
        self.api = api
        self.settings = settings
        self.recorder = recorder
        self.results = Results(api, settings)

    def reconcile(self, key: Key) -> None:
        job = find_live(self.api, CPODJOBS, key.name, key.namespace)
        if job is None or _is_over(job):
            return
        try:
            changes = self._step(job)
        except Refused as refusal:
            failed = Work(CPodJobCondition.FAILED, True, refusal.reason, str(refusal))
            changes = {"conditions": with_work(_conditions(job), failed)}
        self._write(job, changes)

    def _step(self, job: Object) -> Changes:
        """Whatever comes next for the job: start it, follow it, keep its result, or start it anew."""
        edited = observed_generation(job) != generation(job)
        if meta.is_true(job, CPodJobCondition.SUCCEEDED):
            if edited:
                self._tell_unchanged(job)
            wanted = workload.spec_of(job).upload_model
            return {"conditions": self.results.uploaded(job, _conditions(job))} if wanted else {}
        work = self._underlying(job)
        if work is None:
            return self._prepared(job)
        if is_of_earlier_spec(work, job):
            if meta.is_true(job, CPodJobCondition.FAILED):
                return self._anew(job)
            if not meta.is_true(job, CPodJobCondition.DATA_PREPARING):
                self._clear_away(work)
                return {}
            if edited:
                self._tell_unchanged(job)
        return self._observed(job, work)

    def _underlying(self, job: Object) -> Object | None:
        """The job that was started for this one, of whichever kind: `jobType` may have been edited since."""
        for resource in jobs.RESOURCES:
            found = find(self.api, resource, meta.name_of(job), meta.namespace_of(job))
            if found is not None and meta.is_controlled_by(found, job):
                return found
        return None

    def _prepared(self, job: Object) -> Changes:
        """One step towards the underlying job: everything it needs, then the job itself."""
        spec = workload.spec_of(job)
        self._refuse_unsupported(job, spec)
        model = self._storage(MODEL, spec.pretrain_model_name, job)
        dataset = self._storage(DATASET, spec.dataset_name, job)
        self.results.refuse_what_cannot_be_kept(job, spec)
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
        facts = self._facts(job, spec, model, dataset)
        if sentence := workload.too_small(spec, facts):
            self.recorder.warning(job, "ResultVolumeSmall", sentence)
        for claim in workload.claims(job, facts, self.settings):
            ensure_child(self.api, PVCS, claim, job)
        ensure_child(self.api, jobs.kind_of(spec).resource, jobs.workload(job, facts, self.settings), job)
        return {"conditions": set_condition(conditions, preparing, True, "DataReady", "everything it needs is ready")}

    def _refuse_unsupported(self, job: Object, spec: CPodJobSpec) -> None:
        admission.check(job)
        for name, path, fields in (
            (spec.pretrain_model_name, spec.pretrain_model_path, "pretrainModelName without pretrainModelPath"),
            (spec.dataset_name, spec.dataset_path, "datasetName without datasetPath"),
        ):
            if name and not path and observed_generation(job) != generation(job):
                self.recorder.warning(job, "NotMounted", f"{fields}: {name!r} is made ready, but mounted nowhere")

    def _storage(self, kind: StorageKind, name: str, job: Object) -> Object | None:
        if not name:
            return None
        spec = workload.spec_of(job)
        asked = spec.pretrain_model_is_public if kind is MODEL else spec.dataset_is_public
        public = self.settings.public_namespace if asked else ""
        return wanted_storage(self.api, kind, name, meta.namespace_of(job), public)

    def _facts(self, job: Object, spec: CPodJobSpec, model: Object | None, dataset: Object | None) -> workload.Facts:
        logs = find(self.api, PVCS, names.LOGS_CLAIM, meta.namespace_of(job))
        return workload.Facts(
            model_claim=claim_of(model) if model else "",
            model_size=words.whole_number((model.get("status") or {}).get("size")) if model else 0,
            dataset_claim=claim_of(dataset) if dataset else "",
            logs_claim=meta.name_of(logs) if logs else "",
            rdma=self._rdma(spec),
        )

    def _rdma(self, spec: CPodJobSpec) -> bool:
        """Whether two nodes at least, of those that have the GPUs asked for, offer RDMA."""
        if spec.worker_replicas < 2:
            return False
        wanted = f"{workload.GPU_PRODUCT}={spec.gpu_type}" if spec.gpu_type else ""
        nodes = self.api.list(NODES, label_selector=wanted).items
        return sum(scheduling.allocatable(node, workload.RDMA) > 0 for node in nodes) >= 2

    def _anew(self, job: Object) -> Changes:
        """The job failed and was edited since: back to its beginning. What ran goes next (`is_of_earlier_spec`)."""
        started = _conditions({**job, "status": {}})
        message = "the spec was changed after the job failed: what ran is cleared away, and the job starts anew"
        conditions = set_condition(started, CPodJobCondition.DATA_PREPARING, False, "Restarting", message)
        return {"conditions": conditions, "startTime": meta.now()}

    def _clear_away(self, work: Object) -> None:
        """Delete what ran and, before it goes, its pods: two of them must not write into one claim."""
        resource = next(resource for resource in jobs.RESOURCES if resource.kind == work["kind"])
        if not meta.is_going(work):
            place = meta.name_of(work), meta.namespace_of(work)
            self.api.delete(resource, *place, propagation="Foreground", uid=meta.uid_of(work))

    def _observed(self, job: Object, work: Object) -> Changes:
        """The conditions from the underlying job, and the result once that succeeded."""
        conditions = _conditions(job)
        if not meta.is_true(job, CPodJobCondition.DATA_PREPARING):
            # The underlying job was created and the status lost: it exists, so the data were ready.
            ready = (CPodJobCondition.DATA_PREPARING, True, "DataReady", "everything it needs is ready")
            conditions = set_condition(conditions, *ready)
        pods = pods_of(self.api, work)
        seen = observe(work, pods, conditions)
        changes: Changes = {"conditions": with_work(conditions, seen)}
        spec = workload.spec_of(job)
        if seen.type is CPodJobCondition.SUCCEEDED and spec.model_save_path:
            changes["modelStorage"] = self.results.publish(job, words.outcome(pods))
            if spec.upload_model:
                changes["conditions"] = under_way(changes["conditions"], "the upload begins")
        return changes

    def _tell_unchanged(self, job: Object) -> None:
        self.recorder.warning(
            job, "ChangeIgnored", "the job has begun and takes no changes; delete it and apply it again to run it anew"
        )

    def _write(self, job: Object, changes: Changes) -> None:
        old = job.get("status") or {}
        if observed_generation(job) == generation(job) and all(old.get(key) == changes[key] for key in changes):
            return
        now = meta.now()
        changes.setdefault("startTime", old.get("startTime") or now)
        changes["lastReconcileTime"] = now
        if "conditions" in changes:
            finished = is_finished({"status": changes})
            changes["completionTime"] = (old.get("completionTime") or now) if finished else None
        if write_status(self.api, CPODJOBS, job, changes):
            self._tell(job, changes.get("conditions") or [])

    def _tell(self, job: Object, conditions: Conditions) -> None:
        """An event for each condition that says something new."""
        for entry in conditions:
            old = meta.condition(job, entry["type"]) or {}
            if not entry["message"] or all(old.get(key) == entry[key] for key in ("status", "reason", "message")):
                continue
            failed = entry["type"] == CPodJobCondition.FAILED or (
                entry["type"] == CPodJobCondition.MODEL_UPLOADED and entry["status"] == "False"
            )
            tell = self.recorder.warning if failed or entry["reason"] in TROUBLE else self.recorder.normal
            tell(job, entry["reason"], entry["message"])


def _is_over(job: Object) -> bool:
    """Whether nothing is left to do for the job as it is.

    One that ended under the original operator is over for good: that operator writes no `observedGeneration`.
    """
    if not is_finished(job):
        return False
    if not observed_generation(job):
        return True
    uploads = meta.is_true(job, CPodJobCondition.SUCCEEDED) and workload.spec_of(job).upload_model
    return observed_generation(job) == generation(job) and (
        not uploads or meta.is_true(job, CPodJobCondition.MODEL_UPLOADED)
    )


def is_of_earlier_spec(work: Object, job: Object) -> bool:
    """Whether what runs was made for a spec that was changed since. The original operator's says nothing of it."""
    made_for = annotation(work, names.ANNOTATION_OWNER_GENERATION)
    return made_for not in ("", str(generation(job)))


def _conditions(job: Object) -> Conditions:
    """The conditions so far; the first is there from the first look on."""
    so_far = list((job.get("status") or {}).get("conditions") or [])
    return set_condition(so_far, CPodJobCondition.CREATED, True, "JobCreated", "the operator has taken the job on")


def _waits_for(field: str) -> Any:
    def waits(job: Object, storage: Object) -> bool:
        return names.same_storage(job["spec"].get(field) or "", meta.name_of(storage)) and not is_finished(job)

    return waits


def _of_pod(pod: Object) -> Iterable[Key]:
    """The job that a pod works for, or whose result it uploads."""
    yield from label_to(names.LABEL_CPODJOB)(pod)
    yield from label_to(names.LABEL_UPLOAD)(pod)


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
            PODS: _of_pod,
            MODELSTORAGES: to_waiting(api, CPODJOBS, _waits_for("pretrainModelName")),
            DATASETSTORAGES: to_waiting(api, CPODJOBS, _waits_for("datasetName")),
        },
    )
