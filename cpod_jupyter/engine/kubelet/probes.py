"""Startup, readiness and liveness probes (Kubernetes, "Configure Liveness, Readiness and Startup Probes").

Each probed run of a container has one thread. While something is awaited, readiness or startup,
it is asked at least once a second, so that a server is found ready soon; else by `periodSeconds`.
"""

from __future__ import annotations

import contextlib
import http.client
import logging
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cpod_jupyter.engine.kubelet import processes
from cpod_jupyter.engine.kubelet.commands import translated
from cpod_jupyter.engine.kubelet.lifecycle import port_number
from cpod_jupyter.engine.kubelet.plan import ContainerPlan, ContainerReport
from cpod_jupyter.engine.kubelet.status import ProbeState

log = logging.getLogger(__name__)

Probe = Mapping[str, Any]
_AWAITED_SECONDS = 1.0
_MESSAGE_BYTES = 500
_OFFERED = ("httpGet", "tcpSocket", "exec")


@dataclass(frozen=True)
class Target:
    """Where a probe goes: a container of a pod. `spec` is the container as the pod has it."""

    spec: Mapping[str, Any]
    plan: ContainerPlan
    pod_ip: str


def check(probe: Probe, target: Target) -> str | None:
    """Ask once: None when all is well, else what is wrong."""
    timeout = float(probe.get("timeoutSeconds") or 1)
    try:
        if (action := probe.get("httpGet")) is not None:
            return _http_get(action, target, timeout)
        if (action := probe.get("tcpSocket")) is not None:
            address = (str(action.get("host") or target.pod_ip), port_number(action["port"], target.spec))
            socket.create_connection(address, timeout=timeout).close()
            return None
        if (action := probe.get("exec")) is not None:
            return _exec(list(action["command"]), target, timeout)
    except (OSError, http.client.HTTPException, ValueError) as error:
        return str(error) or type(error).__name__
    return f"the embedded engine offers httpGet, tcpSocket and exec probes, not {', '.join(unoffered(probe))}"


def unoffered(probe: Probe) -> list[str]:
    """The kinds of check in a probe that are not offered here."""
    return [kind for kind, action in probe.items() if isinstance(action, Mapping) and kind not in _OFFERED]


def _http_get(action: Mapping[str, Any], target: Target, timeout: float) -> str | None:
    host, port = str(action.get("host") or target.pod_ip), port_number(action["port"], target.spec)
    headers = {str(header["name"]): str(header["value"]) for header in action.get("httpHeaders") or []}
    connection: http.client.HTTPConnection
    if str(action.get("scheme") or "HTTP").upper() == "HTTPS":
        unverified = ssl.create_default_context()  # as the kubelet: the certificate is not checked
        unverified.check_hostname = False
        unverified.verify_mode = ssl.CERT_NONE
        connection = http.client.HTTPSConnection(host, port, timeout=timeout, context=unverified)
    else:
        connection = http.client.HTTPConnection(host, port, timeout=timeout)
    try:
        connection.request("GET", str(action.get("path") or "/"), headers={"User-Agent": "kube-probe/cpod", **headers})
        status = connection.getresponse().status
    finally:
        connection.close()
    return None if 200 <= status < 400 else f"HTTP probe failed with statuscode: {status}"


def _exec(command: list[str], target: Target, timeout: float) -> str | None:
    code, said = run_command(translated(target.plan, command), target.plan, timeout)
    if code is None:
        return f"command timed out: {command[0]!r} after {timeout:g}s"
    return None if code == 0 else said.strip() or f"command exited with {code}"


def run_command(argv: list[str], plan: ContainerPlan, timeout: float) -> tuple[int | None, str]:
    """Run a command in a container's environment; its exit code, None when it was killed for its time, and words.

    Output goes to a file: what the command leaves running may hold a pipe open for ever.
    """
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            argv,
            env=plan.env,
            cwd=plan.cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        code: int | None = None
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            processes.kill_session(process.pid)
            process.wait()
        output.seek(0)
        return code, output.read(_MESSAGE_BYTES).decode(errors="replace")


class Threshold:
    """Turns single answers into a state: so many in a row change it (successThreshold, failureThreshold)."""

    def __init__(self, probe: Probe, state: bool) -> None:
        self.state = state
        self._needed = {True: int(probe.get("successThreshold") or 1), False: int(probe.get("failureThreshold") or 3)}
        self._run = 0
        self._last: bool | None = None

    def add(self, answer: bool) -> bool:
        """The state after one more answer. The first failures of what was never well change nothing."""
        self._run = self._run + 1 if answer is self._last else 1
        self._last = answer
        if self._run >= self._needed[answer]:
            self.state = answer
        return self.state


class Prober:
    """The probes of one run of one container. `changed` is called when readiness may have."""

    def __init__(
        self,
        target: Target,
        report: ContainerReport,
        grace_seconds: float,
        *,
        was_ready: bool,
        changed: Callable[[], None],
        unhealthy: Callable[[str], None],
        killing: Callable[[str], None],
    ) -> None:
        spec = target.spec
        self._target = target
        self._report = report
        self._grace_seconds = grace_seconds
        self._changed, self._unhealthy, self._killing = changed, unhealthy, killing
        self._startup: Probe | None = spec.get("startupProbe")
        self._readiness: Probe | None = spec.get("readinessProbe")
        self._liveness: Probe | None = spec.get("livenessProbe")
        self._stopped = threading.Event()
        self._said = ""
        self.state = ProbeState(ready=was_ready or not self._readiness, started=was_ready or not self._startup)
        self._thread = threading.Thread(target=self._run, name=f"probe-{report.name}", daemon=True)
        self._thread.start()

    @staticmethod
    def wanted(spec: Mapping[str, Any]) -> bool:
        return any(spec.get(kind) for kind in ("startupProbe", "readinessProbe", "livenessProbe"))

    def stop(self) -> None:
        """Ask the thread to end; it says nothing more."""
        self._stopped.set()

    def _run(self) -> None:
        try:
            self._probe_until_stopped()
        except Exception:
            log.exception("probing container %s ended", self._report.name)

    def _probe_until_stopped(self) -> None:
        if self._startup and not self.state.started and not self._await_startup(self._startup):
            return
        alive = Threshold(self._liveness or {}, True)
        ready = Threshold(self._readiness or {}, self.state.ready)
        began = time.monotonic()
        due = {
            kind: began + float(probe.get("initialDelaySeconds") or 0)
            for kind, probe in (("Readiness", self._readiness), ("Liveness", self._liveness))
            if probe
        }
        while due:
            kind = min(due, key=lambda name: due[name])
            if self._stopped.wait(max(0.0, due[kind] - time.monotonic())):
                return
            probe = self._readiness if kind == "Readiness" else self._liveness
            assert probe is not None
            well = self._ask(kind, probe)
            if kind == "Readiness":
                self._set(ProbeState(ready=ready.add(well), started=True))
            elif not alive.add(well):
                self._kill(probe, f"Container {self._report.name} failed liveness probe, will be restarted")
                return
            awaited = kind == "Readiness" and not ready.state
            due[kind] = time.monotonic() + _period(probe, awaited)

    def _await_startup(self, probe: Probe) -> bool:
        """Whether the container came up; otherwise it has been killed, or probing was stopped."""
        answers = Threshold(probe, False)
        delay = float(probe.get("initialDelaySeconds") or 0)
        allowed = delay + float(probe.get("periodSeconds") or 10) * int(probe.get("failureThreshold") or 3)
        until = time.monotonic() + allowed  # asked more often than periodSeconds, so the count would end too soon
        while not self._stopped.wait(delay):
            if answers.add(self._ask("Startup", probe)):
                self._set(ProbeState(ready=self.state.ready, started=True))
                return True
            if time.monotonic() >= until:
                self._kill(probe, f"Container {self._report.name} failed startup probe, will be restarted")
                return False
            delay = _period(probe, awaited=True)
        return False

    def _ask(self, kind: str, probe: Probe) -> bool:
        problem = check(probe, self._target)
        if self._stopped.is_set():
            return problem is None
        if problem is not None and (said := f"{kind} probe failed: {problem}") != self._said:
            self._said = said
            self._unhealthy(said)
        return problem is None

    def _set(self, state: ProbeState) -> None:
        if state != self.state and not self._stopped.is_set():
            self.state = state
            self._changed()

    def _kill(self, probe: Probe, message: str) -> None:
        """preStop and TERM, KILL after the grace period, the probe's own if it has one; the supervisor restarts it."""
        if self._stopped.is_set():
            return
        self._killing(message)
        pid, mark = self._report.pid, self._report.mark
        own = probe.get("terminationGracePeriodSeconds")
        until = time.monotonic() + (self._grace_seconds if own is None else float(own))
        hook = self._target.plan.pre_stop
        if hook and processes.is_alive(pid, mark) and (left := until - time.monotonic()) > 0:
            with contextlib.suppress(OSError, ValueError):  # a hook that cannot be run keeps nobody alive
                run_command(hook, self._target.plan, left)
        if processes.is_alive(pid, mark):
            processes.signal_group(pid, signal.SIGTERM)
        while processes.is_alive(pid, mark) and time.monotonic() < until:
            time.sleep(0.1)
        if processes.is_alive(pid, mark):
            processes.kill_session(pid)


def _period(probe: Probe, awaited: bool) -> float:
    period = float(probe.get("periodSeconds") or 10)
    return min(period, _AWAITED_SECONDS) if awaited else period
