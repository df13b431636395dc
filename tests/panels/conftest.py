"""Sessions on a real engine; the widgets are pressed as a page presses them."""

from __future__ import annotations

from faces_fixtures import engine_home, namespace, session

__all__ = ["engine_home", "namespace", "session"]
