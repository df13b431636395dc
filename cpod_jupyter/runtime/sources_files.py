"""Files and directories: file://, pvc:// (a claim that is mounted), and the object stores s3://, oss:// and gs://."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO
from urllib.parse import unquote, urlsplit

from cpod_jupyter.errors import TemporaryFailure, WorkFailed
from cpod_jupyter.runtime.files import CHUNK, files_in
from cpod_jupyter.runtime.objectstore import open_store
from cpod_jupyter.runtime.sources import UNWANTED_MODEL_FILES, Sums, Wanted
from cpod_jupyter.runtime.transfer import Part, SourceChanged, fetch_parts

_FINAL = {"ACCESS_DENIED", "NO_SUCH_BUCKET", "NO_SUCH_KEY", "INVALID_ACCESS_KEY_ID", "SIGNATURE_DOES_NOT_MATCH",
          "RESOURCE_NOT_FOUND"}  # fmt: skip
"""Codes of the AWS SDK (`AWS Error CODE during …`) that another try does not change."""


def fetch_from_file(wanted: Wanted, directory: Path) -> Sums:
    """Copy a file, or a directory's files without the hidden ones."""
    parts = urlsplit(wanted.source)
    path = Path(unquote(parts.path))
    if parts.netloc not in ("", "localhost") or not path.is_absolute():
        raise WorkFailed(f"{wanted.source}: not of the form file:///ABSOLUTE/PATH")
    _copy(wanted, path, directory)
    return {}


def fetch_from_claim(wanted: Wanted, directory: Path) -> Sums:
    """Copy what is at a path of another claim, which the pod has mounted."""
    if wanted.mounted is None:
        raise WorkFailed(f"{wanted.source}: --mounted does not say where the claim is mounted")
    claim, _, inside = wanted.rest.partition("/")
    path = wanted.mounted / inside if inside else wanted.mounted
    if not path.resolve().is_relative_to(wanted.mounted.resolve()):
        raise WorkFailed(f"{wanted.source}: {inside!r} leads out of the claim {claim}")
    if not path.exists():
        raise WorkFailed(f"{wanted.source}: there is no {inside!r} in the claim {claim}")
    _copy(wanted, path, directory)
    return {}


def _copy(wanted: Wanted, path: Path, directory: Path) -> None:
    if not path.exists():
        raise WorkFailed(f"{wanted.source}: {path} does not exist")
    if directory.is_relative_to(path.resolve()):
        raise WorkFailed(f"{wanted.source}: the destination is inside it")
    files = files_in(path) if path.is_dir() else [path]
    names = [file.relative_to(path).as_posix() if path.is_dir() else file.name for file in files]
    fetch_parts([_local_part(file, name) for file, name in zip(files, names, strict=True)], directory, wanted.source)


def _local_part(file: Path, name: str) -> Part:
    stat = file.stat()
    return Part(name, stat.st_size, str(stat.st_mtime_ns), _chunks_of(lambda: file.open("rb"), str(file)))


def fetch_from_store(wanted: Wanted, directory: Path) -> Sums:
    """Copy an object, or all objects below a prefix."""
    store, path = open_store(wanted.source)
    with _plain_errors(wanted.source):
        found = _objects(store, path)
        names = {name: _below(path, name) for name in found}
    unwanted = UNWANTED_MODEL_FILES if wanted.kind == "model" else []
    parts = [
        Part(names[name], int(info["size"]), str(info.get("mtime") or ""), _stored(store, name, wanted.source))
        for name, info in sorted(found.items())
        if not _is_hidden(names[name]) and not any(fnmatch(names[name], pattern) for pattern in unwanted)
    ]
    if not parts:
        raise WorkFailed(f"{wanted.source}: there is no object of that name, and none below it")
    fetch_parts(parts, directory, wanted.source)
    return {}


def _objects(store: Any, path: str) -> dict[str, dict[str, Any]]:
    """Object by name: the one of exactly that name, else those below it."""
    try:
        info = store.info(path)
    except FileNotFoundError:
        return {}
    if info["type"] == "file":
        return {path: info}
    return {name: info for name, info in store.find(path, detail=True).items() if info["type"] == "file"}


def _below(path: str, name: str) -> str:
    return PurePosixPath(name).name if name == path else name.removeprefix(path).lstrip("/")


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") for part in PurePosixPath(name).parts)


def _stored(store: Any, name: str, source: str) -> Callable[[int], AbstractContextManager[Iterator[bytes]]]:
    def opened() -> BinaryIO:
        with _plain_errors(source):
            file: BinaryIO = store.open(name, "rb")
        return file

    return _chunks_of(opened, source)


def _chunks_of(opened: Callable[[], BinaryIO], source: str) -> Callable[[int], AbstractContextManager[Iterator[bytes]]]:
    """A part's reader, of whatever opens as a file that can be read from an offset on."""

    def chunks(file: BinaryIO) -> Iterator[bytes]:
        while True:
            with _plain_errors(source):
                chunk = file.read(CHUNK)
            if not chunk:
                return
            yield chunk

    @contextmanager
    def read(offset: int) -> Iterator[Iterator[bytes]]:
        with opened() as file:
            if offset:
                with _plain_errors(source):
                    file.seek(offset)
            yield chunks(file)

    return read


@contextmanager
def _plain_errors(source: str) -> Iterator[None]:
    """Arrow tells its clients' errors apart by a code in the text alone."""
    try:
        yield
    except FileNotFoundError as error:
        raise SourceChanged(f"{source}: it was there, and is no more: {error}") from error
    except PermissionError as error:
        raise WorkFailed(f"{source}: not allowed: {error}") from error
    except OSError as error:
        code = re.search(r"AWS Error ([A-Z_]+)", str(error))
        if code and code[1] in _FINAL:
            keys = ": the keys from the Secret may not do that, or none came" if "ACCESS" in code[1] else ""
            raise WorkFailed(f"{source}: the store refuses{keys} ({error})") from error
        raise TemporaryFailure(f"{source}: {error}") from error
