"""Volumes as directories: claims, scratch space, configuration and secrets as files, host paths."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import Object
from cpod_jupyter.engine.kubelet.env import expand_references
from cpod_jupyter.engine.kubelet.lookup import ConfigError, Lookup

_UID_DIGITS = 8
_SHARED_MEMORY = "/dev/shm"
"""Every process of the machine has it; a memory volume mounted there is this one."""


def claim_directory(home: Path, claim: Object) -> Path:
    """Where a PersistentVolumeClaim keeps its files. A new claim of the same name starts empty."""
    name = f"{meta.name_of(claim)}-{meta.uid_of(claim)[:_UID_DIGITS]}"
    return home / "volumes" / meta.namespace_of(claim) / name


def claim_directories(home: Path, namespace: str, name: str) -> list[Path]:
    """The directories of all claims, past and present, that had a name."""
    pattern = re.compile(re.escape(name) + rf"-[0-9a-f]{{{_UID_DIGITS}}}")
    parent = home / "volumes" / namespace
    return [path for path in parent.iterdir() if pattern.fullmatch(path.name)] if parent.is_dir() else []


def scratch_directory(home: Path, pod_dir: Path) -> Path:
    """Where a pod's own volumes and working directories are, which go with it.

    Not in the pod's directory: that one is watched, with all below it.
    """
    return home / "scratch" / pod_dir.name


def scratch_directories(home: Path) -> list[Path]:
    """Those of all pods, known or not."""
    parent = home / "scratch"
    return list(parent.iterdir()) if parent.is_dir() else []


def prepare(pod: Object, scratch: Path, home: Path, lookup: Lookup) -> dict[str, Path]:
    """Make a pod's volumes; volume name to directory. Raises ConfigError for what is missing or not offered."""
    return {str(volume["name"]): _prepare(volume, scratch, home, lookup) for volume in pod["spec"].get("volumes") or []}


def _prepare(volume: Mapping[str, Any], scratch: Path, home: Path, lookup: Lookup) -> Path:
    name = str(volume["name"])
    own = scratch / "volumes" / name
    if (claim := volume.get("persistentVolumeClaim")) is not None:
        directory = claim_directory(home, lookup.claim(str(claim["claimName"])))
        directory.mkdir(parents=True, exist_ok=True)
        return directory
    if (host := volume.get("hostPath")) is not None:
        return _host_path(name, host)
    if volume.get("emptyDir") is not None:
        own.mkdir(parents=True, exist_ok=True)
        return own
    if (source := volume.get("configMap")) is not None:
        data = lookup.configmap(str(source.get("name")), optional=bool(source.get("optional")))
        _write_files(own, data, source, 0o644, f'configmap "{source.get("name")}"')
        return own
    if (source := volume.get("secret")) is not None:
        data = lookup.secret(str(source.get("secretName")), optional=bool(source.get("optional")))
        _write_files(own, data, source, 0o600, f'secret "{source.get("secretName")}"')
        return own
    kind = next((key for key in volume if key != "name"), "nothing")
    raise ConfigError(
        f'volume "{name}": the embedded engine does not offer {kind} volumes; it has persistentVolumeClaim, emptyDir, '
        "configMap, secret and hostPath"
    )


def _host_path(name: str, source: Mapping[str, Any]) -> Path:
    path = Path(str(source["path"]))
    kind = str(source.get("type") or "")
    if kind == "DirectoryOrCreate":
        path.mkdir(parents=True, exist_ok=True)
    elif kind == "Directory" and not path.is_dir():
        raise ConfigError(f'volume "{name}": hostPath type check failed: {path} is not a directory')
    elif kind == "File" and not path.is_file():
        raise ConfigError(f'volume "{name}": hostPath type check failed: {path} is not a file')
    return path


def _write_files(
    directory: Path, data: Mapping[str, bytes] | None, source: Mapping[str, Any], mode: int, owner: str
) -> None:
    """The keys of a ConfigMap or Secret as files; with `items`, those keys at those paths."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    if data is None:
        return
    default = int(source.get("defaultMode") or mode)
    items = source.get("items") or [{"key": key, "path": key} for key in data]
    for item in items:
        key = str(item["key"])
        if key not in data:
            if source.get("optional"):
                continue
            raise ConfigError(f"{owner} has no key {key!r}")
        path = directory / inside(str(item["path"]), "an item's path")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_bytes(data[key])
        path.chmod(int(item.get("mode") or default))


def inside(path: str, what: str) -> PurePosixPath:
    """A relative path that stays where it is put. Raises ConfigError for one that does not."""
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts:
        raise ConfigError(f"{what} must be relative and must not contain '..': {path!r}")
    return pure


def mounts(
    container: Mapping[str, Any], volumes: Mapping[str, Path], expand: Mapping[str, str]
) -> list[tuple[str, str]]:
    """A container's mounts, (path in the pod, path on this machine). `expand` serves subPathExpr.

    Mounting read-only is not enforced: there is no container.
    """
    found = []
    for mount in container.get("volumeMounts") or []:
        path, volume = str(mount["mountPath"]), str(mount["name"])
        if not path.startswith("/") or ".." in PurePosixPath(path).parts or not path.strip("/"):
            raise ConfigError(f"mountPath {path!r} must be an absolute path below / and must not contain '..'")
        if volume not in volumes:
            raise ConfigError(f'volumeMount "{volume}" names no volume of the pod')
        if path.rstrip("/") == _SHARED_MEMORY:
            continue
        target = volumes[volume]
        sub_path = str(mount.get("subPath") or "")
        if mount.get("subPathExpr"):
            sub_path = expand_references(str(mount["subPathExpr"]), expand)
        if sub_path:
            target = target / inside(sub_path, "subPath")
            if not target.exists():
                target.mkdir(parents=True)
        found.append((path.rstrip("/"), str(target)))
    return found


def referenced_claims(pod: Object) -> Iterable[str]:
    """The names of the claims that a pod mounts."""
    for volume in pod["spec"].get("volumes") or []:
        claim = volume.get("persistentVolumeClaim")
        if claim:
            yield str(claim["claimName"])
