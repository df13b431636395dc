"""The Dockerfile of the runtime image, as far as it can be checked where no image can be built."""

from __future__ import annotations

import fnmatch
import json
import re
import tomllib
from pathlib import Path

from cpod_jupyter.engine.kubelet.images import RUNTIME_ENTRYPOINT
from cpod_jupyter.operator.settings import Settings
from cpod_jupyter.sdk.install import Choices, manifests

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "Dockerfile").read_text("utf-8")
STEPS = [
    line.split(maxsplit=1)
    for line in re.sub(r"\\\n", " ", TEXT).splitlines()
    if line.strip() and not line.startswith("#")
]


def test_every_step_is_one_that_dockerfiles_have_and_stages_come_from_earlier_ones() -> None:
    known = {"ARG", "FROM", "ENV", "RUN", "WORKDIR", "COPY", "USER", "ENTRYPOINT"}
    assert {step for step, _ in STEPS} <= known
    stages = ["${PYTHON_IMAGE}"]
    for step, said in STEPS:
        if step == "FROM":
            base, word, name = said.split()
            assert base in stages
            assert word == "AS"
            stages.append(name)
    assert {"cpu", "cuda"} <= set(stages)


def test_what_it_copies_is_there_and_not_ignored() -> None:
    ignored = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    kept = [line[1:] for line in ignored if line.startswith("!")]
    assert ignored[0] == "*"
    for step, said in STEPS:
        if step == "COPY":
            *sources, _ = said.split()
            for source in sources:
                name = source.removeprefix("./")
                assert (ROOT / name).exists()
                assert any(fnmatch.fnmatch(name, pattern) for pattern in kept)


def test_packages_come_from_the_project_with_pinned_versions() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = set(project["project"]["optional-dependencies"])
    installs = [said for step, said in STEPS if step == "RUN" and "pip install" in said]
    assert installs
    for said in installs:
        assert "constraints.txt" in said
        for asked in re.findall(r"'\.\[(.*?)\]'", said):
            assert set(asked.split(",")) <= extras
    assert re.search(r"^torch==\S+$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)


def test_both_images_start_the_runtime_as_the_user_that_the_deployment_names() -> None:
    """Fault 18 (B32): nothing runs as root."""
    users = [said for step, said in STEPS if step == "USER"]
    (deployment,) = [obj for obj in manifests(Choices()) if obj["kind"] == "Deployment"]
    context = deployment["spec"]["template"]["spec"]["securityContext"]
    assert users == [f"{context['runAsUser']}:{context['runAsGroup']}"] * 2
    entries = [json.loads(said) for step, said in STEPS if step == "ENTRYPOINT"]
    assert entries == [list(RUNTIME_ENTRYPOINT)] * 2
    assert f"-t {Settings().runtime_image} " in TEXT
