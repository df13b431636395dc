"""Images that stand for virtual environments: `cpod images`, and the pods that are made of them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cpod_jupyter.cli import main
from cpod_jupyter.engine.imagemap import ImageMap
from cpod_jupyter.errors import EngineError

from .cluster import Cluster


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """Another Python's environment, with a module of its own."""
    path = tmp_path / "other environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(path)], check=True)
    packages = next((path / "lib").iterdir()) / "site-packages"
    (packages / "only_here.py").write_text("WORDS = 'from the other environment'\n")
    return path


def test_a_mapped_image_is_its_environment_for_pods_made_afterwards(cluster: Cluster, environment: Path) -> None:
    script = "import sys, only_here; print(only_here.WORDS, sys.prefix)"
    container = {"image": "ghcr.io/team/server:v2"}
    cluster.run("before", "python", "-c", script, container=container)
    cluster.wait_phase("before", "Failed")
    ImageMap(cluster.home).add("ghcr.io/team/server:v1", environment)
    pod = cluster.run("after", "python", "-c", script, container=container)
    cluster.wait_phase("after", "Succeeded")
    assert cluster.output(pod) == f"from the other environment {environment}\n"
    by_path = cluster.run("by-path", "sh", "-c", f"exec python -c '{script}'", container=container)
    cluster.wait_phase("by-path", "Succeeded")
    assert cluster.output(by_path) == f"from the other environment {environment}\n"


def test_a_mapped_images_container_must_name_its_command(cluster: Cluster, environment: Path) -> None:
    ImageMap(cluster.home).add("server", environment)
    cluster.run("silent", container={"image": "server:1"})
    message = cluster.wait_waiting("silent", "ErrImagePull")
    assert f"mapped to {environment} here, which names no command" in message


def test_the_file_is_private_and_survives(tmp_path: Path, environment: Path) -> None:
    ImageMap(tmp_path / "home").add("registry:5000/a/b:v1", environment)
    assert (tmp_path / "home" / "images.json").stat().st_mode & 0o777 == 0o600
    assert dict(ImageMap(tmp_path / "home")) == {"registry:5000/a/b": environment}


def test_what_is_no_environment_is_refused_with_advice(tmp_path: Path, environment: Path) -> None:
    images = ImageMap(tmp_path)
    with pytest.raises(EngineError, match=r"it has no bin/python; make one: python -m venv"):
        images.add("server", tmp_path / "nothing")
    with pytest.raises(EngineError, match=r"name the folder .*other environment"):
        images.add("server", environment / "bin" / "python")
    with pytest.raises(EngineError, match="is no image's name"):
        images.add("a b", environment)
    (environment / "bin" / "python").unlink()
    (environment / "bin" / "python").write_text("no program")
    with pytest.raises(EngineError, match="cannot be run"):
        images.add("server", environment)
    assert not images


def test_the_command_maps_lists_and_unmaps(
    tmp_path: Path, environment: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CPOD_HOME", str(tmp_path / "home"))
    assert main(["images", "list"]) == 0
    assert "no image is mapped" in capsys.readouterr().out
    assert main(["images", "map", "ghcr.io/team/server:v1", str(environment)]) == 0
    assert "must name their command" in capsys.readouterr().out
    assert main(["images"]) == 0
    assert f"ghcr.io/team/server  {'.'.join(map(str, sys.version_info[:3]))}" in capsys.readouterr().out
    assert main(["images", "unmap", "other"]) == 1
    assert "other is not mapped; mapped images: ghcr.io/team/server" in capsys.readouterr().err
    assert main(["images", "unmap", "ghcr.io/team/server:v9"]) == 0
    assert not ImageMap(tmp_path / "home")
