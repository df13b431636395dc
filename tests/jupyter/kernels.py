"""A real kernel, spoken to as a front end does."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from typing import Any

from jupyter_client.manager import KernelManager

SECONDS = 60.0


@dataclass
class Ran:
    """What became of a cell: the reply's `status`, what was displayed (updates in place included), what was printed."""

    status: str
    shown: list[dict[str, Any]] = field(default_factory=list)
    printed: str = ""
    error: str = ""
    payload: list[dict[str, Any]] = field(default_factory=list)

    @property
    def text(self) -> str:
        """All that a person sees of it, as text."""
        return "\n".join([self.printed, *(data.get("text/plain", "") for data in self.shown), self.error])


class Kernel:
    """One kernel; cells run one after the other."""

    def __init__(self, environment: dict[str, str], folder: str) -> None:
        self.manager = KernelManager()
        self.manager.start_kernel(env={**os.environ, **environment}, cwd=folder)
        self.client = self.manager.blocking_client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=SECONDS)

    def begin(self, code: str) -> str:
        """Send a cell; its id."""
        return str(self.client.execute(code, allow_stdin=False))

    def until_shown(self, cell: str, text: str) -> None:
        """Return once a cell has shown or printed a text."""
        until = time.monotonic() + SECONDS
        while time.monotonic() < until:
            message = self.client.get_iopub_msg(timeout=SECONDS)
            content = message["content"]
            seen = content.get("text", "") + str((content.get("data") or {}).get("text/plain", ""))
            if message["parent_header"].get("msg_id") == cell and text in seen:
                return
        raise AssertionError(f"{text!r} was not shown")

    def end(self, cell: str) -> Ran:
        """What a cell that was begun came to."""
        ran = Ran("")
        while True:
            message = self.client.get_iopub_msg(timeout=SECONDS)
            if message["parent_header"].get("msg_id") != cell:
                continue
            kind, content = message["msg_type"], message["content"]
            if kind == "stream":
                ran.printed += content["text"]
            elif kind in ("display_data", "update_display_data", "execute_result"):
                ran.shown.append(content["data"])
            elif kind == "error":
                ran.error = "\n".join(content["traceback"])
            elif kind == "status" and content["execution_state"] == "idle":
                break
        reply = self.reply(cell)
        ran.status, ran.payload = reply["status"], reply.get("payload", [])
        return ran

    def reply(self, request: str) -> dict[str, Any]:
        """The answer on the shell channel to a request."""
        while True:
            message = self.client.get_shell_msg(timeout=SECONDS)
            if message["parent_header"].get("msg_id") == request:
                content: dict[str, Any] = message["content"]
                return content

    def run(self, code: str) -> Ran:
        return self.end(self.begin(code))

    def complete(self, code: str) -> tuple[list[str], float]:
        """What completion offers at the end of a cell, and the seconds it took."""
        begun = time.monotonic()
        reply = self.reply(self.client.complete(code))
        return reply["matches"], time.monotonic() - begun

    def inspect(self, code: str) -> str:
        reply = self.reply(self.client.inspect(code))
        return str(reply["data"].get("text/plain", "")) if reply["found"] else ""

    def until_read(self) -> None:
        """Return once the kernel has read what was sent to it, though it is busy: its thread that reads passes on one
        message after the other, and a second shell answers the last of them (Jupyter Enhancement Proposal 91)."""
        session, control = self.client.session, self.client.control_channel
        control.send(session.msg("create_subshell_request", {}))
        shell = control.get_msg(timeout=SECONDS)["content"]["subshell_id"]
        asked = session.msg("kernel_info_request", {})
        asked["header"]["subshell_id"] = shell
        self.client.shell_channel.send(asked)
        self.reply(asked["header"]["msg_id"])
        control.send(session.msg("delete_subshell_request", {"subshell_id": shell}))
        control.get_msg(timeout=SECONDS)

    def interrupt(self) -> None:
        """Send it SIGINT, as the ■ of a notebook does."""
        self.manager.interrupt_kernel()

    def close(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)
