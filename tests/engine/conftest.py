"""Fixtures: plain HTTPS requests, and kubectl, to the engine's API server."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3
import yaml

Https = Callable[..., urllib3.BaseHTTPResponse]
Kubectl = Callable[..., str]


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


@pytest.fixture
def kubectl(kubeconfig: Path, tmp_path: Path) -> Kubectl:
    """`kubectl(arguments…)` → what it prints; a failure fails the test unless `fails` is given, and then must be."""
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not on this machine")

    def run(*arguments: str, text: str | None = None, fails: bool = False, env: dict[str, str] | None = None) -> str:
        command = ["kubectl", "--kubeconfig", str(kubeconfig), "--cache-dir", str(tmp_path / "cache"), *arguments]
        surroundings = {"PATH": "/usr/bin:/bin:/usr/local/bin", "HOME": str(tmp_path), **(env or {})}
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=60, env=surroundings)
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run
