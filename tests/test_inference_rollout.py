"""An edit of an Inference on a whole engine, with real servers: the old one answers until the new one does."""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from whole_engine import whole_engine

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import INFERENCES, Object
from cpod_jupyter.client.client import Client

pytestmark = pytest.mark.timeout(240)

POD_IP = {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}


def server(*command: str, **env: str) -> dict[str, Any]:
    container = {
        "name": "kserve-container",
        "image": "python:3.12-slim",
        "command": list(command),
        "env": [POD_IP, *({"name": name, "value": value} for name, value in env.items())],
        "readinessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1},
    }
    return {"spec": {"predictor": {"containers": [container]}}}


def files(folder: Path, said: str) -> tuple[str, ...]:
    """A server that answers `/said` with those words."""
    folder.mkdir()
    (folder / "said").write_text(said)
    return ("python", "-m", "http.server", "8080", "--bind", "$(POD_IP)", "--directory", str(folder))


class Served:
    """The Inference `two-lives`, as its user sees it."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def create(self, manifest: dict[str, Any]) -> None:
        metadata = {"name": "two-lives", "namespace": "default"}
        kind = {"apiVersion": INFERENCES.api_version, "kind": INFERENCES.kind, "metadata": metadata}
        self._client.create(INFERENCES, {**kind, **manifest})

    def edit(self, manifest: dict[str, Any]) -> None:
        self._client.patch(INFERENCES, "two-lives", manifest, "default")

    def get(self) -> Object:
        return self._client.get(INFERENCES, "two-lives", "default")

    def standing(self) -> tuple[bool, str]:
        """Whether it is ready, and how far the last edit has come."""
        found = self.get()
        reason = (meta.condition(found, "UpToDate") or {}).get("reason", "")
        seen = (found.get("status") or {}).get("observedGeneration") == found["metadata"]["generation"]
        return bool((found.get("status") or {}).get("ready")), str(reason) if seen else ""

    def says(self) -> str:
        with urllib.request.urlopen(f"{self.get()['status']['url']}/said", timeout=10) as answer:
            return str(answer.read().decode())

    def until(self, reached: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 90
        while not reached():
            assert time.monotonic() < deadline, self.get().get("status")
            time.sleep(0.2)


def test_the_old_one_answers_until_a_new_one_does_and_for_ever_when_none_ever_does(tmp_path: Path) -> None:
    """Fault 15 (B29), and fault 12: the broken edit crash-loops."""
    with whole_engine(tmp_path / "home") as engine:
        client = Client.from_kubeconfig(engine.kubeconfig)
        served = Served(client)
        served.create(server(*files(tmp_path / "one", "I am the first")))
        served.until(lambda: served.standing() == (True, "Serving"))
        assert served.says() == "I am the first"

        served.edit(server("python", "-c", "raise SystemExit('no such model')"))
        served.until(lambda: served.standing()[1] == "RolloutHeldUp")
        assert served.standing()[0] is True
        assert "goes on answering" in served.get()["status"]["failureMessage"]
        assert served.says() == "I am the first"

        served.edit(server("python", "-c", "pass", STORAGE_URI="modelstorage://missing"))
        served.until(lambda: "'missing'" in served.get()["status"]["failureMessage"])
        assert served.standing()[0] is True
        assert served.says() == "I am the first"

        served.edit(server(*files(tmp_path / "two", "I am the second")))
        served.until(lambda: served.standing() == (True, "Serving"))
        assert served.says() == "I am the second"
        assert not served.get()["status"].get("failureMessage")
        client.close()
