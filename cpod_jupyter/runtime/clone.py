"""Bring a git repository into a directory, at a revision.

    python -m cpod_jupyter.runtime clone --repository https://… --revision v1 --destination DIR

The program `git` does the work, and asks nobody for a password.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from cpod_jupyter.errors import TemporaryFailure, WorkFailed
from cpod_jupyter.runtime.files import plain_disk_errors
from cpod_jupyter.runtime.report import leave_message, log

_SECONDS = 3600.0
_URL = re.compile(r"(https?|ssh|git|file)://\S+|[\w.-]+@[\w.-]+:\S+")
_AWAY = ("Could not resolve host", "Connection timed out", "Connection refused", "early EOF", "HTTP 5")
"""In git's words, a server that may be there at another time."""


def clone(repository: str, revision: str, destination: Path) -> None:
    """Make `destination` the repository at the revision. Raises WorkFailed, TemporaryFailure."""
    if not _URL.fullmatch(repository) or revision.startswith("-"):
        raise WorkFailed(
            f"{repository!r} at {revision!r}: a URL (https, ssh, git, file) and a branch, tag or commit are wanted"
        )
    if shutil.which("git") is None:
        raise WorkFailed("the program git is not in this image, and a repository is to be cloned: install it")
    with plain_disk_errors(destination, f"the clone of {repository}"):
        destination.mkdir(parents=True, exist_ok=True)
        for old in destination.iterdir():
            shutil.rmtree(old) if old.is_dir() and not old.is_symlink() else old.unlink()
    log(f"cloning {repository}" + (f" at {revision}" if revision else ""))
    _git(destination, "init", "--quiet")
    _git(destination, "remote", "add", "origin", repository)
    try:
        _git(destination, "fetch", "--quiet", "--depth", "1", "origin", revision or "HEAD")
        _git(destination, "checkout", "--quiet", "--detach", "FETCH_HEAD")
    except TemporaryFailure:
        raise
    except WorkFailed:  # a server may refuse a commit by its hash: look for it in the whole history
        if not re.fullmatch("[0-9a-f]{7,64}", revision):
            raise
        _git(destination, "fetch", "--quiet", "--tags", "origin", "+refs/heads/*:refs/remotes/origin/*")
        _git(destination, "checkout", "--quiet", "--detach", revision)
    _git(destination, "submodule", "--quiet", "update", "--init", "--recursive", "--depth", "1")
    commit = _git(destination, "rev-parse", "HEAD").strip()
    log(f"{repository} is in {destination} at {commit}")
    leave_message({"commit": commit})


def _git(directory: Path, *arguments: str) -> str:
    environment = {**os.environ, "GIT_TERMINAL_PROMPT": "0", "GIT_SSH_COMMAND": "ssh -o BatchMode=yes", "LC_ALL": "C"}
    try:
        done = subprocess.run(
            ["git", "-C", str(directory), *arguments], env=environment, capture_output=True, text=True,
            errors="replace", timeout=_SECONDS, stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise TemporaryFailure(f"git {arguments[0]} took longer than {_SECONDS / 60:.0f} minutes") from error
    if done.returncode:
        said = done.stderr.strip()[-1000:] or f"exit code {done.returncode}"
        kind = TemporaryFailure if any(word in said for word in _AWAY) else WorkFailed
        raise kind(f"git {arguments[0]} failed: {said}")
    return done.stdout
