"""The part of KServe's InferenceService (serving.kserve.io/v1beta1) that the embedded engine serves."""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict, Field

from cpod_jupyter.api.model import Column, KubeModel, crd, kubernetes_type
from cpod_jupyter.api.resources import INFERENCESERVICES, Object


class ModelFormat(KubeModel):
    name: str
    version: str | None = None


class ModelSpec(KubeModel):
    """KServe's `predictor.model`: a format, a runtime, and where the model is."""

    model_config = ConfigDict(json_schema_extra={"x-kubernetes-preserve-unknown-fields": True})

    model_format: ModelFormat
    runtime: str | None = None
    storage_uri: str | None = None
    protocol_version: str | None = None
    args: list[str] | None = None
    env: list[dict[str, Any]] | None = kubernetes_type("V1EnvVar", many=True)
    resources: dict[str, Any] | None = kubernetes_type("V1ResourceRequirements")


class PredictorSpec(KubeModel):
    """KServe's PredictorSpec: containers or a model, how many, and fields of the pod."""

    containers: list[dict[str, Any]] | None = kubernetes_type(
        "V1Container", "Containers of the pod, one of them `kserve-container`.", many=True
    )
    model: ModelSpec | None = Field(default=None, description="A model and the runtime that serves it.")
    min_replicas: int | None = Field(default=None, ge=0)
    max_replicas: int | None = Field(default=None, ge=0)
    scale_target: int | None = None
    scale_metric: str | None = None
    container_concurrency: int | None = None
    timeout: int | None = Field(default=None, description="Seconds that a request may take.")
    canary_traffic_percent: int | None = None
    node_selector: dict[str, str] | None = None
    tolerations: list[dict[str, Any]] | None = kubernetes_type("V1Toleration", many=True)
    affinity: dict[str, Any] | None = kubernetes_type("V1Affinity")
    volumes: list[dict[str, Any]] | None = kubernetes_type("V1Volume", many=True)
    image_pull_secrets: list[dict[str, Any]] | None = None
    service_account_name: str | None = None
    runtime_class_name: str | None = None
    scheduler_name: str | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None


class InferenceServiceSpec(KubeModel):
    """Serve a model behind one URL."""

    predictor: PredictorSpec


class InferenceServiceStatus(KubeModel):
    model_config = ConfigDict(json_schema_extra={"x-kubernetes-preserve-unknown-fields": True})

    conditions: list[dict[str, Any]] = Field(default_factory=list)
    url: str | None = None
    observed_generation: int = Field(default=0, json_schema_extra={"format": "int64"})


def inference_service_crd() -> Object:
    columns = (
        Column("URL", ".status.url"),
        Column("Ready", ".status.conditions[?(@.type=='Ready')].status"),
        Column("Age", ".metadata.creationTimestamp", "date"),
    )
    return crd(INFERENCESERVICES, InferenceServiceSpec, InferenceServiceStatus, columns)
