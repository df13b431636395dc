"""One container of a supervised pod: its process, its log, its state in Kubernetes' words.

Standard library only.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from cpod_jupyter.api.records import TERMINATION_MESSAGE_LIMIT
from cpod_jupyter.engine.kubelet import processes, realcontainer
from cpod_jupyter.engine.kubelet.crilog import LogWriter, parse_entry
from cpod_jupyter.engine.kubelet.plan import ContainerPlan, ContainerReport, PodPlan

FIRST_DELAY, LONGEST_DELAY, RESET_AFTER = 10.0, 300.0, 600.0
"""Seconds of Kubernetes' restart back-off (Pod lifecycle, "Container restart policy")."""
_FALLBACK_BYTES, _FALLBACK_LINES = 2048, 80
_START_FAILED = 128
"""The exit code that Kubernetes gives a container whose process could not be started."""


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

    def __init__(self, pod: PodPlan, plan: ContainerPlan, pod_dir: Path, report: ContainerReport) -> None:
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
        try:
            self._log = LogWriter(self.directory / f"{self.report.restart_count}.log")
            if self.plan.tool:
                realcontainer.create(self.plan)
            process = subprocess.Popen(
                self.plan.argv,
                env=self.plan.env,
                cwd=self.plan.cwd,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            if self._log is not None:
                self._log.close()
                self._log = None
            why = (
                str(error)
                if isinstance(error, realcontainer.ToolFailed)
                else processes.why_not_started(self.plan.argv[0], self.plan.cwd, error)
            )
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
        processes.kill_session(self.report.pid)
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
        if number == signal.SIGKILL and processes.oom_kills() > self._oom_kills:
            reason = "OOMKilled"  # the kernel killed some process for memory meanwhile, and this one was killed
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
        killed = code == realcontainer.KILLED and processes.oom_kills() > self._oom_kills  # not every tool sees it
        reason = "OOMKilled" if ending.out_of_memory or killed else "Error" if code else "Completed"
        self._terminated(code, 0, reason, self._last_words(code))

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
        for old in (f"{self.report.restart_count - 2}.log", f"{self.report.restart_count - 2}.log.1"):
            (self.directory / old).unlink(missing_ok=True)


def _stamp(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
