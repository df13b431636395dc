"""Keeps one pod: runs its containers, restarts them, logs them, and writes down how they ended.

    python -m cpod_jupyter.engine.kubelet.supervisor POD_DIR

It reads POD_DIR/pod.json, keeps POD_DIR/status.json current, and needs no engine: pods outlive an
engine that is killed, and the next one finds them. SIGTERM stops the pod: TERM to each container,
KILL after the grace period (the plan's, or that of POD_DIR/stop.json); nothing is left behind.
Standard library only, so that it starts in some 50 ms and stays small.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import sys
import time
from pathlib import Path

from cpod_jupyter.engine.kubelet import processes
from cpod_jupyter.engine.kubelet.container import Container
from cpod_jupyter.engine.kubelet.plan import STOP, PodPlan, PodReport, read_json, waiting_reports

_DEADLINE_MESSAGE = "Pod was active on the node longer than the specified deadline"
_LONGEST_SLEEP = 60.0
"""Seconds; clocks may be set, so the deadline is looked at now and then."""


class Supervisor:
    """One loop over pipes, children and times; one thread."""

    def __init__(self, pod_dir: Path, plan: PodPlan) -> None:
        self.pod_dir = pod_dir
        self.plan = plan
        reason = "PodInitializing" if plan.init_containers else "ContainerCreating"
        self.report = PodReport(
            supervisor_pid=os.getpid(),
            supervisor_mark=processes.start_mark(os.getpid()) or "",
            init_containers=waiting_reports(plan.init_containers, "PodInitializing"),
            containers=waiting_reports(plan.containers, reason),
        )
        pairs = zip(plan.init_containers, self.report.init_containers, strict=True)
        self._init = [Container(plan, container, pod_dir, report) for container, report in pairs]
        self._apps = [
            Container(plan, container, pod_dir, report)
            for container, report in zip(plan.containers, self.report.containers, strict=True)
        ]
        self._selector = selectors.DefaultSelector()
        self._stop_asked = False
        self._stopping = False
        self._kill_at: float | None = None
        self._wake_soon = False
        self._written = ""

    def run(self) -> None:
        """Until the pod has ended; what it left running is ended with it."""
        self._listen_to_signals()
        processes.become_subreaper()
        self._save()
        while self._advance():
            saved = self._save()
            for key, _ in self._selector.select(self._sleep() if saved else min(1.0, self._sleep())):
                container = key.data
                if container is None:
                    with contextlib.suppress(BlockingIOError):
                        os.read(key.fd, 4096)
                elif not container.read(key.fd):
                    self._selector.unregister(key.fd)
            self._reap()
        self._sweep()
        self.report.ended = True
        while not self._save() and self.pod_dir.exists():
            time.sleep(1)  # a full disk: the pod's end is worth waiting for

    def _listen_to_signals(self) -> None:
        """Signals only wake the loop. Handlers, not SIG_IGN, which containers would inherit."""
        reading, writing = os.pipe()
        for descriptor in (reading, writing):
            os.set_blocking(descriptor, False)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        self._selector.register(reading, selectors.EVENT_READ, None)
        signal.signal(signal.SIGTERM, self._on_term)
        for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: None)

    def _on_term(self, *_: object) -> None:
        self._stop_asked = True

    def _advance(self) -> bool:
        """Do whatever is due now; False when the pod has ended."""
        if self._stop_asked:
            self._stop_asked = False
            asked = read_json(self.pod_dir / STOP) or {}
            self._stop(float(asked.get("grace_seconds", self.plan.grace_seconds)))
        if self.plan.deadline is not None and not self._stopping and time.time() >= self.plan.deadline:
            self.report.reason, self.report.message = "DeadlineExceeded", _DEADLINE_MESSAGE
            self._stop(self.plan.grace_seconds)
        if self._kill_at is not None and time.monotonic() >= self._kill_at:
            self._kill_at = None
            for container in self._running():
                processes.kill_session(container.report.pid)
        if self._stopping:
            return bool(self._running())
        return self._advance_init() and self._advance_apps()

    def _advance_init(self) -> bool:
        """Run init containers in their order; False when one has failed for good."""
        for container in self._init:
            ended = container.report.terminated
            if ended and ended["exitCode"] == 0:
                continue
            if ended and self.plan.restart_policy == "Never":
                return False
            self._start_if_due(container, restart=True)
            return True
        return True

    def _advance_apps(self) -> bool:
        """Once initialised, start and restart containers; False when none runs or will again."""
        if any((c.report.terminated or {}).get("exitCode") != 0 for c in self._init):
            return True
        for container in self._apps:
            ended = container.report.terminated
            policy = self.plan.restart_policy
            failed = ended is not None and ended["exitCode"] != 0
            self._start_if_due(container, restart=policy == "Always" or (policy == "OnFailure" and failed))
        return any(c.report.terminated is None or c.restart_at is not None for c in self._apps)

    def _start_if_due(self, container: Container, restart: bool) -> None:
        if container.report.running:
            return
        if container.report.terminated and container.restart_at is None:
            if not restart:
                return
            container.plan_restart()
        if container.restart_at is None or time.monotonic() >= container.restart_at:
            container.start()
            for descriptor in container.outputs:
                self._selector.register(descriptor, selectors.EVENT_READ, container)
            if container.report.terminated:  # it could not be started: the next look decides on a restart
                self._wake_soon = True

    def _sleep(self) -> float:
        """Seconds until something is due that no signal or pipe will tell of."""
        if self._wake_soon:
            self._wake_soon = False
            return 0.0
        due = [_LONGEST_SLEEP]
        now = time.monotonic()
        if self.plan.deadline is not None and not self._stopping:
            due.append(self.plan.deadline - time.time())
        if self._kill_at is not None:
            due.append(self._kill_at - now)
        for container in [*self._init, *self._apps]:
            if container.restart_at is not None:
                due.append(container.restart_at - now)
            flush = container.flush()
            if flush is not None:
                due.append(flush)
        return max(0.0, min(due))

    def _stop(self, grace_seconds: float) -> None:
        """TERM now, KILL later; asked again, the earlier time holds."""
        kill_at = time.monotonic() + grace_seconds
        if self._stopping:
            self._kill_at = min(kill_at, self._kill_at) if self._kill_at is not None else None
            return
        self._stopping = True
        self._kill_at = kill_at
        for container in [*self._init, *self._apps]:
            container.give_up_restart()
        for container in self._running():
            processes.signal_group(container.report.pid, signal.SIGTERM)

    def _running(self) -> list[Container]:
        return [container for container in [*self._init, *self._apps] if container.report.running]

    def _reap(self) -> None:
        """Collect every ended child; those that are no container were orphans of one."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for container in self._running():
                if container.report.pid == pid:
                    for descriptor in container.outputs:
                        with contextlib.suppress(KeyError):
                            self._selector.unregister(descriptor)
                    container.exited(status)

    def _sweep(self) -> None:
        """End descendants that left their container's session; killing one may orphan others."""
        until = time.monotonic() + 5
        while (left := processes.children()) and time.monotonic() < until:
            for pid in left:
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            time.sleep(0.01)

    def _save(self) -> bool:
        """Write the report when it differs from what was written; whether it is there. A full disk ends no pod."""
        current = repr(self.report)
        if current == self._written:
            return True
        try:
            self.report.write(self.pod_dir)
        except OSError:
            if not self.pod_dir.exists() and not self._stopping:
                self._stop(0)  # nobody knows of this pod any more
            return False
        self._written = current
        return True


def main() -> int:
    pod_dir = Path(sys.argv[1])
    plan = PodPlan.read(pod_dir)
    if plan is None:
        print(f"{pod_dir} has no pod.json", file=sys.stderr)
        return 2
    Supervisor(pod_dir, plan).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
