"""A whole engine in a test's process, with every controller, served over HTTPS for kubectl."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cpod_jupyter.engine.controllers import controllers

from .cluster import Cluster
from .served import served


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """With every controller of the engine."""
    home = tmp_path / "home"
    found = Cluster(home, lambda api: controllers(api, home))
    found.start()
    yield found
    found.stop()
    found.remove_pods()


@pytest.fixture
def kubeconfig(cluster: Cluster) -> Iterator[Path]:
    with served(cluster) as path:
        yield path
