"""A whole engine for tests from outside: API server, controllers, kubelet and operator in a process of their own."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from stores import installed

from cpod_jupyter import local
from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import PODS
from cpod_jupyter.client.client import Client
from cpod_jupyter.errors import NotFound


@contextmanager
def whole_engine(home: Path, *, with_operator: bool = True) -> Iterator[local.Engine]:
    """An engine on that home, taken down with its pods afterwards. `CPOD_HOME` is the caller's again inside.

    Its store is one that has been started on before: what a first start makes takes a second of one core.
    """
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not (home / "objects.db").exists():
        installed(home / "objects.db")
    with at_home(home):
        engine = local.start(with_operator=with_operator)
    try:
        yield engine
    finally:
        end_pods(engine)
        with at_home(home):
            local.stop()


@contextmanager
def at_home(home: Path) -> Iterator[None]:
    before = os.environ.get("CPOD_HOME")
    os.environ["CPOD_HOME"] = str(home)
    try:
        yield
    finally:
        if before is None:
            del os.environ["CPOD_HOME"]
        else:
            os.environ["CPOD_HOME"] = before


def end_pods(engine: local.Engine) -> None:
    """Pods outlive their engine by design: whoever throws the engine away ends them first."""
    client = Client.from_kubeconfig(engine.kubeconfig)
    try:
        for pod in client.list(PODS).items:
            with suppress(NotFound):  # it may have gone by itself since
                client.delete(PODS, meta.name_of(pod), meta.namespace_of(pod), grace_seconds=0)
    finally:
        client.close()


def run(*command: str, env: dict[str, str] | None = None, seconds: float = 60) -> subprocess.CompletedProcess[str]:
    """A program of somebody else's, to its end."""
    whole = {**os.environ, **(env or {})}
    return subprocess.run(command, env=whole, capture_output=True, text=True, timeout=seconds, check=False)
