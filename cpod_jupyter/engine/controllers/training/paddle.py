"""PaddleJob: where `paddle.distributed.launch` meets (training-operator v1.9, package paddlepaddle)."""

from __future__ import annotations

from cpod_jupyter.api.resources import PADDLEJOBS
from cpod_jupyter.engine.controllers.training.addresses import Endpoints
from cpod_jupyter.engine.controllers.training.kind import Replica, TrainingJob, Variable, value
from cpod_jupyter.engine.controllers.training.master_worker import MASTER, MasterAndWorkers


class Paddle(MasterAndWorkers):
    """Workers alone train collectively and meet at worker 0; with Masters, those are the parameter servers."""

    resource = PADDLEJOBS
    specs_field = "paddleReplicaSpecs"
    container = "paddle"
    port_name, port = "master", 36543
    operator = "paddlejob-controller"

    def environment(self, job: TrainingJob, replica: Replica, places: Endpoints) -> list[Variable]:
        leader = job.endpoint(job.replicas[0], places)
        found = [
            value("PYTHONUNBUFFERED", 1),
            value("PADDLE_JOB_ID", job.name),
            value("PADDLE_NNODES", len(job.replicas)),
        ]
        if replica.rank == 0:
            own_address = {"fieldRef": {"fieldPath": "status.podIP"}}
            found.append({"name": "POD_IP_DUMMY", "valueFrom": own_address})
            found.append(value("PADDLE_MASTER", f"$(POD_IP_DUMMY):{leader.port}"))
        else:
            found.append(value("PADDLE_MASTER", leader))
        if job.has(MASTER):
            found.append(value("PADDLE_SERVER_NUM" if replica.role == MASTER else "PADDLE_TRAINER_NUM", 1))
        return found
