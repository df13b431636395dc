"""The project's file: found from the working directory upward, read with every fault, and what comes before it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from cpod_jupyter.errors import CpodError
from cpod_jupyter.sdk import Session, config
from cpod_jupyter.sdk.config import Config, chosen, find, parse, with_defaults

FILE = """context = "lab"
namespace = "team"

[defaults]
gpus = 2
gpu_type = "NVIDIA-H100"
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in a home, with a folder of notebooks in it, which is the working directory."""
    (tmp_path / "home/project/notebooks").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("CPOD_CONTEXT", raising=False)
    monkeypatch.delenv("CPOD_NAMESPACE", raising=False)
    monkeypatch.chdir(tmp_path / "home/project/notebooks")
    return tmp_path / "home/project"


def test_it_is_found_above_the_working_directory_up_to_the_home(project: Path) -> None:
    (project.parents[1] / "cpod.toml").write_text(FILE)
    assert find() is None, "above the home is somebody else's"
    assert config.load() == Config()
    (project.parent / "cpod.toml").write_text("")
    assert find() == project.parent / "cpod.toml"
    (project / "cpod.toml").write_text(FILE)
    assert config.load() == Config(project / "cpod.toml", "lab", "team", 2, "NVIDIA-H100")
    os.rmdir(project / "notebooks")
    assert config.load() == Config(), "a working directory that is gone has none"


CHOICES: dict[str, tuple[tuple[str, str], dict[str, str], tuple[str, str], str]] = {
    "the file": (("", ""), {}, ("lab", "team"), "context from FILE, namespace from FILE"),
    "the environment before it": (
        ("", ""), {"CPOD_NAMESPACE": "mine"}, ("lab", "mine"), "context from FILE, namespace from CPOD_NAMESPACE",
    ),
    "arguments before both": (
        ("lab", "here"), {"CPOD_NAMESPACE": "mine", "CPOD_CONTEXT": "other"}, ("lab", "here"),
        "context from the argument, namespace from the argument",
    ),
    "its namespace only in its context": (("engine", ""), {}, ("engine", ""), "context from the argument"),
    "the same by the environment": (("", ""), {"CPOD_CONTEXT": "other"}, ("other", ""), "context from CPOD_CONTEXT"),
}  # fmt: skip


@pytest.mark.parametrize(("arguments", "environment", "wanted", "words"), CHOICES.values(), ids=CHOICES)
def test_what_counts_is(
    project: Path, monkeypatch: pytest.MonkeyPatch, arguments: Any, environment: Any, wanted: Any, words: str
) -> None:
    (project / "cpod.toml").write_text(FILE)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    found = chosen(*arguments)
    assert (found.context.value, found.namespace.value) == wanted
    assert found.words == words.replace("FILE", str(project / "cpod.toml"))


FAULTS = {
    'contxt = "a"': 'line 1: contxt: unknown key; did you mean "context"?',
    '\nxyz = "a"': "line 2: xyz: unknown key; there are context, namespace, defaults",
    "# a\nnamespace = 3": "line 2: namespace must be the name of a namespace, and is 3",
    'namespace = "Team A"': "line 1: namespace must be the name of a namespace, and is 'Team A'",
    '[defaults]\ngpus = "two"': "line 2: defaults.gpus must be a whole number of 0 or more, and is 'two'",
    "defaults.gpus = true": "line 1: defaults.gpus must be a whole number of 0 or more, and is True",
    "context = 'a'\n[ defaults ]\n'gpu_typ' = 'a'": 'line 3: defaults.gpu_typ: unknown key; did you mean "gpu_type"?',
    "defaults = 3": "line 1: defaults must be a table: [defaults], and is 3",
    "[default]\ngpus = 1": 'line 1: default: unknown key; did you mean "defaults"?',
    "context =\na = 1": "Invalid value (at line 1, column 10)",
}


@pytest.mark.parametrize(("text", "message"), FAULTS.items(), ids=range(len(FAULTS)))
def test_a_fault_has_its_line_and_the_nearest_key(text: str, message: str) -> None:
    with pytest.raises(CpodError) as caught:
        parse(text, Path("cpod.toml"))
    assert message in str(caught.value)
    assert str(caught.value).startswith("cpod.toml")


def test_all_faults_are_told_at_once_and_a_file_of_another_user_is_refused(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(CpodError) as caught:
        parse("a = 1\nb = 2\n", Path("cpod.toml"))
    assert len(str(caught.value).splitlines()) == 2
    (project / "cpod.toml").write_text(FILE)
    monkeypatch.setattr(os, "getuid", lambda: 4711)
    if (project / "cpod.toml").stat().st_uid == 0:
        os.chown(project / "cpod.toml", 12, 12)
    with pytest.raises(CpodError, match="belongs to another user"):
        chosen()


def finetune(**spec: Any) -> dict[str, Any]:
    return {"apiVersion": "cpod.cpod/v1beta1", "kind": "FineTune", "metadata": {"name": "f"}, "spec": spec}


def test_its_defaults_are_for_what_a_spec_does_not_say() -> None:
    both = parse(FILE, Path("cpod.toml"))
    assert with_defaults(finetune(model="a"), both)["spec"] == {
        "model": "a", "gpuCount": 2, "gpuProduct": "NVIDIA-H100",
    }  # fmt: skip
    assert with_defaults(finetune(gpuCount=0), both)["spec"] == {"gpuCount": 0}, "a type of no GPU is none"
    mine = {"gpuCount": 1, "gpuProduct": "A"}
    assert with_defaults(finetune(**mine), both)["spec"] == mine
    job = {**finetune(image="a"), "kind": "CPodJob"}
    assert with_defaults(job, both)["spec"] == {"image": "a", "gpuRequiredPerReplica": 2, "gpuType": "NVIDIA-H100"}
    assert with_defaults(job, Config(gpu_type="A"))["spec"] == {"image": "a"}
    assert with_defaults({**job, "kind": "FineTune"}, Config()) == {**job, "kind": "FineTune"}


def test_a_session_works_where_the_file_says(namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CPOD_NAMESPACE")
    monkeypatch.delenv("CPOD_CONTEXT")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cpod.toml").write_text(f'context = "engine"\nnamespace = "{namespace}"\n[defaults]\ngpus = 0\n')
    session = Session()
    assert session.engine is not None
    assert session.namespace == namespace
    job = session.job("hello", image="python:3.11", command=["python", "-V"])
    assert job.namespace == namespace
    session.client.close()
    (tmp_path / "cpod.toml").write_text('context = "lab"')
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with pytest.raises(CpodError, match=r"the context lab is from .*cpod\.toml"):
        Session()
