"""How a pod is run: the plug-in point below the API.

`PodRuntime` is what the kubelet needs; `ProcessRuntime` is the variant that runs a pod's
containers as processes of this machine, each pod under a supervisor of its own.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Protocol

import psutil

from cpod_jupyter.engine.kubelet import cgroups, processes, realcontainer
from cpod_jupyter.engine.kubelet.plan import (
    PLAN,
    STOP,
    ContainerReport,
    PodPlan,
    PodReport,
    waiting_reports,
    write_json,
)

POD_UID_ENV = "CPOD_POD_UID"
"""In every container's environment, so that its processes are known even without their supervisor."""

_START_SECONDS = 10.0


class PodRuntime(Protocol):
    """Runs pods that live in directories. Calls return soon; what follows shows in `observe`."""

    def start(self, pod_dir: Path, plan: PodPlan) -> None:
        """Run a pod. The directory exists; the plan is kept in it. Raises OSError when it can't be started now."""
        ...

    def observe(self, pod_dir: Path) -> PodReport | None:
        """The pod as it is, or None when it was never started. A pod that was lost is reported as ended."""
        ...

    def stop(self, pod_dir: Path, grace_seconds: float) -> None:
        """Ask the pod to end: TERM, and KILL after the grace period."""
        ...

    def remove(self, pod_dir: Path) -> None:
        """End whatever still runs, now, and delete the pod's directory. Blocks until both are done."""
        ...


class ProcessRuntime:
    """Pods as local processes."""

    def __init__(self) -> None:
        self._started: dict[Path, tuple[int, str]] = {}
        """The supervisors that this engine started: process id and mark."""

    def start(self, pod_dir: Path, plan: PodPlan) -> None:
        for other in list(self._started):
            self._alive_child(other)  # collects supervisors that have ended since
        plan.write(pod_dir)
        root = str(Path(__file__).parents[3])
        paths = [root, os.environ.get("PYTHONPATH", "")]
        try:
            with (pod_dir / "supervisor.log").open("ab") as output:
                process = subprocess.Popen(
                    [sys.executable, "-m", "cpod_jupyter.engine.kubelet.supervisor", str(pod_dir)],
                    cwd=pod_dir,
                    env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in paths if path)},
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                )
        except OSError:
            (pod_dir / PLAN).unlink()  # it was not started
            raise
        process.returncode = 0  # not for this object to wait for: the pod outlives the engine
        self._started[pod_dir] = (process.pid, processes.start_mark(process.pid) or "")

    def observe(self, pod_dir: Path) -> PodReport | None:
        alive = self._alive_child(pod_dir)
        report = PodReport.read(pod_dir)
        if report is None:
            if not (pod_dir / PLAN).exists():
                return None
            plan = PodPlan.read(pod_dir)
            assert plan is not None
            report = _unstarted(plan)
            return report if alive or self._is_fresh(pod_dir) else self._lost(pod_dir, report)
        if report.ended or alive or processes.is_alive(report.supervisor_pid, report.supervisor_mark):
            return report
        latest = PodReport.read(pod_dir)  # it may have ended well between the two looks
        assert latest is not None
        return latest if latest.ended else self._lost(pod_dir, latest)

    def stop(self, pod_dir: Path, grace_seconds: float) -> None:
        report = self.observe(pod_dir)
        if report is None or report.ended:
            return
        write_json(pod_dir / STOP, {"grace_seconds": grace_seconds})
        while report is not None and not report.supervisor_pid and not report.ended:
            time.sleep(0.01)  # it is coming up; before its first report it does not listen to signals
            report = self.observe(pod_dir)
        if report is not None and not report.ended:
            with contextlib.suppress(ProcessLookupError):
                os.kill(report.supervisor_pid, signal.SIGTERM)

    def remove(self, pod_dir: Path) -> None:
        report = self.observe(pod_dir)
        if report is not None and not report.ended:
            self.stop(pod_dir, 0)
            until = time.monotonic() + _START_SECONDS
            while (report := self.observe(pod_dir)) and not report.ended and time.monotonic() < until:
                time.sleep(0.02)
            if report and not report.ended:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(report.supervisor_pid, signal.SIGKILL)
                self._kill_orphans(pod_dir, report)
        self._collect(pod_dir)
        shutil.rmtree(pod_dir, ignore_errors=True)

    def _alive_child(self, pod_dir: Path) -> bool:
        """Whether this engine started the pod's supervisor and it runs; collects one that has ended."""
        entry = self._started.get(pod_dir)
        if entry is None:
            return False
        if processes.is_alive(*entry):
            return True
        self._started.pop(pod_dir, None)
        with contextlib.suppress(ChildProcessError):  # another thread may have collected it
            os.waitpid(entry[0], os.WNOHANG)
        return False

    def _collect(self, pod_dir: Path) -> None:
        """Wait for a supervisor that has said its last word."""
        until = time.monotonic() + _START_SECONDS
        while self._alive_child(pod_dir) and time.monotonic() < until:
            time.sleep(0.005)

    @staticmethod
    def _is_fresh(pod_dir: Path) -> bool:
        """Whether a supervisor, which another engine may have started, can still be coming up."""
        return time.time() - (pod_dir / PLAN).stat().st_mtime < _START_SECONDS

    def _lost(self, pod_dir: Path, report: PodReport) -> PodReport:
        """The supervisor died without a word: end what it left, and write the pod's end in its place."""
        self._kill_orphans(pod_dir, report)
        detail = _tail(pod_dir / "supervisor.log")
        report.ended = True
        report.reason = "SupervisorLost"
        report.message = (
            "the process that keeps this pod is gone (killed, out of memory, or the machine restarted); "
            "what it ran has been ended" + (f": {detail}" if detail else "")
        )
        for container in report.all_containers():
            if container.running:
                _mark_lost(container)
        report.write(pod_dir)
        return report

    def _kill_orphans(self, pod_dir: Path, report: PodReport) -> None:
        """SIGKILL to what a pod has running: its sessions, and any process with its uid in the environment."""
        for container in report.all_containers():
            if container.pid and processes.is_alive(container.pid, container.mark):
                processes.kill_session(container.pid)
            cgroups.remove([Path(directory) for directory in container.cgroups])
        plan = PodPlan.read(pod_dir)
        for entry in [*plan.init_containers, *plan.containers] if plan is not None else []:
            if entry.tool:
                realcontainer.remove(entry)
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if plan is not None and process.environ().get(POD_UID_ENV) == plan.uid:
                    process.kill()


def _unstarted(plan: PodPlan) -> PodReport:
    return PodReport(
        supervisor_pid=0,
        supervisor_mark="",
        init_containers=waiting_reports(plan.init_containers, "PodInitializing"),
        containers=waiting_reports(plan.containers, "ContainerCreating"),
    )


def _mark_lost(container: ContainerReport) -> None:
    """As the kubelet reports a container whose end nobody saw: 137, ContainerStatusUnknown."""
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    container.state = {
        "terminated": {
            "exitCode": 137,
            "reason": "ContainerStatusUnknown",
            "message": "The container could not be located when the pod was terminated",
            "startedAt": container.state["running"]["startedAt"],
            "finishedAt": stamp,
        }
    }
    container.pid, container.mark = 0, ""


def _tail(path: Path) -> str:
    """The last line a supervisor wrote, which is its error if it failed by itself."""
    try:
        lines = path.read_text(errors="replace").split("\n")
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")[:500]
