"""Kubeflow's PyTorchJob (training-operator v1.9, kubeflow.org/v1) as the embedded engine serves it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from cpod_jupyter.api.cpodjob import Condition, ReplicaSpec
from cpod_jupyter.api.model import Column, KubeModel, crd
from cpod_jupyter.api.resources import PYTORCHJOBS, Object

LABEL_JOB_NAME = "training.kubeflow.org/job-name"
LABEL_REPLICA_TYPE = "training.kubeflow.org/replica-type"
LABEL_REPLICA_INDEX = "training.kubeflow.org/replica-index"
LABEL_OPERATOR = "training.kubeflow.org/operator-name"
LABEL_ROLE = "training.kubeflow.org/job-role"


class SchedulingPolicy(KubeModel):
    min_available: int | None = None
    queue: str | None = None
    min_resources: dict[str, Any] | None = None
    priority_class: str | None = None
    schedule_timeout_seconds: int | None = None


class RunPolicy(KubeModel):
    clean_pod_policy: Literal["None", "Running", "All"] | None = Field(
        default=None, description="Which pods go when the job ends."
    )
    ttl_seconds_after_finished: int | None = None
    active_deadline_seconds: int | None = Field(default=None, ge=0, description="Seconds that the job may run.")
    backoff_limit: int | None = Field(default=None, ge=0, description="Restarts before the job counts as failed.")
    scheduling_policy: SchedulingPolicy | None = None
    suspend: bool = Field(default=False, description="Hold the job: no pods.")
    managed_by: str | None = None


class ElasticPolicy(KubeModel):
    min_replicas: int | None = None
    max_replicas: int | None = None
    rdzv_backend: Literal["c10d", "etcd", "etcd-v2"] | None = None
    rdzv_port: int | None = None
    rdzv_host: str | None = None
    rdzv_id: str | None = None
    rdzv_conf: list[dict[str, Any]] | None = None
    standalone: bool | None = None
    n_proc_per_node: int | None = None
    max_restarts: int | None = None
    metrics: list[dict[str, Any]] | None = None


class PyTorchReplicaSpecs(KubeModel):
    master: ReplicaSpec | None = Field(default=None, alias="Master")
    worker: ReplicaSpec | None = Field(default=None, alias="Worker")


class PyTorchJobSpec(KubeModel):
    """Distributed PyTorch: one Master at most, and Workers."""

    pytorch_replica_specs: PyTorchReplicaSpecs = Field(description="Pods by role: Master, Worker.")
    run_policy: RunPolicy | None = None
    elastic_policy: ElasticPolicy | None = None
    nproc_per_node: str | None = Field(default=None, description="Processes a pod: auto, cpu, gpu or a number.")


class ReplicaStatus(KubeModel):
    active: int | None = None
    succeeded: int | None = None
    failed: int | None = None
    selector: str | None = None


class JobStatus(KubeModel):
    conditions: list[Condition] = Field(default_factory=list)
    replica_statuses: dict[str, ReplicaStatus] | None = None
    start_time: str | None = None
    completion_time: str | None = None
    last_reconcile_time: str | None = None
    observed_generation: int = Field(default=0, json_schema_extra={"format": "int64"})


def pytorchjob_crd() -> Object:
    columns = (
        Column("State", ".status.conditions[-1:].type"),
        Column("Age", ".metadata.creationTimestamp", "date"),
    )
    return crd(PYTORCHJOBS, PyTorchJobSpec, JobStatus, columns)
