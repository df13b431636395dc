"""A FineTune and its plan to its configuration, its CPodJob, and the ModelStorage of a catalogue model. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from cpod_jupyter.api import meta, names
from cpod_jupyter.api.catalog import BaseModel
from cpod_jupyter.api.finetune import FineTuneSpec, finetune_type, trainer_arguments
from cpod_jupyter.api.planning import Plan
from cpod_jupyter.api.resources import CPODJOBS, MODELSTORAGES, Object
from cpod_jupyter.api.trainer import trainer_config
from cpod_jupyter.operator.builders.claims import MIB
from cpod_jupyter.operator.builders.download import RUNTIME
from cpod_jupyter.operator.builders.plan import Device, PlanFacts, plan_status, plan_text
from cpod_jupyter.operator.builders.workload import CONFIG_PATH
from cpod_jupyter.operator.metadata import annotation, child_metadata, generation
from cpod_jupyter.operator.settings import Settings

CONFIG_KEY, PLAN_KEY, DEEPSPEED_KEY = "finetune.json", "plan.yaml", "deepspeed.json"
MODEL_PATH, DATASET_PATH = "/data/model", "/data/dataset"
SAVE_PATH, CKPT_PATH = "/data/save", "/data/ckpt"
KILLS = 20
"""How often the pods of a fine-tune may be killed; each time it goes on from its last checkpoint."""
RESTARTS = 3
"""How often torchrun starts the processes of a pod anew when one of them was killed; they go on likewise."""
NEW_STORE = {"name": "TORCH_DISABLE_SHARE_RDZV_TCP_STORE", "value": "1"}
"""Has torchrun make a new store for each start of its processes. In that of the start before they find the addresses of
processes that have ended, and wait for them (torch 2.13, `DynamicRendezvousHandler`)."""
_LORA_RANK = 64
"""Checkpoints have room for an adapter of this rank."""


def spec_of(finetune: Object) -> FineTuneSpec:
    return FineTuneSpec.model_validate(finetune["spec"])


def config_map(finetune: Object, plan: Plan | None, lora_target: str = "") -> Object:
    """The ConfigMap with what the trainer is to do, in files, so that no value meets a shell; and the plan.

    `lora_target` is the catalogue's, for a user who names none. What stands for hyperParameters gives way to the plan,
    which was made from them, and all to the trainer's own arguments in `config`, as in the original.
    """
    spec = spec_of(finetune)
    kind = finetune_type(spec.finetune_type)
    config: dict[str, Any] = {
        "finetuneType": kind,
        "autoMerge": spec.auto_merge,
        "arguments": {
            **({"lora_target": lora_target} if lora_target and kind != "full" else {}),
            **trainer_arguments(spec.hyper_parameters, kind),
            **(plan.arguments if plan else {}),
            # In place, not by its file's path: where pods are processes, that path is no place of theirs.
            **({"deepspeed": plan.deepspeed} if plan and plan.deepspeed else {}),
            **trainer_config(spec.config),
        },
    }
    if (rows := annotation(finetune, names.ANNOTATION_ROWS)).isdecimal():
        config["rows"] = int(rows)
    data = {CONFIG_KEY: _json(config)}
    if status := plan_status(plan, spec):
        data[PLAN_KEY] = plan_text(status)
    if plan and plan.deepspeed:
        data[DEEPSPEED_KEY] = _json(plan.deepspeed)
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": child_metadata(names.config_of_finetune(meta.name_of(finetune)), finetune),
        "data": data,
    }


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, indent=2, sort_keys=True)


@dataclass(frozen=True)
class Need:
    """What the CPodJob of a FineTune takes."""

    model: str
    """Name of the ModelStorage."""
    device: Device
    replicas: int
    distributed: bool
    """Whether the processes have to find each other, be it only one: DeepSpeed wants that."""
    result_mib: int
    checkpoint_mib: int

    @property
    def standalone(self) -> bool:
        """Whether the processes have to find each other in one pod only."""
        return self.distributed and self.replicas == 1


def need_of(
    finetune: Object, model: str, device: Device, facts: PlanFacts, plan: Plan | None, size: int, settings: Settings
) -> Need:
    """What is needed for a model of `size` bytes; 0 where that is not known.

    A checkpoint has what is trained as float32 and twice that as Adam's moments, and while one is written the
    last one is still there (transformers, Trainer; Kingma & Ba 2015, "Adam", section 2).
    """
    kind = finetune_type(spec_of(finetune).finetune_type)
    shape = facts.shape
    # On a CPU, a model of 16-bit weights may be saved with 32.
    result = max(2 * size, 2 * shape.dtype_bytes * shape.parameters if shape else 0)
    trained = (shape.parameters if kind == "full" else shape.lora_parameters(_LORA_RANK)) if shape else 0
    least = settings.result_volume_mib
    return Need(
        model=model,
        device=device,
        replicas=facts.replicas,
        distributed=device.gpus > 1 or bool(plan and plan.work.zero_stage),
        result_mib=max(least, -(-result // MIB)),
        checkpoint_mib=max(least, -(-2 * 12 * trained // MIB)),
    )


def cpodjob(finetune: Object, need: Need, settings: Settings) -> Object:
    """The CPodJob that trains. A failure of the trainer is final: its words say what to change."""
    spec, name = spec_of(finetune), meta.name_of(finetune)
    annotations = {
        names.ANNOTATION_MODEL_NAME: name,
        names.ANNOTATION_FINETUNE: name,
        names.ANNOTATION_OWNER_GENERATION: str(generation(finetune)),
    }
    for key in (names.ANNOTATION_UPLOAD_TO, names.ANNOTATION_SECRET):
        if given := annotation(finetune, key):
            annotations[key] = given
    if spec.auto_merge and finetune_type(spec.finetune_type) != "full":
        annotations[names.ANNOTATION_AUTO_MERGE] = "true"
    labels = finetune["metadata"].get("labels") or {}
    metadata = child_metadata(names.cpodjob_of_finetune(name), finetune, annotations)
    if names.LABEL_USER in labels:
        metadata["labels"] = {names.LABEL_USER: labels[names.LABEL_USER]}
    return {
        "apiVersion": CPODJOBS.api_version,
        "kind": CPODJOBS.kind,
        "metadata": metadata,
        "spec": {
            "jobType": "pytorch",
            "image": settings.runtime_image,
            "command": _command(need),
            **({"env": [NEW_STORE]} if need.standalone else {}),
            "args": _arguments(),
            "workerReplicas": need.replicas,
            "gpuRequiredPerReplica": need.device.gpus // need.replicas,
            "gpuType": need.device.product,
            "pretrainModelName": need.model,
            "pretrainModelPath": MODEL_PATH,
            "datasetName": spec.dataset,
            "datasetPath": DATASET_PATH,
            "datasetIsPublic": spec.dataset_is_public,
            "modelSavePath": SAVE_PATH,
            "modelSaveVolumeSize": need.result_mib,
            "ckptPath": CKPT_PATH,
            "ckptVolumeSize": need.checkpoint_mib,
            "configMap": names.config_of_finetune(name),
            "uploadModel": spec.upload,
            "backoffLimit": KILLS,
        },
    }


def _command(need: Need) -> list[str]:
    """One process a GPU, which torchrun starts (PyTorch, "torchrun").

    On one node it looks for no other; on several Kubeflow tells it where they meet, in variables PET_*.
    """
    if not need.distributed:
        return list(RUNTIME)
    here = ["--standalone", f"--nproc-per-node={need.device.gpus}", f"--max-restarts={RESTARTS}"]
    return ["torchrun", *(here if need.standalone else []), *RUNTIME[1:]]


def _arguments() -> list[str]:
    return [
        "train",
        *("--config", f"{CONFIG_PATH}/{CONFIG_KEY}"),
        *("--model", MODEL_PATH),
        *("--dataset", DATASET_PATH),
        *("--output", SAVE_PATH),
        *("--checkpoints", CKPT_PATH),
    ]


def catalogue_storage(model: BaseModel, namespace: str) -> Object:
    """The ModelStorage of a catalogue model. Nothing owns it: other work may start from it too."""
    scheme = model.source.partition("://")[0]
    kind = "huggingface" if scheme == "hf" else scheme
    return {
        "apiVersion": MODELSTORAGES.api_version,
        "kind": MODELSTORAGES.kind,
        "metadata": {
            "name": model.storage_name,
            "namespace": namespace,
            "annotations": {
                names.ANNOTATION_READABLE_NAME: model.name,
                names.ANNOTATION_MODEL_SIZE: str(model.volume_mib * MIB),
            },
        },
        "spec": {"modeltype": kind, "modelname": model.source, "template": model.template, "category": "Chat"},
    }
