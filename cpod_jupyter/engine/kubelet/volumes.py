"""Volumes as directories: claims, scratch space, configuration and secrets as files, host paths."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import Object
from cpod_jupyter.engine.kubelet import payload
from cpod_jupyter.engine.kubelet.env import expand_references
from cpod_jupyter.engine.kubelet.lookup import ConfigError, Lookup

_UID_DIGITS = 8
_SHARED_MEMORY = "/dev/shm"
"""Every process of the machine has it; a memory volume mounted there is this one."""
_IN_MEMORY = "cpod-volume-"


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


def prepare(pod: Object, scratch: Path, home: Path, source: payload.Source) -> dict[str, Path]:
    """Make a pod's volumes; volume name to directory. Raises ConfigError for what is missing or not offered."""
    return {str(volume["name"]): _prepare(volume, scratch, home, source) for volume in pod["spec"].get("volumes") or []}


def refresh(pod: Object, scratch: Path, source: payload.Source) -> None:
    """Bring the files that the API holds up to date, in a pod that runs; what is missing by now stays as it was."""
    for volume in pod["spec"].get("volumes") or []:
        if payload.is_payload(volume):
            with contextlib.suppress(ConfigError):
                payload.write(scratch / "volumes" / str(volume["name"]), payload.files(volume, source))


def _prepare(volume: Mapping[str, Any], scratch: Path, home: Path, source: payload.Source) -> Path:
    name = str(volume["name"])
    own = scratch / "volumes" / name
    if (claim := volume.get("persistentVolumeClaim")) is not None:
        return _claimed(name, home, source.lookup.claim(str(claim["claimName"])), source.lookup)
    if (host := volume.get("hostPath")) is not None:
        return _host_path(name, host)
    if (empty := volume.get("emptyDir")) is not None:
        return _empty_directory(name, own, str(empty.get("medium") or ""))
    if payload.is_payload(volume):
        payload.write(own, payload.files(volume, source))
        return own
    kind = next((key for key in volume if key != "name"), "nothing")
    raise ConfigError(
        f'volume "{name}": the embedded engine does not offer {kind} volumes; it has persistentVolumeClaim, emptyDir, '
        "configMap, secret, downwardAPI, projected and hostPath"
    )


def _claimed(name: str, home: Path, claim: Object, lookup: Lookup) -> Path:
    """The directory behind a claim: its own, or that of the volume made by hand which it is bound to."""
    bound_to = str(claim["spec"].get("volumeName") or "")
    if bound_to in ("", f"pvc-{meta.uid_of(claim)}"):
        directory = claim_directory(home, claim)
        directory.mkdir(parents=True, exist_ok=True)
        return directory
    volume = lookup.volume(bound_to)
    if volume is None:
        raise ConfigError(f'volume "{name}": persistentvolume "{bound_to}" not found')
    if (host := volume["spec"].get("hostPath") or volume["spec"].get("local")) is None:
        raise ConfigError(
            f'volume "{name}": the embedded engine mounts persistent volumes of hostPath and local, '
            f'and "{bound_to}" is neither'
        )
    path = _host_path(name, host)
    if not path.exists():
        raise ConfigError(f'volume "{name}": persistentvolume "{bound_to}" is at {path}, which is not there')
    return path


def _empty_directory(name: str, own: Path, medium: str) -> Path:
    """Scratch space, in memory when that is asked for and the machine has a file system there."""
    if medium not in ("", "Memory"):
        raise ConfigError(f'volume "{name}": the embedded engine does not offer emptyDir with medium {medium}')
    own.parent.mkdir(parents=True, exist_ok=True)
    if own.exists():
        return own.resolve()
    if medium == "Memory" and os.access(_SHARED_MEMORY, os.W_OK):
        directory = Path(tempfile.mkdtemp(prefix=_IN_MEMORY, dir=_SHARED_MEMORY)) / name
        directory.mkdir()
        own.unlink(missing_ok=True)
        own.symlink_to(directory)
        return directory
    own.mkdir(exist_ok=True)
    return own


def remove_scratch(scratch: Path) -> None:
    """Take a pod's own volumes away, those in memory too."""
    own = scratch / "volumes"
    for link in own.iterdir() if own.is_dir() else []:
        if link.is_symlink() and os.readlink(link).startswith(f"{_SHARED_MEMORY}/{_IN_MEMORY}"):
            shutil.rmtree(Path(os.readlink(link)).parent, ignore_errors=True)
    shutil.rmtree(scratch, ignore_errors=True)


def _host_path(name: str, source: Mapping[str, Any]) -> Path:
    """A path of this machine, of the type asked for (core/v1 HostPathType)."""
    path = Path(str(source["path"]))
    if not path.is_absolute() or ".." in path.parts:
        raise ConfigError(f"volume \"{name}\": hostPath {str(path)!r} must be absolute and must not contain '..'")
    kind = str(source.get("type") or "")
    if kind == "DirectoryOrCreate":
        path.mkdir(parents=True, exist_ok=True)
    elif kind == "FileOrCreate" and not path.exists():
        path.touch(mode=0o644)
    checks: dict[str, tuple[Callable[[], bool], str]] = {
        "DirectoryOrCreate": (path.is_dir, "a directory"),
        "Directory": (path.is_dir, "a directory"),
        "FileOrCreate": (path.is_file, "a file"),
        "File": (path.is_file, "a file"),
        "Socket": (path.is_socket, "a socket"),
        "CharDevice": (path.is_char_device, "a character device"),
        "BlockDevice": (path.is_block_device, "a block device"),
    }
    if kind in checks and not checks[kind][0]():
        raise ConfigError(f'volume "{name}": hostPath type check failed: {path} is not {checks[kind][1]}')
    if kind and kind not in checks:
        raise ConfigError(f'volume "{name}": {kind} is no type of hostPath; there are {", ".join(checks)}')
    return path


def mounts(
    container: Mapping[str, Any], volumes: Mapping[str, Path], expand: Mapping[str, str]
) -> list[tuple[str, str]]:
    """A container's mounts, (path in the pod, path on this machine). `expand` serves subPathExpr."""
    found = []
    for mount in container.get("volumeMounts") or []:
        path, volume = str(mount["mountPath"]), str(mount["name"])
        if not path.startswith("/") or ".." in PurePosixPath(path).parts or not path.strip("/"):
            raise ConfigError(f"mountPath {path!r} must be an absolute path below / and must not contain '..'")
        if volume not in volumes:
            raise ConfigError(f'volumeMount "{volume}" names no volume of the pod')
        if path.rstrip("/") == _SHARED_MEMORY:
            continue
        found.append((path.rstrip("/"), str(_sub_path(mount, volumes[volume], expand))))
    return found


def _sub_path(mount: Mapping[str, Any], volume: Path, expand: Mapping[str, str]) -> Path:
    """What of a volume is mounted. Made when missing; a link that leads out of the volume is refused."""
    asked = str(mount.get("subPath") or "")
    if mount.get("subPathExpr"):
        asked = expand_references(str(mount["subPathExpr"]), expand)
        if "$(" in asked:
            raise ConfigError(f"subPathExpr {mount['subPathExpr']!r} names a variable that the container does not have")
    if not asked:
        return volume
    target = volume / payload.inside(asked, "subPath")
    if not target.resolve().is_relative_to(volume.resolve()):
        raise ConfigError(f'subPath {asked!r} leads out of the volume "{mount["name"]}" by a symbolic link')
    if not target.exists():
        try:
            target.mkdir(parents=True)
        except OSError as error:
            raise ConfigError(f'subPath {asked!r} cannot be made in the volume "{mount["name"]}": {error}') from error
    return target


def read_only(container: Mapping[str, Any], pod: Object, found: list[tuple[str, str]]) -> list[str]:
    """The directories that a container may only read, by its mounts or by the claim's volume.

    One that it mounts for writing too, under another path, is one directory here, and stays writable.
    """
    claims = {
        str(volume["name"])
        for volume in pod["spec"].get("volumes") or []
        if (volume.get("persistentVolumeClaim") or {}).get("readOnly")
    }
    where = dict(found)
    asked, written = set(), []
    for mount in container.get("volumeMounts") or []:
        directory = where.get(str(mount["mountPath"]).rstrip("/"))
        if directory is None:
            continue
        if mount.get("readOnly") or mount["name"] in claims:
            asked.add(os.path.realpath(directory))
        else:
            written.append(Path(os.path.realpath(directory)))
    return sorted(
        path for path in asked if not any(w.is_relative_to(path) or Path(path).is_relative_to(w) for w in written)
    )


def referenced_claims(pod: Object) -> Iterable[str]:
    """The names of the claims that a pod mounts."""
    for volume in pod["spec"].get("volumes") or []:
        claim = volume.get("persistentVolumeClaim")
        if claim:
            yield str(claim["claimName"])
