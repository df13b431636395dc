"""Inference: a deployed model, served through KServe's InferenceService or KubeRay's RayService."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field

from cpod_jupyter.api.kserve import PredictorSpec
from cpod_jupyter.api.model import Column, KubeModel, Rule, crd
from cpod_jupyter.api.resources import INFERENCES, Object
from cpod_jupyter.api.schema import PRESERVE

FRAMEWORKS = (
    "sklearn", "xgboost", "tensorflow", "pytorch", "triton", "onnx", "huggingface", "pmml", "lightgbm", "paddle",
)  # fmt: skip
"""KServe's older spelling of `predictor.model`: a field for each model format (v1beta1 PredictorSpec)."""

PREDICTOR_FIELDS = frozenset(
    (
        *FRAMEWORKS, "model", "containers", "initContainers", "name", "storageUris", "storageContainerName",
        "workerSpec", "minReplicas", "maxReplicas", "scaleTarget", "scaleMetric", "scaleMetricType", "autoScaling",
        "containerConcurrency", "timeout", "canaryTrafficPercent", "logger", "batcher", "labels", "annotations",
        "deploymentStrategy", "activeDeadlineSeconds", "affinity", "automountServiceAccountToken", "dnsConfig",
        "dnsPolicy", "enableServiceLinks", "hostAliases", "hostIPC", "hostNetwork", "hostPID", "hostUsers", "hostname",
        "hostnameOverride", "imagePullSecrets", "nodeName", "nodeSelector", "os", "overhead", "preemptionPolicy",
        "priority", "priorityClassName", "readinessGates", "resourceClaims", "resources", "restartPolicy",
        "runtimeClassName", "schedulerName", "schedulingGates", "securityContext", "serviceAccount",
        "serviceAccountName", "setHostnameAsFQDN", "shareProcessNamespace", "subdomain",
        "terminationGracePeriodSeconds", "tolerations", "topologySpreadConstraints", "volumes",
    )
)  # fmt: skip
"""What KServe's v1beta1 PredictorSpec has (version 0.20), fields of the pod included."""


class AutoscalerOptions(KubeModel):
    """Bounds of the number of replicas; the same as the predictor's own fields of these names."""

    min_replicas: int | None = Field(default=None, ge=0, description="At least; 1 when left out, 0 scales to zero.")
    max_replicas: int | None = Field(default=None, ge=1, description="At most.")


class GivenPredictor(PredictorSpec):
    """All of KServe's PredictorSpec: what is not spelt out here is handed on, and its name checked by the operator."""

    model_config = ConfigDict(json_schema_extra={PRESERVE: True})


class InferenceSpec(KubeModel):
    """Deploy a model. `modelId` alone is enough: the operator then chooses the server."""

    predictor: GivenPredictor | None = Field(default=None, description="As KServe's InferenceService has it.")
    model_id: str = Field(default="", description="The ModelStorage to serve.")
    model_is_public: bool = Field(default=False, description="The model is in the namespace `public`.")
    backend: Literal["", "kserve", "ray"] = Field(default="kserve", description="What serves: kserve or ray.")
    gpu_count: int = Field(default=0, ge=0, description="GPUs that each replica asks for.")
    gpu_type: str = Field(default="", description="GPU product, as the node label nvidia.com/gpu.product has it.")
    autoscaler_options: AutoscalerOptions | None = Field(default=None, description="Bounds of the replicas.")
    params: str | None = Field(default=None, description="Extra parameters of the engine, a JSON object.")


class InferenceStatus(KubeModel):
    data_ready: bool = Field(default=False, description="The model is there.")
    ready: bool = Field(default=False, description="The deployment answers.")
    url: str | None = Field(default=None, description="Where it answers.")
    engine: str = Field(default="", description="What serves: vLLM, transformers, LLaMA-Factory, Triton.")
    failure_message: str = Field(
        default="", description="Why it does not become ready; or, while an older one answers, why the newer does not."
    )
    conditions: list[dict[str, Any]] = Field(default_factory=list)
    observed_generation: int = Field(default=0, json_schema_extra={"format": "int64"})


def inference_crd() -> Object:
    columns = (
        Column("Ready", ".status.ready", "boolean"),
        Column("URL", ".status.url"),
        Column("Age", ".metadata.creationTimestamp", "date"),
    )
    backend = Rule(
        "(self.spec.backend == 'ray') == (oldSelf.spec.backend == 'ray')",
        "backend is fixed: what serves would be torn down before its successor answers; make a second Inference with "
        "the other backend, and delete this one when that is ready",
        ".spec.backend",
    )
    return crd(INFERENCES, InferenceSpec, InferenceStatus, columns, (backend,))
