"""FineTune: check it, find or fetch its model, and have a CPodJob train.

Failed and Succeeded are final for a generation, whatever appears later, a missing dataset included:
what a person reads as failed must not start by itself days afterwards. An edit starts anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cpod_jupyter.api import meta, names
from cpod_jupyter.api.catalog import BaseModel, find_model
from cpod_jupyter.api.finetune import FineTunePhase, FineTuneSpec, hyper_parameter_problems
from cpod_jupyter.api.quantity import parse_quantity
from cpod_jupyter.api.resources import CONFIGMAPS, CPODJOBS, FINETUNES, MODELSTORAGES, NODES, Object
from cpod_jupyter.api.scheduling import never_fits
from cpod_jupyter.control.api import KubeApi
from cpod_jupyter.control.controller import Controller, Key, Recorder, to_controller, to_itself
from cpod_jupyter.operator.builders import finetune as build
from cpod_jupyter.operator.builders.claims import MIB
from cpod_jupyter.operator.builders.workload import GPU, Facts, pod_template
from cpod_jupyter.operator.conditions import finetune_status
from cpod_jupyter.operator.lookup import missing, refuse_failed, wanted_storage
from cpod_jupyter.operator.metadata import annotation, generation, is_going, observed_generation
from cpod_jupyter.operator.objects import Refused, ensure_child, find, find_child, find_live, write_status
from cpod_jupyter.operator.settings import Settings
from cpod_jupyter.operator.storage_kinds import DATASET, MODEL
from cpod_jupyter.operator.wakers import to_waiting

Changes = dict[str, Any]


class FineTuneReconciler:
    def __init__(self, api: KubeApi, settings: Settings, recorder: Recorder) -> None:
        self.api = api
        self.settings = settings
        self.recorder = recorder

    def reconcile(self, key: Key) -> None:
        finetune = find_live(self.api, FINETUNES, key.name, key.namespace)
        if finetune is None or (_is_final(finetune) and observed_generation(finetune) == generation(finetune)):
            return
        try:
            changes = self._next(finetune)
        except Refused as refusal:
            changes = {"phase": FineTunePhase.FAILED.value, "failureMessage": str(refusal), "modelStorage": None}
        if write_status(self.api, FINETUNES, finetune, changes):
            self._tell(finetune, changes)

    def _next(self, finetune: Object) -> Changes:
        child = names.cpodjob_of_finetune(meta.name_of(finetune))
        cpodjob = find_child(self.api, CPODJOBS, child, finetune)
        if cpodjob is None:
            return self._begun(finetune)
        made_for = annotation(cpodjob, names.ANNOTATION_OWNER_GENERATION)
        if is_going(cpodjob) or made_for != str(generation(finetune)):
            if not is_going(cpodjob):
                # In the foreground: its pods and claims go first, so that the next job finds none of them.
                uid = meta.uid_of(cpodjob)
                namespace = meta.namespace_of(cpodjob)
                self.api.delete(CPODJOBS, child, namespace, propagation="Foreground", uid=uid)
            return _preparing()
        return finetune_status(cpodjob)

    def _begun(self, finetune: Object) -> Changes:
        """Everything is checked first, so that a FineTune that can't work makes nothing."""
        spec, namespace = build.spec_of(finetune), meta.namespace_of(finetune)
        _refuse_wrong(finetune, spec)
        storage, model = self._model(spec, namespace)
        wanted_storage(
            self.api, DATASET, spec.dataset, namespace, self.settings.public_namespace if spec.dataset_is_public else ""
        )
        nodes = self.api.list(NODES).items
        cpodjob = self._cpodjob(finetune, spec, storage, model, nodes)
        if storage is None and model is not None:
            sentence = never_fits(pod_template(cpodjob, Facts(), self.settings, "train")["spec"], nodes)
            if sentence is not None:
                return {"phase": FineTunePhase.PENDING.value, "failureMessage": sentence, "modelStorage": None}
            self.api.create(MODELSTORAGES, build.catalogue_storage(model, namespace))
            self.recorder.normal(
                finetune, "ModelRegistered", f"{model.name} is fetched as ModelStorage {model.storage_name}"
            )
        self._put_config(finetune)
        _, created = ensure_child(self.api, CPODJOBS, cpodjob, finetune)
        if created:
            self.recorder.normal(finetune, "CPodJobCreated", f"CPodJob {meta.name_of(cpodjob)} does the work")
        return _preparing()

    def _model(self, spec: FineTuneSpec, namespace: str) -> tuple[Object | None, BaseModel | None]:
        """The model's storage, the catalogue's entry for it, or both. Raises Refused when there is neither."""
        storage, model = find(self.api, MODELSTORAGES, spec.model, namespace), None
        if storage is None:
            model = find_model(spec.model)
            if model is None:
                also = ", and the catalogue has no model of that name"
                raise Refused("ModelNotFound", missing(self.api, MODEL, spec.model, namespace, also))
            storage = find(self.api, MODELSTORAGES, model.storage_name, namespace)
        if storage is not None:
            refuse_failed(MODEL, storage)
            if storage["spec"].get("isloraadapter"):
                raise Refused(
                    "ModelIsAdapter",
                    f"ModelStorage {meta.name_of(storage)!r} is a LoRA adapter; fine-tune its base model, or a result "
                    "that was merged (autoMerge: true)",
                )
        return storage, model

    def _cpodjob(
        self,
        finetune: Object,
        spec: FineTuneSpec,
        storage: Object | None,
        model: BaseModel | None,
        nodes: Sequence[Object],
    ) -> Object:
        gpus = spec.gpu_count
        if gpus == 0 and (spec.gpu_product or _has_gpus(nodes)):
            gpus = self.settings.default_gpu_count
        name = meta.name_of(storage) if storage else model.storage_name if model else ""
        size = int(((storage or {}).get("status") or {}).get("size") or 0)
        twice = -(-2 * size // MIB)  # on a CPU a model of 16-bit weights is saved with 32
        volume = max(self.settings.result_volume_mib, model.volume_mib if model else 0, twice)
        return build.cpodjob(finetune, name, volume, gpus, self.settings)

    def _put_config(self, finetune: Object) -> None:
        wanted = build.config_map(finetune)
        found, _ = ensure_child(self.api, CONFIGMAPS, wanted, finetune)
        if found.get("data") != wanted["data"]:
            self.api.replace(CONFIGMAPS, {**found, "data": wanted["data"]})

    def _tell(self, finetune: Object, changes: Changes) -> None:
        """An event when the phase, or the reason for it, is a new one."""
        old = finetune.get("status") or {}
        phase, message = changes["phase"], changes["failureMessage"]
        if phase == old.get("phase") and message == old.get("failureMessage", ""):
            return
        if phase == FineTunePhase.FAILED:
            self.recorder.warning(finetune, "Failed", message)
        elif phase == FineTunePhase.PENDING:
            self.recorder.warning(finetune, "Unschedulable", message)
        elif phase == FineTunePhase.SUCCEEDED:
            self.recorder.normal(finetune, "Succeeded", f"the result is ModelStorage {changes['modelStorage']}")
        elif phase == FineTunePhase.RUNNING:
            self.recorder.normal(finetune, "Running", "the model is being trained")
        else:
            self.recorder.normal(finetune, "DataPreparing", "model and dataset are being made ready")


def _preparing() -> Changes:
    return {"phase": FineTunePhase.DATA_PREPARING.value, "failureMessage": "", "modelStorage": None}


def _is_final(finetune: Object) -> bool:
    phase = (finetune.get("status") or {}).get("phase")
    return phase in (FineTunePhase.FAILED, FineTunePhase.SUCCEEDED)


def _refuse_wrong(finetune: Object, spec: FineTuneSpec) -> None:
    """Raises Refused for what is wrong with the FineTune by itself."""
    if too_long := names.too_long(FINETUNES.kind, meta.name_of(finetune)):
        raise Refused("BadName", too_long)
    if problems := hyper_parameter_problems(spec.hyper_parameters):
        raise Refused("BadHyperParameter", "; ".join(f"{problem.field}: {problem.message}" for problem in problems))
    if spec.upload:
        raise Refused("NotSupported", "this version does not support uploading the result (upload: true) yet")


def _has_gpus(nodes: Sequence[Object]) -> bool:
    offered = (((node.get("status") or {}).get("allocatable") or {}).get(GPU, 0) for node in nodes)
    return any(parse_quantity(amount) > 0 for amount in offered)


def _is_pending(finetune: Object, _node: Object) -> bool:
    return (finetune.get("status") or {}).get("phase") == FineTunePhase.PENDING


def controller(api: KubeApi, settings: Settings, recorder: Recorder) -> Controller:
    """Woken by the FineTune, its children, and any change of a node while no node could run it."""
    return Controller(
        FINETUNES.plural,
        FineTuneReconciler(api, settings, recorder).reconcile,
        {
            FINETUNES: to_itself,
            CPODJOBS: to_controller(FINETUNES.kind),
            CONFIGMAPS: to_controller(FINETUNES.kind),
            NODES: to_waiting(api, FINETUNES, _is_pending),
        },
    )
