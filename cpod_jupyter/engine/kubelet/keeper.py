"""Keeps one command that is run in a container, as `kubectl exec` does: a process between engine and command.

    python -m cpod_jupyter.engine.kubelet.keeper FD

FD is a socket to the engine. The engine writes a `Request` as one line of JSON and closes its end to have
the command ended; the keeper writes {"started": PID} or {"error": WHY}, and then {"exit": CODE}. The command
has the keeper's own standard streams, so no output passes through here. It can't outlive the container: the
keeper watches the container's first process, and ends everything that it has started with it. What a
command leaves running in the background goes on, as in a container, until the container ends.
Standard library only, so that it starts in some 50 ms.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from cpod_jupyter.engine.kubelet import processes

KILL_AFTER = 2.0
"""Seconds between the hang-up, when the client has gone, and KILL."""
_POLL_SECONDS = 0.5
"""How often a container is looked at where the system has no descriptors for processes."""
_KILLED = 128 + signal.SIGKILL
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Request:
    """What the engine asks for. `watched` is the process, with its mark, that the command must not outlive."""

    argv: list[str]
    env: dict[str, str]
    cwd: str
    tty: bool
    watched_pid: int
    watched_mark: str
    marker: str = ""
    """NAME=VALUE in the environment of what the command runs elsewhere than below this process: in a container."""

    def to_line(self) -> bytes:
        return json.dumps(asdict(self)).encode() + b"\n"


class Keeper:
    """One loop over the engine's socket, the children's signals and the container's end."""

    def __init__(self, control: socket.socket, request: Request) -> None:
        self._control: socket.socket | None = control
        self._request = request
        self._selector = selectors.DefaultSelector()
        self._pid = 0
        self._ended = False
        self._hung_up_at: float | None = None
        self._polls = False

    def run(self) -> None:
        """Start the command, and stay for as long as something of it runs."""
        self._listen()
        processes.become_subreaper()
        join_cgroups(self._request.watched_pid)
        try:
            process = subprocess.Popen(
                self._request.argv,
                env=self._request.env,
                cwd=self._request.cwd,
                start_new_session=True,
                preexec_fn=_child_setup(self._request.tty),
            )
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            self._tell({"error": processes.why_not_started(self._request.argv[0], self._request.cwd, error)})
            return
        process.returncode = 0  # collected by this loop, with what else it must collect
        self._pid = process.pid
        _let_go_of_streams()
        self._tell({"started": process.pid})
        while self._goes_on():
            for key, _ in self._selector.select(self._sleep()):
                key.data()
            self._reap()
        self._end_everything()

    def _listen(self) -> None:
        reading, writing = os.pipe()
        for descriptor in (reading, writing):
            os.set_blocking(descriptor, False)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: None)
        signal.signal(signal.SIGTERM, lambda *_: self._hang_up())
        self._selector.register(reading, selectors.EVENT_READ, lambda: _drain(reading))
        if self._control is not None:
            self._selector.register(self._control, selectors.EVENT_READ, self._heard)
        try:
            watched = os.pidfd_open(self._request.watched_pid)  # Linux 5.3
        except (OSError, AttributeError):
            self._polls = True
        else:
            self._selector.register(watched, selectors.EVENT_READ, lambda: None)

    def _goes_on(self) -> bool:
        """Whether anything is left to keep; a container that has ended takes everything with it."""
        if not processes.is_alive(self._request.watched_pid, self._request.watched_mark):
            return False
        if self._hung_up_at is not None and time.monotonic() >= self._hung_up_at + KILL_AFTER:
            return False
        return not self._ended or bool(processes.children())

    def _sleep(self) -> float | None:
        if self._hung_up_at is not None:
            return max(0.0, self._hung_up_at + KILL_AFTER - time.monotonic())
        return _POLL_SECONDS if self._polls or self._ended else None

    def _heard(self) -> None:
        """The engine says nothing after its request: this is its end of the socket closing."""
        assert self._control is not None
        with contextlib.suppress(BlockingIOError):
            if self._control.recv(4096):
                return
        self._selector.unregister(self._control)
        self._control = None
        if not self._ended:
            self._hang_up()

    def _hang_up(self) -> None:
        """The client has gone: as when a terminal is closed. What ignores it is killed soon."""
        if self._hung_up_at is None:
            self._hung_up_at = time.monotonic()
            number = signal.SIGHUP if self._request.tty else signal.SIGTERM
            processes.signal_group(self._pid, number)
            processes.signal_group(self._pid, signal.SIGCONT)  # a stopped process can't end

    def _reap(self) -> None:
        for pid, status in processes.collect_ended():
            if pid == self._pid:
                self._ended = True
                code = os.waitstatus_to_exitcode(status)
                self._tell({"exit": 128 - code if code < 0 else code})

    def _end_everything(self) -> None:
        """KILL to the command's session and to what left it, until nothing is a child of this process."""
        until = time.monotonic() + 5
        if not self._ended:
            processes.kill_session(self._pid)
        while (left := processes.children()) and time.monotonic() < until:
            for pid in left:
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
            self._reap()
            time.sleep(0.01)
        if self._request.marker and self._hung_up_at is not None:
            processes.kill_marked(self._request.marker)
        self._reap()
        if not self._ended:
            self._tell({"exit": _KILLED})

    def _tell(self, message: dict[str, object]) -> None:
        if self._control is not None:
            with contextlib.suppress(OSError):
                self._control.sendall(json.dumps(message).encode() + b"\n")


def join_cgroups(pid: int) -> None:
    """Have this process, and so what it starts, counted with the container's: limits hold for commands too."""
    with contextlib.suppress(OSError, ValueError):
        theirs = Path(f"/proc/{pid}/cgroup").read_text()
        if theirs == Path("/proc/self/cgroup").read_text():
            return
        for line in theirs.splitlines():
            _, controllers, path = line.split(":", 2)
            for root in (controllers, "unified") if controllers else ("", "unified"):
                entry = Path("/sys/fs/cgroup") / root / path.lstrip("/") / "cgroup.procs"
                with contextlib.suppress(OSError):
                    entry.write_text(str(os.getpid()))
                    break


def _child_setup(tty: bool) -> Callable[[], None]:
    """What the new process does before it becomes the command: it takes the terminal, and ends with the keeper."""
    library = ctypes.CDLL(None) if sys.platform == "linux" else None

    def setup() -> None:
        if library is not None:
            library.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if tty:
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    return setup


def _let_go_of_streams() -> None:
    """The command's streams end when the command does; the keeper must not hold them open."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    os.close(nothing)


def _drain(descriptor: int) -> None:
    with contextlib.suppress(BlockingIOError):
        os.read(descriptor, 4096)


def main() -> int:
    control = socket.socket(fileno=int(sys.argv[1]))
    with control.makefile("rb") as lines:
        line = lines.readline()
    if not line.endswith(b"\n"):
        return 1  # the engine went away before it had said what to do
    Keeper(control, Request(**json.loads(line))).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
