"""Stores that have the project's kinds from the start: made once a process, and copied for each test.

Making the definitions takes a second of one core, reading them a sixth of that, as an engine that starts again does.
"""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable
from pathlib import Path

from cpod_jupyter.api.crds import engine_crds
from cpod_jupyter.api.resources import CRDS, NAMESPACES
from cpod_jupyter.engine.install import install
from cpod_jupyter.engine.kinds import Kinds
from cpod_jupyter.engine.local_api import LocalApi
from cpod_jupyter.engine.objects import Objects
from cpod_jupyter.engine.store import Store


def installed(path: Path) -> None:
    """Make the file a store as an engine has it when it has started for the first time."""
    path.write_bytes(_made(install))


def defined(path: Path) -> None:
    """Make the file a store with the namespace `default` and the definitions alone."""
    path.write_bytes(_made(_define))


def _define(api: LocalApi) -> None:
    api.create(NAMESPACES, {"metadata": {"name": "default"}})
    for definition in engine_crds():
        api.create(CRDS, definition)


@functools.cache
def _made(fill: Callable[[LocalApi], None]) -> bytes:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "objects.db"
        store = Store(path)
        fill(LocalApi(Objects(store, Kinds())))
        store.close()
        return path.read_bytes()
