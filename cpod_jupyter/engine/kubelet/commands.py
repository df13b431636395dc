"""What is run inside a container that runs already: exec probes, `kubectl exec`, `kubectl cp`."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence

from cpod_jupyter.engine.kubelet.keeper import Request
from cpod_jupyter.engine.kubelet.plan import ContainerPlan, ContainerReport
from cpod_jupyter.engine.kubelet.rewriting import Rewriter


def exec_request(plan: ContainerPlan, report: ContainerReport, command: Sequence[str], *, tty: bool) -> Request:
    """A command in a container's environment: its variables, its PATH, its working directory, its mounts."""
    env = {"TERM": "xterm", **plan.env} if tty else plan.env
    return Request(translated(plan, command), env, plan.cwd, tty, report.pid, report.mark)


def translated(plan: ContainerPlan, command: Sequence[str]) -> list[str]:
    """A command's words with the container's mounts in this machine's terms."""
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
