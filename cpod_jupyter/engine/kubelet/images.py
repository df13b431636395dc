"""What an image means without a container runtime: which program a container starts, and on which PATH."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cpod_jupyter.errors import EngineError

RUNTIME_REPOSITORY = "cpod-jupyter/runtime"
RUNTIME_ENTRYPOINT = ("python", "-m", "cpod_jupyter.runtime")
"""What the project's runtime image starts when the pod names no command."""

_WITHOUT_ENTRYPOINT = {"alpine", "busybox", "debian", "python", "ubuntu"}
"""Official images of Docker Hub that have no entrypoint of their own: in them `args` alone are the command."""
_OFFICIAL = ("docker.io/library/", "docker.io/", "library/")
_PYTHONS = {"python", "python3"}
_OF_ONE_PYTHON = ("PYTHONPATH", "VIRTUAL_ENV", "CONDA_PREFIX")


class ImageNotRunnable(EngineError):
    """The image can't be run as a process; the message says what to do."""


def repository(image: str) -> str:
    """An image's name without tag and digest: `host:5000/a/b:v1@sha256:…` is `host:5000/a/b`."""
    name = image.split("@", 1)[0]
    head, slash, last = name.rpartition("/")
    return head + slash + last.split(":", 1)[0]


def is_runtime(image: str) -> bool:
    """Whether the image is this project's own, which is the installed package itself."""
    name = repository(image)
    return name == "cpod-jupyter" or name == RUNTIME_REPOSITORY or name.endswith("/" + RUNTIME_REPOSITORY)


def _has_no_entrypoint(image: str) -> bool:
    name = repository(image)
    for prefix in _OFFICIAL:
        name = name.removeprefix(prefix)
    return name in _WITHOUT_ENTRYPOINT


@dataclass(frozen=True)
class Images:
    """Maps images to programs. `environments`: image repository to the virtual environment that stands for it."""

    environments: Mapping[str, Path] = field(default_factory=dict)

    def is_local(self, image: str) -> bool:
        """Whether an image stands for something on this machine: the project itself, or an environment."""
        return is_runtime(image) or repository(image) in self.environments

    def is_here(self, image: str) -> bool:
        """The same, or it is a plain system or interpreter, which this machine's own stands for."""
        return self.is_local(image) or _has_no_entrypoint(image)

    def python(self, image: str) -> str:
        """The interpreter that `python` means in the image."""
        environment = self.environments.get(repository(image))
        return str(environment / "bin" / "python") if environment else sys.executable

    def path(self, image: str) -> str:
        """The container's PATH: the interpreter's directory, then this machine's."""
        return os.pathsep.join([str(Path(self.python(image)).parent), os.environ.get("PATH", os.defpath)])

    def python_path(self, image: str) -> str:
        """PYTHONPATH of the project's own images: this very package, installed or not."""
        inherited = os.environ.get("PYTHONPATH", "")
        if not is_runtime(image) or self.python(image) != sys.executable:
            return inherited
        return os.pathsep.join(path for path in (str(Path(__file__).parents[3]), inherited) if path)

    def base_env(self, image: str, inherited: Mapping[str, str]) -> dict[str, str]:
        """What a container has of this machine: for an image that is mapped, nothing of the engine's own Python."""
        environment = self.environments.get(repository(image))
        if environment is None:
            python_path = self.python_path(image)
            return {**inherited, **({"PYTHONPATH": python_path} if python_path else {})}
        kept = {name: value for name, value in inherited.items() if name not in _OF_ONE_PYTHON}
        return {**kept, "VIRTUAL_ENV": str(environment)}

    def argv(self, image: str, command: list[str], args: list[str]) -> list[str]:
        """The program and its arguments, by Kubernetes' rule for `command` and `args`. Raises ImageNotRunnable."""
        ours = is_runtime(image)
        start = command or (list(RUNTIME_ENTRYPOINT) if ours else [])
        if not start and _has_no_entrypoint(image):
            start, args = args, []
        if not start:
            environment = self.environments.get(repository(image))
            if environment is not None:
                raise ImageNotRunnable(
                    f'image "{image}" is mapped to {environment} here, which names no command: '
                    "give the container one, such as [python, -m, PACKAGE]"
                )
            raise ImageNotRunnable(
                f'image "{image}" names no command here: the embedded engine runs pods as processes and cannot read '
                "an image's own entrypoint. Give the container a command; or run real images, with podman or docker: "
                "cpod down, then cpod up --runtime podman"
            )
        argv = [*start, *args]
        if argv[0] in _PYTHONS and (ours or repository(image) in self.environments):
            argv[0] = self.python(image)
        return argv
