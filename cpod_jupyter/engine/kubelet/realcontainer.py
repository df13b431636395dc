"""A container of a real image, made and kept by podman or docker, as its supervisor handles it.

The tool's client, in the foreground and attached, stands for the container: its output is the container's,
TERM goes through it, and when it ends, whatever the reason, so does the container.
Standard library only: the supervisor uses it.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
from dataclasses import dataclass
from typing import Any

from cpod_jupyter.engine.kubelet import processes
from cpod_jupyter.engine.kubelet.plan import ContainerPlan

_CALL_SECONDS = 120.0
_START_SECONDS = 60.0
_LOOK_SECONDS = 0.03
_ADVICE = ("Run '", "See '")
_NEVER = "0001-01-01"
"""How both tools write the time of what has not happened."""
KILLED, _TOOL_FAILED = 137, 125
"""Exit codes of a container that was killed, and of a client that failed itself."""


class ToolFailed(OSError):
    """podman or docker refused; the message is its own."""


@dataclass(frozen=True)
class Ending:
    """How a container ended. `started` is whether it ever ran."""

    exit_code: int
    out_of_memory: bool = False
    started: bool = True


def await_started(plan: ContainerPlan, pid: int, mark: str) -> None:
    """Until the container that a client was told to run does so, or the client has given up."""
    until = time.monotonic() + _START_SECONDS
    while time.monotonic() < until and processes.is_alive(pid, mark):
        state = _state(plan)
        if state is not None and _has_started(state):
            return
        time.sleep(_LOOK_SECONDS)


def finish(plan: ContainerPlan, client_code: int) -> Ending:
    """How the container ended whose client has gone; it is removed, running or not."""
    state = _state(plan)
    remove(plan)
    if state is None:
        return Ending(client_code, started=client_code != _TOOL_FAILED)
    if state.get("Running"):
        return Ending(KILLED)
    if not _has_started(state):
        return Ending(client_code, started=False)
    return Ending(int(state.get("ExitCode") or 0), bool(state.get("OOMKilled")))


def remove(plan: ContainerPlan) -> None:
    """End a container and delete it; nothing when there is none."""
    at_once = ["--time=0"] if plan.tool == "podman" else []  # docker kills in any case
    with contextlib.suppress(ToolFailed):
        _call(plan, [plan.tool, "rm", "--force", "--volumes", *at_once, plan.container_name])


def last_line(text: str) -> str:
    """What a tool said last, but for where it sends one for help: its error."""
    lines = [line.strip() for line in text.splitlines()]
    return next((line for line in reversed(lines) if line and not line.startswith(_ADVICE)), "")[:1000]


def _has_started(state: dict[str, Any]) -> bool:
    return bool(state.get("Running")) or not str(state.get("StartedAt") or _NEVER).startswith(_NEVER)


def _state(plan: ContainerPlan) -> dict[str, Any] | None:
    """The tool's record of a container; None when it has none."""
    with contextlib.suppress(ToolFailed, ValueError):
        done = _call(
            plan, [plan.tool, "inspect", "--type", "container", "--format", "{{json .State}}", plan.container_name]
        )
        state = json.loads(done.stdout) if done.returncode == 0 else None
        return state if isinstance(state, dict) else None
    return None


def _call(plan: ContainerPlan, command: list[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command,
            env=plan.env,
            cwd=plan.cwd,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_CALL_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ToolFailed(f"{command[0]} {command[1]} did not answer in {_CALL_SECONDS:g} s") from error
    except OSError as error:
        raise ToolFailed(f"{command[0]} cannot be run: {error.strerror}") from error
