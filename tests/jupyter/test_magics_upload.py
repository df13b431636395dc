"""Variables and files of a notebook as datasets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jupyter_cells import Notebook

from cpod_jupyter.errors import CpodError, PreflightFailed

pytestmark = pytest.mark.usefixtures("namespace")

ROWS = [{"prompt": f"What is {n} + {n}?", "completion": str(2 * n)} for n in range(20)]


def test_a_variable_or_a_file_becomes_a_dataset(
    notebook: Notebook, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    notebook.shell.user_ns["rows"] = ROWS
    notebook.run("import pandas as pd; frame = pd.DataFrame(rows)")
    notebook.run("%cpod upload frame as sums -o data").raise_error()
    assert notebook.variables["data"].object["status"]["rows"] == 20
    assert "dataset/sums created: 20 rows" in capsys.readouterr().out
    assert "done" in notebook.outputs[-1]["text/plain"]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    notebook.run("%cpod upload rows.jsonl --as sums").raise_error()
    assert "dataset/sums unchanged: 20 rows" in capsys.readouterr().out, "the same rows, whatever they come from"
    notebook.shell.user_ns["wrong"] = [*ROWS, {"prompt": "only"}]
    refused = notebook.run("%cpod upload wrong as sums").error_in_exec
    assert isinstance(refused, PreflightFailed)
    assert refused.problems == ["row 21: `completion` is missing or not a text"]
    unknown = notebook.run("%cpod upload fram as sums").error_in_exec
    assert isinstance(unknown, CpodError)
    assert str(unknown) == '"fram" is neither a variable nor a path that is there; did you mean "frame"?'
