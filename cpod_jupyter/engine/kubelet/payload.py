"""Volumes whose files the API holds: configMap, secret, downwardAPI, and projected ones made of these.

A volume's files lie behind a link that is replaced in one step, so that a program which reads while
they change sees the old ones or the new (Kubernetes, "Mounted ConfigMaps are updated automatically"):

    VOLUME/..data -> ..3f9a…       the files of now
    VOLUME/key    -> ..data/key
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from cpod_jupyter.api.resources import Object
from cpod_jupyter.engine.kubelet.env import PodFacts
from cpod_jupyter.engine.kubelet.lookup import ConfigError, Lookup

KINDS = ("configMap", "secret", "downwardAPI", "projected")
_CURRENT, _NEXT = "..data", "..data.next"
_PUBLIC, _PRIVATE = 0o644, 0o600
"""Secrets are the user's alone, as everything of the engine is; a defaultMode says otherwise."""


@dataclass(frozen=True)
class File:
    """A file of a volume: its content and permissions."""

    content: bytes
    mode: int


Files = dict[str, File]


@dataclass(frozen=True)
class Source:
    """What files are made from. `token` is where the engine's own bearer token is."""

    facts: PodFacts
    lookup: Lookup
    token: Path


def is_payload(volume: Mapping[str, Any]) -> bool:
    return any(volume.get(kind) is not None for kind in KINDS)


def files(volume: Mapping[str, Any], source: Source) -> Files:
    """A volume's files by relative path. Raises ConfigError for what is missing, not offered or leads astray."""
    if (projected := volume.get("projected")) is not None:
        found: Files = {}
        for part in projected.get("sources") or []:
            if part:
                found.update(_part(part, projected.get("defaultMode"), source, volume["name"]))
        return found
    return _part({key: value for key, value in volume.items() if key != "name"}, None, source, volume["name"])


def _part(part: Mapping[str, Any], default_mode: int | None, source: Source, volume: object) -> Files:
    kind, asked = next((key, value) for key, value in part.items() if value is not None)
    own_mode = asked.get("defaultMode")
    mode = default_mode if own_mode is None else own_mode
    optional = bool(asked.get("optional"))
    if kind == "configMap":
        name = str(asked.get("name"))
        return _keys(source.lookup.configmap(name, optional=optional), asked, mode, _PUBLIC, f'configmap "{name}"')
    if kind == "secret":
        name = str(asked.get("secretName") or asked.get("name"))
        return _keys(source.lookup.secret(name, optional=optional), asked, mode, _PRIVATE, f'secret "{name}"')
    if kind == "downwardAPI":
        return {
            _file_name(str(item["path"])): File(
                _downward(item, source.facts).encode(), _mode(item.get("mode"), mode, _PUBLIC)
            )
            for item in asked.get("items") or []
        }
    if kind == "serviceAccountToken":
        return {_file_name(str(asked["path"])): File(_token(source.token), _PRIVATE)}
    raise ConfigError(
        f'volume "{volume}": the embedded engine does not project {kind}; it has configMap, secret, downwardAPI and '
        "serviceAccountToken"
    )


def _keys(
    data: Mapping[str, bytes] | None, asked: Mapping[str, Any], default: int | None, fallback: int, owner: str
) -> Files:
    """The keys of a ConfigMap or Secret as files; with `items`, those keys at those paths."""
    found: Files = {}
    if data is None:
        return found
    for item in asked.get("items") or [{"key": key, "path": key} for key in data]:
        key = str(item["key"])
        if key in data:
            path = _file_name(str(item["path"]), from_key=not asked.get("items"))
            found[path] = File(data[key], _mode(item.get("mode"), default, fallback))
        elif not asked.get("optional"):
            raise ConfigError(f"{owner} has no key {key!r}")
    return found


def _mode(own: int | None, default: int | None, fallback: int) -> int:
    return next(int(mode) for mode in (own, default, fallback) if mode is not None) & 0o777


def _downward(item: Mapping[str, Any], facts: PodFacts) -> str:
    """The text of a downwardAPI item; labels and annotations as a whole are lines of key="value"."""
    if (reference := item.get("resourceFieldRef")) is not None:
        name = str(reference.get("containerName") or "")
        return facts.resource({"name": name}, reference)
    path = str((item.get("fieldRef") or {}).get("fieldPath"))
    if path in ("metadata.labels", "metadata.annotations"):
        values: Mapping[str, str] = facts.pod["metadata"].get(path.partition(".")[2]) or {}
        return "\n".join(f"{key}={_quoted(values[key])}" for key in sorted(values))
    return facts.field(path)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'"{escaped}"'


def _token(path: Path) -> bytes:
    """There is one identity here, the user's; a service account's token is the engine's own. It does not expire."""
    try:
        return path.read_bytes().strip()
    except OSError as error:
        raise ConfigError(f"a serviceAccountToken was asked for, and this engine has no token: {error}") from error


def _file_name(path: str, from_key: bool = False) -> str:
    """Where a file lies in its volume. Names that begin with `..` are the volume's own; a key is no path."""
    pure = inside(path, "a key" if from_key else "an item's path")
    if pure.parts[0].startswith("..") or (from_key and "/" in path):
        raise ConfigError(f"{path!r} is not offered as the name of a file in a volume")
    return str(pure)


def inside(path: str, what: str) -> PurePosixPath:
    """A relative path that stays where it is put. Raises ConfigError for one that does not."""
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts or not pure.parts or "\0" in path:
        raise ConfigError(f"{what} must be relative and must not contain '..': {path!r}")
    return pure


def write(directory: Path, wanted: Files) -> bool:
    """Make a volume's files what they should be, in one step; whether anything had to change."""
    directory.mkdir(parents=True, exist_ok=True)
    current = directory / _CURRENT
    old = Path(os.readlink(current)) if current.is_symlink() else None
    if old is not None and dict(_present(directory / old)) == wanted:
        return False
    fresh = Path(tempfile.mkdtemp(prefix="..", dir=directory))
    fresh.chmod(0o755)  # whoever an image's user is; on this machine, the directory above lets nobody in
    for name, file in wanted.items():
        path = fresh / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_bytes(file.content)
        path.chmod(file.mode)
    (directory / _NEXT).unlink(missing_ok=True)
    (directory / _NEXT).symlink_to(fresh.name)
    (directory / _NEXT).replace(current)
    tops = {PurePosixPath(name).parts[0] for name in wanted}
    for top in tops:
        with contextlib.suppress(FileExistsError):
            (directory / top).symlink_to(Path(_CURRENT) / top)
    for left in directory.iterdir():
        if left.is_symlink() and left.name not in (*tops, _CURRENT):
            left.unlink()
    if old is not None:
        shutil.rmtree(directory / old, ignore_errors=True)
    return True


def _present(directory: Path) -> Iterator[tuple[str, File]]:
    for path in directory.rglob("*"):
        if path.is_file():
            yield str(path.relative_to(directory)), File(path.read_bytes(), path.stat().st_mode & 0o777)


def references(pod: Object) -> frozenset[tuple[str, str]]:
    """The ConfigMaps and Secrets, by kind and name, whose files a pod has mounted."""
    found = set()
    for volume in pod["spec"].get("volumes") or []:
        for part in [volume, *((volume.get("projected") or {}).get("sources") or [])]:
            if part.get("configMap"):
                found.add(("ConfigMap", str(part["configMap"].get("name"))))
            if part.get("secret"):
                found.add(("Secret", str(part["secret"].get("secretName") or part["secret"].get("name"))))
    return frozenset(found)


def has_downward_files(pod: Object) -> bool:
    """Whether a pod has files that tell of itself, and so change with its labels and annotations."""
    return any(
        part.get("downwardAPI")
        for volume in pod["spec"].get("volumes") or []
        for part in [volume, *((volume.get("projected") or {}).get("sources") or [])]
    )
