"""The operator as processes of its own against an engine that runs none: one acts, whatever happens to it."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from whole_engine import at_home, whole_engine

from cpod_jupyter import local
from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import CPODJOBS, JOBS, LEASES, PODS
from cpod_jupyter.client.client import Client
from cpod_jupyter.operator.running import LEASE_NAME, SYSTEM_NAMESPACE

TIMES = ("--lease-seconds", "3", "--renew-seconds", "2", "--retry-seconds", "0.3")
WAITING = "import pathlib, sys, time\nwhile not pathlib.Path(sys.argv[1]).exists(): time.sleep(0.05)"


@dataclass
class Process:
    """One operator: what it serves, and what it said."""

    popen: subprocess.Popen[bytes]
    port: int
    log: Path

    def ask(self, path: str) -> str:
        with urlopen(f"http://127.0.0.1:{self.port}/{path}", timeout=10) as answer:
            return str(answer.read().decode())

    @property
    def leads(self) -> bool:
        return "cpod_leader 1" in self.ask("metrics")

    def created(self) -> dict[tuple[str, str], float]:
        """Jobs started, by namespace and jobType."""
        pattern = r'cpodjob_operator_jobs_created_total\{job_namespace="(.*?)",job_type="(.*?)"\} (\S+)'
        return {(namespace, kind): float(count) for namespace, kind, count in re.findall(pattern, self.ask("metrics"))}

    def end(self, number: int = signal.SIGTERM) -> int:
        self.popen.send_signal(number)
        return self.popen.wait(20)


@contextmanager
def operator(folder: Path, kubeconfig: Path, name: str, *options: str) -> Iterator[Process]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    command = [sys.executable, "-m", "cpod_jupyter.operator", "--kubeconfig", str(kubeconfig)]
    log = folder / f"{name}.log"
    with log.open("wb") as file:
        popen = subprocess.Popen([*command, "--health-port", str(port), *TIMES, *options], stderr=file)
    process = Process(popen, port, log)
    try:
        _wait(lambda: _answers(process), f"{name} answers")
        yield process
    finally:
        popen.kill()
        popen.wait(20)


def _answers(process: Process) -> bool:
    try:
        return process.ask("readyz") == "ok\n"
    except OSError:
        assert process.popen.poll() is None, process.log.read_text()
        return False


def _wait(condition: Callable[[], Any], wanted: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{wanted} did not come true"
        time.sleep(0.05)


def job(name: str, gate: Path) -> dict[str, Any]:
    """A CPodJob that ends once the file is there."""
    command = [sys.executable, "-c", WAITING, str(gate)]
    spec = {"jobType": "general", "image": "python:3.11", "command": command}
    return {"metadata": {"name": name, "namespace": "default"}, "spec": spec}


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[local.Engine]:
    with whole_engine(tmp_path / "home", with_operator=False) as found:
        yield found


@pytest.fixture
def kube(engine: local.Engine) -> Iterator[Client]:
    client = Client.from_kubeconfig(engine.kubeconfig)
    yield client
    client.close()


def lease(kube: Client) -> dict[str, Any]:
    return dict(kube.get(LEASES, LEASE_NAME, SYSTEM_NAMESPACE)["spec"])


def running(kube: Client) -> list[str]:
    return sorted(
        meta.name_of(found) for found in kube.list(CPODJOBS, "default").items if meta.is_true(found, "Running")
    )


def succeeded(kube: Client) -> list[str]:
    return sorted(
        meta.name_of(found) for found in kube.list(CPODJOBS, "default").items if meta.is_true(found, "Succeeded")
    )


def test_of_two_operators_one_acts_and_the_other_follows_when_it_is_killed(
    engine: local.Engine, kube: Client, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    with ExitStack() as stack:
        both = [stack.enter_context(operator(tmp_path, engine.kubeconfig, name)) for name in ("one", "two")]
        _wait(lambda: any(process.leads for process in both), "one leads")
        (leader,) = [process for process in both if process.leads]
        (other,) = [process for process in both if process is not leader]
        for name in ("a", "b", "c"):
            kube.create(CPODJOBS, job(name, gate))
        _wait(lambda: running(kube) == ["a", "b", "c"], "three jobs run")
        assert leader.created() == {("default", "general"): 3}
        assert other.created() == {}
        before = {meta.name_of(found): meta.uid_of(found) for found in kube.list(JOBS, "default").items}
        assert set(before) == {"a", "b", "c"}

        leader.end(signal.SIGKILL)
        kube.create(CPODJOBS, job("d", gate))  # while nobody leads
        _wait(lambda: running(kube) == ["a", "b", "c", "d"], "the other goes on")
        assert other.leads
        assert lease(kube)["leaseTransitions"] == 1
        assert other.created() == {("default", "general"): 1}
        after = {meta.name_of(found): meta.uid_of(found) for found in kube.list(JOBS, "default").items}
        assert {name: after[name] for name in before} == before
        assert len(kube.list(PODS, "default").items) == 4
        gate.touch()
        _wait(lambda: succeeded(kube) == ["a", "b", "c", "d"], "all succeed")
        assert 'cpod_reconcile_total{controller="cpodjobs",outcome="success"}' in other.ask("metrics")

        assert other.end() == 0
        assert lease(kube)["holderIdentity"] == ""
        assert "ended, and the lease given up" in other.log.read_text()


def test_an_api_server_that_is_away_is_survived(engine: local.Engine, kube: Client, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    with operator(tmp_path, engine.kubeconfig, "one") as process:
        kube.create(CPODJOBS, job("before", gate))
        _wait(lambda: running(kube) == ["before"], "the job runs")
        holder = lease(kube)["holderIdentity"]
        with at_home(engine.home):
            local.stop()
            _wait(lambda: not process.leads, "the operator stops acting")
            gate.touch()
            assert process.popen.poll() is None
            local.start(int(engine.url.rsplit(":", 1)[1]), with_operator=False)
        _wait(lambda: succeeded(kube) == ["before"], "the end is seen")
        kube.create(CPODJOBS, job("after", gate))
        _wait(lambda: succeeded(kube) == ["after", "before"], "it goes on")
        assert lease(kube)["holderIdentity"] == holder
        assert len(kube.list(PODS, "default").items) == 2
        assert process.ask("healthz") == "ok\n"


def test_an_operator_whose_lease_was_taken_ends_to_be_started_again(
    engine: local.Engine, kube: Client, tmp_path: Path
) -> None:
    with operator(tmp_path, engine.kubeconfig, "one", "--log-format", "json") as process:
        _wait(lambda: process.leads, "it leads")
        kube.patch(LEASES, LEASE_NAME, {"spec": {"holderIdentity": "another"}}, SYSTEM_NAMESPACE)
        assert process.popen.wait(20) == 3
        assert '"message": "another has taken the lease: this operator ends"' in process.log.read_text()


def test_the_engines_own_operator_and_another_do_not_fight(tmp_path: Path) -> None:
    with whole_engine(tmp_path / "home") as engine, closing(Client.from_kubeconfig(engine.kubeconfig)) as kube:
        _wait(lambda: there(kube) and lease(kube)["holderIdentity"] == "cpod-engine", "the engine's own leads")
        with operator(tmp_path, engine.kubeconfig, "other") as process:
            assert not process.leads
            kube.create(CPODJOBS, job("one", tmp_path))
            _wait(lambda: succeeded(kube) == ["one"], "the job succeeds")
            assert process.created() == {}
            taken = {"holderIdentity": "gone", "leaseDurationSeconds": 1}
            kube.patch(LEASES, LEASE_NAME, {"spec": taken}, SYSTEM_NAMESPACE)
            _wait(lambda: lease(kube)["holderIdentity"] not in ("gone", ""), "one of them follows")
            kube.create(CPODJOBS, job("two", tmp_path))
            _wait(lambda: succeeded(kube) == ["one", "two"], "the work goes on")
            assert len(kube.list(PODS, "default").items) == 2
            assert process.popen.poll() is None
        _wait(lambda: lease(kube)["holderIdentity"] == "cpod-engine", "the engine's own leads again")


def there(kube: Client) -> bool:
    return any(meta.name_of(found) == LEASE_NAME for found in kube.list(LEASES, SYSTEM_NAMESPACE).items)


def test_an_operator_for_one_namespace_leaves_the_others_alone(
    engine: local.Engine, kube: Client, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    gate.touch()
    elsewhere = job("elsewhere", gate)
    elsewhere["metadata"]["namespace"] = "public"
    kube.create(CPODJOBS, elsewhere)
    kube.create(CPODJOBS, job("here", gate))
    with operator(tmp_path, engine.kubeconfig, "one", "--namespace", "default"):
        _wait(lambda: succeeded(kube) == ["here"], "it acts in its namespace")
        assert "status" not in kube.get(CPODJOBS, "elsewhere", "public")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        pytest.param(("--lease-namespace", "nowhere"), "`cpod install` makes it, or name another", id="no namespace"),
        pytest.param(("--lease-seconds", "1"), "the lease must hold at least a second, longer than", id="times"),
        pytest.param(("--context", "nowhere"), "no way to connect to the context nowhere", id="no context"),
    ],
)
def test_what_keeps_it_from_beginning_is_said(
    kubeconfig: Path, tmp_path: Path, options: tuple[str, ...], sentence: str
) -> None:
    command = [sys.executable, "-m", "cpod_jupyter.operator", "--kubeconfig", str(kubeconfig), "--health-port", "0"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_wrong_settings_are_refused_by_the_operator_and_by_the_engine(kubeconfig: Path, tmp_path: Path) -> None:
    settings = tmp_path / "operator.yaml"
    settings.write_text("runtimeImag: x\n")
    command = [
        sys.executable,
        "-m",
        "cpod_jupyter.operator",
        "--kubeconfig",
        str(kubeconfig),
        "--config",
        str(settings),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "runtimeImag: there is no such setting; runtimeImage is there" in done.stderr
    with at_home(tmp_path), pytest.raises(local.EngineError, match="runtimeImage is there"):
        local.start()
