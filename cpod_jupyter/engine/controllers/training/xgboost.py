"""XGBoostJob: where the Master's tracker is, and who takes part (training-operator v1.9, package xgboost)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cpod_jupyter.api.resources import XGBOOSTJOBS
from cpod_jupyter.engine.controllers.training.addresses import Endpoints
from cpod_jupyter.engine.controllers.training.kind import Replica, TrainingJob, TrainingKind, Variable, value
from cpod_jupyter.engine.controllers.training.master_worker import MASTER, WORKER


class XGBoost(TrainingKind):
    """One Master, which runs the tracker at MASTER_ADDR:MASTER_PORT, and Workers.

    WORKER_PORT and WORKER_ADDRS are for LightGBM, whose workers all listen at one port: of one machine's, only one
    worker can, because LightGBM binds all addresses.
    """

    resource = XGBOOSTJOBS
    specs_field = "xgbReplicaSpecs"
    roles = (MASTER, WORKER)
    container = "xgboost"
    port_name, port = "xgboostjob-port", 9999
    operator = "xgboostjob-controller"
    restart_policy = "Never"

    def lead_roles(self, job: TrainingJob) -> Sequence[str]:
        return (MASTER,)

    def is_master(self, job: TrainingJob, replica: Replica) -> bool:
        return replica.role == MASTER

    def succeeded(self, job: TrainingJob, done: set[tuple[str, int]]) -> bool:
        return (MASTER, 0) in done

    def faults(self, job: TrainingJob) -> Iterator[str]:
        if job.count(MASTER) != 1:
            yield f"{self.specs_field}[{MASTER}].replicas must be 1, not {job.count(MASTER)}"

    def environment(self, job: TrainingJob, replica: Replica, places: Endpoints) -> list[Variable]:
        master = job.endpoint(job.replicas[0], places)
        found = [
            value("MASTER_PORT", master.port),
            value("MASTER_ADDR", master.address),
            value("WORLD_SIZE", len(job.replicas)),
            value("RANK", replica.rank),
            value("PYTHONUNBUFFERED", 1),
        ]
        workers = [job.endpoint(worker, places) for worker in job.of_role(WORKER)]
        if workers:
            found.append(value("WORKER_PORT", workers[0].port))
            found.append(value("WORKER_ADDRS", ",".join(worker.address for worker in workers)))
        return found
