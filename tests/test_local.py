"""The background process: started once, found by everybody, stopped; and what a kill leaves."""

from __future__ import annotations

import os
import signal
import socket
import stat
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cpod_jupyter import local
from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import CPODJOBS, PODS
from cpod_jupyter.client.client import Client
from cpod_jupyter.errors import EngineError
from cpod_jupyter.sdk import engine as engine_commands

COUNTING = """
import sys, time
from pathlib import Path
for step in range(int(sys.argv[2])):
    print("step", step, flush=True)
    Path(sys.argv[1]).write_text(str(step))
    time.sleep(0.1)
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An engine home of the test's own, with nothing left running in it."""
    folder = tmp_path / "home"
    monkeypatch.setenv("CPOD_HOME", str(folder))
    yield folder
    if local.find() or folder.exists():
        client = Client.from_kubeconfig(local.ensure().kubeconfig)
        for pod in client.list(PODS).items:
            client.delete(PODS, meta.name_of(pod), meta.namespace_of(pod), grace_seconds=0)
        client.close()
        local.stop()


@pytest.fixture
def port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        yield probe.getsockname()[1]


def job(name: str, *arguments: str) -> dict[str, Any]:
    command = [sys.executable, "-c", COUNTING, *arguments]
    spec = {"jobType": "general", "image": "python:3.11", "command": command}
    return {"metadata": {"name": name, "namespace": "default"}, "spec": spec}


def test_an_engine_is_started_found_and_stopped(home: Path) -> None:
    assert local.find() is None
    started = local.start()
    assert started.started_now
    assert stat.S_IMODE(started.kubeconfig.stat().st_mode) == 0o600
    found = local.find()
    assert found is not None
    assert (found.pid, found.url, found.started_now) == (started.pid, started.url, False)
    client = Client.from_kubeconfig(found.kubeconfig)
    assert client.ping().startswith("v1.")
    client.close()
    assert local.stop()
    assert local.find() is None
    assert not local.stop()


def test_an_engine_that_runs_is_used_and_not_doubled() -> None:
    engines: list[local.Engine] = []
    threads = [threading.Thread(target=lambda: engines.append(local.ensure())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(engines) == 4
    assert len({engine.pid for engine in engines}) == 1
    assert sum(engine.started_now for engine in engines) == 1


def test_a_port_that_is_taken_is_said_with_what_to_do(port: int) -> None:
    with pytest.raises(EngineError, match=f"port {port} cannot be used: Address already in use; choose another"):
        local.start(port)
    assert local.find() is None


def test_another_port_is_refused_while_the_engine_runs() -> None:
    running = local.start()
    with pytest.raises(EngineError, match="already runs at"):
        local.start(1)
    assert local.find() == local.Engine(running.pid, running.url, running.home)


def test_a_job_goes_on_while_the_engine_is_killed_and_comes_back(tmp_path: Path, eventually: Any) -> None:
    progress = tmp_path / "progress"
    engine = local.start()
    client = Client.from_kubeconfig(engine.kubeconfig)
    client.create(CPODJOBS, job("count", str(progress), "60"))
    eventually(lambda: progress.exists() and int(progress.read_text() or 0) >= 3, "the job runs")
    os.kill(engine.pid, signal.SIGKILL)
    eventually(lambda: local.find() is None, "the engine is gone")
    at_kill = int(progress.read_text() or 0)
    eventually(lambda: int(progress.read_text() or 0) > at_kill + 3, "the job goes on without it")
    again = local.ensure()
    assert again.pid != engine.pid
    client.close()
    client = Client.from_kubeconfig(again.kubeconfig)
    eventually(lambda: meta.is_true(client.get(CPODJOBS, "count", "default"), "Succeeded"), "the job succeeds", 60)
    (pod,) = client.list(PODS).items
    lines = list(client.logs(meta.name_of(pod), "default"))
    assert lines == [f"step {step}" for step in range(60)]
    client.close()


def test_a_job_that_ended_while_the_engine_was_down_is_seen(tmp_path: Path, eventually: Any) -> None:
    progress = tmp_path / "progress"
    engine = local.start()
    client = Client.from_kubeconfig(engine.kubeconfig)
    client.create(CPODJOBS, job("count", str(progress), "20"))
    eventually(progress.exists, "the job runs")
    (pod,) = client.list(PODS).items
    eventually(lambda: client.list(PODS).items[0]["status"]["phase"] == "Running", "the pod is seen running")
    client.close()
    assert engine_commands.down() == f"stopped the engine; without it goes on: {meta.name_of(pod)}"
    assert engine_commands.down() == "no engine runs"
    eventually(lambda: progress.read_text() == "19", "the job ends without the engine")
    client = Client.from_kubeconfig(local.start().kubeconfig)
    eventually(lambda: meta.is_true(client.get(CPODJOBS, "count", "default"), "Succeeded"), "its end is seen", 60)
    client.close()
