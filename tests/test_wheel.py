"""The wheel: built from this tree, it has JupyterLab's part in it, and installs where there is no Node."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BUILT = ROOT / "cpod_jupyter" / "labextension"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


def run(*command: str | Path, env: dict[str, str]) -> str:
    """What a program prints; somewhere else than in the source tree."""
    words = [str(word) for word in command]
    done = subprocess.run(words, env=env, cwd="/", capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{command}:\n{done.stdout}\n{done.stderr}"
    return re.sub(r"\x1b\[\d+m", "", done.stdout + done.stderr)  # the colours


@pytest.fixture(scope="module")
def without_node(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a machine that has Python and the system's own programs, but no Node, npm or yarn."""
    folder = tmp_path_factory.mktemp("bin")
    for place in os.get_exec_path():
        for program in Path(place).iterdir() if Path(place).is_dir() else ():
            if program.name not in ("node", "nodejs", "npm", "npx", "yarn", "jlpm") and os.access(program, os.X_OK):
                (folder / program.name).is_symlink() or (folder / program.name).symlink_to(program)
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("JUPYTER", "PYTHONPATH", "SKIP_"))}
    found = {**kept, "PATH": str(folder)}
    assert shutil.which("node", path=found["PATH"]) is None
    return found


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory, without_node: dict[str, str]) -> Path:
    if not (BUILT / "package.json").exists():
        pytest.skip("needs the JupyterLab extension (make extension, with Node)")
    place = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", place, ROOT, env=without_node)
    (found,) = place.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installed(
    tmp_path_factory: pytest.TempPathFactory, wheel: Path, without_node: dict[str, str]
) -> Iterator[tuple[Path, dict[str, str]]]:
    """A fresh environment with the wheel in it; what the wheel needs comes from that of the tests."""
    place = tmp_path_factory.mktemp("venv")
    venv.create(place, with_pip=True)
    run(place / "bin" / "python", "-m", "pip", "install", "--no-deps", "--no-index", wheel, env=without_node)
    (site,) = place.glob("lib/python*/site-packages")
    others = [each for each in sys.path if each.endswith("site-packages")]
    (site / "others.pth").write_text("\n".join(others))
    yield place, {**without_node, "JUPYTER_PREFER_ENV_PATH": "1"}
    shutil.rmtree(place)


def test_the_wheel_has_the_built_page_its_settings_and_the_servers_configuration(wheel: Path) -> None:
    names = {name.partition(".data/data/")[2] for name in zipfile.ZipFile(wheel).namelist()}
    built = {f"share/jupyter/labextensions/cpod-jupyter/{each.relative_to(BUILT)}" for each in BUILT.rglob("*.*")}
    assert built <= names
    assert "share/jupyter/labextensions/cpod-jupyter/install.json" in names
    assert "etc/jupyter/jupyter_server_config.d/cpod_jupyter.json" in names
    schemas = (ROOT / "labextension" / "schema").glob("*.json")
    assert {f"share/jupyter/labextensions/cpod-jupyter/schemas/cpod-jupyter/{each.name}" for each in schemas} <= names


def test_it_installs_without_node_and_both_its_parts_are_enabled(installed: tuple[Path, dict[str, str]]) -> None:
    place, env = installed
    python = place / "bin" / "python"
    where = run(python, "-c", "import cpod_jupyter; print(cpod_jupyter.__file__)", env=env)
    assert where.startswith(str(place)), "it is the wheel's own"
    listed = run(python, "-m", "jupyterlab.labextensions", "list", env=env)
    assert str(place) in listed
    own = listed.partition(str(place))[2].partition("cpod-jupyter v")[2]
    assert "enabled" in own.splitlines()[0]
    assert "OK" in own.splitlines()[0]
    servers = run(python, "-m", "jupyter_server.extension.serverextension", "list", env=env)
    assert "cpod_jupyter.jupyter.server enabled" in servers
    assert "cpod_jupyter.jupyter.server  OK" in servers
    content = json.loads((place / "share/jupyter/labextensions/cpod-jupyter/package.json").read_text())
    assert (place / "share/jupyter/labextensions/cpod-jupyter" / content["jupyterlab"]["_build"]["load"]).exists()
    assert "usage: cpod" in run(place / "bin" / "cpod", "--help", env=env)
