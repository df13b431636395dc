"""Fixtures: an engine of one's own, with real pods."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .cluster import Cluster


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """Kubelet, scheduler and the claims' controller; at the end nothing of it runs."""
    found = Cluster(tmp_path / "home")
    found.start()
    yield found
    found.stop()
    found.remove_pods()
