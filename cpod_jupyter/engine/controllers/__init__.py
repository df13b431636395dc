"""What a cluster would bring, in the small: Jobs, Deployments, claims, the training kinds, KServe's InferenceService.

Each kind has pure builders (object to children) and conditions (what is observed to status), and a
reconciler that joins them. `controllers` makes them all.
"""

from __future__ import annotations

from pathlib import Path

from cpod_jupyter.control.api import KubeApi
from cpod_jupyter.control.controller import Controller
from cpod_jupyter.engine.controllers.deployment import deployment_controller
from cpod_jupyter.engine.controllers.endpoints import endpoints_controller
from cpod_jupyter.engine.controllers.events import event_controller
from cpod_jupyter.engine.controllers.inferenceservice import inferenceservice_controller
from cpod_jupyter.engine.controllers.job import job_controller
from cpod_jupyter.engine.controllers.pvc import pvc_controller
from cpod_jupyter.engine.controllers.replicaset import replicaset_controller
from cpod_jupyter.engine.controllers.resourcequota import quota_controller
from cpod_jupyter.engine.controllers.trainer import trainer_controller
from cpod_jupyter.engine.controllers.training import training_controllers


def controllers(api: KubeApi, home: Path, front: str = "") -> list[Controller]:
    """The controllers of the embedded engine; claims live below `home`. Services that may have no pod are answered for
    below the URL `front`."""
    return [
        event_controller(api),
        pvc_controller(api, home),
        job_controller(api),
        replicaset_controller(api),
        deployment_controller(api),
        endpoints_controller(api),
        quota_controller(api),
        inferenceservice_controller(api, front),
        *training_controllers(api, home),
        trainer_controller(api, home),
    ]
