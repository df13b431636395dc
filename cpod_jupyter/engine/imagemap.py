"""Which images stand for virtual environments of this machine: `HOME/images.json`, kept by hand or `cpod images`.

The engine reads the file when it plans a pod, so what is mapped counts for pods that are made afterwards,
without a restart.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from cpod_jupyter.engine.certs import write_private
from cpod_jupyter.engine.kubelet.images import repository
from cpod_jupyter.errors import EngineError

_FILE = "images.json"
_IMAGE = re.compile(r"[a-z0-9][a-z0-9._/:@-]*", re.IGNORECASE)
_ASK_SECONDS = 20.0


@dataclass(frozen=True)
class MappedImage:
    """One entry. `python` is the version of the environment's interpreter; `problem` says why there is none."""

    image: str
    path: Path
    python: str = ""
    problem: str = ""


class ImageMap(Mapping[str, Path]):
    """The entries of an engine's home as they are at each look: image repository to virtual environment."""

    def __init__(self, home: Path) -> None:
        self._file = home / _FILE

    def __getitem__(self, image: str) -> Path:
        return self._read()[image]

    def __iter__(self) -> Iterator[str]:
        return iter(self._read())

    def __len__(self) -> int:
        return len(self._read())

    def add(self, image: str, path: Path) -> MappedImage:
        """Have an image, whatever its tag, stand for an environment. Raises EngineError when it is none."""
        if not _IMAGE.fullmatch(image):
            raise EngineError(f"{image!r} is no image's name; write it as a pod does: ghcr.io/owner/server")
        path = Path(os.path.abspath(path.expanduser()))
        entry = MappedImage(repository(image), path, *_ask(path))
        if entry.problem:
            raise EngineError(f"{entry.image} was not mapped: {entry.problem}")
        with self._locked():
            self._write({**self._read(), entry.image: path})
        return entry

    def remove(self, image: str) -> Path:
        """Forget an entry; what it was. Raises EngineError when there is none."""
        with self._locked():
            entries = self._read()
            name = repository(image)
            if name not in entries:
                known = ", ".join(sorted(entries)) or "none"
                raise EngineError(f"{name} is not mapped; mapped images: {known}")
            path = entries.pop(name)
            self._write(entries)
        return path

    def entries(self) -> list[MappedImage]:
        """All of them, with what their interpreters say now."""
        return [MappedImage(image, path, *_ask(path)) for image, path in sorted(self._read().items())]

    def _read(self) -> dict[str, Path]:
        try:
            data = json.loads(self._file.read_text())
            return {str(image): Path(str(path)) for image, path in data.items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, AttributeError) as error:
            raise EngineError(f"{self._file} cannot be read: {error}; correct it, or delete it") from error

    def _write(self, entries: Mapping[str, Path]) -> None:
        text = json.dumps({image: str(path) for image, path in sorted(entries.items())}, indent=2)
        write_private(self._file, text.encode() + b"\n")

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """One writer at a time."""
        self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._file.with_suffix(".lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _ask(path: Path) -> tuple[str, str]:
    """The version of an environment's interpreter, or what is wrong with it."""
    python = path / "bin" / "python"
    if not python.exists():
        if path.parent.name == "bin" and path.exists():
            return "", f"{path} is a program, not a virtual environment; name the folder {path.parent.parent}"
        return "", f"{path} is no virtual environment, it has no bin/python; make one: python -m venv {path}"
    command = [str(python), "-c", "import platform; print(platform.python_version())"]
    try:
        said = subprocess.run(
            command, capture_output=True, text=True, timeout=_ASK_SECONDS, check=True, env={"PATH": os.defpath}
        )
    except (OSError, subprocess.SubprocessError) as error:
        return "", f"{python} cannot be run ({error}); make the environment again: python -m venv --clear {path}"
    return said.stdout.strip(), ""
