"""Variables and files of a notebook as datasets."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from jupyter_cells import Notebook

from cpod_jupyter.errors import CpodError, ManifestError, PreflightFailed
from cpod_jupyter.sdk import AlreadyRun, Session

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


JOB = """%%cpod job sums {options}
image: python:3.11
command: ["{python}", -c, "print(open('/data/dataset/rows.jsonl').read().count('prompt'))"]
datasetName: {data}
datasetPath: /data/dataset
"""


def job(data: str, options: str = "") -> str:
    return JOB.format(data=data, options=options, python=sys.executable)


def test_data_in_a_cell_are_uploaded_with_it_and_unchanged_ones_find_the_job_again(
    notebook: Notebook, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    notebook.shell.user_ns["rows"] = ROWS
    notebook.run(job("{{ rows }}", "--dry-run")).raise_error()
    said = capsys.readouterr().out
    assert "would be uploaded: 20 rows" in said
    notebook.run("%cpod ls")
    assert "nothing in namespace" in notebook.outputs[0]["text/plain"]

    first = notebook.run(job("{{ rows }}"))
    first.raise_error()
    name = first.result.object["spec"]["datasetName"]
    assert list(first.result.logs()) == ["20"]
    assert f"dataset/{name} would be uploaded" in said

    capsys.readouterr()
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    again = notebook.run(job("./rows.jsonl"))
    again.raise_error()
    assert "job/sums is as submitted before" in capsys.readouterr().out, "the same rows from elsewhere"
    assert again.result.object["metadata"]["uid"] == first.result.object["metadata"]["uid"]
    session = Session()
    session.delete("dataset", name)
    fields = ("image", "command", "datasetName", "datasetPath")
    spec = {field: first.result.object["spec"][field] for field in fields} | {"datasetName": ROWS}
    assert session.job("sums", **spec).object["metadata"]["uid"] == first.result.object["metadata"]["uid"]
    assert len(session.ls("dataset")) == 0, "a job that is there needs no data any more"

    notebook.shell.user_ns["rows"] = ROWS[1:]
    changed = notebook.run(job("{{ rows }}")).error_in_exec
    assert isinstance(changed, AlreadyRun), "changed data are a changed spec"
    assert len(session.ls("dataset")) == 0, "and nothing was uploaded for what was not submitted"
    notebook.run(job("{{ rows }}", "--new")).raise_error()
    assert list(session.find("job/sums").logs()) == ["19"]
    session.client.close()


def test_wrong_data_in_a_cell_are_told_at_their_line(notebook: Notebook) -> None:
    notebook.shell.user_ns["rows"] = [*ROWS, {"prompt": "only"}]
    wrong = {
        job("{{ rows }}"): "line 4, column 14: {{ rows }}: row 21: `completion` is missing or not a text",
        job("./gone.jsonl"): "line 4, column 14: datasetName: there is no file or folder ",
        "%%cpod finetune f\nmodel: tiny\ndataset: a/b": "a/b; a dataset's name has no /",
        "%%cpod finetune f\nmodel: {{ __import__('pandas').DataFrame() }}": "it can where a dataset is named",
    }
    for cell, message in wrong.items():
        error = notebook.run(cell).error_in_exec
        assert isinstance(error, ManifestError)
        assert message in str(error)
    notebook.run("%cpod ls")
    assert "nothing in namespace" in notebook.outputs[0]["text/plain"]


def test_a_fine_tune_is_judged_with_the_data_that_are_to_be_uploaded(
    notebook: Notebook, capsys: pytest.CaptureFixture[str]
) -> None:
    notebook.shell.user_ns["rows"] = ROWS
    notebook.run("%%cpod finetune f --dry-run\nmodel: google/gemma-2b-it\ndataset: {{ rows }}").raise_error()
    told = notebook.outputs[0]["text/plain"]
    assert "20 rows are sound" in told
    assert "no dataset" not in told
    assert "would be uploaded: 20 rows" in capsys.readouterr().out
    notebook.run("%%cpod finetune f --export yaml\nmodel: google/gemma-2b-it\ndataset: {{ rows }}").raise_error()
    assert "it needs the dataset data-" in capsys.readouterr().out
