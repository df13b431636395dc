"""The embedded engine, for the faces: up, down, and what runs."""

from __future__ import annotations

from cpod_jupyter import local
from cpod_jupyter.local import Engine


def up(port: int | None = None) -> Engine:
    """Start the engine, or find the one that runs; `started_now` tells which. Raises EngineError."""
    return local.start(port)


def down() -> bool:
    """Stop it; False when none ran. Its pods go on, and it finds them again. Raises EngineError."""
    return local.stop()


def running() -> Engine | None:
    """The engine, if it runs."""
    return local.find()
