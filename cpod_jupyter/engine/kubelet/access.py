"""What people ask of a container that runs here: its log, and commands in it."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

from cpod_jupyter.engine.kubelet.commands import exec_request
from cpod_jupyter.engine.kubelet.execution import Execution
from cpod_jupyter.engine.kubelet.logs import LogRequest, read_log
from cpod_jupyter.engine.kubelet.plan import ContainerPlan, ContainerReport, PodPlan, PodReport
from cpod_jupyter.engine.kubelet.usage import Meter, Use
from cpod_jupyter.engine.kubelet.watcher import PodWatcher
from cpod_jupyter.errors import BadRequest, NotFound


class PodAccess:
    """Serves logs and commands for the API server, of the pods in a folder."""

    def __init__(self, pods: Path, observe: Callable[[Path], PodReport | None], watcher: PodWatcher) -> None:
        self._pods = pods
        self._observe = observe
        self._watcher = watcher
        self._meter = Meter()

    def log(
        self,
        namespace: str,
        name: str,
        uid: str,
        container: str,
        *,
        follow: bool = False,
        tail_lines: int | None = None,
        limit_bytes: int | None = None,
        since: dt.datetime | None = None,
        since_seconds: int | None = None,
        timestamps: bool = False,
        previous: bool = False,
    ) -> AsyncIterator[bytes]:
        """A container's log, for an asyncio server. Raises BadRequest, at once, when the container has none yet."""
        if since_seconds is not None:
            since = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=since_seconds)
        pod_dir = self._pods / directory_name(namespace, name, uid)
        state = report_of(self._observe(pod_dir), container)
        if state is None or (not state.running and not state.terminated and not state.last_state):
            reason = ((state.state if state else {}).get("waiting") or {}).get("reason") or "ContainerCreating"
            raise BadRequest(f'container "{container}" in pod "{name}" is waiting to start: {reason}')
        run = state.restart_count

        def ended() -> bool:
            now = report_of(self._observe(pod_dir), container)
            return now is None or now.restart_count != run or not now.running

        request = LogRequest(container, follow, previous, timestamps, since, tail_lines, limit_bytes)
        return read_log(pod_dir, request, self._watcher, ended)

    async def exec(
        self,
        namespace: str,
        name: str,
        uid: str,
        container: str,
        command: Sequence[str],
        *,
        stdin: bool = False,
        stdout: bool = True,
        stderr: bool = True,
        tty: bool = False,
    ) -> Execution:
        """Run a command in a container. Raises NotFound when it does not run, ServerError when the command can't be."""
        plan, state = self._running(namespace, name, uid, container)
        request = exec_request(plan, state, command, tty=tty)
        return await Execution.start(request, stdin=stdin, stdout=stdout, stderr=stderr)

    def usage(self, namespace: str, name: str, uid: str) -> dict[str, Use]:
        """What each running container uses; of one in podman or docker this machine's processes say nothing."""
        pod_dir = self._pods / directory_name(namespace, name, uid)
        report = self._observe(pod_dir) if pod_dir.exists() else None
        plan = PodPlan.read(pod_dir) if report is not None and not report.ended else None
        if report is None or plan is None:
            return {}
        real = {entry.name for entry in (*plan.init_containers, *plan.containers) if entry.tool}
        running = [entry for entry in report.all_containers() if entry.running and entry.pid and entry.name not in real]
        uses = {entry.name: self._meter.processes(entry.pid, entry.mark) for entry in running}
        return {name: use for name, use in uses.items() if use is not None}

    def machine_usage(self) -> Use:
        """What the whole machine uses."""
        return self._meter.machine()

    def require_running(self, namespace: str, name: str, uid: str, container: str) -> None:
        """Raises NotFound when a container does not run."""
        self._running(namespace, name, uid, container)

    def _running(self, namespace: str, name: str, uid: str, container: str) -> tuple[ContainerPlan, ContainerReport]:
        pod_dir = self._pods / directory_name(namespace, name, uid)
        state, plan = report_of(self._observe(pod_dir), container), PodPlan.read(pod_dir)
        if plan is None or state is None or not state.running:
            raise NotFound(f'unable to upgrade connection: container not found ("{container}"): it does not run')
        every = [*plan.init_containers, *plan.containers]
        return next(entry for entry in every if entry.name == container), state


def directory_name(namespace: str, name: str, uid: str) -> str:
    """The folder of a pod among the others."""
    return f"{namespace}_{name}_{uid}"


def report_of(report: PodReport | None, container: str) -> ContainerReport | None:
    """One container's part of a pod's report, if there is one."""
    if report is None:
        return None
    return next((entry for entry in report.all_containers() if entry.name == container), None)
