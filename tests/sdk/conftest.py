"""A real engine with operator and kubelet, one a test run; each test has a namespace of its own."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from cpod_jupyter import local
from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import NAMESPACES, PODS
from cpod_jupyter.client.client import Client
from cpod_jupyter.sdk import Session

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def engine_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The home of an engine that runs for all tests here, and is gone with its pods afterwards."""
    home = tmp_path_factory.mktemp("engine")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CPOD_HOME", str(home))
        client = Client.from_kubeconfig(local.ensure().kubeconfig)
    yield home
    for pod in client.list(PODS).items:
        client.delete(PODS, meta.name_of(pod), meta.namespace_of(pod), grace_seconds=0)
    client.close()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CPOD_HOME", str(home))
        local.stop()


@pytest.fixture
def namespace(engine_home: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A fresh namespace of the engine, which is what is meant by default."""
    monkeypatch.setenv("CPOD_HOME", str(engine_home))
    monkeypatch.setenv("CPOD_CONTEXT", "engine")
    name = f"test-{next(_numbers)}"
    monkeypatch.setenv("CPOD_NAMESPACE", name)
    client = Session().client
    client.create(NAMESPACES, {"metadata": {"name": name}})
    client.close()
    return name


@pytest.fixture
def session(namespace: str) -> Iterator[Session]:
    found = Session()
    yield found
    found.client.close()
