"""Sessions on a real engine."""

from __future__ import annotations

from faces_fixtures import engine_home, namespace, session

__all__ = ["engine_home", "namespace", "session"]
