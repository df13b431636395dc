"""Inference: a deployed model, served through KServe's InferenceService."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from cpod_jupyter.api.kserve import PredictorSpec
from cpod_jupyter.api.model import Column, KubeModel, crd
from cpod_jupyter.api.resources import INFERENCES, Object


class AutoscalerOptions(KubeModel):
    min_replicas: int = Field(default=1, ge=0)
    max_replicas: int = Field(default=1, ge=1)


class InferenceSpec(KubeModel):
    """Deploy a model. `modelId` alone is enough: the operator then chooses the server."""

    predictor: PredictorSpec | None = Field(default=None, description="As KServe's InferenceService has it.")
    model_id: str = Field(default="", description="The ModelStorage to serve.")
    model_is_public: bool = Field(default=False, description="The model is in the namespace `public`.")
    backend: Literal["", "kserve", "ray"] = Field(default="kserve", description="What serves: kserve or ray.")
    gpu_count: int = Field(default=0, ge=0, description="GPUs that each replica asks for.")
    autoscaler_options: AutoscalerOptions | None = Field(default=None, description="Bounds of the replicas.")
    params: str | None = Field(default=None, description="Extra parameters of the engine, a JSON object.")


class InferenceStatus(KubeModel):
    data_ready: bool = Field(default=False, description="The model is there.")
    ready: bool = Field(default=False, description="The deployment answers.")
    url: str | None = Field(default=None, description="Where it answers.")
    failure_message: str = Field(default="", description="Why it does not become ready.")
    conditions: list[dict[str, Any]] = Field(default_factory=list)
    observed_generation: int = Field(default=0, json_schema_extra={"format": "int64"})


def inference_crd() -> Object:
    columns = (
        Column("Ready", ".status.ready", "boolean"),
        Column("URL", ".status.url"),
        Column("Age", ".metadata.creationTimestamp", "date"),
    )
    return crd(INFERENCES, InferenceSpec, InferenceStatus, columns)
