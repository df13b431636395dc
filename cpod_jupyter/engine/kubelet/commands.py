"""What is run inside a container that runs already: exec probes, `kubectl exec`, `kubectl cp`."""

from __future__ import annotations

import re
import secrets
import sys
from collections.abc import Sequence

from cpod_jupyter.engine.kubelet.keeper import Request
from cpod_jupyter.engine.kubelet.plan import ContainerPlan, ContainerReport
from cpod_jupyter.engine.kubelet.rewriting import Rewriter

_MARK = "CPOD_EXEC"
"""In the environment of a command in a real container, by which what is left of it is found."""


def exec_request(plan: ContainerPlan, report: ContainerReport, command: Sequence[str], *, tty: bool) -> Request:
    """A command in a container's environment: its variables, its PATH, its working directory, its mounts."""
    env = {"TERM": "xterm", **plan.env} if tty else plan.env
    if not plan.tool:
        return Request(translated(plan, command), env, plan.cwd, tty, report.pid, report.mark)
    marker = f"{_MARK}={secrets.token_hex(16)}"
    options = ["--interactive", *(["--tty", "--env=TERM=xterm"] if tty else []), f"--env={marker}"]
    argv = [plan.tool, "exec", *options, plan.container_name, *command]
    return Request(argv, env, plan.cwd, tty, report.pid, report.mark, marker)


def translated(plan: ContainerPlan, command: Sequence[str]) -> list[str]:
    """A command as it is run on this machine: through the container's tool, or with its mounts translated."""
    if plan.tool:
        return [plan.tool, "exec", plan.container_name, *command]
    rewrite = Rewriter(plan.mounts)
    argv = [rewrite(word) for word in command]
    return _tar_from(list(command), argv) or argv


def _tar_from(command: list[str], argv: list[str]) -> list[str] | None:
    """`kubectl cp POD:/data/x .` runs `tar cf - /data/x` and expects the names that it asked for.

    From a translated path tar would store this machine's, so it is told to put the others in their place.
    None when the command is not that one, or no path was translated.
    """
    if command[:3] != ["tar", "cf", "-"] or len(command) != 4 or command == argv:
        return None
    inside, outside = command[3].strip("/"), argv[3].strip("/")
    if not inside or not outside:
        return None
    pattern, replacement = re.sub(r"([.\[\]*^$,\\])", r"\\\1", outside), re.sub(r"([&,\\])", r"\\\1", inside)
    if sys.platform == "linux":
        option = [f"--transform=flags=r;s,^{pattern},{replacement},"]
    else:
        option = ["-s", f",^{pattern},{replacement},"]
    return ["tar", "cf", "-", *option, argv[3]]
