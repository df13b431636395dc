"""The rules of the kinds whose pods are a Master and Workers, or Workers alone: PyTorch's and Paddle's."""

from __future__ import annotations

from collections.abc import Sequence

from cpod_jupyter.engine.controllers.training.kind import Replica, TrainingJob, TrainingKind

MASTER, WORKER = "Master", "Worker"


class MasterAndWorkers(TrainingKind):
    """The Master leads; without one, the Workers."""

    roles = (MASTER, WORKER)

    def lead_roles(self, job: TrainingJob) -> Sequence[str]:
        return (MASTER,) if job.has(MASTER) else (WORKER,)

    def is_master(self, job: TrainingJob, replica: Replica) -> bool:
        return replica.role == MASTER

    def succeeded(self, job: TrainingJob, done: set[tuple[str, int]]) -> bool:
        """All Masters are done; without one all workers are; of an elastic job without one, any worker."""
        leads = MASTER if job.has(MASTER) else WORKER
        count = sum(role == leads for role, _ in done)
        if leads == WORKER and job.spec.get("elasticPolicy"):
            return count > 0
        return 0 < job.count(leads) <= count
