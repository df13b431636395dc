"""Processes by identity: a process id alone may be somebody else's by now.

Standard library only: the supervisor uses it too.
"""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

_STAT_STATE, _STAT_START = 0, 19
"""Positions in /proc/PID/stat after the command's closing parenthesis (proc(5): fields 3 and 22)."""


def start_mark(pid: int) -> str | None:
    """What, with the process id, names one process for ever; None when it is gone or a zombie."""
    if sys.platform == "linux":
        try:
            stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
        except OSError:
            return None
        fields = stat[stat.rindex(")") + 2 :].split()
        return None if fields[_STAT_STATE] in "ZX" else f"{_boot()}-{fields[_STAT_START]}"
    shown = subprocess.run(["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    state, _, started = shown.stdout.strip().partition(" ")
    return None if not state or state.startswith("Z") else started.strip()


@functools.cache
def _boot() -> str:
    """Process start times count from the boot, so the boot is part of the mark."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()[:8]
    except OSError:
        return "boot"


def is_alive(pid: int, mark: str) -> bool:
    """Whether the very process that had this mark still runs."""
    return pid > 0 and start_mark(pid) == mark


def all_pids() -> Iterator[int]:
    if sys.platform == "linux":
        yield from (int(name) for name in os.listdir("/proc") if name.isdigit())
        return
    shown = subprocess.run(["ps", "-axo", "pid="], capture_output=True, text=True, check=False)
    yield from (int(word) for word in shown.stdout.split())


def session_members(session: int) -> list[int]:
    """The processes of a session, zombies included."""
    found = []
    for pid in all_pids():
        with contextlib.suppress(OSError):
            if os.getsid(pid) == session:
                found.append(pid)
    return found


def kill_session(session: int) -> None:
    """SIGKILL to every process of a session: its group first, then groups its members opened."""
    signal_group(session, signal.SIGKILL)
    for pid in session_members(session):
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)


def signal_group(group: int, number: signal.Signals) -> None:
    """A signal to a process group; nothing when it is empty."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def kill_marked(marker: str) -> None:
    """SIGKILL to every process with NAME=VALUE in its environment, where the system shows it (Linux)."""
    for pid in all_pids():
        with contextlib.suppress(OSError):
            if marker.encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                os.kill(pid, signal.SIGKILL)


def children() -> list[int]:
    """The children of this process (Linux; elsewhere none are found)."""
    found = []
    me = os.getpid()
    if sys.platform == "linux":
        for pid in all_pids():
            with contextlib.suppress(OSError, ValueError, IndexError):
                stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
                if int(stat[stat.rindex(")") + 2 :].split()[1]) == me:
                    found.append(pid)
    return found


def collect_ended() -> Iterator[tuple[int, int]]:
    """Every child that has ended and was not waited for yet: process id and wait status (waitpid(2))."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        yield pid, status


def become_subreaper() -> None:
    """Have orphaned descendants become children of this process, so that they can be ended (Linux prctl(2))."""
    if sys.platform != "linux":
        return
    import ctypes

    pr_set_child_subreaper = 36
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(pr_set_child_subreaper, 1, 0, 0, 0)


def why_not_started(program: str, cwd: str, error: Exception) -> str:
    """Why a process could not be started, in the words that container runtimes use."""
    if isinstance(error, FileNotFoundError) and not os.path.isdir(cwd):
        return f"chdir to cwd ({cwd!r}): no such file or directory"
    if isinstance(error, FileNotFoundError) and "/" not in program:
        return f'exec: "{program}": executable file not found in $PATH'
    if isinstance(error, FileNotFoundError):
        return f'exec: "{program}": stat {program}: no such file or directory'
    if isinstance(error, PermissionError):
        return f'exec: "{program}": permission denied'
    return f'exec: "{program}": {error}'


def oom_kills() -> int:
    """How many processes the kernel has killed for memory since boot; 0 where it doesn't say."""
    try:
        for line in Path("/proc/vmstat").read_text().splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    except OSError:
        pass
    return 0
