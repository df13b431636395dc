"""The engine and the operator in one background process: start it, find it, stop it.

One engine a home folder: `CPOD_HOME`, else the platform's user data folder. The process holds a
lock for as long as it lives, so whether one runs is never guessed from a pid.

    python -m cpod_jupyter.local --home DIR [--port N]     # the process itself, in the foreground
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fcntl
import json
import logging
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import platformdirs

from cpod_jupyter.engine.tools import PROCESS, RUNTIMES, require_runtime
from cpod_jupyter.errors import CpodError, EngineError

_children: list[subprocess.Popen[bytes]] = []
"""Engines that this process has started: they outlive it, but are its to collect when they end before."""

_START_SECONDS = 60.0
_STOP_SECONDS = 20.0
_LOG_LIMIT = 10 * 2**20


@dataclass(frozen=True)
class Engine:
    """A running engine. `started_now` is whether this call started it."""

    pid: int
    url: str
    home: Path
    started_now: bool = False
    runtime: str = PROCESS

    @property
    def kubeconfig(self) -> Path:
        """How kubectl and the clients connect to it; readable by the user alone."""
        return self.home / "kubeconfig"

    @property
    def log(self) -> Path:
        return self.home / "engine.log"


def home() -> Path:
    """The folder with everything that the engine keeps."""
    return Path(os.environ.get("CPOD_HOME") or platformdirs.user_data_dir("cpod-jupyter", appauthor=False)).resolve()


def find() -> Engine | None:
    """The engine of this home, if one runs and serves."""
    folder = home()
    _children[:] = [child for child in _children if child.poll() is None]
    if not _is_locked(folder / "engine.lock"):
        return None
    try:
        state = json.loads((folder / "engine.json").read_text())
        return Engine(int(state["pid"]), str(state["url"]), folder, runtime=str(state.get("runtime", PROCESS)))
    except (OSError, ValueError, KeyError):
        return None  # it is starting, and not ready yet


def ensure() -> Engine:
    """The engine of this home, started if none runs. Raises EngineError."""
    return find() or start()


def start(port: int | None = None, runtime: str | None = None, *, with_operator: bool = True) -> Engine:
    """Start the engine, or return the one that runs. Raises EngineError when it cannot be started,
    or when one runs on another port, or with another runtime, than the one asked for.

    The runtime is what pods are: `process`, or real images by `podman` or `docker`; left out, it is
    CPOD_RUNTIME's, else processes. An engine without operator is for one that runs by itself
    (python -m cpod_jupyter.operator); one that runs already stays as it is.
    """
    folder = home()
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise EngineError(f"the folder {folder} cannot be made: {error.strerror}; set CPOD_HOME to another") from error
    with _held(folder / "start.lock"):  # two that start at once: the second finds the first one's
        running = find()
        if running is None:
            return _spawn(folder, port, runtime or os.environ.get("CPOD_RUNTIME") or PROCESS, with_operator)
    if runtime is not None and runtime != running.runtime:
        raise EngineError(
            f"the engine already runs, with the runtime {running.runtime}; stop it first (cpod down) to use {runtime}: "
            "pods that run go on as they are"
        )
    if port is not None and not running.url.endswith(f":{port}"):
        raise EngineError(f"the engine already runs at {running.url}; stop it first (cpod down) to use port {port}")
    return running


def stop() -> bool:
    """Stop the engine; whether one was running. Its pods go on. Raises EngineError when it does not end."""
    running = find()
    if running is None:
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(running.pid, signal.SIGTERM)
    deadline = time.monotonic() + _STOP_SECONDS
    while _is_locked(running.home / "engine.lock"):
        if time.monotonic() > deadline:
            raise EngineError(f"the engine (process {running.pid}) does not end; see {running.log}")
        time.sleep(0.05)
    for child in _children:
        if child.pid == running.pid:
            child.wait(_STOP_SECONDS)  # it has let go of its lock: it is as good as gone
    return True


def _spawn(folder: Path, port: int | None, runtime: str, with_operator: bool) -> Engine:
    require_runtime(runtime)
    reader, writer = os.pipe()
    command = [sys.executable, "-m", "cpod_jupyter.local", "--home", str(folder), "--ready-fd", str(writer)]
    command += ["--runtime", runtime]
    if port is not None:
        command += ["--port", str(port)]
    if not with_operator:
        command.append("--no-operator")
    (folder / "engine.json").unlink(missing_ok=True)
    with _log_file(folder / "engine.log") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(writer,),
            start_new_session=True,  # Ctrl-C in a notebook or a terminal is not for it
            cwd=folder,
        )
    _children.append(process)
    os.close(writer)
    try:
        answer = _read_line(reader, _START_SECONDS)
    finally:
        os.close(reader)
    state = json.loads(answer) if answer else {"error": _last_words(folder / "engine.log")}
    if "error" in state:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_SECONDS)
        raise EngineError(f"the engine could not be started: {state['error']}")
    return Engine(process.pid, str(state["url"]), folder, started_now=True, runtime=runtime)


def _last_words(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()
    return f"it ended early or took too long; the last line of {log}: {lines[-1] if lines else 'none'}"


def _read_line(descriptor: int, seconds: float) -> str:
    """What the other end writes, up to its first line's end; empty when it closes or the time is up."""
    deadline, text = time.monotonic() + seconds, b""
    while not text.endswith(b"\n") and (left := deadline - time.monotonic()) > 0:
        if select.select([descriptor], [], [], left)[0]:
            chunk = os.read(descriptor, 4096)
            if not chunk:
                break
            text += chunk
    return text.decode()


def _log_file(path: Path) -> IO[bytes]:
    if path.exists() and path.stat().st_size > _LOG_LIMIT:
        path.replace(path.with_suffix(".log.1"))
    return open(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab")


def _is_locked(path: Path) -> bool:
    try:
        with path.open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


@contextlib.contextmanager
def _held(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold a lock file. Raises BlockingIOError when somebody has it and there is no waiting."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield


# ---- the process itself


def main(arguments: list[str] | None = None) -> int:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser(prog="python -m cpod_jupyter.local", description=main.__doc__)
    parser.add_argument("--home", type=Path, required=True, help="folder with everything that must survive")
    parser.add_argument("--port", type=int, help="port on loopback; a free one when left out")
    parser.add_argument("--runtime", default=PROCESS, choices=RUNTIMES, help="what pods are")
    parser.add_argument("--no-operator", action="store_true", help="run the engine alone")
    parser.add_argument("--ready-fd", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        with _held(_made(options.home) / "engine.lock", wait=False):
            asyncio.run(_serve(options.home, options.port, options.runtime, not options.no_operator, options.ready_fd))
    except BlockingIOError:
        _tell(options.ready_fd, {"error": f"an engine already runs on {options.home}"})
        return 1
    except CpodError as error:
        _tell(options.ready_fd, {"error": str(error)})
        logging.error("%s", error)
        return 1
    return 0


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


async def _serve(folder: Path, port: int | None, runtime: str, with_operator: bool, ready: int | None) -> None:
    from cpod_jupyter.engine.engine import Engine as EmbeddedEngine
    from cpod_jupyter.engine.http.server import listen
    from cpod_jupyter.operator.embedded import EmbeddedOperator, fitted
    from cpod_jupyter.operator.settings_file import settings_of_home

    settings = fitted(settings_of_home(folder), folder, runtime)
    embedded = EmbeddedEngine(folder, listen(port), runtime)
    await embedded.start()
    operator = EmbeddedOperator(folder / "kubeconfig", settings) if with_operator else None
    state = {"pid": os.getpid(), "url": embedded.server.address.url, "runtime": runtime}
    (folder / "engine.json").write_text(json.dumps(state))
    _tell(ready, state)
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    await stopped.wait()
    logging.info("stopping")
    if operator is not None:
        await asyncio.to_thread(operator.stop)
    await embedded.stop()


def _tell(descriptor: int | None, message: dict[str, object]) -> None:
    if descriptor is None:
        return
    with contextlib.suppress(BrokenPipeError, OSError):
        os.write(descriptor, (json.dumps(message) + "\n").encode())
        os.close(descriptor)


if __name__ == "__main__":
    sys.exit(main())
