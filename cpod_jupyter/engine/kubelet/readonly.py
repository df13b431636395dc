"""Directories that a process may only read: a mount name space of its own in which they are so (Linux).

As root the name space is made directly; another user makes it in a user name space that maps the user
to itself (user_namespaces(7)), where the machine allows that. Standard library only: the supervisor
uses it, between fork and exec.
"""

from __future__ import annotations

import ctypes
import functools
import os
import subprocess
import sys
from collections.abc import Iterable

_CLONE_NEWNS, _CLONE_NEWUSER = 0x00020000, 0x10000000
_MS_RDONLY, _MS_REMOUNT, _MS_BIND, _MS_REC, _MS_PRIVATE = 1, 32, 4096, 16384, 1 << 18
_KEPT = {os.ST_NOSUID: 2, 4: 4, 8: 8, 1024: 1024, 2048: 2048, 4096: 1 << 21}
"""statvfs(3) flags to the mount(2) flags that a remount must repeat: nosuid, nodev, noexec, noatime, nodiratime,
relatime."""


def enter(directories: Iterable[str]) -> None:
    """Make directories read-only for this process and what it starts. Raises OSError where that isn't possible."""
    library = ctypes.CDLL(None, use_errno=True)
    uid, gid = os.geteuid(), os.getegid()
    _call(library.unshare(_CLONE_NEWNS if uid == 0 else _CLONE_NEWNS | _CLONE_NEWUSER), "unshare")
    if uid != 0:
        for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
            with open(f"/proc/self/{name}", "w") as stream:
                stream.write(text)
    _call(library.mount(None, b"/", None, ctypes.c_ulong(_MS_REC | _MS_PRIVATE), None), "mount")
    for directory in directories:
        path = os.fsencode(directory)
        flags = os.statvfs(directory).f_flag
        kept = sum(mount for seen, mount in _KEPT.items() if flags & seen)
        _call(library.mount(path, path, None, ctypes.c_ulong(_MS_BIND | _MS_REC), None), directory)
        again = _MS_BIND | _MS_REMOUNT | _MS_RDONLY | kept
        _call(library.mount(None, path, None, ctypes.c_ulong(again), None), directory)


def _call(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)


@functools.cache
def is_possible() -> bool:
    """Whether processes of this machine can be given such directories: one is, to see."""
    if sys.platform != "linux":
        return False
    command = [sys.executable, "-I", __file__]
    return subprocess.run(command, capture_output=True, check=False, timeout=30).returncode == 0


if __name__ == "__main__":
    enter(["/tmp"])
