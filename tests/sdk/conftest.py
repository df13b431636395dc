"""Sessions on a real engine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from chat_server import Model, Serve, Served
from faces_fixtures import engine_home, namespace, session

__all__ = ["engine_home", "namespace", "session"]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serves models until the test ends."""
    served: list[Served] = []

    def start(**fields: Any) -> Served:
        served.append(Served(Model(**fields)))
        return served[-1]

    yield start
    for each in served:
        each.stop()
