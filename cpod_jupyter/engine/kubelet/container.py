"""One container of a supervised pod: its process, hooks, limits and log, its state in Kubernetes' words.

Standard library only.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from cpod_jupyter.api.records import TERMINATION_MESSAGE_LIMIT
from cpod_jupyter.engine.kubelet import memory, processes, readonly, realcontainer
from cpod_jupyter.engine.kubelet.cgroups import Group, Parents
from cpod_jupyter.engine.kubelet.crilog import LogWriter, parse_entry, rotated
from cpod_jupyter.engine.kubelet.plan import STARTED, ContainerPlan, ContainerReport, PodPlan

FIRST_DELAY, LONGEST_DELAY, RESET_AFTER = 10.0, 300.0, 600.0
"""Seconds of Kubernetes' restart back-off (Pod lifecycle, "Container restart policy")."""
_FALLBACK_BYTES, _FALLBACK_LINES = 2048, 80
_START_FAILED = 128
"""The exit code that Kubernetes gives a container whose process could not be started."""


_EXTRA_SECONDS = 2.0
"""What a container still gets after its preStop hook has used the grace period up ("Hook handler execution")."""
_HOOK_WORDS = 500
_DONE = float("inf")


class BackOff:
    """Delays before restarts: none before the first, then 10 s, doubling to 5 min; a run of 10 min clears it."""

    def __init__(self) -> None:
        self._next = 0.0

    def after(self, ran_seconds: float) -> float:
        """Seconds to wait before restarting a container that ran that long."""
        delay = 0.0 if ran_seconds >= RESET_AFTER else self._next
        self._next = min(max(delay * 2, FIRST_DELAY), LONGEST_DELAY)
        return delay


class Container:
    """Starts its process in a session of its own, so that everything it leaves behind can be found."""

    def __init__(
        self, pod: PodPlan, plan: ContainerPlan, pod_dir: Path, report: ContainerReport, parents: Parents
    ) -> None:
        self.pod = pod
        self.plan = plan
        self.report = report
        self.directory = pod_dir / plan.name
        self.restart_at: float | None = None
        """Monotonic time of the next start, while waiting for it."""
        self.outputs: dict[int, str] = {}
        """Open pipes of the running process: descriptor to stream name."""
        self._back_off = BackOff()
        self._process: subprocess.Popen[bytes] | None = None
        self._log: LogWriter | None = None
        self._began = 0.0
        self._oom_kills = 0
        self._parents = parents
        self._group: Group | None = None
        self._over_limit = False
        self._hook: subprocess.Popen[bytes] | None = None
        self._kill_at: float | None = None
        """Monotonic time of KILL, once the run has been asked to end; infinite when that is done."""

    @property
    def started(self) -> bool:
        """Whether it runs, and has passed its postStart hook and its startup probe."""
        if not self.report.running or self.report.starting:
            return False
        return not self.plan.startup_probed or _read(self.directory / STARTED) == str(self.report.restart_count)

    @property
    def watched(self) -> bool:
        """Whether it runs under a memory limit that nothing but the supervisor holds."""
        limited = self._group is not None and self._group.limits_memory
        return self.report.running and bool(self.plan.memory_limit) and not limited

    def start(self) -> None:
        """Start the process. A failure to start is a termination, as in Kubernetes."""
        if self.report.last_state or self.report.terminated:
            self.report.restart_count += 1
        self.restart_at = None
        with contextlib.suppress(OSError):
            Path(self.plan.termination_log).write_bytes(b"")
        self._drop_old_logs()
        self._began = time.time()
        self._oom_kills = processes.oom_kills()
        self._over_limit, self._kill_at = False, None
        self._group = self._make_group()
        try:
            self._log = LogWriter(self.directory / f"{self.report.restart_count}.log")
            if self.plan.tool:
                realcontainer.remove(self.plan)  # one that a supervisor left which was killed
            process = subprocess.Popen(
                self.plan.argv,
                env=self.plan.env,
                cwd=self.plan.cwd,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
                preexec_fn=self._child_setup(),
            )
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            if self._log is not None:
                self._log.close()
                self._log = None
            self._drop_group()
            why = processes.why_not_started(self.plan.argv[0], self.plan.cwd, error)
            message = f"failed to start container {self.plan.name!r}: {why}"
            self._terminated(_START_FAILED, 0, "StartError", message)
            return
        assert process.stdout is not None
        assert process.stderr is not None
        self._process = process
        self.outputs = {process.stdout.fileno(): "stdout", process.stderr.fileno(): "stderr"}
        for descriptor in self.outputs:
            os.set_blocking(descriptor, False)
        self.report.pid = process.pid
        self.report.mark = processes.start_mark(process.pid) or ""
        if self.plan.tool:
            realcontainer.await_started(self.plan, self.report.pid, self.report.mark)
        self.report.state = {"running": {"startedAt": _stamp(self._began)}}
        if self.plan.post_start:
            self.report.starting = self._run_hook(self.plan.post_start, "FailedPostStartHook")

    def _make_group(self) -> Group | None:
        """A control group for the run, when it has limits and the machine allows one."""
        limits = {"memory": self.plan.memory_limit, "cpu": self.plan.cpu_limit}
        if not any(amount and self._parents.offers(kind) for kind, amount in limits.items()):
            return None
        unique = re.sub(r"[^A-Za-z0-9]+", "-", self.pod.uid).strip("-")[-60:]
        name = f"cpod-{unique}-{self.plan.name}-{self.report.restart_count}"
        try:
            group = Group(self._parents, name, self.plan.memory_limit, self.plan.cpu_limit)
        except OSError:
            return None
        self.report.cgroups = [str(directory) for directory in group.directories]
        return group

    def _child_setup(self) -> Callable[[], None] | None:
        """What a new process does before it becomes the container's program; None when there is nothing to do."""
        group, directories = self._group, self.plan.read_only if self.pod.read_only_mounts else []
        if group is None and not directories:
            return None

        def setup() -> None:
            if group is not None:
                group.join()
            if directories:
                readonly.enter(directories)

        return setup

    def _drop_group(self) -> None:
        if self._group is not None:
            self._group.remove()
            self._group, self.report.cgroups = None, []

    def _run_hook(self, command: list[str], failed: str) -> bool:
        """Begin a lifecycle hook; False, and said so, when it could not even be started."""
        try:
            with (self.directory / "hook.output").open("wb") as output:
                self._hook = subprocess.Popen(
                    command,
                    env=self.plan.env,
                    cwd=self.plan.cwd,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                    preexec_fn=self._child_setup(),
                )
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            self._hook_failed(failed, processes.why_not_started(command[0], self.plan.cwd, error))
            return False
        return True

    def hook_exited(self, pid: int, wait_status: int) -> bool:
        """Take the end of a hook; False when the process is none of this container's."""
        if self._hook is None or self._hook.pid != pid:
            return False
        code = os.waitstatus_to_exitcode(wait_status)
        self._hook.returncode = code
        self._hook = None
        processes.kill_session(pid)
        said = _read(self.directory / "hook.output")[-_HOOK_WORDS:].strip() or f"it exited with {code}"
        if self.report.starting:
            self.report.starting = False
            if code:
                self._hook_failed("FailedPostStartHook", said)
        else:
            if code:
                self._hook_failed("FailedPreStopHook", said)
            processes.signal_group(self.report.pid, signal.SIGTERM)
        return True

    def _hook_failed(self, reason: str, said: str) -> None:
        """A container whose postStart hook fails is ended; one whose preStop hook fails gets its TERM all the same."""
        self.report.hook_failure = f"{reason}: {said}"
        if reason == "FailedPostStartHook" and self._kill_at is None:
            self._kill_at = time.monotonic() + self.pod.grace_seconds
            processes.signal_group(self.report.pid, signal.SIGTERM)

    def _end_hook(self) -> bool:
        """Kill a hook that runs; whether one did."""
        if self._hook is None:
            return False
        processes.kill_session(self._hook.pid)
        self._hook.returncode = 0  # the supervisor collects it
        self._hook, self.report.starting = None, False
        return True

    def end(self, kill_at: float) -> None:
        """preStop, TERM, and KILL at a monotonic time. Asked again, the earlier time holds."""
        if self._kill_at is not None:
            self._kill_at = min(self._kill_at, kill_at) if self._kill_at != _DONE else _DONE
            return
        self._end_hook()
        self._kill_at = kill_at
        hook = self.plan.pre_stop
        if not hook or kill_at <= time.monotonic() or not self._run_hook(hook, "FailedPreStopHook"):
            processes.signal_group(self.report.pid, signal.SIGTERM)

    def kill_if_due(self) -> float | None:
        """KILL when its time has come; else the monotonic time of it."""
        if not self.report.running or self._kill_at is None or self._kill_at == _DONE:
            return None
        if time.monotonic() < self._kill_at:
            return self._kill_at
        if self._end_hook():
            self.report.hook_failure = "FailedPreStopHook: it took longer than the grace period"
            processes.signal_group(self.report.pid, signal.SIGTERM)
            self._kill_at = time.monotonic() + _EXTRA_SECONDS
            return self._kill_at
        self._kill_at = _DONE
        processes.kill_session(self.report.pid)
        return None

    def check_memory(self, orphans: list[int]) -> float:
        """The share of the memory limit that is used; over it, the container is killed as the kernel would."""
        limit = self.plan.memory_limit
        pids = memory.tree(self.report.pid, orphans)
        share = memory.used(pids, limit) / limit
        if share > 1:
            self._over_limit = True
            for pid in pids:
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
            processes.kill_session(self.report.pid)
        return share

    def read(self, descriptor: int) -> bool:
        """Log what a pipe has; False when it has closed."""
        try:
            data = os.read(descriptor, 65536)
        except BlockingIOError:
            return True
        except OSError:
            data = b""
        stream = self.outputs.get(descriptor, "stdout")
        if self._log is not None:
            if data:
                self._log.feed(stream, data)
            else:
                self._log.end(stream)
        return bool(data)

    def flush(self) -> float | None:
        """Let unfinished lines be seen; seconds until some will be due."""
        return self._log.flush_waiting() if self._log is not None else None

    def exited(self, wait_status: int) -> None:
        """The process has ended: end what it left, and say how it ended."""
        assert self._process is not None
        assert self._log is not None
        code = os.waitstatus_to_exitcode(wait_status)
        self._process.returncode = code
        self._end_hook()
        processes.kill_session(self.report.pid)
        oom_killed = code != 0 and self._was_out_of_memory(code)
        self._drop_group()
        for descriptor in self.outputs:
            self._drain(descriptor)
        for pipe in (self._process.stdout, self._process.stderr):
            assert pipe is not None
            pipe.close()
        self._log.close()
        self._process, self._log, self.outputs = None, None, {}
        number = -code if code < 0 else 0
        exit_code = 128 + number if number else code
        if self.plan.tool:
            self._real_exited(exit_code)
            return
        reason = "Completed" if exit_code == 0 else "Error"
        if oom_killed:
            reason = "OOMKilled"
        self._terminated(exit_code, number, reason, self._last_words(exit_code))

    def _real_exited(self, client_code: int) -> None:
        """The client of a real container has ended: the tool knows how the container did."""
        ending = realcontainer.finish(self.plan, client_code)
        if not ending.started:
            why = realcontainer.last_line(b"".join(self._log_tail()).decode(errors="replace"))
            message = f"failed to start container {self.plan.name!r}: {why}"
            self._terminated(_START_FAILED, 0, "StartError", message)
            return
        code = ending.exit_code
        killed = code == realcontainer.KILLED and self._kill_at is None and processes.oom_kills() > self._oom_kills
        reason = "OOMKilled" if ending.out_of_memory or killed else "Error" if code else "Completed"
        self._terminated(code, 0, reason, self._last_words(code))

    def _was_out_of_memory(self, code: int) -> bool:
        """Whether a failed run used up its limit, or the machine's memory."""
        if self._over_limit:
            return True
        if self._group is not None and self._group.limits_memory:
            return self._group.oom_kills() > 0
        # the kernel killed some process for memory meanwhile, and this one was killed
        return code == -signal.SIGKILL and self._kill_at is None and processes.oom_kills() > self._oom_kills

    def _drain(self, descriptor: int) -> None:
        """Everything still in the pipe; a descendant that escaped may hold it open, so not until its end."""
        log, stream = self._log, self.outputs[descriptor]
        assert log is not None
        with contextlib.suppress(OSError):
            while data := os.read(descriptor, 65536):
                log.feed(stream, data)
        log.end(stream)

    def _terminated(self, exit_code: int, number: int, reason: str, message: str) -> None:
        ended = {
            "exitCode": exit_code,
            "reason": reason,
            "startedAt": _stamp(self._began),
            "finishedAt": _stamp(time.time()),
        }
        if number:
            ended["signal"] = number
        if message:
            ended["message"] = message
        self.report.pid, self.report.mark = 0, ""
        self.report.state = {"terminated": ended}

    def _last_words(self, exit_code: int) -> str:
        """The termination message: the file, else the log's end if the policy allows and it failed."""
        try:
            message = Path(self.plan.termination_log).read_bytes()[-TERMINATION_MESSAGE_LIMIT:]
        except OSError:
            message = b""
        if not message and exit_code and self.plan.fallback_to_logs:
            message = b"".join(self._log_tail())[-_FALLBACK_BYTES:]
        return message.decode(errors="replace").strip("\0")

    def _log_tail(self) -> Iterator[bytes]:
        path = self.directory / f"{self.report.restart_count}.log"
        with contextlib.suppress(OSError), path.open("rb") as stream:
            stream.seek(max(0, path.stat().st_size - 4 * _FALLBACK_BYTES))
            for line in stream.read().splitlines()[-_FALLBACK_LINES:]:
                entry = parse_entry(line)
                if entry is not None:
                    yield entry.text + (b"\n" if entry.whole else b"")

    def plan_restart(self) -> None:
        """Wait for the back-off's time, then start again; nothing to wait for is a start now."""
        ended = self.report.terminated
        assert ended is not None
        delay = self._back_off.after(time.time() - self._began)
        self.report.last_state = {"terminated": ended}
        self.restart_at = time.monotonic() + delay
        if delay:
            pod = f"{self.pod.name}_{self.pod.namespace}({self.pod.uid})"
            message = f"back-off {delay:.0f}s restarting failed container={self.plan.name} pod={pod}"
            self.report.state = {"waiting": {"reason": "CrashLoopBackOff", "message": message}}

    def give_up_restart(self) -> None:
        """The pod stops: a container that waited for its restart stays as it ended."""
        if self.restart_at is not None:
            self.restart_at = None
            self.report.state, self.report.last_state = self.report.last_state, {}

    def _drop_old_logs(self) -> None:
        """Keep the previous run's log (`kubectl logs --previous`), no older ones."""
        old = self.directory / f"{self.report.restart_count - 2}.log"
        for path in (old, *rotated(old)):
            path.unlink(missing_ok=True)


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def _stamp(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
