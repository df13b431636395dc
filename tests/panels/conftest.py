"""Sessions on a real engine; the widgets are pressed as a page presses them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from faces_fixtures import engine_home, namespace

from cpod_jupyter.sdk import Session

__all__ = ["engine_home", "namespace"]


@pytest.fixture
def session(namespace: str) -> Iterator[Session]:
    found = Session()
    yield found
    found.client.close()
