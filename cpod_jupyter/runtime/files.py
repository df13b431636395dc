"""Directories that are either whole or not there yet, hashes, and the faults of a disk in plain words."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cpod_jupyter.errors import WorkFailed

PARTIAL = ".partial"
"""Where a directory's content is made, inside it: a volume's mount point has no sibling on the same disk."""

LAST = ("config.json", "adapter_config.json")
"""What makes a directory a model in the eyes of others, so it is moved last."""

CHUNK = 4 << 20
"""Bytes read at once."""


def publish(partial: Path, directory: Path) -> None:
    """Move everything in `partial` into `directory`, replacing what has the same name, and remove `partial`."""
    mask = os.umask(0)
    os.umask(mask)
    for file in partial.rglob("*"):
        if file.is_file() and not file.is_symlink():
            file.chmod(0o666 & ~mask)  # safetensors writes files that only their owner can read
    for item in sorted(partial.iterdir(), key=lambda item: (item.name in LAST, item.name)):
        target = directory / item.name
        if target.is_dir() and not target.is_symlink():
            shutil.rmtree(target)
        os.replace(item, target)
    partial.rmdir()


def files_in(directory: Path) -> list[Path]:
    """The files under `directory`, hidden ones left out, in the order of their relative names."""
    relative = (path.relative_to(directory) for path in directory.rglob("*") if path.is_file())
    return [directory / path for path in sorted(relative) if not any(part.startswith(".") for part in path.parts)]


def size_of(directory: Path) -> int:
    """Bytes of all files in it that aren't hidden."""
    return sum(path.stat().st_size for path in files_in(directory))


def sha256_of(file: Path) -> str:
    """The hash of a file's bytes, in hexadecimal."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def plain_disk_errors(directory: Path, doing: str) -> Iterator[None]:
    """Turn an error of the file system into a sentence; other errors pass.

    Libraries hide ENOSPC in errors of their own (safetensors, torch), so a failure while hardly any space is
    left counts as one too.
    """
    try:
        yield
    except WorkFailed:
        raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise WorkFailed(f"{doing} failed: the disk of {directory} is full") from error
        if error.errno is None:
            raise
        raise WorkFailed(f"{doing} failed: {error.strerror} ({error.filename or directory})") from error
    except Exception as error:
        if directory.exists() and shutil.disk_usage(directory).free < CHUNK:
            raise WorkFailed(f"{doing} failed: the disk of {directory} is full") from error
        raise
