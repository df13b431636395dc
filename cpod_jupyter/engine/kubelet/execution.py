"""The engine's side of a command that is run in a container: its streams, its end, its terminal.

The command itself is kept by a process of its own (`keeper`), which ends it when this side goes away.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import pty
import socket
import struct
import subprocess
import sys
import termios
from collections.abc import Callable
from pathlib import Path

from cpod_jupyter.engine.kubelet.keeper import Request
from cpod_jupyter.errors import ServerError

_START_SECONDS = 20.0
_BLOCK = 32 * 2**10
_END_OF_TRANSMISSION = b"\x04"
_LOST = 137
"""The exit code of a command whose keeper was killed: it was killed with it."""


class Stream:
    """One end of a pipe or terminal, for an event loop; nothing is read before it is asked for."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._finished = False
        self._waiters: set[asyncio.Future[None]] = set()
        os.set_blocking(descriptor, False)

    async def read(self) -> bytes:
        """What has come, b"" at the end: everybody has closed the other end, or the command has ended."""
        loop = asyncio.get_running_loop()
        while self._descriptor >= 0:
            try:
                return os.read(self._descriptor, _BLOCK)
            except BlockingIOError:
                if self._finished:
                    return b""
            except OSError:  # a terminal that nobody has open any more
                return b""
            await self._ready(loop.add_reader, loop.remove_reader)
        return b""

    async def write(self, data: bytes) -> None:
        """Hand data on, as fast as it is taken; dropped when nobody reads any more."""
        loop = asyncio.get_running_loop()
        rest = memoryview(data)
        while rest and self._descriptor >= 0:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
                continue
            except BlockingIOError:
                if self._finished:
                    return
            except OSError:
                return
            await self._ready(loop.add_writer, loop.remove_writer)

    def finish(self) -> None:
        """The command has ended: what it wrote is all there, and nobody is waited for."""
        self._finished = True
        for waiter in self._waiters:
            _wake(waiter)

    def close(self) -> None:
        self.finish()
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            loop = asyncio.get_running_loop()
            loop.remove_reader(descriptor)
            loop.remove_writer(descriptor)
            os.close(descriptor)

    async def _ready(self, add: Callable[..., None], remove: Callable[[int], object]) -> None:
        """Until the descriptor can be used, or the stream is finished."""
        descriptor = self._descriptor
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        add(descriptor, _wake, waiter)
        try:
            await waiter
        finally:
            self._waiters.discard(waiter)
            if self._descriptor == descriptor:
                remove(descriptor)


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


class Execution:
    """A command that runs. `stdout` and `stderr` are None where they were not asked for (a terminal has no stderr)."""

    def __init__(self, control: socket.socket, keeper: int, streams: list[Stream | None]) -> None:
        self._control = control
        self._keeper = keeper
        self._stdin, self.stdout, self.stderr = streams
        self._tty: int | None = None
        self._news = bytearray()

    @classmethod
    async def start(
        cls, request: Request, *, stdin: bool = False, stdout: bool = True, stderr: bool = True
    ) -> Execution:
        """Start a command. Raises ServerError when it can't be started, in the words of container runtimes."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        opened: list[int] = []
        try:
            if request.tty:
                master, slave = pty.openpty()
                opened += [slave]
                ends, streams = [slave] * 3, [Stream(master) if stdin else None, Stream(os.dup(master)), None]
            else:
                ends, streams = _pipes([stdin, stdout, stderr], opened)
            keeper = subprocess.Popen(
                [sys.executable, "-m", "cpod_jupyter.engine.kubelet.keeper", str(theirs.fileno())],
                env={**os.environ, "PYTHONPATH": _import_path()},
                stdin=ends[0],
                stdout=ends[1],
                stderr=ends[2],
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
        except OSError as error:
            ours.close()
            raise ServerError(f"Internal error occurred: the machine could not start a process: {error}") from error
        finally:
            theirs.close()
            for descriptor in opened:
                os.close(descriptor)
        keeper.returncode = 0  # not for this object to wait for: what the command leaves behind may go on
        execution = cls(ours, keeper.pid, streams)
        if request.tty:
            execution._tty = os.dup(master)
            if not stdin:
                os.close(master)
        try:
            async with asyncio.timeout(_START_SECONDS):
                await asyncio.get_running_loop().sock_sendall(ours, request.to_line())
                answer = await execution._hear()
        except BaseException as error:
            execution.close()
            if isinstance(error, TimeoutError | OSError):
                raise ServerError(f"Internal error occurred: the command could not be started: {error}") from error
            raise
        if answer is None or "error" in answer:
            execution.close()
            why = answer["error"] if answer else "the process that was to keep it ended"
            raise ServerError(f"Internal error occurred: error executing command in container: {why}")
        return execution

    async def write(self, data: bytes) -> None:
        """To the command's standard input."""
        if self._stdin is not None:
            await self._stdin.write(data)

    async def close_stdin(self) -> None:
        """End of file, for the command; on a terminal, what Ctrl-D does."""
        if self._stdin is None:
            return
        if self._tty is not None:
            await self._stdin.write(_END_OF_TRANSMISSION)
            return
        self._stdin.close()

    def resize(self, width: int, height: int) -> None:
        """Tell a terminal's size, in characters."""
        if self._tty is not None:
            size = struct.pack("HHHH", *(min(max(number, 0), 0xFFFF) for number in (height, width, 0, 0)))
            with contextlib.suppress(OSError):
                fcntl.ioctl(self._tty, termios.TIOCSWINSZ, size)

    async def wait(self) -> int:
        """The exit code, when the command has ended."""
        answer = await self._hear()
        for stream in (self._stdin, self.stdout, self.stderr):
            if stream is not None:
                stream.finish()
        return int(str(answer["exit"])) if answer and "exit" in answer else _LOST

    def close(self) -> None:
        """Let go: a command that still runs is hung up on, and killed soon after."""
        self._control.close()
        for stream in (self._stdin, self.stdout, self.stderr):
            if stream is not None:
                stream.close()
        if self._tty is not None:
            os.close(self._tty)
            self._tty = None
        _collect_later(self._keeper)

    async def _hear(self) -> dict[str, object] | None:
        """The keeper's next message; None when it has gone."""
        loop = asyncio.get_running_loop()
        while b"\n" not in self._news:
            try:
                data = await loop.sock_recv(self._control, 4096)
            except OSError:
                return None
            if not data:
                return None
            self._news += data
        line, _, self._news = self._news.partition(b"\n")
        message: dict[str, object] = json.loads(line)
        return message


_let_go: set[int] = set()
"""Keepers whose streams are closed. Each ends soon, and is collected when a later one is let go."""


def _collect_later(keeper: int) -> None:
    _let_go.add(keeper)
    for pid in list(_let_go):
        try:
            ended = os.waitpid(pid, os.WNOHANG)[0]
        except ChildProcessError:
            ended = pid
        if ended:
            _let_go.discard(pid)


def _pipes(wanted: list[bool], opened: list[int]) -> tuple[list[int], list[Stream | None]]:
    """The keeper's ends of stdin, stdout and stderr, and this side's; nothing stands for what is not wanted."""
    ends: list[int] = []
    streams: list[Stream | None] = []
    for index, want in enumerate(wanted):
        if want:
            reading, writing = os.pipe()
            ends.append(reading if index == 0 else writing)
            streams.append(Stream(writing if index == 0 else reading))
        else:
            ends.append(os.open(os.devnull, os.O_RDWR))
            streams.append(None)
        opened.append(ends[-1])
    return ends, streams


def _import_path() -> str:
    paths = [str(Path(__file__).parents[3]), os.environ.get("PYTHONPATH", "")]
    return os.pathsep.join(path for path in paths if path)
