"""KubeDL's kinds that are no one else's: ElasticDLJob and MarsJob, in their present and their older groups."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from cpod_jupyter.api import cpodjob
from cpod_jupyter.api.cpodjob import Condition
from cpod_jupyter.api.kubeflow import AGE, STATE, JobLimits
from cpod_jupyter.api.model import Column, KubeModel, crd
from cpod_jupyter.api.resources import (
    ELASTICDLJOBS,
    ELASTICDLJOBS_OLD,
    MARSJOBS,
    MARSJOBS_OLD,
    Object,
)


class SpotReplicaSpec(KubeModel):
    labels: dict[str, str] | None = None
    priority_class_name: str | None = None
    spot_replica_number: int | None = None


class ReplicaSpec(cpodjob.ReplicaSpec):
    spot_replica_spec: SpotReplicaSpec | None = Field(default=None, description="Not followed: no spot nodes.")


class SchedulingPolicy(KubeModel):
    min_available: int | None = None
    priority: int | None = None
    priority_class_name: str | None = None
    queue: str | None = None


class CronPolicy(KubeModel):
    schedule: str
    concurrency_policy: Literal["Allow", "Forbid", "Replace"] | None = None
    deadline: str | None = None
    history_limit: int | None = None
    suspend: bool | None = None


class RunPolicy(JobLimits):
    """KubeDL has its run policy in the spec itself."""

    scheduling_policy: SchedulingPolicy | None = Field(
        default=None, description="For gang schedulers; the embedded engine schedules pods one by one."
    )
    cron_policy: CronPolicy | None = Field(default=None, description="Refused here: the engine has no cron.")


class ElasticDLJobSpec(RunPolicy):
    """ElasticDL: a master, which makes its workers and parameter servers through the API."""

    elasticdl_replica_specs: dict[str, ReplicaSpec] = Field(description="Pods by role: Master.")


class WorkerMemoryTuningPolicy(KubeModel):
    plasma_store: str | None = None
    lock_free_file_io: bool | None = Field(default=None, alias="lockFreeFileIO")
    spill_dirs: list[str] | None = None
    worker_cache_percentage: int | None = None
    worker_cache_size: int | str | None = None


class MarsJobSpec(RunPolicy):
    """Mars: schedulers, workers and web services."""

    mars_replica_specs: dict[str, ReplicaSpec] = Field(description="Pods by role: Scheduler, Worker, WebService.")
    worker_memory_tuning_policy: WorkerMemoryTuningPolicy | None = None
    web_host: str | None = Field(default=None, description="Not followed: the engine has no ingress.")


class ReplicaStatus(KubeModel):
    active: int | None = None
    succeeded: int | None = None
    failed: int | None = None
    evicted: int | None = None


class JobStatus(KubeModel):
    conditions: list[Condition] = Field(default_factory=list)
    replica_statuses: dict[str, ReplicaStatus] | None = None
    start_time: str | None = None
    completion_time: str | None = None
    last_reconcile_time: str | None = None
    cache_backend_name: str | None = None
    model_version_name: str | None = None


class MarsJobStatus(JobStatus):
    web_service_addresses: list[str] | None = None


def kubedl_crds() -> list[Object]:
    """Both kinds in both groups; what is defined for the older one is the same."""
    columns = (
        STATE,
        AGE,
        Column("TTL-AFTER-FINISHED", ".spec.ttlSecondsAfterFinished", "integer"),
        Column("Max-Lifetime", ".spec.activeDeadlineSeconds", "integer"),
    )
    elasticdl: tuple[type[BaseModel], type[BaseModel]] = (ElasticDLJobSpec, JobStatus)
    mars: tuple[type[BaseModel], type[BaseModel]] = (MarsJobSpec, MarsJobStatus)
    return [
        crd(ELASTICDLJOBS, *elasticdl, columns),
        crd(ELASTICDLJOBS_OLD, *elasticdl, columns),
        crd(MARSJOBS, *mars, columns),
        crd(MARSJOBS_OLD, *mars, columns),
    ]
