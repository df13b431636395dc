"""KServe's InferenceService, ServingRuntime and ClusterServingRuntime, as the embedded engine serves them.

The fields are those of KServe 0.20 (serving.kserve.io v1beta1 and v1alpha1). What only a cluster can do (transformers,
explainers, several nodes, canaries) is taken by the definitions too, so that a manifest is refused by the controller
in words, on the object, and not by a schema.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field

from cpod_jupyter.api.model import Column, KubeModel, crd, kubernetes_type
from cpod_jupyter.api.resources import CLUSTERSERVINGRUNTIMES, INFERENCESERVICES, SERVINGRUNTIMES, Object

FRAMEWORKS = (
    "sklearn", "xgboost", "tensorflow", "pytorch", "triton", "onnx", "huggingface", "pmml", "lightgbm", "paddle",
)  # fmt: skip
"""Fields of a predictor that stand for `model` with the format of that name."""

_OPEN = ConfigDict(json_schema_extra={"x-kubernetes-preserve-unknown-fields": True})


class ModelFormat(KubeModel):
    name: str = Field(description="Such as huggingface or sklearn.")
    version: str | None = Field(default=None, description="major, major.minor or major.minor.patch.")


class Storage(KubeModel):
    """KServe's StorageSpec."""

    key: str | None = Field(default=None, description="A key of the Secret `storage-config`.")
    path: str | None = None
    parameters: dict[str, str] | None = None


class ContainerFields(KubeModel):
    """The fields of a container, which a model has too: they are laid over those of its runtime's container."""

    name: str | None = None
    image: str | None = None
    command: list[str] | None = None
    args: list[str] | None = Field(default=None, description="Follow the arguments of the runtime.")
    working_dir: str | None = None
    env: list[dict[str, Any]] | None = kubernetes_type("V1EnvVar", many=True)
    env_from: list[dict[str, Any]] | None = kubernetes_type("V1EnvFromSource", many=True)
    ports: list[dict[str, Any]] | None = kubernetes_type("V1ContainerPort", many=True)
    resources: dict[str, Any] | None = kubernetes_type("V1ResourceRequirements")
    volume_mounts: list[dict[str, Any]] | None = kubernetes_type("V1VolumeMount", many=True)
    readiness_probe: dict[str, Any] | None = kubernetes_type("V1Probe")
    liveness_probe: dict[str, Any] | None = kubernetes_type("V1Probe")
    startup_probe: dict[str, Any] | None = kubernetes_type("V1Probe")
    lifecycle: dict[str, Any] | None = kubernetes_type("V1Lifecycle")
    security_context: dict[str, Any] | None = kubernetes_type("V1SecurityContext")
    image_pull_policy: str | None = None
    termination_message_path: str | None = None
    termination_message_policy: str | None = None


class ModelPlace(KubeModel):
    """Where a model is, and how it is asked."""

    storage_uri: str | None = Field(
        default=None, description="Where the model is: pvc://, hf://, https://, s3://, gs://, file:// or pypi://."
    )
    runtime_version: str | None = Field(default=None, description="Replaces the tag of the runtime's image.")
    protocol_version: str | None = Field(default=None, description="v1, v2, grpc-v1 or grpc-v2.")
    storage: Storage | None = None


class FrameworkSpec(ModelPlace):
    """A model of the format that the field is named after; the same as `model` with that format.

    It takes the fields of a container as well, which are not written out ten times.
    """

    model_config = _OPEN


class ModelSpec(ModelPlace, ContainerFields):
    """KServe's `predictor.model`: a format, the runtime that serves it, and where the model is."""

    model_config = _OPEN

    model_format: ModelFormat | None = None
    runtime: str | None = Field(
        default=None,
        description="A ServingRuntime of the namespace, or else a ClusterServingRuntime; left out, one is chosen.",
    )


class StorageUri(KubeModel):
    uri: str = Field(min_length=1)
    mount_path: str = Field(default="/mnt/models", max_length=255, pattern="^/.*")


class PodFields(KubeModel):
    """The fields of a pod that a runtime has, and a predictor beside more."""

    node_selector: dict[str, str] | None = None
    affinity: dict[str, Any] | None = kubernetes_type("V1Affinity")
    tolerations: list[dict[str, Any]] | None = kubernetes_type("V1Toleration", many=True)
    volumes: list[dict[str, Any]] | None = kubernetes_type("V1Volume", many=True)
    image_pull_secrets: list[dict[str, Any]] | None = kubernetes_type("V1LocalObjectReference", many=True)
    scheduler_name: str | None = None
    host_i_p_c: bool | None = Field(default=None, alias="hostIPC")
    labels: dict[str, str] | None = Field(default=None, description="Of the pods.")
    annotations: dict[str, str] | None = Field(default=None, description="Of the pods.")


class PredictorSpec(PodFields):
    """KServe's PredictorSpec: a model, or containers; how many; and fields of the pod."""

    model: ModelSpec | None = Field(default=None, description="A model and the runtime that serves it.")
    sklearn: FrameworkSpec | None = None
    xgboost: FrameworkSpec | None = None
    tensorflow: FrameworkSpec | None = None
    pytorch: FrameworkSpec | None = None
    triton: FrameworkSpec | None = None
    onnx: FrameworkSpec | None = None
    huggingface: FrameworkSpec | None = None
    pmml: FrameworkSpec | None = None
    lightgbm: FrameworkSpec | None = None
    paddle: FrameworkSpec | None = None
    containers: list[dict[str, Any]] | None = kubernetes_type(
        "V1Container", "Containers of the pod, one of them `kserve-container`; beside a model, its sidecars.", many=True
    )
    init_containers: list[dict[str, Any]] | None = None
    storage_uris: list[StorageUri] | None = Field(default=None, min_length=1)
    storage_container_name: str | None = None
    name: str | None = Field(default=None, description="Of the predictor's Service, instead of NAME-predictor.")
    min_replicas: int | None = Field(default=None, ge=0, description="1 by default; 0: none while nobody asks.")
    max_replicas: int | None = Field(default=None, ge=0)
    scale_target: int | None = None
    scale_metric: Literal["cpu", "memory", "concurrency", "rps"] | None = None
    scale_metric_type: str | None = None
    auto_scaling: dict[str, Any] | None = None
    container_concurrency: int | None = None
    timeout: int | None = Field(default=None, description="Seconds that a request may take.")
    canary_traffic_percent: int | None = None
    deployment_strategy: dict[str, Any] | None = None
    worker_spec: dict[str, Any] | None = Field(default=None, description="Several nodes, which only a cluster has.")
    logger: dict[str, Any] | None = None
    batcher: dict[str, Any] | None = None
    service_account_name: str | None = None
    service_account: str | None = None
    automount_service_account_token: bool | None = None
    termination_grace_period_seconds: int | None = Field(default=None, json_schema_extra={"format": "int64"})
    active_deadline_seconds: int | None = Field(default=None, json_schema_extra={"format": "int64"})
    restart_policy: str | None = None
    runtime_class_name: str | None = None
    priority_class_name: str | None = None
    priority: int | None = None
    node_name: str | None = None
    hostname: str | None = None
    subdomain: str | None = None
    dns_policy: str | None = None
    enable_service_links: bool | None = None
    share_process_namespace: bool | None = None
    host_network: bool | None = None
    host_p_i_d: bool | None = Field(default=None, alias="hostPID")
    security_context: dict[str, Any] | None = kubernetes_type("V1PodSecurityContext")
    host_aliases: list[dict[str, Any]] | None = kubernetes_type("V1HostAlias", many=True)
    topology_spread_constraints: list[dict[str, Any]] | None = kubernetes_type("V1TopologySpreadConstraint", many=True)


class InferenceServiceSpec(KubeModel):
    """Serve a model behind one URL."""

    predictor: PredictorSpec
    transformer: dict[str, Any] | None = Field(default=None, description="Only on a cluster with KServe.")
    explainer: dict[str, Any] | None = Field(default=None, description="Only on a cluster with KServe.")
    canary: list[dict[str, Any]] | None = Field(default=None, description="Only on a cluster with KServe.")


class InferenceServiceStatus(KubeModel):
    model_config = _OPEN

    conditions: list[dict[str, Any]] = Field(default_factory=list)
    url: str | None = None
    observed_generation: int = Field(default=0, json_schema_extra={"format": "int64"})


class SupportedModelFormat(KubeModel):
    name: str
    version: str | None = None
    auto_select: bool | None = Field(default=None, description="Whether it is chosen for models that name no runtime.")
    priority: int | None = Field(default=None, ge=1, description="Among runtimes that fit, the highest one is chosen.")


class ServingRuntimeSpec(PodFields):
    """How models of some formats are served: the container to which a model's own fields are added."""

    containers: list[dict[str, Any]] = Field(
        json_schema_extra={"x-cpod-kubernetes-model": "V1Container", "x-cpod-many": True},
        description="One of them is `kserve-container`.",
    )
    supported_model_formats: list[SupportedModelFormat] | None = None
    protocol_versions: list[str] | None = None
    disabled: bool | None = None
    multi_model: bool | None = Field(default=None, description="For ModelMesh, which the engine is not.")
    worker_spec: dict[str, Any] | None = None
    built_in_adapter: dict[str, Any] | None = None
    storage_helper: dict[str, Any] | None = None
    grpc_endpoint: str | None = None
    grpc_data_endpoint: str | None = None
    http_data_endpoint: str | None = None
    replicas: int | None = None


class ServingRuntimeStatus(KubeModel):
    model_config = _OPEN


def kserve_crds() -> list[Object]:
    """The definitions of the kinds that a cluster has from KServe."""
    service_columns = (
        Column("URL", ".status.url"),
        Column("Ready", ".status.conditions[?(@.type=='Ready')].status"),
        Column("Age", ".metadata.creationTimestamp", "date"),
    )
    runtime_columns = (
        Column("Disabled", ".spec.disabled", "boolean"),
        Column("ModelType", ".spec.supportedModelFormats[*].name"),
        Column("Containers", ".spec.containers[*].name"),
        Column("Age", ".metadata.creationTimestamp", "date"),
    )
    return [
        crd(INFERENCESERVICES, InferenceServiceSpec, InferenceServiceStatus, service_columns),
        crd(SERVINGRUNTIMES, ServingRuntimeSpec, ServingRuntimeStatus, runtime_columns),
        crd(CLUSTERSERVINGRUNTIMES, ServingRuntimeSpec, ServingRuntimeStatus, runtime_columns),
    ]
