"""The training operator's kinds (training-operator v1.9, kubeflow.org/v1; mpi-operator, v2beta1)."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from cpod_jupyter.api.cpodjob import Condition, ReplicaSpec
from cpod_jupyter.api.model import Column, KubeModel, crd, kubernetes_type
from cpod_jupyter.api.resources import (
    JAXJOBS,
    MPIJOBS,
    MPIJOBS_V2BETA1,
    PADDLEJOBS,
    PYTORCHJOBS,
    TFJOBS,
    XGBOOSTJOBS,
    Object,
    Resource,
)

LABEL_JOB_NAME = "training.kubeflow.org/job-name"
LABEL_REPLICA_TYPE = "training.kubeflow.org/replica-type"
LABEL_REPLICA_INDEX = "training.kubeflow.org/replica-index"
LABEL_OPERATOR = "training.kubeflow.org/operator-name"
LABEL_ROLE = "training.kubeflow.org/job-role"

CleanPodPolicy = Literal["None", "Running", "All"]


class SchedulingPolicy(KubeModel):
    min_available: int | None = None
    queue: str | None = None
    min_resources: dict[str, int | str] | None = None
    priority_class: str | None = None
    schedule_timeout_seconds: int | None = None


class JobLimits(KubeModel):
    """The part of a run policy that Kubeflow's kinds and KubeDL's have alike."""

    clean_pod_policy: CleanPodPolicy | None = Field(default=None, description="Which pods go when the job ends.")
    ttl_seconds_after_finished: int | None = Field(default=None, description="Seconds until the ended job is deleted.")
    active_deadline_seconds: int | None = Field(default=None, ge=0, description="Seconds that the job may run.")
    backoff_limit: int | None = Field(default=None, ge=0, description="Restarts before the job counts as failed.")


class RunPolicy(JobLimits):
    scheduling_policy: SchedulingPolicy | None = Field(
        default=None, description="For gang schedulers; the embedded engine schedules pods one by one."
    )
    suspend: bool = Field(default=False, description="Hold the job: no pods.")
    managed_by: str | None = Field(default=None, description="Who reconciles the job, if not the training operator.")


class PaddleElasticPolicy(KubeModel):
    min_replicas: int | None = None
    max_replicas: int | None = None
    max_restarts: int | None = None
    metrics: list[dict[str, Any]] | None = Field(default=None, description="Not followed: there is no autoscaler.")


class RdzvConf(KubeModel):
    key: str | None = None
    value: str | None = None


class ElasticPolicy(PaddleElasticPolicy):
    rdzv_backend: Literal["c10d", "etcd", "etcd-v2"] | None = None
    rdzv_port: int | None = None
    rdzv_host: str | None = None
    rdzv_id: str | None = None
    rdzv_conf: list[RdzvConf] | None = None
    standalone: bool | None = None
    n_proc_per_node: int | None = None
    max_restarts: int | None = None


class PyTorchJobSpec(KubeModel):
    """Distributed PyTorch: one Master at most, and Workers."""

    pytorch_replica_specs: dict[str, ReplicaSpec] = Field(description="Pods by role: Master, Worker.")
    run_policy: RunPolicy | None = None
    elastic_policy: ElasticPolicy | None = None
    nproc_per_node: str | None = Field(default=None, description="Processes a pod: auto, cpu, gpu or a number.")


class TFJobSpec(KubeModel):
    """Distributed TensorFlow."""

    tf_replica_specs: dict[str, ReplicaSpec] = Field(
        description="Pods by role: Chief or Master, PS, Worker, Evaluator."
    )
    run_policy: RunPolicy | None = None
    success_policy: str | None = Field(default=None, description="Empty (worker 0 decides) or AllWorkers.")
    enable_dynamic_worker: bool | None = Field(default=None, description="Workers may come and go.")


class XGBoostJobSpec(KubeModel):
    """Distributed XGBoost or LightGBM: the Master runs the tracker."""

    xgb_replica_specs: dict[str, ReplicaSpec] = Field(description="Pods by role: Master, Worker.")
    run_policy: RunPolicy | None = None


class PaddleJobSpec(KubeModel):
    """Distributed PaddlePaddle."""

    paddle_replica_specs: dict[str, ReplicaSpec] = Field(description="Pods by role: Master, Worker.")
    run_policy: RunPolicy | None = None
    elastic_policy: PaddleElasticPolicy | None = None


class JAXJobSpec(KubeModel):
    """Distributed JAX: worker 0 is the coordinator."""

    jax_replica_specs: dict[str, ReplicaSpec] = Field(description="Pods by role: Worker.")
    run_policy: RunPolicy | None = None


class MPIJobSpec(KubeModel):
    """A launcher that runs mpirun, and workers in which the ranks run."""

    mpi_replica_specs: dict[str, ReplicaSpec] = Field(description="Pods by role: Launcher, Worker.")
    run_policy: RunPolicy | None = None
    slots_per_worker: int | None = Field(default=None, description="Ranks that a worker holds; 1 when left out.")
    clean_pod_policy: CleanPodPolicy | None = Field(default=None, description="As runPolicy.cleanPodPolicy.")
    main_container: str | None = Field(default=None, description="The container of a worker in which ranks run.")


class MPIJobSpecV2(KubeModel):
    """A launcher that runs mpirun, and workers in which the ranks run."""

    mpi_replica_specs: dict[str, ReplicaSpec] = Field(description="Pods by role: Launcher, Worker.")
    run_policy: RunPolicy | None = None
    slots_per_worker: int = Field(default=1, description="Ranks that a worker holds.")
    run_launcher_as_worker: bool = Field(default=False, description="Ranks run in the launcher's pod as well.")
    ssh_auth_mount_path: str = Field(default="/root/.ssh", description="Where the keys are mounted.")
    launcher_creation_policy: Literal["AtStartup", "WaitForWorkersReady"] = Field(
        default="AtStartup", description="When the launcher is made."
    )
    mpi_implementation: Literal["OpenMPI", "Intel", "MPICH"] = Field(
        default="OpenMPI", description="Whose mpirun the launcher runs."
    )


class ReplicaStatus(KubeModel):
    active: int | None = None
    succeeded: int | None = None
    failed: int | None = None
    label_selector: dict[str, Any] | None = kubernetes_type("V1LabelSelector")
    selector: str | None = None


class JobStatus(KubeModel):
    conditions: list[Condition] = Field(default_factory=list)
    replica_statuses: dict[str, ReplicaStatus] | None = None
    start_time: str | None = None
    completion_time: str | None = None
    last_reconcile_time: str | None = None


STATE = Column("State", ".status.conditions[-1:].type")
AGE = Column("Age", ".metadata.creationTimestamp", "date")


def _one(resource: Resource, spec: type[BaseModel], scaled: str = "") -> Object:
    """A definition; `scaled` names the field of the replica specs whose Workers the subresource `scale` changes."""
    found = crd(resource, spec, JobStatus, (STATE, AGE))
    if scaled:
        found["spec"]["versions"][0]["subresources"]["scale"] = {
            "specReplicasPath": f".spec.{scaled}.Worker.replicas",
            "statusReplicasPath": ".status.replicaStatuses.Worker.active",
            "labelSelectorPath": ".status.replicaStatuses.Worker.selector",
        }
    return found


def mpijob_crd() -> Object:
    """Both operators' versions under the name that they share.

    An object is stored as it was sent, so what each version has alone must survive a write through the other one:
    v1 knows the fields of v2beta1, without their defaults. By those defaults the controller knows whose an object is.
    """
    first = crd(MPIJOBS, MPIJobSpec, JobStatus, (AGE, STATE))
    second = crd(MPIJOBS_V2BETA1, MPIJobSpecV2, JobStatus, (AGE, STATE))
    (old,), (new,) = first["spec"]["versions"], second["spec"]["versions"]
    mine, others = _spec_properties(old), _spec_properties(new)
    for name, schema in others.items():
        mine.setdefault(name, {key: value for key, value in schema.items() if key != "default"})
    for name, schema in mine.items():
        others.setdefault(name, schema)
    first["spec"]["versions"].append({**new, "storage": False})
    return first


def _spec_properties(version: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    return found


def kubeflow_crds() -> list[Object]:
    """What training-operator and mpi-operator define."""
    return [
        _one(PYTORCHJOBS, PyTorchJobSpec, "pytorchReplicaSpecs"),
        _one(TFJOBS, TFJobSpec),
        _one(XGBOOSTJOBS, XGBoostJobSpec),
        _one(PADDLEJOBS, PaddleJobSpec, "paddleReplicaSpecs"),
        _one(JAXJOBS, JAXJobSpec, "jaxReplicaSpecs"),
        mpijob_crd(),
    ]
