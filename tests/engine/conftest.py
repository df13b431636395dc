"""Fixtures: plain HTTPS requests, and kubectl, to the engine's API server."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3
import yaml

Https = Callable[..., urllib3.BaseHTTPResponse]


@pytest.fixture
def https(kubeconfig: Path) -> Iterator[Https]:
    """`https(method, path, body, HEADER=…)` → the response; a body that is no bytes is sent as JSON."""
    config = yaml.safe_load(kubeconfig.read_text())
    pool = urllib3.PoolManager(ca_certs=str(kubeconfig.parent / "pki" / "ca.crt"))
    server, token = config["clusters"][0]["cluster"]["server"], config["users"][0]["user"]["token"]

    def send(method: str, path: str, body: Any = None, **headers: str) -> urllib3.BaseHTTPResponse:
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        return pool.request(method, server + path, body=data, headers={"Authorization": f"Bearer {token}", **headers})

    yield send
    pool.clear()


class Kubectl:
    """kubectl with its own configuration, cache and home folder."""

    def __init__(self, kubeconfig: Path, home: Path) -> None:
        self._command = ["kubectl", "--kubeconfig", str(kubeconfig), "--cache-dir", str(home / "kubectl-cache")]
        self._surroundings = {**os.environ, "HOME": str(home)}
        self._started: list[subprocess.Popen[str]] = []

    def __call__(self, *arguments: str, text: str | None = None, fails: bool = False, **env: str) -> str:
        """What it prints; a failure fails the test unless `fails` is given, and then there must be one."""
        surroundings = {**self._surroundings, **env}
        command = [*self._command, *arguments]
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=120, env=surroundings)
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        return done.stdout + done.stderr

    def start(self, *arguments: str) -> Iterator[str]:
        """Start it, and read what it prints line by line; it is ended with the test."""
        process = subprocess.Popen(
            [*self._command, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=self._surroundings,
        )
        self._started.append(process)
        assert process.stdout is not None
        return iter(process.stdout)

    def close(self) -> None:
        for process in self._started:
            process.kill()
            assert process.stdout is not None
            process.stdout.close()
            process.wait(10)


@pytest.fixture
def kubectl(kubeconfig: Path, tmp_path: Path) -> Iterator[Kubectl]:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not on this machine")
    found = Kubectl(kubeconfig, tmp_path)
    yield found
    found.close()
