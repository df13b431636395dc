"""Keeps one pod: runs its containers, restarts them, logs them, and writes down how they ended.

    python -m cpod_jupyter.engine.kubelet.supervisor POD_DIR

It reads POD_DIR/pod.json, keeps POD_DIR/status.json current, and needs no engine: pods outlive an
engine that is killed, and the next one finds them. SIGTERM stops the pod: preStop hooks and
TERM to each container, KILL after the grace period (the plan's, or that of POD_DIR/stop.json),
sidecars after the others; nothing is left behind.
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

from cpod_jupyter.engine.kubelet import memory, processes
from cpod_jupyter.engine.kubelet.cgroups import Parents, find_parents
from cpod_jupyter.engine.kubelet.container import Container
from cpod_jupyter.engine.kubelet.plan import STOP, PodPlan, PodReport, read_json, waiting_reports

_DEADLINE_MESSAGE = "Pod was active on the node longer than the specified deadline"
_LONGEST_SLEEP = 60.0
"""Seconds; clocks may be set, so the deadline is looked at now and then."""
_SIDECAR_SECONDS = 2.0
"""What a sidecar gets at least, when the containers before it have used the pod's grace period up."""
_STARTED_SECONDS = 0.1
"""How often a sidecar is looked at whose startup probe is awaited."""
_WATCH_SECONDS, _WATCH_NEAR_SECONDS, _NEAR = 1.0, 0.1, 0.5
"""How often memory is looked at, and from which share of a limit on more often."""


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
        plans = [*plan.init_containers, *plan.containers]
        limited = any(container.memory_limit or container.cpu_limit for container in plans)
        parents = find_parents() if limited else Parents()
        every = [
            Container(plan, container, pod_dir, report, parents)
            for container, report in zip(plans, self.report.all_containers(), strict=True)
        ]
        self._init, self._apps = every[: len(plan.init_containers)], every[len(plan.init_containers) :]
        self._sidecars = [container for container in self._init if container.plan.sidecar]
        self._selector = selectors.DefaultSelector()
        self._stop_asked = False
        self._stopping = False
        self._finishing = False
        """The containers have ended for good; sidecars are being ended after them."""
        self._kill_at = 0.0
        """Monotonic time of KILL for all, once the pod stops."""
        self._graceful = True
        self._watch_memory_at = 0.0
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
        for container in self._running():
            container.kill_if_due()
        self._watch_memory()
        if not (self._stopping or self._finishing):
            initialized = self._advance_init()
            if initialized is None or (initialized and self._advance_apps()):
                return True
            self._finishing = True
            self._kill_at = time.monotonic() + self.plan.grace_seconds
            for sidecar in self._sidecars:
                sidecar.give_up_restart()
        return self._advance_end()

    def _advance_init(self) -> bool | None:
        """Run init containers in their order: None while one is awaited, False when one has failed for good.

        A sidecar is awaited until it has started, and then goes on beside what comes after it.
        """
        for container in self._init:
            ended, report = container.report.terminated, container.report
            if container.plan.sidecar:
                self._start_if_due(container, restart=True)
                report.passed = report.passed or container.started
                if not report.passed:
                    return None
                continue
            report.passed = report.passed or (ended is not None and ended["exitCode"] == 0)
            if report.passed:
                continue
            if ended and self.plan.restart_policy == "Never":
                return False
            self._start_if_due(container, restart=True)
            return None
        return True

    def _advance_apps(self) -> bool:
        """Start and restart containers in their order; False when none runs or will again."""
        for container in self._apps:
            ended = container.report.terminated
            policy = self.plan.restart_policy
            failed = ended is not None and ended["exitCode"] != 0
            self._start_if_due(container, restart=policy == "Always" or (policy == "OnFailure" and failed))
            if container.report.starting:
                return True  # a postStart hook holds up the containers after its own
        return any(c.report.terminated is None or c.restart_at is not None for c in self._apps)

    def _advance_end(self) -> bool:
        """Once the other containers have ended, end sidecars, the last one first; False when nothing runs."""
        if any(not container.plan.sidecar for container in self._running()):
            return True
        for sidecar in reversed(self._sidecars):
            if sidecar.report.running:
                now = time.monotonic()
                sidecar.end(max(self._kill_at, now + _SIDECAR_SECONDS) if self._graceful else self._kill_at)
                return True
        return False

    def _watch_memory(self) -> None:
        """Hold the memory limits that no control group holds; looked at more often near them."""
        watched = [container for container in self._running() if container.watched]
        if not watched or time.monotonic() < self._watch_memory_at:
            return
        orphans = memory.children_of(os.getpid())
        share = max(container.check_memory(orphans) for container in watched)
        self._watch_memory_at = time.monotonic() + (_WATCH_SECONDS if share < _NEAR else _WATCH_NEAR_SECONDS)

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
        for container in self._running():
            kill_at = container.kill_if_due()
            if kill_at is not None:
                due.append(kill_at - now)
            if container.watched:
                due.append(self._watch_memory_at - now)
        if any(sidecar.plan.startup_probed and not sidecar.report.passed for sidecar in self._sidecars):
            due.append(_STARTED_SECONDS)
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
        self._kill_at = min(self._kill_at, kill_at) if self._stopping else kill_at
        self._graceful = grace_seconds > 0
        self._stopping = True
        for container in [*self._init, *self._apps]:
            container.give_up_restart()
        for container in self._running():
            if not container.plan.sidecar:
                container.end(self._kill_at)

    def _running(self) -> list[Container]:
        return [container for container in [*self._init, *self._apps] if container.report.running]

    def _reap(self) -> None:
        """Collect every ended child; those that are no container were orphans of one."""
        for pid, status in processes.collect_ended():
            for container in self._running():
                if container.hook_exited(pid, status):
                    break
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
            for _ in processes.collect_ended():
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
