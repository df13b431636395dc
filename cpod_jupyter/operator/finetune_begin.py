"""How a FineTune begins: checked, its model found or fetched, planned, and only then its CPodJob made.

The plan needs the model's shape and the kind of the examples. Where only their files tell it, the CPodJob is made when
they are there; until then the plan in the status is a guess.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from cpod_jupyter.api import meta, names
from cpod_jupyter.api.catalog import BaseModel, find_model
from cpod_jupyter.api.finetune import FineTunePhase, FineTuneSpec, finetune_type
from cpod_jupyter.api.planning import Plan
from cpod_jupyter.api.resources import CONFIGMAPS, CPODJOBS, MODELSTORAGES, NODES, Object
from cpod_jupyter.api.scheduling import never_fits
from cpod_jupyter.control.api import KubeApi
from cpod_jupyter.control.controller import Recorder
from cpod_jupyter.operator import admission
from cpod_jupyter.operator.builders import finetune as build
from cpod_jupyter.operator.builders import plan as planning
from cpod_jupyter.operator.builders import upload
from cpod_jupyter.operator.builders.workload import Facts, pod_template
from cpod_jupyter.operator.catalogue import catalogue
from cpod_jupyter.operator.lookup import missing, refuse_failed, wanted_storage
from cpod_jupyter.operator.metadata import annotation
from cpod_jupyter.operator.objects import Refused, ensure_child, find
from cpod_jupyter.operator.settings import Settings
from cpod_jupyter.operator.storage_kinds import DATASET, MODEL, is_done

Changes = dict[str, Any]


def preparing() -> Changes:
    return {"phase": FineTunePhase.DATA_PREPARING.value, "failureMessage": "", "modelStorage": None}


def is_forced(finetune: Object) -> bool:
    """Whether the user wants it tried although the plan does not fit."""
    return annotation(finetune, names.ANNOTATION_FORCE) == "true"


@dataclass(frozen=True)
class Base:
    """The model that a FineTune starts from: a storage, the catalogue's entry for it, or both."""

    storage: Object | None
    model: BaseModel | None

    @property
    def storage_name(self) -> str:
        return meta.name_of(self.storage) if self.storage else self.model.storage_name if self.model else ""

    @property
    def size(self) -> int:
        """Bytes; 0 where it isn't known."""
        return int(((self.storage or {}).get("status") or {}).get("size") or 0)


class Beginning:
    def __init__(self, api: KubeApi, settings: Settings, recorder: Recorder) -> None:
        self.api = api
        self.settings = settings
        self.recorder = recorder

    def begin(self, finetune: Object) -> Changes:
        """The next step towards the CPodJob. Raises Refused for a FineTune that can't work, before anything is made."""
        spec, namespace = build.spec_of(finetune), meta.namespace_of(finetune)
        admission.check(finetune)
        base = self._base(spec, namespace)
        public = self.settings.public_namespace if spec.dataset_is_public else ""
        dataset = wanted_storage(self.api, DATASET, spec.dataset, namespace, public)
        nodes = self.api.list(NODES).items
        device = planning.device_of(spec, base.model, nodes, self.settings)
        if finetune_type(spec.finetune_type) == "qlora" and not device.gpus:
            raise Refused(
                "NoGpu",
                "finetuneType qlora holds the base model in 4 bits, which takes a GPU, and no node has one: use "
                "finetuneType lora, or set gpuCount to wait for GPUs",
            )
        facts = planning.facts_for(device, nodes, planning.shape_of(base.storage, base.model), dataset)
        plan = planning.plan_of(finetune, facts)
        changes = {**preparing(), "plan": planning.plan_status(plan, spec)}
        # How long the rows are is known once they are there; before, only what no row is short enough for is refused.
        least = plan if is_done(dataset) else planning.plan_of(finetune, dataclasses.replace(facts, longest=1))
        if plan is not None and least is not None and planning.clearly_too_much(least) and not is_forced(finetune):
            return {**changes, "phase": FineTunePhase.FAILED.value, "failureMessage": _does_not_fit(plan)}
        need = build.need_of(finetune, base.storage_name, device, facts, plan, base.size, self.settings)
        if base.model is not None:
            need = dataclasses.replace(need, result_mib=max(need.result_mib, base.model.volume_mib))
        cpodjob = build.cpodjob(finetune, need, self.settings)
        if spec.upload:
            upload.root(cpodjob, self.settings)  # raises where nothing says where to
        if base.storage is None and base.model is not None:
            sentence = never_fits(pod_template(cpodjob, Facts(), self.settings, "train")["spec"], nodes)
            if sentence is not None:
                return {**changes, "phase": FineTunePhase.PENDING.value, "failureMessage": sentence}
            base = dataclasses.replace(base, storage=self._fetch(finetune, base.model))
        guessed = base.storage if plan is None or plan.request.shape.approximate else None
        for storage in (guessed, dataset):
            if storage is not None and not is_done(storage):
                return {**changes, "failureMessage": str((storage.get("status") or {}).get("failureMessage") or "")}
        self._make(finetune, cpodjob, build.config_map(finetune, plan, base.model.lora_target if base.model else ""))
        self._tell(finetune, plan, base.model, device)
        return changes

    def _base(self, spec: FineTuneSpec, namespace: str) -> Base:
        """The model to start from. Raises Refused when there is none of that name, or it can't be used."""
        models = catalogue(self.api, self.settings)
        storage = find(self.api, MODELSTORAGES, spec.model, namespace)
        if storage is None and names.is_copy(spec.model):
            storage = wanted_storage(self.api, MODEL, spec.model, namespace, self.settings.public_namespace)
        if storage is not None:
            model = next((model for model in models if model.storage_name == spec.model), None)
        else:
            model = find_model(spec.model, models)
            if model is None:
                also = ", and the catalogue has no model of that name"
                raise Refused("ModelNotFound", missing(self.api, MODEL, spec.model, namespace, also))
            storage = find(self.api, MODELSTORAGES, model.storage_name, namespace)
            if storage is None and not model.source:
                also = f", which the catalogue names for {model.name!r}"
                raise Refused("ModelNotFound", missing(self.api, MODEL, model.storage_name, namespace, also))
        if storage is not None:
            refuse_failed(MODEL, storage)
            if storage["spec"].get("isloraadapter"):
                raise Refused(
                    "ModelIsAdapter",
                    f"ModelStorage {meta.name_of(storage)!r} is a LoRA adapter; fine-tune its base model, or a result "
                    "that was merged (autoMerge: true)",
                )
        return Base(storage, model)

    def _fetch(self, finetune: Object, model: BaseModel) -> Object:
        storage = self.api.create(MODELSTORAGES, build.catalogue_storage(model, meta.namespace_of(finetune)))
        told = f"{model.name} is fetched as ModelStorage {model.storage_name}"
        self.recorder.normal(finetune, "ModelRegistered", told)
        return storage

    def _make(self, finetune: Object, cpodjob: Object, config: Object) -> None:
        found, _ = ensure_child(self.api, CONFIGMAPS, config, finetune)
        if found.get("data") != config["data"]:
            self.api.replace(CONFIGMAPS, {**found, "data": config["data"]})
        ensure_child(self.api, CPODJOBS, cpodjob, finetune)

    def _tell(self, finetune: Object, plan: Plan | None, model: BaseModel | None, device: planning.Device) -> None:
        """What was decided, as events."""
        if plan is None:
            told = "nothing tells how large the model is, so the trainer's own defaults hold"
            self.recorder.normal(finetune, "NotPlanned", told)
        elif plan.fits:
            self.recorder.normal(finetune, "Planned", plan.sentence)
        else:
            why = "it was asked for" if is_forced(finetune) else "the estimate may be too high"
            told = f"{plan.sentence} It is tried all the same, because {why}. What would fit: {'; '.join(plan.advice)}"
            self.recorder.warning(finetune, "DoesNotFit", told)
        if model is not None and model.gpu_product and model.gpu_product == device.product:
            told = f"{device.product}, the type that the catalogue names for {model.name}"
            self.recorder.normal(finetune, "GpuTypeChosen", told)
        if model is not None and model.image:
            told = f"the catalogue names the image {model.image}; trained is in {self.settings.runtime_image}"
            self.recorder.normal(finetune, "ImageNotUsed", told)
        child = names.cpodjob_of_finetune(meta.name_of(finetune))
        self.recorder.normal(finetune, "CPodJobCreated", f"CPodJob {child} does the work")


def _does_not_fit(plan: Plan) -> str:
    advice = "".join(f"; or {sentence}" if index else sentence for index, sentence in enumerate(plan.advice))
    return (
        f"{plan.reasons['memory']} To have it fit, {advice}. To try it all the same, set the annotation "
        f'{names.ANNOTATION_FORCE}: "true"'
    )
