"""How much CPU and memory containers use, by their processes."""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import dataclass

import psutil

from cpod_jupyter.engine.kubelet import memory

_WINDOW = 2.0
"""Seconds that a rate is taken over at least; asked more often, the same answer is given."""


@dataclass(frozen=True)
class Use:
    """`cpu` in cores, the mean over the last `window` seconds; `memory` in bytes."""

    cpu: float
    memory: int
    window: float


@dataclass
class _Sample:
    at: float
    cpu: float
    use: Use


class Meter:
    """Turns CPU times into rates; what has not been measured before, over its life until now."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._samples: dict[tuple[int, str], _Sample] = {}

    def processes(self, pid: int, mark: str) -> Use | None:
        """Of a process with all its descendants; None when it is gone. `mark` tells it from a later one of its id."""
        with self._lock:
            now, before = time.monotonic(), self._samples.get((pid, mark))
            if before is not None and now - before.at < _WINDOW:
                return before.use
            cpu, resident, age = 0.0, 0, None
            for member in memory.tree(pid):
                with contextlib.suppress(psutil.Error):
                    process = psutil.Process(member)
                    times = process.cpu_times()
                    cpu += times.user + times.system + _of_children(times)
                    resident += process.memory_info().rss
                    if member == pid:
                        age = time.time() - process.create_time()
            if age is None:
                self._samples.pop((pid, mark), None)
                return None
            window = now - before.at if before else max(age, 0.1)
            used = cpu - before.cpu if before else cpu
            use = Use(max(0.0, used / window), resident, window)
            self._samples[pid, mark] = _Sample(now, cpu, use)
            if len(self._samples) > 1000:
                self._samples = {key: kept for key, kept in self._samples.items() if now - kept.at < 60}
            return use

    def machine(self) -> Use:
        """Of the whole machine."""
        with self._lock:
            key, now = (0, "machine"), time.monotonic()
            before = self._samples.get(key)
            if before is not None and now - before.at < _WINDOW:
                return before.use
            times, held = psutil.cpu_times(), psutil.virtual_memory()
            cpu = sum(times) - times.idle - getattr(times, "iowait", 0.0) - getattr(times, "guest", 0.0)
            window = now - before.at if before else max(1.0, time.time() - psutil.boot_time())
            use = Use(max(0.0, (cpu - (before.cpu if before else 0.0)) / window), held.total - held.available, window)
            self._samples[key] = _Sample(now, cpu, use)
            return use


def _of_children(times: object) -> float:
    """CPU time of children that have ended and were waited for (Linux)."""
    return float(getattr(times, "children_user", 0.0)) + float(getattr(times, "children_system", 0.0))
