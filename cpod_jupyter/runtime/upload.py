"""Copy a model into an object store, whole or not at all.

    python -m cpod_jupyter.runtime upload --source DIR --destination s3://BUCKET/models/NAME

The files go first; the manifest comes last, and a destination without it is not whole. It says what was uploaded:

    {"size": BYTES, "sha256": "…", "files": {NAME: {"size": BYTES, "sha256": "…"}}}

A journal beside the files names those that have arrived, so an upload that was broken off goes on where it was: what is
there with the size and the hash that it has here is not sent again. Keys come from the environment (`objectstore`).
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from cpod_jupyter.errors import TemporaryFailure, WorkFailed
from cpod_jupyter.runtime.files import CHUNK, files_in, sha256_of
from cpod_jupyter.runtime.objectstore import open_store
from cpod_jupyter.runtime.report import leave_message, log, progress

MANIFEST = "cpod-manifest.json"
JOURNAL = ".cpod-upload.json"
TRIES = 3
"""How often a file is sent before this command gives up and is to be started again."""

_FIRST_PAUSE = 1.0
"""Seconds between the first try and the second, doubling."""
_REFUSALS = (
    "ACCESS_DENIED", "NO_SUCH_BUCKET", "INVALID_ACCESS_KEY_ID", "SIGNATURE_DOES_NOT_MATCH", "INVALID_SIGNATURE",
    "UNRECOGNIZED_CLIENT", "EXPIRED_TOKEN",
)  # fmt: skip
"""Error codes by which a store says that another try would end alike, as the AWS SDK for C++ names them (S3Errors)."""

T = TypeVar("T")
Files = dict[str, dict[str, Any]]


def upload(source: Path, destination: str) -> None:
    """Make the directory `source` be in the store, under `destination`. Raises WorkFailed, TemporaryFailure."""
    with _plain_errors(f"reading {source}", final=True):
        if not source.is_dir() or not (files := files_in(source)):
            raise WorkFailed(f"there is nothing to upload: {source} holds no files")
        wanted = _described(source, files)
    manifest = {"size": sum(entry["size"] for entry in wanted.values()), "sha256": _sum_of(wanted), "files": wanted}
    store = Store(destination)
    old = store.read(MANIFEST)
    if old == manifest and not store.missing(wanted):
        log(f"{destination} has it already")
        leave_message(_summary(destination, manifest, 0))
        return
    there = {**(old.get("files") or {}), **store.read(JOURNAL)}
    if there:  # before anything is written over: from here on it is neither the old model nor yet the new
        there = {name: entry for name, entry in there.items() if name not in wanted or entry == wanted[name]}
        store.write(JOURNAL, there)
        store.remove(MANIFEST)
    sent = _send(store, source, wanted, there)
    for name in there.keys() - wanted.keys():
        store.remove(name)
    store.write(MANIFEST, manifest)
    store.remove(JOURNAL)
    log(f"{destination} has it: {len(wanted)} files, {manifest['size'] / 1e6:.1f} MB, {sent / 1e6:.1f} MB of it sent")
    leave_message(_summary(destination, manifest, sent))


def _described(source: Path, files: list[Path]) -> Files:
    return {
        file.relative_to(source).as_posix(): {"size": file.stat().st_size, "sha256": sha256_of(file)} for file in files
    }


def _sum_of(files: Files) -> str:
    """Over the sorted hashes of the files, as a download's (`runtime.download`)."""
    return hashlib.sha256("\n".join(sorted(str(entry["sha256"]) for entry in files.values())).encode()).hexdigest()


def _summary(destination: str, manifest: dict[str, Any], sent: int) -> dict[str, Any]:
    return {
        "destination": destination,
        "size": manifest["size"],
        "files": len(manifest["files"]),
        "sha256": manifest["sha256"],
        "sent": sent,
    }


def _send(store: Store, source: Path, wanted: Files, there: Files) -> int:
    """Send what is not there; the journal grows with each file. Returns the bytes sent."""
    total, done, sent = sum(entry["size"] for entry in wanted.values()), 0, 0
    journal = dict(there)
    progress("upload", 0, total, "B")
    for name, entry in wanted.items():
        if journal.get(name) != entry or store.size(name) != entry["size"]:
            log(f"sending {name}, {entry['size'] / 1e6:.1f} MB")
            store.send(source / name, name, done, total)
            if (size := store.size(name)) != entry["size"]:
                raise TemporaryFailure(f"{name} arrived with {size} bytes and not {entry['size']}")
            journal[name] = entry
            store.write(JOURNAL, journal)
            sent += entry["size"]
        done += entry["size"]
        progress("upload", done, total, "B")
    return sent


class Store:
    """A directory in a store, asked more than once for what fails."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self._files, path = open_store(uri)
        self._base = path.rstrip("/")
        self._local = uri.startswith("file://")

    def send(self, file: Path, name: str, before: int, total: int) -> None:
        """Copy a file; `before` bytes of `total` are there already."""

        def copy() -> None:
            done = before
            with file.open("rb") as source, self._open(name) as target:
                while chunk := source.read(CHUNK):
                    target.write(chunk)
                    done += len(chunk)
                    progress("upload", done, total, "B")

        self._again(f"sending {name}", copy)

    def write(self, name: str, content: dict[str, Any]) -> None:
        def put() -> None:
            with self._open(name) as target:
                target.write(json.dumps(content, indent=1).encode())

        self._again(f"writing {name}", put)

    def read(self, name: str) -> dict[str, Any]:
        """The JSON object in a file; empty where there is none, or none that can be read as one."""

        def get() -> bytes:
            try:
                with self._files.open(f"{self._base}/{name}", "rb") as source:
                    return bytes(source.read())
            except FileNotFoundError:
                return b""

        try:
            found = json.loads(self._again(f"reading {name}", get) or b"{}")
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    def size(self, name: str) -> int | None:
        """Bytes of a file; None where there is none."""

        def ask() -> int | None:
            try:
                return int(self._files.info(f"{self._base}/{name}")["size"])
            except FileNotFoundError:
                return None

        return self._again(f"asking for {name}", ask)

    def missing(self, wanted: Files) -> list[str]:
        return [name for name, entry in wanted.items() if self.size(name) != entry["size"]]

    def remove(self, name: str) -> None:
        def delete() -> None:
            try:
                self._files.rm_file(f"{self._base}/{name}")
            except FileNotFoundError:
                return

        self._again(f"removing {name}", delete)

    def _open(self, name: str) -> Any:
        path = f"{self._base}/{name}"
        if self._local:
            self._files.makedirs(path.rpartition("/")[0], exist_ok=True)
        return self._files.open(path, "wb")

    def _again(self, doing: str, action: Callable[[], T]) -> T:
        """Do it, with pauses that double between tries. Raises WorkFailed, TemporaryFailure."""
        for attempt in range(TRIES):
            try:
                with _plain_errors(f"{doing} in {self.uri}"):
                    return action()
            except TemporaryFailure as failure:
                if attempt == TRIES - 1:
                    raise
                pause = _FIRST_PAUSE * 2.0**attempt
                log(f"{failure}; again in {pause:.0f} s")
                time.sleep(pause)
        raise AssertionError("the last try returns or raises")


@contextmanager
def _plain_errors(doing: str, *, final: bool = False) -> Iterator[None]:
    """Turn a failure into a sentence: one that may go well at another time, unless it cannot or is `final`."""
    try:
        yield
    except WorkFailed:
        raise
    except (OSError, TimeoutError) as error:
        said = " ".join(str(error).split()) or type(error).__name__
        refused = isinstance(error, (PermissionError, FileNotFoundError, NotADirectoryError, IsADirectoryError))
        kind = WorkFailed if final or refused or any(word in said for word in _REFUSALS) else TemporaryFailure
        raise kind(f"{doing} failed: {said[:1000]}") from error
