"""Software that strangers wrote for Kubernetes, at work on a whole engine: one engine for each worker."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import kubernetes
import pytest
from whole_engine import run, whole_engine

PROGRAMS = Path(__file__).with_name("programs")


@pytest.fixture(scope="session")
def kubeconfig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with whole_engine(tmp_path_factory.mktemp("engine")) as engine:
        yield engine.kubeconfig


@pytest.fixture
def api_client(kubeconfig: Path) -> Iterator[kubernetes.client.ApiClient]:
    """The official client, configured as its users do."""
    found = kubernetes.config.new_client_from_config(str(kubeconfig))
    yield found
    found.close()


@pytest.fixture
def core(api_client: kubernetes.client.ApiClient) -> kubernetes.client.CoreV1Api:
    return kubernetes.client.CoreV1Api(api_client)


@pytest.fixture
def namespace(core: kubernetes.client.CoreV1Api) -> Iterator[str]:
    """A namespace of the test's own."""
    name = f"clients-{uuid.uuid4().hex[:8]}"
    core.create_namespace({"metadata": {"name": name}})
    yield name
    core.delete_namespace(name)


@pytest.fixture
def program(kubeconfig: Path, tmp_path: Path) -> Callable[..., list[str]]:
    """Run one of the programs to its end; the lines that it writes. Fails where the program does."""

    def start(name: str, *arguments: str) -> list[str]:
        command = [sys.executable, str(PROGRAMS / name), *arguments]
        done = run(*command, env={"KUBECONFIG": str(kubeconfig), "HOME": str(tmp_path)})
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.splitlines()

    return start


@pytest.fixture
def background(kubeconfig: Path, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Start a program that goes on until it is stopped; its output goes to a file, which is the second value."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*command: str) -> tuple[subprocess.Popen[bytes], Path]:
        log = tmp_path / f"{len(started)}.log"
        environment = {**os.environ, "KUBECONFIG": str(kubeconfig), "HOME": str(tmp_path), "PYTHONUNBUFFERED": "1"}
        with log.open("wb") as output:
            started.append(subprocess.Popen([sys.executable, *command], env=environment, stdout=output, stderr=output))
        return started[-1], log

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait(20)
