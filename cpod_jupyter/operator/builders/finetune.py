"""A FineTune to its configuration, its CPodJob, and the ModelStorage of a catalogue model."""

from __future__ import annotations

import json
from typing import Any

from cpod_jupyter.api import meta, names
from cpod_jupyter.api.catalog import BaseModel
from cpod_jupyter.api.finetune import FineTuneSpec, trainer_arguments
from cpod_jupyter.api.resources import CPODJOBS, MODELSTORAGES, Object
from cpod_jupyter.operator.builders.claims import MIB
from cpod_jupyter.operator.builders.download import RUNTIME
from cpod_jupyter.operator.builders.workload import CONFIG_PATH
from cpod_jupyter.operator.metadata import child_metadata, generation
from cpod_jupyter.operator.settings import Settings

CONFIG_KEY = "finetune.json"
MODEL_PATH, DATASET_PATH = "/data/model", "/data/dataset"
SAVE_PATH, CKPT_PATH = "/data/save", "/data/ckpt"


def spec_of(finetune: Object) -> FineTuneSpec:
    return FineTuneSpec.model_validate(finetune["spec"])


def finetune_type(spec: FineTuneSpec) -> str:
    """lora or full; `pt` is the original's word for full."""
    return "lora" if spec.finetune_type in ("", "lora") else "full"


def config_map(finetune: Object) -> Object:
    """The ConfigMap with what the trainer is to do. A file, so that no value meets a shell."""
    spec = spec_of(finetune)
    kind = finetune_type(spec)
    config = {
        "finetuneType": kind,
        "autoMerge": spec.auto_merge,
        # The trainer's own arguments win over what hyperParameters stand for, as in the original.
        "arguments": {**trainer_arguments(spec.hyper_parameters, kind), **spec.config},
    }
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": child_metadata(names.config_of_finetune(meta.name_of(finetune)), finetune),
        "data": {CONFIG_KEY: json.dumps(config, indent=2, sort_keys=True)},
    }


def cpodjob(finetune: Object, model_storage: str, volume_mib: int, gpus: int, settings: Settings) -> Object:
    """The CPodJob that trains. A failure is final: the trainer's words say what to change."""
    spec, name = spec_of(finetune), meta.name_of(finetune)
    annotations = {
        names.ANNOTATION_MODEL_NAME: name,
        names.ANNOTATION_FINETUNE: name,
        names.ANNOTATION_OWNER_GENERATION: str(generation(finetune)),
    }
    if spec.auto_merge and finetune_type(spec) == "lora":
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
            "command": _command(gpus),
            "args": _arguments(),
            "workerReplicas": 1,
            "gpuRequiredPerReplica": gpus,
            "gpuType": spec.gpu_product,
            "pretrainModelName": model_storage,
            "pretrainModelPath": MODEL_PATH,
            "datasetName": spec.dataset,
            **({"datasetIsPublic": True} if spec.dataset_is_public else {}),
            "datasetPath": DATASET_PATH,
            "modelSavePath": SAVE_PATH,
            "modelSaveVolumeSize": volume_mib,
            "ckptPath": CKPT_PATH,
            "ckptVolumeSize": volume_mib,
            "configMap": names.config_of_finetune(name),
            "backoffLimit": 0,
        },
    }


def _command(gpus: int) -> list[str]:
    """One process a GPU: torchrun starts them where there are several (PyTorch, "torchrun")."""
    if gpus <= 1:
        return list(RUNTIME)
    return ["torchrun", "--standalone", f"--nproc-per-node={gpus}", *RUNTIME[1:]]


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
    spec: dict[str, Any] = {"modelname": model.source, "template": model.template}
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
        "spec": {**spec, "modeltype": "huggingface"},
    }
