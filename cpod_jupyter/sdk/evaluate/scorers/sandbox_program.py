"""Runs in the sandbox pod, on the standard library alone: each row's code with its tests, in a process of its own.

    python program.py rows.json

Where the kernel allows it (Linux, user name spaces), the processes get name spaces without a network and without anyone
else's processes, and a file system that can only be read, in which home folders are empty. Where it does not, code runs
only if the pod's network is seen to be closed, as by a NetworkPolicy. A line of JSON a row says how it went.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

MARK = "cpod-row "
REFUSED = "cpod-refused "
_NEWNS, _NEWIPC, _NEWUSER, _NEWPID, _NEWNET = 0x00020000, 0x08000000, 0x10000000, 0x20000000, 0x40000000
_MS_BIND, _MS_REC, _MS_PRIVATE = 4096, 16384, 1 << 18
_MOUNT_SETATTR, _AT_RECURSIVE, _RDONLY = 442, 0x8000, 1
_NO_NEW_PRIVILEGES, _DEATH_SIGNAL = 38, 1
_NOBODY = 65534
_PROCESSES = 256
_FILE_BYTES = 64 << 20
_PROBES = 5
_library = ctypes.CDLL(None, use_errno=True)


def _call(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)


def apart() -> str:
    """Empty when this process now has name spaces of its own, and its children a new one of processes; else why not."""
    if sys.platform != "linux":
        return "name spaces are Linux's"
    uid, gid = os.geteuid(), os.getegid()
    spaces = _NEWNS | _NEWIPC | _NEWNET | _NEWPID
    try:
        _call(_library.unshare(spaces if uid == 0 else spaces | _NEWUSER), "unshare")
        if uid != 0:
            for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
                with open("/proc/self/" + name, "w") as stream:
                    stream.write(text)
    except OSError as error:
        return f"{error.filename or 'name spaces'}: {error.strerror}"
    return ""


def in_own_spaces(given: dict[str, Any]) -> int:
    """Run the rows from the first process of the new name space, with which all others end."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    code = 3
    try:
        _library.prctl(_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
        _hide()
        code = run_rows(given, alone=True)
    except OSError as error:
        print(f"{REFUSED}the file system cannot be closed: {error.filename}: {error.strerror}", flush=True)
    finally:
        sys.stdout.flush()
        os._exit(code)


def _hide() -> None:
    """Empty home folders, /tmp and /run (with its sockets), but for the interpreter; all else read-only, and in /proc
    only what runs here."""
    _call(_library.mount(None, b"/", None, ctypes.c_ulong(_MS_REC | _MS_PRIVATE), None), "mount")
    homes = {
        os.path.realpath(each)
        for each in (os.path.expanduser("~"), "/home", "/root", "/tmp", "/var/tmp", "/dev/shm", "/run")
    }
    needed = {os.path.realpath(each) for each in (sys.prefix, sys.base_prefix)} | {sys.prefix}
    within = {each for each in homes for other in homes if each.startswith(other + "/")}  # hidden with the outer one
    for home in sorted(each for each in homes - within if each != "/" and os.path.isdir(each)):
        kept = {each: os.open(each, os.O_PATH) for each in needed if each.startswith(home + "/")}
        _call(_library.mount(b"tmpfs", home.encode(), b"tmpfs", ctypes.c_ulong(0), b"size=256m,mode=1777"), home)
        for path, opened in kept.items():
            os.makedirs(path, exist_ok=True)
            source = f"/proc/self/fd/{opened}".encode()
            _call(_library.mount(source, path.encode(), None, ctypes.c_ulong(_MS_BIND | _MS_REC), None), path)
            os.close(opened)
    if _library.mount(b"proc", b"/proc", b"proc", ctypes.c_ulong(0), None) != 0:  # as in a container
        _call(_library.mount(b"tmpfs", b"/proc", b"tmpfs", ctypes.c_ulong(0), b"size=4k"), "/proc")
    closed, opened_again = (ctypes.c_uint64 * 4)(_RDONLY, 0, 0, 0), (ctypes.c_uint64 * 4)(0, _RDONLY, 0, 0)
    _call(_library.syscall(_MOUNT_SETATTR, -100, b"/", _AT_RECURSIVE, ctypes.byref(closed), 32), "mount_setattr")
    # /tmp itself, not what is bound below it: the interpreter may lie there.
    tempfile.tempdir = "/tmp"
    _call(_library.syscall(_MOUNT_SETATTR, -100, b"/tmp", 0, ctypes.byref(opened_again), 32), "/tmp")


def open_network() -> str:
    """Empty when the API server, which every pod of a cluster reaches, is out of reach; else what that means."""
    host = os.environ.get("KUBERNETES_SERVICE_HOST", "")
    if not host:
        return "whether this pod has a network cannot be seen"
    for _ in range(_PROBES):  # a NetworkPolicy takes a moment to hold for a new pod
        try:
            socket.create_connection((host, int(os.environ.get("KUBERNETES_SERVICE_PORT", "443"))), 3).close()
        except OSError:
            return ""
        time.sleep(1)
    return "this pod has a network: the cluster's does not enforce NetworkPolicy"


def _limits(memory: int, seconds: int, alone: bool) -> None:
    """Between fork and exec."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds + 1, seconds + 1))
    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    resource.setrlimit(resource.RLIMIT_FSIZE, (_FILE_BYTES, _FILE_BYTES))
    if alone:
        resource.setrlimit(resource.RLIMIT_NPROC, (_PROCESSES, _PROCESSES))
    _library.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)


def run_row(row: dict[str, str], seconds: int, memory: int, alone: bool) -> dict[str, Any]:
    """Whether the code and then the tests ran to their end: the last statement writes a word that only it knows, so
    that code which ends the process early has not passed."""
    token, (reads, writes) = secrets.token_hex(16), os.pipe()
    program = f"{row['code']}\n\n{row['tests']}\n\n__import__('os').write({writes}, b'{token}')\n"
    with tempfile.TemporaryDirectory() as place, tempfile.TemporaryFile() as told:
        os.chmod(place, 0o777)
        path = os.path.join(place, "answer.py")
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(program)
        root = alone and os.geteuid() == 0
        child = subprocess.Popen(
            [sys.executable, "-I", path], cwd=place, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=told,
            start_new_session=True, pass_fds=(writes,), env={"PATH": os.environ.get("PATH", ""), "HOME": place},
            preexec_fn=lambda: _limits(memory, seconds, alone), user=_NOBODY if root else None,
            group=_NOBODY if root else None, extra_groups=[] if root else None,
        )  # fmt: skip
        os.close(writes)
        overdue = threading.Event()
        late = threading.Timer(seconds, _overdue, [overdue, child.pid])
        late.start()
        code = child.wait()
        late.cancel()
        _end(child.pid)
        os.set_blocking(reads, False)
        try:
            said = os.read(reads, 64)
        except BlockingIOError:
            said = b""
        os.close(reads)
        told.seek(max(0, told.seek(0, os.SEEK_END) - 4000))
        return _judged(code, said == token.encode(), overdue.is_set(), seconds, told.read().decode("utf-8", "replace"))


def _judged(code: int, through: bool, timed_out: bool, seconds: int, error: str) -> dict[str, Any]:
    if code == 0 and through:
        return {"passed": True, "why": ""}
    if timed_out or code == -signal.SIGXCPU:
        return {"passed": False, "why": f"it took longer than {seconds} s"}
    if code < 0:
        return {"passed": False, "why": f"ended by {signal.Signals(-code).name}"}
    lines = error.strip().splitlines()
    return {"passed": False, "why": (lines[-1][:300] if code and lines else "it ended before the tests were through")}


def _overdue(told: threading.Event, group: int) -> None:
    told.set()
    _end(group)


def _end(group: int) -> None:
    """The process and what it started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def main() -> int:
    with open(sys.argv[1], encoding="utf-8") as stream:
        given = json.load(stream)
    why_not = apart()
    if not why_not:
        return in_own_spaces(given)
    if network := open_network():
        print(f"{REFUSED}{network} ({why_not})", flush=True)
        return 3
    return run_rows(given, alone=False)


def run_rows(given: dict[str, Any], alone: bool) -> int:
    def run(at: int) -> None:
        found = run_row(given["rows"][at], given["seconds"], given["memory"], alone)
        print(MARK + json.dumps({"row": at, **found}), flush=True)

    with ThreadPoolExecutor(given["parallel"]) as pool:
        list(pool.map(run, range(len(given["rows"]))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
