"""What the kubelet asks of a supervisor, and what it reports: `pod.json` and `status.json`.

Both are files in the pod's directory, so that a pod needs no engine to run and an engine needs no
memory of its pods. Standard library only.
"""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

PLAN, STATUS, STOP, STARTED = "pod.json", "status.json", "stop.json", "started"


@dataclass(frozen=True)
class ContainerPlan:
    """One container, fully resolved: nothing is left to look up.

    `mounts` are (path in the pod, path on this machine), by which probes translate their commands.
    `memory_limit` is in bytes and `cpu_limit` in cores, 0 for none. `post_start` and `pre_stop` are commands
    in this machine's terms. A `sidecar` is an init container that goes on beside those after it; one that is
    `startup_probed` has started once the file `started` in its directory names its restart count.
    """

    name: str
    argv: list[str]
    env: dict[str, str]
    cwd: str
    termination_log: str
    fallback_to_logs: bool = False
    mounts: list[tuple[str, str]] = field(default_factory=list)
    read_only: list[str] = field(default_factory=list)
    """Directories of this machine that its processes may not write."""
    memory_limit: int = 0
    cpu_limit: float = 0.0
    post_start: list[str] = field(default_factory=list)
    pre_stop: list[str] = field(default_factory=list)
    sidecar: bool = False
    startup_probed: bool = False
    tool: str = ""
    """podman or docker, where the container is one of a real image: `argv` is then the tool's client."""
    container_name: str = ""


@dataclass(frozen=True)
class PodPlan:
    """One pod. `grace_seconds` is between TERM and KILL; `deadline` is a Unix time in seconds.

    `read_only_mounts`: this machine can hold the containers' `read_only` directories.
    """

    uid: str
    name: str
    namespace: str
    pod_ip: str
    restart_policy: str
    grace_seconds: float
    deadline: float | None
    init_containers: list[ContainerPlan]
    containers: list[ContainerPlan]
    read_only_mounts: bool = False

    def write(self, pod_dir: Path) -> None:
        write_json(pod_dir / PLAN, asdict(self))

    @staticmethod
    def read(pod_dir: Path) -> PodPlan | None:
        """The plan of a pod, or None when it was never written."""
        data = read_json(pod_dir / PLAN)
        if data is None:
            return None
        for kind in ("init_containers", "containers"):
            data[kind] = [ContainerPlan(**_known(ContainerPlan, container)) for container in data[kind]]
            for container in data[kind]:
                container.mounts[:] = [(inside, outside) for inside, outside in container.mounts]
        return PodPlan(**_known(PodPlan, data))


def _known(kind: type, data: dict[str, Any]) -> dict[str, Any]:
    """The fields that this version knows: a pod may have been planned, or be kept, by a later one."""
    return {entry.name: data[entry.name] for entry in fields(kind) if entry.name in data}


@dataclass
class ContainerReport:
    """The state of one container; `state` and `last_state` are Kubernetes ContainerStates."""

    name: str
    state: dict[str, Any]
    last_state: dict[str, Any] = field(default_factory=dict)
    restart_count: int = 0
    pid: int = 0
    mark: str = ""
    """With `pid`, the identity of the process that leads the container's session; 0 when none runs."""
    sidecar: bool = False
    passed: bool = False
    """Of an init container: what comes after it may start. A sidecar that restarts has still been passed."""
    starting: bool = False
    """Its postStart hook runs; the container counts as started after it."""
    hook_failure: str = ""
    """The latest lifecycle hook that failed: the event's reason, a colon, what it said."""
    cgroups: list[str] = field(default_factory=list)
    """Directories of the run's control groups, to be taken away with it."""

    @property
    def running(self) -> bool:
        return "running" in self.state

    @property
    def terminated(self) -> dict[str, Any] | None:
        return self.state.get("terminated")


@dataclass
class PodReport:
    """What a supervisor knows of its pod. `ended`: nothing runs any more and nothing will."""

    supervisor_pid: int
    supervisor_mark: str
    init_containers: list[ContainerReport]
    containers: list[ContainerReport]
    ended: bool = False
    reason: str = ""
    message: str = ""

    def write(self, pod_dir: Path) -> None:
        write_json(pod_dir / STATUS, asdict(self))

    @staticmethod
    def read(pod_dir: Path) -> PodReport | None:
        data = read_json(pod_dir / STATUS)
        if data is None:
            return None
        for kind in ("init_containers", "containers"):
            data[kind] = [ContainerReport(**_known(ContainerReport, container)) for container in data[kind]]
        return PodReport(**_known(PodReport, data))

    def all_containers(self) -> list[ContainerReport]:
        return [*self.init_containers, *self.containers]


def waiting_reports(containers: list[ContainerPlan], reason: str) -> list[ContainerReport]:
    """The reports of containers that have not been started."""
    return [
        ContainerReport(container.name, {"waiting": {"reason": reason}}, sidecar=container.sidecar)
        for container in containers
    ]


def write_started(pod_dir: Path, container: str, restart_count: int) -> None:
    """Tell a supervisor that a run of a container has passed its startup probe."""
    path = pod_dir / container / STARTED
    if not path.exists() or path.read_text() != str(restart_count):
        temporary = path.with_name(f".{STARTED}")
        temporary.write_text(str(restart_count))
        temporary.replace(path)


def write_json(path: Path, data: Any) -> None:
    """Replace a file as one step: a reader sees the old content or the new. Mode 0600, plans hold secrets."""
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    with os.fdopen(descriptor, "w") as stream:
        json.dump(data, stream)
    os.replace(temporary, path)


def read_json(path: Path) -> dict[str, Any] | None:
    try:
        data = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    return data if isinstance(data, dict) else None
