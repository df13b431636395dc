"""Images without a container runtime."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from cpod_jupyter.engine.kubelet.images import ImageNotRunnable, Images, is_runtime, repository


@pytest.mark.parametrize(
    ("image", "name"),
    [
        pytest.param("busybox", "busybox", id="name"),
        pytest.param("busybox:1.36", "busybox", id="tag"),
        pytest.param("host:5000/a/b:v1", "host:5000/a/b", id="registry with a port"),
        pytest.param("a/b@sha256:00ff", "a/b", id="digest"),
    ],
)
def test_a_repository_is_the_image_without_tag_and_digest(image: str, name: str) -> None:
    assert repository(image) == name


@pytest.mark.parametrize(
    ("image", "ours"),
    [
        ("cpod-jupyter", True),
        ("cpod-jupyter/runtime:0.1", True),
        ("registry.example/team/cpod-jupyter/runtime:0.1", True),
        ("my-cpod-jupyter/runtime", False),
        ("cpod-jupyter/other", False),
    ],
)
def test_the_projects_own_images_are_known_by_their_repository(image: str, ours: bool) -> None:
    assert is_runtime(image) is ours


def test_python_in_a_runtime_image_is_this_interpreter() -> None:
    argv = Images().argv("cpod-jupyter/runtime", ["python", "-m", "cpod_jupyter.runtime"], ["train"])
    assert argv == [sys.executable, "-m", "cpod_jupyter.runtime", "train"]


def test_a_runtime_image_has_an_entrypoint() -> None:
    assert Images().argv("cpod-jupyter/runtime", [], ["train"]) == [
        sys.executable,
        "-m",
        "cpod_jupyter.runtime",
        "train",
    ]


def test_another_image_keeps_its_command_and_finds_this_interpreter_first() -> None:
    assert Images().argv("pytorch/pytorch", ["python"], ["x.py"]) == ["python", "x.py"]
    assert Images().path("pytorch/pytorch").split(os.pathsep)[0] == str(Path(sys.executable).parent)


def test_an_image_without_a_command_is_refused_with_advice() -> None:
    with pytest.raises(ImageNotRunnable, match="Give the container a command; or run real images"):
        Images().argv("nginx:1.27", [], ["-g"])


def test_an_environment_can_stand_for_an_image(tmp_path: Path) -> None:
    images = Images({"vllm/vllm-openai": tmp_path})
    assert images.argv("vllm/vllm-openai:v0.32", ["python3", "-m", "vllm"], []) == [
        f"{tmp_path}/bin/python",
        "-m",
        "vllm",
    ]
    assert images.path("vllm/vllm-openai:v0.32").startswith(f"{tmp_path}/bin{os.pathsep}")


@pytest.mark.parametrize("image", ["busybox", "busybox:1.37", "docker.io/library/busybox", "library/alpine:3"])
def test_arguments_are_the_command_of_an_image_that_has_no_entrypoint(image: str) -> None:
    assert Images().argv(image, [], ["/bin/sh", "-c", "date"]) == ["/bin/sh", "-c", "date"]


@pytest.mark.parametrize(("image", "args"), [("nginx", ["-g"]), ("example.com/busybox", ["sh"]), ("busybox", [])])
def test_arguments_alone_are_no_command_elsewhere(image: str, args: list[str]) -> None:
    with pytest.raises(ImageNotRunnable, match="names no command here"):
        Images().argv(image, [], args)
