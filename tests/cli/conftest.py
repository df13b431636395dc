"""The command in this process, on a real engine."""

from faces_fixtures import engine_home, namespace

__all__ = ["engine_home", "namespace"]
