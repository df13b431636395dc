"""ModelStorage and DataSetStorage: a model or a dataset, where it comes from, and the claim that holds it."""

from __future__ import annotations

import dataclasses
from enum import StrEnum
from typing import Literal

from pydantic import Field

from cpod_jupyter.api.model import Column, KubeModel, Rule, crd
from cpod_jupyter.api.resources import DATASETSTORAGES, MODELSTORAGES, Object
from cpod_jupyter.api.schema import PRESERVE


class StoragePhase(StrEnum):
    """Phases of both kinds; `done` and `fail` are the original's words, which its clusters read."""

    DOWNLOADING = "downloading"
    DONE = "done"
    FAILED = "fail"


class StorageProgress(KubeModel):
    """How far a download is, as its pod said last."""

    phase: str = Field(default="", description="download, verify, validate or convert.")
    done_bytes: int = Field(default=0, json_schema_extra={"format": "int64"})
    total_bytes: int = Field(
        default=0, description="0 where the source does not tell.", json_schema_extra={"format": "int64"}
    )
    percent: int = Field(default=0, description="Of the phase.")


class StorageStatus(KubeModel):
    phase: str = Field(default="", description="Empty, downloading, done or fail.")
    size: int = Field(default=0, description="Bytes.", json_schema_extra={"format": "int64"})
    pvc: str = Field(default="", description="The PersistentVolumeClaim that holds the files.")
    source: str = Field(default="", description="The URI that the files in the claim are from.")
    progress: StorageProgress | None = Field(default=None, description="How far the download is.")
    checksum: str = Field(default="", description="SHA-256 over the files' own SHA-256 sums, sorted by path.")
    failure_message: str = Field(default="", description="Why the phase is fail, or what it waits for.")
    observed_generation: int = Field(default=0, json_schema_extra={"format": "int64"})


class ModelShapeStatus(KubeModel):
    """The model's shape, as its config.json and the headers of its files have it (api/planning/shapes.py)."""

    parameters: int = Field(default=0, description="Parameters.", json_schema_extra={"format": "int64"})
    layers: int = Field(default=0, description="Transformer layers.")
    hidden_size: int = Field(default=0, description="Elements of a token between the layers.")
    intermediate_size: int = Field(default=0, description="Elements inside the MLP, or inside one expert.")
    attention_heads: int = 0
    kv_heads: int = 0
    head_dim: int = 0
    vocab_size: int = 0
    tied_embeddings: bool = Field(default=False, description="The output layer's matrix is the input embedding's.")
    dtype_bytes: int = Field(default=0, description="Bytes of a weight on disk.")
    max_positions: int = Field(default=0, description="Tokens the model can look at.")
    experts: int = Field(default=0, description="Experts of a layer; 0 for a dense model.")
    experts_per_token: int = 0
    gated_mlp: bool = True
    model_type: str = Field(default="", description="The architecture, by transformers' name.")
    approximate: bool = Field(default=False, description="The shape is a guess.")


class ModelStorageStatus(StorageStatus):
    converttensortrenginestatus: str = Field(default="", description="Converting, Converted or Failed.")
    model: ModelShapeStatus | None = Field(default=None, description="The model's shape, once it is fetched.")


class DataSetStorageStatus(StorageStatus):
    rows: int = Field(default=0, description="Examples in the dataset.", json_schema_extra={"format": "int64"})
    examples: str = Field(default="", description="What they are: conversations, texts or preferences.")
    longest: int = Field(
        default=0,
        description="Tokens of the longest example at most, whatever the tokenizer; 0 where it is not known.",
        json_schema_extra={"format": "int64"},
    )


class ModelStorageSpec(KubeModel):
    """A model and where it comes from."""

    modeltype: str = Field(
        default="",
        description="Where the model comes from: pypi, huggingface, modelscope, s3, oss, gs, https, file, pvc, random; "
        "trained for a result. Left out when modelname is a URI.",
    )
    modelname: str = Field(
        default="",
        description="The model's name at its source, or a URI: pypi://PACKAGE, hf:// or modelscope://ORG/NAME, s3://, "
        "oss:// or gs://BUCKET/KEY, https://HOST/FILE.gguf, file:///PATH, pvc://CLAIM/PATH; #sha256=HEX may follow.",
    )
    pvc: str = Field(
        default="",
        description="An existing PersistentVolumeClaim with the model in it; nothing is fetched.",
        max_length=253,
    )
    template: str = Field(default="", description="Chat template; empty for the tokenizer's own.")
    category: Literal["", "Chat", "Embedding", "model"] = Field(default="", description="What the model is for.")
    converttensortrengine: bool = Field(default=False, description="Convert to a TensorRT engine.")
    isloraadapter: bool = Field(default=False, description="The files are a LoRA adapter, not a whole model.")


class DataSetStorageSpec(KubeModel):
    """A dataset and where it comes from."""

    datasettype: str = Field(
        default="",
        description="Where the dataset comes from: huggingface, modelscope, s3, oss, gs, https, file, pvc. "
        "Left out when datasetname is a URI.",
    )
    datasetname: str = Field(
        default="",
        description="The dataset's name at its source, or a URI: hf:// or modelscope://ORG/NAME, s3://, oss:// or "
        "gs://BUCKET/KEY, https://HOST/FILE.jsonl, file:///PATH, pvc://CLAIM/PATH; #sha256=HEX may follow.",
    )
    pvc: str = Field(
        default="",
        description="An existing PersistentVolumeClaim with the data in it; nothing is fetched.",
        max_length=253,
    )


class OldModelStorageSpec(KubeModel):
    """A model and where it comes from, as version v1beta1 had it."""

    name: str = Field(default="", description="The model's name at its source.")
    type: str = Field(default="", description="huggingface or modelscope.")


class OldModelStorageStatus(KubeModel):
    phase: str = Field(default="", description="syncing or done.")
    target_pvc_name: str = ""
    target_download_job_name: str = ""
    failure_message: str = ""


_OLD_VERSION = "v1beta1"
_OLD_WARNING = "cpod.cpod/v1beta1 ModelStorage is for reading what is there; write cpod.cpod/v1"

_CLAIM_STAYS = Rule(
    "!has(oldSelf.status) || !has(oldSelf.status.phase) || oldSelf.status.phase != 'done' || "
    "(has(self.spec.pvc) ? self.spec.pvc : '') == (has(oldSelf.spec.pvc) ? oldSelf.spec.pvc : '')",
    "the files are in use under this name, in that claim: make a storage of another name, or delete this one and "
    "apply it anew",
    field_path=".spec.pvc",
)
"""Pods that run have the one claim mounted, and those that start later would have another, under one name."""


def model_storage_crd() -> Object:
    columns = (
        Column("ModelType", ".spec.modeltype"),
        Column("ModelName", ".spec.modelname"),
        Column("Template", ".spec.template"),
        Column("Phase", ".status.phase"),
        Column("Size", ".status.size", "integer"),
    )
    definition = crd(MODELSTORAGES, ModelStorageSpec, ModelStorageStatus, columns, (_CLAIM_STAYS,))
    old = dataclasses.replace(MODELSTORAGES, version=_OLD_VERSION)
    (version,) = crd(old, OldModelStorageSpec, OldModelStorageStatus, (Column("Phase", ".status.phase"),))["spec"][
        "versions"
    ]
    # Objects of that version are in clusters still. They are read as they are, since the two have no field in common
    # that one could be converted to the other by (spec.conversion None, the default).
    version |= {"storage": False, "deprecated": True, "deprecationWarning": _OLD_WARNING}
    version["schema"]["openAPIV3Schema"]["properties"]["spec"][PRESERVE] = True
    version["schema"]["openAPIV3Schema"]["properties"]["status"][PRESERVE] = True
    definition["spec"]["versions"].append(version)
    return definition


def dataset_storage_crd() -> Object:
    columns = (
        Column("DatasetType", ".spec.datasettype"),
        Column("DatasetName", ".spec.datasetname"),
        Column("Phase", ".status.phase"),
    )
    return crd(DATASETSTORAGES, DataSetStorageSpec, DataSetStorageStatus, columns, (_CLAIM_STAYS,))
