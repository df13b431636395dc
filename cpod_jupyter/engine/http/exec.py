"""pods/exec: a command in a container, its streams over a WebSocket."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from aiohttp import web

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import Object
from cpod_jupyter.engine.http import channels
from cpod_jupyter.engine.http.channels import Channels
from cpod_jupyter.errors import ApiError, BadRequest

DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"

Status = dict[str, Any]


class Wanted(NamedTuple):
    """The streams that a client asks for."""

    stdin: bool
    stdout: bool
    stderr: bool
    tty: bool


class Output(Protocol):
    """A stream of a command."""

    async def read(self) -> bytes:
        """The next bytes; b"" at the end."""
        ...


class Running(Protocol):
    """A command that runs, as `ExecSource` started it."""

    @property
    def stdout(self) -> Output | None: ...

    @property
    def stderr(self) -> Output | None: ...

    async def write(self, data: bytes) -> None: ...

    async def close_stdin(self) -> None: ...

    def resize(self, width: int, height: int) -> None: ...

    async def wait(self) -> int:
        """The exit code, once it has ended."""
        ...

    def close(self) -> None:
        """Let go; what still runs is ended."""
        ...


class ExecSource(Protocol):
    """Where commands run: the kubelet."""

    def require_running(self, namespace: str, name: str, uid: str, container: str) -> None:
        """Raises NotFound when the container does not run."""
        ...

    async def exec(
        self,
        namespace: str,
        name: str,
        uid: str,
        container: str,
        command: Sequence[str],
        *,
        stdin: bool,
        stdout: bool,
        stderr: bool,
        tty: bool,
    ) -> Running:
        """Raises NotFound when the container does not run, ServerError when the command can't be started."""
        ...


async def pod_exec(request: web.Request, pod: Object, source: ExecSource) -> web.StreamResponse:
    """Run a command for a client, to its end or the client's."""
    command = request.query.getall("command", [])
    if not command:
        raise BadRequest("you must specify at least one command for the container")
    flags = wanted(request)
    place = (meta.namespace_of(pod), meta.name_of(pod), meta.uid_of(pod), container_of(pod, request))
    source.require_running(*place)
    accepted = await Channels.accept(request)
    try:
        running = await source.exec(
            *place, command, stdin=flags.stdin, stdout=flags.stdout, stderr=flags.stderr, tty=flags.tty
        )
    except ApiError as error:  # upstream, too, starts the command once the streams are open
        await finish(accepted, error.to_status())
        return accepted.socket
    try:
        code = await _converse(accepted, running, takes_input=flags.stdin)
    finally:
        running.close()
    if code is not None:
        await finish(accepted, exit_status(code))
    return accepted.socket


async def _converse(accepted: Channels, running: Running, *, takes_input: bool) -> int | None:
    """Carry data both ways; the exit code, None when the client went first."""
    listening = asyncio.create_task(_listen(accepted, running, takes_input))
    ending = asyncio.create_task(_to_its_end(accepted, running))
    try:
        await asyncio.wait([listening, ending], return_when=asyncio.FIRST_COMPLETED)
        if not ending.done():
            return None
        return None if isinstance(ending.exception(), ConnectionError) else ending.result()
    finally:
        for task in (listening, ending):
            task.cancel()
        await asyncio.gather(listening, ending, return_exceptions=True)


async def _to_its_end(accepted: Channels, running: Running) -> int:
    outputs = [(channels.STDOUT, running.stdout), (channels.STDERR, running.stderr)]
    async with asyncio.TaskGroup() as group:
        for channel, output in outputs:
            if output is not None:
                group.create_task(_send_all(accepted, channel, output))
        ending = group.create_task(running.wait())
    return ending.result()


async def _send_all(accepted: Channels, channel: int, output: Output) -> None:
    while data := await output.read():
        await accepted.send(channel, data)


async def _listen(accepted: Channels, running: Running, takes_input: bool) -> None:
    """What the client sends: input, the terminal's size, the end of its input."""
    async for channel, data in accepted.messages():
        if channel == channels.STDIN and takes_input:
            await running.write(data)
        elif channel == channels.RESIZE:
            with contextlib.suppress(ValueError, TypeError, AttributeError):
                size = json.loads(data)
                running.resize(int(size.get("Width", 0)), int(size.get("Height", 0)))
        elif channel == channels.CLOSE and data[:1] == bytes([channels.STDIN]) and accepted.version == channels.V5:
            await running.close_stdin()


async def finish(accepted: Channels, status: Status) -> None:
    """The last word, and goodbye. A client that has gone misses it."""
    with contextlib.suppress(ConnectionError):
        await accepted.send_status(status)
        await accepted.close()


def exit_status(code: int) -> Status:
    """How the error channel tells an exit code (remotecommand, NonZeroExitCode)."""
    if code == 0:
        return {"metadata": {}, "status": "Success"}
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"command terminated with non-zero exit code: exit code {code}",
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
    }


def wanted(request: web.Request) -> Wanted:
    """PodExecOptions and PodAttachOptions (core/v1). A terminal has no stderr. Raises BadRequest."""
    stdin, stdout, stderr, tty = (
        request.query.get(name, "").lower() in ("true", "1") for name in ("stdin", "stdout", "stderr", "tty")
    )
    if not (stdin or stdout or stderr):
        raise BadRequest("you must specify at least 1 of stdin, stdout, stderr")
    return Wanted(stdin, stdout, stderr and not tty, tty)


def container_of(pod: Object, request: web.Request) -> str:
    """The container that is asked for: by name, by the pod's annotation, or its only one. Raises BadRequest."""
    name, spec = meta.name_of(pod), pod["spec"]
    if not spec.get("nodeName"):
        raise BadRequest(f"pod {name} does not have a host assigned")
    names = [str(item["name"]) for item in spec.get("containers") or []]
    known = [*names, *(str(item["name"]) for item in spec.get("initContainers") or [])]
    annotated = (pod["metadata"].get("annotations") or {}).get(DEFAULT_CONTAINER, "")
    asked = request.query.get("container") or (annotated if annotated in known else "")
    if asked and asked not in known:
        raise BadRequest(f"container {asked} is not valid for pod {name}")
    if not asked and len(names) > 1:
        raise BadRequest(f"a container name must be specified for pod {name}, choose one of: [{' '.join(known)}]")
    return asked or names[0]
