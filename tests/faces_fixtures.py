"""Fixtures that the tests of the faces share: a real engine with operator and kubelet, one a test run,
and for each test a namespace of its own."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cpod_jupyter import local
from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import NAMESPACES, PODS
from cpod_jupyter.client.client import Client
from cpod_jupyter.errors import NotFound
from cpod_jupyter.sdk import Session

_numbers = itertools.count(1)
_PREFIXES = ("test-", "team-")
"""Of the namespaces of tests: on the engine, and on the cluster."""


@contextlib.contextmanager
def _engine(home: Path) -> Iterator[local.Engine]:
    """An engine with this home; afterwards it is gone with its pods."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CPOD_HOME", str(home))
        found = local.ensure()
    yield found
    client = Client.from_kubeconfig(found.kubeconfig)
    _emptied(client)
    client.close()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CPOD_HOME", str(home))
        local.stop()


def _emptied(client: Client) -> None:
    """Leave no pod running: those that have a controller would be made again, so namespaces go, with all in them."""
    for space in client.list(NAMESPACES).items:
        if meta.name_of(space).startswith(_PREFIXES):
            client.delete(NAMESPACES, meta.name_of(space))
    until = time.monotonic() + 30
    while time.monotonic() < until and (pods := client.list(PODS).items):
        for pod in pods:
            with contextlib.suppress(NotFound):
                client.delete(PODS, meta.name_of(pod), meta.namespace_of(pod), grace_seconds=0)
        time.sleep(0.2)


def _fresh(prefix: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A namespace that is new where the environment says that one works, and is meant by default from now on."""
    name = f"{prefix}{next(_numbers)}"
    monkeypatch.setenv("CPOD_NAMESPACE", name)
    client = Session().client
    client.create(NAMESPACES, {"metadata": {"name": name}})
    client.close()
    return name


@pytest.fixture(scope="session")
def engine_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The home of an engine that runs for all tests here, and is gone with its pods afterwards."""
    with _engine(tmp_path_factory.mktemp("engine")) as found:
        yield found.home


@pytest.fixture
def namespace(engine_home: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A fresh namespace of the engine, which is what is meant by default."""
    monkeypatch.setenv("CPOD_HOME", str(engine_home))
    monkeypatch.setenv("CPOD_CONTEXT", "engine")
    return _fresh(_PREFIXES[0], monkeypatch)


@pytest.fixture
def session(namespace: str) -> Iterator[Session]:
    """A session in the test's namespace."""
    found = Session()
    yield found
    found.client.close()


@pytest.fixture(scope="session")
def cluster_kubeconfig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The kubeconfig of a second engine, which is a cluster to everybody who connects by it."""
    with _engine(tmp_path_factory.mktemp("cluster")) as found:
        yield found.kubeconfig


@pytest.fixture
def cluster(engine_home: Path, cluster_kubeconfig: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A fresh namespace of the cluster, which is what is meant by default; the engine of this machine runs too."""
    monkeypatch.setenv("CPOD_HOME", str(engine_home))
    monkeypatch.setenv("KUBECONFIG", str(cluster_kubeconfig))
    monkeypatch.delenv("CPOD_CONTEXT", raising=False)
    return _fresh(_PREFIXES[1], monkeypatch)
