"""Control groups for containers with limits, where this machine lets the engine's user make them.

Version 2: a child of the nearest own ancestor that hands the memory controller on, as delegated
trees (systemd's user slices, containers with `Delegate=`) do. Version 1: a child of the own group.
Nothing is mounted, nothing moved but the container itself. Where none can be made, the supervisor
watches memory itself and CPU limits are not enforced. Kernel documentation: admin-guide/cgroup-v2,
admin-guide/cgroup-v1/memory. Standard library only: the supervisor uses it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

_PERIOD_US = 100_000
_LEAST_QUOTA_US = 1_000
"""The kernel's smallest quota a period."""
_REMOVAL_SECONDS = 2.0


@dataclass(frozen=True)
class Parents:
    """Directories in which groups may be made, by controller (`memory`, `cpu`); version 2 has one for both."""

    by_controller: Mapping[str, Path] = field(default_factory=dict)
    unified: bool = True

    def offers(self, controller: str) -> bool:
        return controller in self.by_controller


def find_parents(proc: Path = Path("/proc/self")) -> Parents:
    """What this process may use. Nothing where there are no control groups, or none may be written."""
    try:
        own = [line.split(":", 2) for line in (proc / "cgroup").read_text().splitlines()]
        mounts = _mounts((proc / "mountinfo").read_text())
    except (OSError, ValueError):
        return Parents()
    version1: dict[str, Path] = {}
    unified: dict[str, Path] = {}
    for _, controllers, path in own:
        for name in controllers.split(",") if controllers else [""]:
            if name not in ("", "memory", "cpu") or name not in mounts:
                continue
            root, top = mounts[name]
            relative = os.path.relpath(path, root) if path.startswith(root) else "."
            directory = top if relative == "." else top / relative
            if name:
                if _writable(directory):
                    version1[name] = directory
            else:
                unified = _delegated(directory, top)
    return Parents(version1, unified=False) if "memory" in version1 else Parents(unified)


def _mounts(mountinfo: str) -> dict[str, tuple[str, Path]]:
    """Controller ("" for version 2) to the root and place of its mount (proc(5), /proc/PID/mountinfo)."""
    found: dict[str, tuple[str, Path]] = {}
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        fields, kind = before.split(), after.split()
        if kind[0] == "cgroup2":
            found[""] = (fields[3], Path(fields[4]))
        elif kind[0] == "cgroup":
            for name in kind[2].split(","):
                found.setdefault(name, (fields[3], Path(fields[4])))
    return found


def _delegated(directory: Path, top: Path) -> dict[str, Path]:
    """The nearest ancestor that hands controllers on to its children and may be written."""
    while True:
        with contextlib.suppress(OSError):
            handed_on = (directory / "cgroup.subtree_control").read_text().split()
            if "memory" in handed_on and _writable(directory):
                return {name: directory for name in ("memory", "cpu") if name in handed_on}
        if directory == top or top not in directory.parents:
            return {}
        directory = directory.parent


def _writable(directory: Path) -> bool:
    """Whether groups can be made in it: made and removed, for mode bits do not tell of a read-only mount."""
    probe = directory / f"cpod-probe-{os.getpid()}-{time.monotonic_ns()}"
    try:
        probe.mkdir()
        probe.rmdir()
    except OSError:
        return False
    return os.access(directory / "cgroup.procs", os.W_OK)


class Group:
    """The control group of one run of a container. Raises OSError when it can't be made."""

    def __init__(self, parents: Parents, name: str, memory_bytes: int, cpus: float) -> None:
        self._unified = parents.unified
        wanted = [kind for kind, amount in (("memory", memory_bytes), ("cpu", cpus)) if amount]
        self.directories = sorted({parents.by_controller[kind] / name for kind in wanted if parents.offers(kind)})
        self.limits_memory = bool(memory_bytes) and parents.offers("memory")
        self._memory = parents.by_controller["memory"] / name if self.limits_memory else None
        try:
            for directory in self.directories:
                directory.mkdir(exist_ok=True)
            if self._memory is not None:
                self._limit_memory(self._memory, memory_bytes)
            if cpus and parents.offers("cpu"):
                self._limit_cpu(parents.by_controller["cpu"] / name, cpus)
        except OSError:
            self.remove()
            raise

    def _limit_memory(self, directory: Path, limit: int) -> None:
        if self._unified:
            (directory / "memory.max").write_text(str(limit))
            for name, value in (("memory.swap.max", "0"), ("memory.oom.group", "1")):
                with contextlib.suppress(OSError):  # no swap accounting; a kernel before 4.19
                    (directory / name).write_text(value)
            return
        (directory / "memory.limit_in_bytes").write_text(str(limit))
        with contextlib.suppress(OSError):
            (directory / "memory.memsw.limit_in_bytes").write_text(str(limit))

    def _limit_cpu(self, directory: Path, cpus: float) -> None:
        quota = max(_LEAST_QUOTA_US, int(cpus * _PERIOD_US))
        if self._unified:
            (directory / "cpu.max").write_text(f"{quota} {_PERIOD_US}")
            return
        (directory / "cpu.cfs_period_us").write_text(str(_PERIOD_US))
        (directory / "cpu.cfs_quota_us").write_text(str(quota))

    def join(self) -> None:
        """Put the calling process in; what it starts is in too. For a child, before its program begins."""
        for directory in self.directories:
            (directory / "cgroup.procs").write_text("0")

    def oom_kills(self) -> int:
        """How many of its processes the kernel has killed because the group's memory was used up."""
        if self._memory is None:
            return 0
        name = "memory.events" if self._unified else "memory.oom_control"
        with contextlib.suppress(OSError, ValueError):
            for line in (self._memory / name).read_text().splitlines():
                if line.startswith("oom_kill "):
                    return int(line.split()[1])
        return 0

    def remove(self) -> None:
        """End what is left in it, and take it away."""
        remove(self.directories)


def remove(directories: list[Path]) -> None:
    """End the processes of groups and take the groups away; one that is gone, or never was, is no matter."""
    until = time.monotonic() + _REMOVAL_SECONDS
    for directory in directories:
        while directory.is_dir() and time.monotonic() < until:
            with contextlib.suppress(OSError):
                for pid in (directory / "cgroup.procs").read_text().split():
                    os.kill(int(pid), signal.SIGKILL)
            with contextlib.suppress(OSError):
                directory.rmdir()
                break
            time.sleep(0.005)
