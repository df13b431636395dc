"""Kubeflow Trainer's kinds (trainer.kubeflow.org/v1alpha1, v2.3): TrainJob, and the runtimes that it refers to.

A runtime holds the template of a JobSet (jobset.x-k8s.io/v1alpha2); what of it the embedded engine carries out is
said in `docs/kinds.md`.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from cpod_jupyter.api.model import Column, KubeModel, Rule, crd, kubernetes_type
from cpod_jupyter.api.resources import CLUSTERTRAININGRUNTIMES, TRAININGRUNTIMES, TRAINJOBS, Object

MANAGER = "trainer.kubeflow.org/trainjob-controller"
"""`managedBy` of the TrainJobs that are the Trainer's own controller's."""
LABEL_ANCESTOR = "trainer.kubeflow.org/trainjob-ancestor-step"
"""On a job or a pod of a runtime's template: which part of the TrainJob it is made of."""
DATASET_INITIALIZER, MODEL_INITIALIZER, TRAINER = "dataset-initializer", "model-initializer", "trainer"
"""Values of that label; the initializers' jobs and containers are called so too."""
NODE, LAUNCHER = "node", "launcher"
"""Names of the jobs of a runtime, and of the trainer's container."""
LABEL_JOBSET = "jobset.sigs.k8s.io/jobset-name"
LABEL_REPLICATED_JOB = "jobset.sigs.k8s.io/replicatedjob-name"
LABEL_RESTART_ATTEMPT = "jobset.sigs.k8s.io/restart-attempt"

_UNIQUE_NAMES: dict[str, Any] = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}


# ---- TrainJob


class RuntimeRef(KubeModel):
    name: str = Field(description="Name of the runtime.")
    api_group: str = Field(default="trainer.kubeflow.org", description="Group of the runtime.")
    kind: str = Field(default="ClusterTrainingRuntime", description="ClusterTrainingRuntime or TrainingRuntime.")


class SecretReference(KubeModel):
    name: str = ""


class InitializerPart(KubeModel):
    storage_uri: str | None = Field(default=None, description="Where it is fetched from: hf://ORG/NAME, s3://…")
    env: list[dict[str, Any]] | None = kubernetes_type("V1EnvVar", "Environment of the initializer.", many=True)
    secret_ref: SecretReference | None = Field(default=None, description="A Secret whose keys become environment.")


class Initializer(KubeModel):
    """What is fetched before training."""

    dataset: InitializerPart | None = None
    model: InitializerPart | None = None


class Trainer(KubeModel):
    """What of the runtime's `node` containers is this job's own."""

    image: str | None = None
    command: list[str] | None = None
    args: list[str] | None = None
    env: list[dict[str, Any]] | None = kubernetes_type("V1EnvVar", "Environment, beside the runtime's.", many=True)
    num_nodes: int | None = Field(default=None, json_schema_extra={"format": "int32"}, description="Training nodes.")
    resources_per_node: dict[str, Any] | None = kubernetes_type("V1ResourceRequirements", "Resources of each node.")
    num_proc_per_node: int | None = Field(
        default=None, ge=1, json_schema_extra={"format": "int32"}, description="Processes that each node starts."
    )


class PatchMetadata(KubeModel):
    name: str | None = None
    namespace: str | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    finalizers: list[str] | None = None


class ContainerPatch(KubeModel):
    name: str
    env: list[dict[str, Any]] | None = kubernetes_type("V1EnvVar", many=True)
    volume_mounts: list[dict[str, Any]] | None = kubernetes_type("V1VolumeMount", many=True)
    security_context: dict[str, Any] | None = kubernetes_type("V1SecurityContext")


class PodSpecPatch(KubeModel):
    service_account_name: str | None = None
    node_selector: dict[str, str] | None = None
    affinity: dict[str, Any] | None = kubernetes_type("V1Affinity")
    tolerations: list[dict[str, Any]] | None = kubernetes_type("V1Toleration", many=True)
    volumes: list[dict[str, Any]] | None = kubernetes_type("V1Volume", many=True)
    init_containers: list[ContainerPatch] | None = None
    containers: list[ContainerPatch] | None = None
    scheduling_gates: list[dict[str, Any]] | None = kubernetes_type("V1PodSchedulingGate", many=True)
    image_pull_secrets: list[dict[str, Any]] | None = kubernetes_type("V1LocalObjectReference", many=True)
    security_context: dict[str, Any] | None = kubernetes_type("V1PodSecurityContext")
    termination_grace_period_seconds: int | None = Field(default=None, json_schema_extra={"format": "int64"})


class PodTemplatePatch(KubeModel):
    metadata: PatchMetadata | None = None
    spec: PodSpecPatch | None = None


class JobSpecPatch(KubeModel):
    template: PodTemplatePatch | None = None


class JobTemplatePatch(KubeModel):
    metadata: PatchMetadata | None = None
    spec: JobSpecPatch | None = None


class ReplicatedJobPatch(KubeModel):
    name: str
    template: JobTemplatePatch | None = None


class JobSetSpecPatch(KubeModel):
    replicated_jobs: list[ReplicatedJobPatch] | None = None


class JobSetPatch(KubeModel):
    metadata: PatchMetadata | None = None
    spec: JobSetSpecPatch | None = None


class RuntimeSpecPatch(KubeModel):
    template: JobSetPatch | None = None


class RuntimePatch(KubeModel):
    """What one manager changes of the runtime for this job alone."""

    manager: str = Field(description="Who patches, such as kueue.x-k8s.io/manager.")
    time: str | None = Field(default=None, json_schema_extra={"format": "date-time"})
    training_runtime_spec: RuntimeSpecPatch | None = None


class TrainJobSpec(KubeModel):
    """A training by a runtime: what is fetched first, what runs, on how many nodes."""

    runtime_ref: RuntimeRef
    initializer: Initializer | None = None
    trainer: Trainer | None = None
    runtime_patches: list[RuntimePatch] | None = None
    suspend: bool = Field(default=False, description="Hold the job: no pods.")
    active_deadline_seconds: int | None = Field(
        default=None, json_schema_extra={"format": "int64"}, description="Seconds that the job may run."
    )
    managed_by: str = Field(default=MANAGER, description="Who carries the job out.")


class MetaCondition(KubeModel):
    """metav1.Condition."""

    type: str
    status: Literal["True", "False", "Unknown"]
    reason: str
    message: str
    last_transition_time: str = Field(json_schema_extra={"format": "date-time"})
    observed_generation: int | None = Field(default=None, json_schema_extra={"format": "int64"})


class JobCounts(KubeModel):
    name: str
    ready: int = Field(json_schema_extra={"format": "int32"})
    succeeded: int = Field(json_schema_extra={"format": "int32"})
    failed: int = Field(json_schema_extra={"format": "int32"})
    active: int = Field(json_schema_extra={"format": "int32"})
    suspended: int = Field(json_schema_extra={"format": "int32"})


class TrainerMetric(KubeModel):
    name: str
    value: str


class TrainerStatus(KubeModel):
    progress_percentage: int | None = Field(default=None, json_schema_extra={"format": "int32"})
    estimated_remaining_seconds: int | None = Field(default=None, json_schema_extra={"format": "int32"})
    metrics: list[TrainerMetric] | None = None
    last_updated_time: str | None = Field(default=None, json_schema_extra={"format": "date-time"})


class TrainJobStatus(KubeModel):
    conditions: list[MetaCondition] | None = None
    jobs_status: list[JobCounts] | None = Field(default=None, json_schema_extra=_UNIQUE_NAMES)
    trainer_status: TrainerStatus | None = None


# ---- the runtimes


class EnvTarget(KubeModel):
    job_name: str
    container_names: list[str]


class EnvInjection(KubeModel):
    targets: list[EnvTarget] | None = None


class TorchPolicy(KubeModel):
    env_injection: EnvInjection | None = Field(default=None, description="Further containers that get the variables.")
    num_proc_per_node: int | str | None = Field(
        default=None, description="Processes that a node starts, as runtimes before v2.2 have it: auto, cpu, gpu or n."
    )


class MPIPolicy(KubeModel):
    mpi_implementation: Literal["OpenMPI", ""] = Field(default="OpenMPI")
    num_proc_per_node: int = Field(default=1, ge=1, json_schema_extra={"format": "int32"})
    run_launcher_as_node: bool = False
    ssh_auth_mount_path: str = "/root/.ssh"


class FluxPolicy(KubeModel):
    num_proc_per_node: int = Field(default=1, ge=1, json_schema_extra={"format": "int32"})


class Nothing(KubeModel):
    """A policy without fields: that it is there says all."""


class MLPolicy(KubeModel):
    num_nodes: int | None = Field(default=None, json_schema_extra={"format": "int32"}, description="Nodes; 1 without.")
    torch: TorchPolicy | None = None
    mpi: MPIPolicy | None = None
    jax: Nothing | None = None
    xgboost: Nothing | None = None
    flux: FluxPolicy | None = Field(default=None, description="Refused here.")


class Coscheduling(KubeModel):
    schedule_timeout_seconds: int = Field(default=60, json_schema_extra={"format": "int32"})


class NetworkTopology(KubeModel):
    mode: Literal["hard", "soft"] = "hard"
    highest_tier_allowed: int = Field(default=1)


class Volcano(KubeModel):
    network_topology: NetworkTopology | None = None


class PodGroupPolicy(KubeModel):
    coscheduling: Coscheduling | None = None
    volcano: Volcano | None = None


class DependsOn(KubeModel):
    name: str
    status: Literal["Ready", "Complete"]


class ReplicatedJob(KubeModel):
    name: str
    group_name: str = "default"
    replicas: int = Field(default=1, json_schema_extra={"format": "int32"})
    depends_on: list[DependsOn] | None = None
    template: dict[str, Any] = Field(
        json_schema_extra={"x-cpod-kubernetes-model": "V1JobTemplateSpec", "x-cpod-many": False}
    )


class FailureRule(KubeModel):
    name: str
    action: Literal[
        "FailJobSet", "RestartJobSet", "RestartJobSetAndIgnoreMaxRestarts", "RestartJob",
        "RestartJobAndIgnoreMaxRestarts",
    ]  # fmt: skip
    on_job_failure_reasons: list[str] | None = None
    on_job_failure_message_patterns: list[str] | None = None
    target_replicated_jobs: list[str] | None = None


class FailurePolicy(KubeModel):
    max_restarts: int | None = Field(default=None, json_schema_extra={"format": "int32"})
    restart_strategy: Literal["Recreate", "BlockingRecreate", "InPlaceRestart"] = "Recreate"
    rules: list[FailureRule] | None = None


class SuccessPolicy(KubeModel):
    operator: Literal["All", "Any"]
    target_replicated_jobs: list[str] | None = None


class StartupPolicy(KubeModel):
    startup_policy_order: Literal["AnyOrder", "InOrder"]


class Network(KubeModel):
    enable_dns_hostnames: bool | None = Field(default=None, alias="enableDNSHostnames")
    subdomain: str | None = None
    publish_not_ready_addresses: bool | None = None


class Coordinator(KubeModel):
    replicated_job: str
    job_index: int | None = None
    pod_index: int | None = None


class RetentionPolicy(KubeModel):
    when_deleted: Literal["Delete", "Retain"] = "Delete"


class VolumeClaimPolicy(KubeModel):
    templates: list[dict[str, Any]] | None = kubernetes_type("V1PersistentVolumeClaim", many=True)
    retention_policy: RetentionPolicy | None = None


class JobSetSpec(KubeModel):
    replicated_jobs: list[ReplicatedJob] | None = Field(default=None, json_schema_extra=_UNIQUE_NAMES)
    network: Network | None = None
    success_policy: SuccessPolicy | None = None
    failure_policy: FailurePolicy | None = None
    startup_policy: StartupPolicy | None = None
    coordinator: Coordinator | None = None
    suspend: bool | None = None
    managed_by: str | None = None
    ttl_seconds_after_finished: int | None = Field(default=None, json_schema_extra={"format": "int32"})
    volume_claim_policies: list[VolumeClaimPolicy] | None = None


class JobSetTemplate(KubeModel):
    metadata: PatchMetadata | None = None
    spec: JobSetSpec | None = None


class TrainingRuntimeSpec(KubeModel):
    """How a TrainJob that refers to this is carried out: the policy of its framework, and the jobs it consists of."""

    ml_policy: MLPolicy | None = Field(default=None, alias="mlPolicy")
    pod_group_policy: PodGroupPolicy | None = Field(default=None, description="For gang schedulers.")
    template: JobSetTemplate | None = Field(default=None, description="The jobs, as a JobSet has them.")


def _fixed(field: str) -> Rule:
    """A field that stays as it was when the job was made; one that may be left out may not come or go either."""
    this, before = f"self.spec.{field}", f"oldSelf.spec.{field}"
    kept = f"has({this}) == has({before}) && (!has({this}) || {this} == {before})"
    message = f"spec.{field} cannot be changed, because the job was made with it: submit another TrainJob"
    return Rule(kept, message, f".spec.{field}")


_RULES = (
    *(_fixed(field) for field in ("runtimeRef", "initializer", "trainer", "activeDeadlineSeconds", "managedBy")),
    Rule(
        "self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$') && size(self.metadata.name) <= 63",
        "the name must be a DNS label that begins with a letter (RFC 1035), because its nodes have names made of it",
        ".metadata",
        "FieldValueInvalid",
    ),
)
"""Those of upstream's definition, on the whole object."""


def trainer_crds() -> list[Object]:
    """What the Trainer defines. Its runtimes have no status."""
    columns = (Column("State", ".status.conditions[-1:].type"), Column("Age", ".metadata.creationTimestamp", "date"))
    found = [crd(TRAINJOBS, TrainJobSpec, TrainJobStatus, columns, _RULES)]
    for resource in (TRAININGRUNTIMES, CLUSTERTRAININGRUNTIMES):
        definition = crd(resource, TrainingRuntimeSpec, Nothing, ())
        (version,) = definition["spec"]["versions"]
        del version["schema"]["openAPIV3Schema"]["properties"]["status"]
        for field in ("subresources", "additionalPrinterColumns"):
            del version[field]
        found.append(definition)
    return found
