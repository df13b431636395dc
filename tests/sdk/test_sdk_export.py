"""A submission in another form is the same submission; and what a cluster's GPUs are."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cpod_jupyter.sdk import Session
from cpod_jupyter.sdk.export import as_cli, as_python, as_yaml
from cpod_jupyter.sdk.gpus import gpus_of

BODY = f"""image: python:3.12
command: ["{sys.executable}", -c, "print('it''s done')"]
backoffLimit: 0
env:
- {{name: LONG, value: "{"x " * 60}"}}
- {{name: QUOTED, value: 'a "b" $HOME `c`'}}
"""


def loaded(session: Session, name: str) -> list[dict[str, Any]]:
    return session.load(BODY, kind=session.kind("job"), name=name)


def test_a_python_program_submits_the_same(session: Session, tmp_path: Path) -> None:
    [obj] = loaded(session, "by-python")
    program = tmp_path / "program.py"
    program.write_text(as_python([obj], context="engine", namespace=session.namespace))
    subprocess.run([sys.executable, str(program)], check=True, timeout=60)
    assert session.submit(obj)[1] == "unchanged"


def test_a_shell_command_submits_the_same(session: Session, tmp_path: Path) -> None:
    [obj] = loaded(session, "by-shell")
    text = as_cli([obj], context="engine", namespace=session.namespace)
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "cpod").write_text(f'#!/bin/sh\nexec {sys.executable} -m cpod_jupyter.cli "$@"\n')
    (folder / "cpod").chmod(0o755)
    environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}
    subprocess.run(["sh", "-e", "-c", text], check=True, timeout=60, env=environment)
    assert session.submit(obj)[1] == "unchanged"


def test_a_manifest_submits_the_same(session: Session) -> None:
    [obj] = loaded(session, "by-yaml")
    [handle] = session.apply(as_yaml([obj]))
    assert session.submit(obj)[1] == "unchanged"
    assert handle.name == "by-yaml"


def test_a_kind_without_a_method_is_applied_whole(session: Session, tmp_path: Path) -> None:
    [obj] = session.load("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {a: b}")
    program = tmp_path / "program.py"
    program.write_text(as_python([obj], context="engine", namespace=session.namespace))
    done = subprocess.run([sys.executable, str(program)], check=True, timeout=60, capture_output=True, text=True)
    assert done.stdout == "c\n"


def node(name: str, gpus: int, product: str) -> dict[str, Any]:
    labels = {"nvidia.com/gpu.product": product}
    return {"metadata": {"name": name, "labels": labels}, "status": {"allocatable": {"nvidia.com/gpu": str(gpus)}}}


def pod(name: str, on: str, gpus: int, phase: str = "Running") -> dict[str, Any]:
    container = {"name": "c", "resources": {"limits": {"nvidia.com/gpu": gpus}}}
    spec = {"nodeName": on, "containers": [container]}
    return {"metadata": {"name": name, "namespace": "team"}, "spec": spec, "status": {"phase": phase}}


def test_free_gpus_are_what_no_running_pod_holds() -> None:
    nodes = [node("a", 4, "NVIDIA-H100"), node("b", 2, "NVIDIA-A10")]
    pods = [pod("p", "a", 3), pod("q", "b", 2, "Succeeded"), pod("r", "", 1, "Pending")]
    found = gpus_of(nodes, pods)
    assert found.summary() == "1 of 4 NVIDIA-H100 free, 2 of 2 NVIDIA-A10 free"
    assert found[0].holders == ("team/p (3)",)
    assert list(found.to_df()["free"]) == [1, 2]
    assert "team/p (3)" in repr(found)


def test_a_cluster_without_gpus_says_so(session: Session) -> None:
    assert repr(session.gpus()) == "no node has GPUs"
    assert session.gpus_in_words() == "no GPUs"


def test_the_context_of_the_session_is_marked(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert session.engine is not None
    kubeconfig = tmp_path / "config"
    kubeconfig.write_text(session.engine.kubeconfig.read_text())
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    shown = {item.name: item for item in session.contexts()}
    assert shown["engine"].current
    assert all(item.server.startswith("https://127.0.0.1:") for item in shown.values())
