"""JAXJob: where `jax.distributed.initialize` meets (training-operator v1.9, package jax)."""

from __future__ import annotations

from collections.abc import Sequence

from cpod_jupyter.api.resources import JAXJOBS
from cpod_jupyter.engine.controllers.training.addresses import Endpoints
from cpod_jupyter.engine.controllers.training.kind import (
    Replica,
    TrainingJob,
    TrainingKind,
    Variable,
    Words,
    value,
)
from cpod_jupyter.engine.controllers.training.master_worker import WORKER


class JAX(TrainingKind):
    """Workers, of which the first is the coordinator."""

    resource = JAXJOBS
    specs_field = "jaxReplicaSpecs"
    roles = (WORKER,)
    container = "jax"
    port_name, port = "jaxjob-port", 6666
    operator = "jaxjob-controller"
    words = Words(running="{place} is running.", succeeded="{place} successfully completed.")

    def lead_roles(self, job: TrainingJob) -> Sequence[str]:
        return (WORKER,)

    def is_master(self, job: TrainingJob, replica: Replica) -> bool:
        return replica.index == 0

    def succeeded(self, job: TrainingJob, done: set[tuple[str, int]]) -> bool:
        return 0 < job.count(WORKER) <= len(done)

    def environment(self, job: TrainingJob, replica: Replica, places: Endpoints) -> list[Variable]:
        coordinator = job.endpoint(job.replicas[0], places)
        return [
            value("PYTHONUNBUFFERED", 1),
            value("COORDINATOR_PORT", coordinator.port),
            value("COORDINATOR_ADDRESS", coordinator.address),
            value("NUM_PROCESSES", len(job.replicas)),
            value("PROCESS_ID", replica.index),
        ]
