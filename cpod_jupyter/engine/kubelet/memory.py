"""How much memory a container's processes use, for limits that no control group holds (Linux).

Resident sets are cheap to read and count shared pages once for each process; proportional sets
count them once, and cost more. So the second is read only when the first is over the limit.
Standard library only: the supervisor uses it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE")


def tree(pid: int, orphans: Iterable[int] = ()) -> list[int]:
    """A process with all its descendants, and with orphans that are still of its session."""
    found, waiting = [], [pid]
    for orphan in orphans:
        with contextlib.suppress(OSError):
            if orphan != pid and os.getsid(orphan) == pid:
                waiting.append(orphan)
    while waiting:
        one = waiting.pop()
        found.append(one)
        waiting += children_of(one)
    return found


def children_of(pid: int) -> list[int]:
    """The children of all threads of a process (proc(5), /proc/PID/task/TID/children); none where it isn't told."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(OSError):
                found += map(int, Path(f"/proc/{pid}/task/{thread}/children").read_bytes().split())
    return found


def used(pids: Iterable[int], limit: int) -> int:
    """Bytes that processes use together, exact only once they come near the limit."""
    pids = list(pids)
    resident = sum(_resident(pid) for pid in pids)
    return resident if resident <= limit else sum(_proportional(pid) for pid in pids)


def _resident(pid: int) -> int:
    with contextlib.suppress(OSError, IndexError, ValueError):
        return int(Path(f"/proc/{pid}/statm").read_bytes().split()[1]) * _PAGE
    return 0


def _proportional(pid: int) -> int:
    """The PSS, or the RSS where there is none (a kernel before 4.14, another user's process)."""
    with contextlib.suppress(OSError, IndexError, ValueError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_bytes().splitlines():
            if line.startswith(b"Pss:"):
                return int(line.split()[1]) * 1024
    return _resident(pid)
