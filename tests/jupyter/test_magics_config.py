"""A project's `cpod.toml` beside a notebook."""

from __future__ import annotations

from pathlib import Path

import pytest
from jupyter_cells import Notebook


def test_the_file_beside_a_notebook_counts_until_something_nearer_does(
    notebook: Notebook, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CPOD_NAMESPACE")
    (tmp_path / "cpod.toml").write_text(f'namespace = "{namespace}"\n[defaults]\ngpus = 64\n')
    notebook.run("%cpod").raise_error()
    shown = notebook.outputs[0]["text/plain"].splitlines()
    assert f"namespace {namespace}; " in shown[0]
    assert shown[1] == f"context from CPOD_CONTEXT, namespace from {tmp_path / 'cpod.toml'}"
    assert "cpod.toml" in notebook.outputs[0]["text/html"]

    told = notebook.run("%%cpod job big\nimage: python:3.11").error_in_exec
    assert "asks for 64 GPUs" in str(told), "the file's default is judged as if it stood in the cell"
    notebook.run("%%cpod job small --detach\nimage: python:3.11\ngpuRequiredPerReplica: 0").raise_error()

    notebook.run('%config CpodMagics.namespace = "default"')
    notebook.run("%cpod").raise_error()
    assert "namespace default; " in notebook.outputs[0]["text/plain"]
    notebook.run('%config CpodMagics.namespace = ""')
    (tmp_path / "cpod.toml").write_text('namespac = "x"\n')
    wrong = notebook.run("%cpod ls").error_in_exec
    expected = f'{tmp_path / "cpod.toml"}, line 1: namespac: unknown key; did you mean "namespace"?'
    assert str(wrong) == expected, "an edit counts at once"
