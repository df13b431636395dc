"""Fixtures: an engine of one's own, with every controller."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from kubelet.cluster import Cluster
from tiny_model import tiny_model

from cpod_jupyter.engine.controllers.deployment import deployment_controller
from cpod_jupyter.engine.controllers.endpoints import endpoints_controller
from cpod_jupyter.engine.controllers.inferenceservice import inferenceservice_controller
from cpod_jupyter.engine.controllers.job import job_controller
from cpod_jupyter.engine.controllers.replicaset import replicaset_controller
from cpod_jupyter.engine.controllers.resourcequota import quota_controller
from cpod_jupyter.engine.controllers.trainer import trainer_controller
from cpod_jupyter.engine.controllers.training import training_controllers

__all__ = ["tiny_model"]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """Kubelet, scheduler and all controllers; at the end nothing of it runs."""
    found = Cluster(
        tmp_path / "home",
        lambda api: [
            deployment_controller(api),
            endpoints_controller(api),
            inferenceservice_controller(api),
            job_controller(api),
            quota_controller(api),
            replicaset_controller(api),
            *training_controllers(api, tmp_path / "home"),
            trainer_controller(api, tmp_path / "home"),
        ],
    )
    found.start()
    yield found
    found.stop()
    found.remove_pods()
