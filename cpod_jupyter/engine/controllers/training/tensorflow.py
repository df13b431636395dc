"""TFJob: TF_CONFIG (training-operator v1.9, package tensorflow; tf.distribute, "TF_CONFIG")."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from cpod_jupyter.api.resources import TFJOBS
from cpod_jupyter.engine.controllers.training.addresses import Endpoints
from cpod_jupyter.engine.controllers.training.kind import (
    Replica,
    TrainingJob,
    TrainingKind,
    Variable,
    Words,
    value,
)

CHIEF, MASTER, PS, WORKER, EVALUATOR = "Chief", "Master", "PS", "Worker", "Evaluator"


class TensorFlow(TrainingKind):
    """Chief or Master (the older name), parameter servers, workers, an evaluator.

    TensorFlow's servers bind all of the machine's addresses, so that ports which containers declare can't be theirs:
    TF_CONFIG names the port that each replica has for itself, and programs take theirs from it.
    """

    resource = TFJOBS
    specs_field = "tfReplicaSpecs"
    roles = (CHIEF, MASTER, PS, WORKER, EVALUATOR)
    container = "tensorflow"
    port_name, port = "tfjob-port", 2222
    operator = "tfjob-controller"
    restart_policy = "Never"
    words = Words(
        running="{place} is running.",
        succeeded="{place} successfully completed.",
        failed="{place} has failed because {count} {role} replica(s) failed",
    )

    def lead_roles(self, job: TrainingJob) -> Sequence[str]:
        return tuple(role for role in (CHIEF, MASTER) if job.has(role)) or (WORKER,)

    def is_master(self, job: TrainingJob, replica: Replica) -> bool:
        """The Chief or Master; without one, worker 0."""
        if replica.role in (CHIEF, MASTER):
            return True
        return replica.role == WORKER and replica.index == 0 and not (job.has(CHIEF) or job.has(MASTER))

    def succeeded(self, job: TrainingJob, done: set[tuple[str, int]]) -> bool:
        """The Chief or Master is done; without one worker 0 is, or with successPolicy AllWorkers all of them."""
        for role in (CHIEF, MASTER):
            if job.has(role):
                return (role, 0) in done
        workers = sum(role == WORKER for role, _ in done)
        if 0 < job.count(WORKER) <= workers:
            return True
        return job.spec.get("successPolicy") != "AllWorkers" and (WORKER, 0) in done

    def tolerates(self, job: TrainingJob, role: str) -> bool:
        return role == WORKER and bool(job.spec.get("enableDynamicWorker"))

    def faults(self, job: TrainingJob) -> Iterator[str]:
        if job.count(CHIEF) + job.count(MASTER) > 1:
            yield f"{self.specs_field} has more than 1 Chief or Master replica"
        if job.spec.get("successPolicy") not in (None, "", "AllWorkers"):
            yield f"successPolicy must be empty or AllWorkers, not {job.spec['successPolicy']}"

    def environment(self, job: TrainingJob, replica: Replica, places: Endpoints) -> list[Variable]:
        """TF_CONFIG, of a job with several replicas; TensorFlow takes none for a program on its own."""
        if len(job.replicas) < 2:
            return []
        return [value("TF_CONFIG", json.dumps(tf_config(job, replica, places)))]


def tf_config(job: TrainingJob, replica: Replica, places: Endpoints) -> dict[str, Any]:
    """The cluster and the task of one pod. The evaluator is in no cluster; a dynamic one is sparse: its workers know
    the parameter servers and themselves, so that others may come and go."""
    cluster = {
        role.lower(): [str(places[peer.key]) for peer in job.of_role(role)] for role in job.specs if role != EVALUATOR
    }
    task = {"type": replica.role.lower(), "index": replica.index}
    if not job.spec.get("enableDynamicWorker"):
        return {"cluster": cluster, "task": task, "environment": "cloud"}
    sparse: dict[str, Any] = {"worker": {}, "ps": []}
    if replica.role == PS:
        sparse["ps"] = [str(places[replica.key])]
    elif replica.role == WORKER:
        sparse = {"worker": {str(replica.index): str(places[replica.key])}, "ps": cluster.get("ps", [])}
    return {"sparseCluster": sparse, "task": task}
