"""The conformance suite: the Kubernetes API's behaviours, asked of a fresh engine or of any cluster.

    pytest tests/conformance                                        a fresh engine (one for each worker)
    pytest tests/conformance --kubeconfig PATH [--context NAME]     that cluster

Every test has a namespace of its own, and takes away what it has made. Tests marked `engine_only` ask
for what the engine promises beyond or instead of a cluster, and are skipped on others.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from conformance_api import Api, Definition, Json, Space, path, version, wait
from whole_engine import whole_engine


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("conformance")
    group.addoption("--kubeconfig", type=Path, help="run the conformance tests against this cluster")
    group.addoption("--context", help="the context of the kubeconfig; its current one when left out")


def _given(config: pytest.Config) -> Path | None:
    """None too when the suite runs as a part of all tests, which have no such option."""
    found = config.getoption("kubeconfig", None)
    return Path(found) if found else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if _given(config) is None:
        return
    skipped = pytest.mark.skip(reason="what only the embedded engine promises")
    for item in items:
        if item.get_closest_marker("engine_only"):
            item.add_marker(skipped)


@pytest.fixture(scope="session")
def kubeconfig(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    given = _given(pytestconfig)
    started = whole_engine(tmp_path_factory.mktemp("engine")) if given is None else nullcontext(None)
    with started as engine:
        yield engine.kubeconfig if engine is not None else Path(str(given))


@pytest.fixture(scope="session")
def api(kubeconfig: Path, pytestconfig: pytest.Config) -> Iterator[Api]:
    found = Api(kubeconfig, pytestconfig.getoption("context", None))
    yield found
    found.close()


@pytest.fixture(scope="session")
def spaces(api: Api) -> Iterator[list[str]]:
    """The names of all namespaces made; at the end the last of them is waited for."""
    made: list[str] = []
    yield made
    for name in made:
        api.wait_gone(path("namespaces", name), 60)


def release(api: Api, collection: str) -> None:
    """Take the finalizers away that a test which failed has left, so that what holds them can go."""
    answer = api.get(collection)
    for item in answer.value["items"] if answer.status == 200 else []:
        if item["metadata"].get("finalizers"):
            space = item["metadata"].get("namespace", "")
            where = (
                collection if space in collection else collection.replace("/widgets", f"/namespaces/{space}/widgets")
            )
            api.patch(f"{where}/{item['metadata']['name']}", {"metadata": {"finalizers": None}})


@pytest.fixture
def space(api: Api, spaces: list[str]) -> Iterator[Space]:
    """A namespace of the test's own, in which pods can be made."""
    created = api.post(path("namespaces"), {"metadata": {"generateName": "conformance-"}}).value
    found = Space(api, created["metadata"]["name"])
    spaces.append(found.name)
    account = found.path("serviceaccounts", "default")
    wait(lambda: api.get(account).status == 200, f"the namespace {found.name} has its service account")
    yield found
    api.delete(path("namespaces", found.name))
    release(api, found.configmaps)


Define = Callable[..., Definition]


@pytest.fixture
def definition(api: Api) -> Iterator[Define]:
    """`definition(version…)` → a custom kind, not yet created; it is deleted after the test."""
    made: list[Definition] = []

    def make(*versions: Json, scope: str = "Namespaced", **names: Any) -> Definition:
        group = f"c{uuid.uuid4().hex[:10]}.conformance.example.com"
        made.append(Definition(api, group, list(versions) or [version("v1")], scope, names))
        return made[-1]

    yield make
    for found in made:
        api.delete(found.where)
        release(api, found.path(""))


@pytest.fixture
def define(definition: Define) -> Define:
    """`define(version…)` → a custom kind that is served."""
    return lambda *versions, **more: definition(*versions, **more).install()
