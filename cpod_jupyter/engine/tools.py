"""podman and docker, by which the engine runs real images: whether one can be used here."""

from __future__ import annotations

import shutil
import subprocess

from cpod_jupyter.engine.kubelet.realcontainer import last_line
from cpod_jupyter.engine.kubelet.realimages import DOCKER, PODMAN, TOOLS, client_environment
from cpod_jupyter.errors import EngineError

PROCESS = "process"
RUNTIMES = (PROCESS, *TOOLS)
"""What a person chooses from: pods as processes, or real images by a tool."""

_INSTALL = {
    PODMAN: "install it (Debian, Ubuntu: apt install podman; Fedora: dnf install podman)",
    DOCKER: "install Docker Engine (https://docs.docker.com/engine/install) or podman (apt install podman)",
}
_ASK_SECONDS = 30.0


def require_runtime(runtime: str) -> str:
    """The tool for a runtime, "" for processes. Raises EngineError when it is not there or does not work."""
    if runtime == PROCESS:
        return ""
    if runtime not in TOOLS:
        raise EngineError(f"there is no runtime {runtime!r}; choose one of {', '.join(RUNTIMES)}")
    if shutil.which(runtime) is None:
        raise EngineError(f"{runtime} is not installed: {_INSTALL[runtime]}, or leave --runtime out to run processes")
    try:
        done = subprocess.run(
            [runtime, "info"],
            env=client_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_ASK_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EngineError(f"{runtime} cannot be used: {error}") from error
    if done.returncode:
        said = last_line(done.stderr) or f"it exited with {done.returncode}"
        raise EngineError(f"{runtime} cannot be used: {said}; `{runtime} info` must work for you first")
    return runtime
