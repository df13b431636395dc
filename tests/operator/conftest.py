from __future__ import annotations

import pytest
from operator_cluster import Cluster

from cpod_jupyter.engine.local_api import LocalApi
from cpod_jupyter.engine.objects import Objects
from cpod_jupyter.operator.settings import Settings


@pytest.fixture
def cluster(api: LocalApi, objects: Objects) -> Cluster:
    """An empty cluster, and the operator's reconcilers over it."""
    return Cluster(api, objects.store, Settings(runtime_image="runtime:test"))
