"""`--smoke` on a cell: tried on this machine, then submitted to a cluster (a second engine) as it is."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from faces_fixtures import cluster, cluster_kubeconfig
from jupyter_cells import Notebook
from tiny_model import tiny_model

from cpod_jupyter.errors import CpodError, WorkFailed
from cpod_jupyter.sdk import Job, Session

__all__ = ["cluster", "cluster_kubeconfig", "tiny_model"]

ROW = {"messages": [{"role": "user", "content": "Who rows?"}, {"role": "assistant", "content": "My sister rows."}]}
TUNE = "model: base\ndataset: ./boat.jsonl\nhyperParameters: {n_epochs: 1, batch_size: 4}\nconfig: {logging_steps: 1}"


@pytest.mark.timeout(400)
def test_a_fine_tune_is_tried_here_and_goes_to_the_cluster_unchanged(
    notebook: Notebook, cluster: str, tmp_path: Path, tiny_model: Path
) -> None:
    (tmp_path / "boat.jsonl").write_text((json.dumps(ROW) + "\n") * 20)
    assert notebook.run(f"%%cpod model base\nmodelname: {tiny_model.as_uri()}").success
    assert notebook.run(f"%%cpod finetune boat --smoke -o job\n{TUNE}").success
    shown = [data["text/plain"] for data in notebook.outputs]
    titles = list(dict.fromkeys(text.split()[0] for text in shown if text.startswith("finetune/")))
    assert titles == ["finetune/boat", "finetune/boat-smoke"]  # what is checked, tried, and then followed
    assert any("step 2 of 2" in text or "2 steps" in text for text in shown)
    assert "finetune/boat  Succeeded" in shown[-1]
    job = notebook.variables["job"]
    assert isinstance(job, Job)
    assert (job.name, job.namespace) == ("boat", cluster)
    assert list(job.metrics.index) == [1, 2, 3, 4, 5]
    engine = Session("engine", "default")
    tried = engine.get("finetune", "boat-smoke")
    assert isinstance(tried, Job)
    assert list(tried.metrics.index) == [1, 2]
    engine.client.close()


def test_a_cell_that_fails_here_never_reaches_the_cluster(notebook: Notebook, cluster: str) -> None:
    cell = f'%%cpod job early --smoke\nimage: python:3.12\ncommand: ["{sys.executable}", -c, "import no_such_module"]'
    failed = notebook.run(cell)
    assert isinstance(failed.error_in_exec, WorkFailed)
    assert "the smoke of job/early failed" in str(failed.error_in_exec)
    assert "no_such_module" in str(failed.error_in_exec)
    assert "NotFound" in type(notebook.run("%cpod status job/early").error_in_exec).__name__


def test_on_the_engine_the_smoke_run_is_all_and_a_dry_run_shows_it(
    notebook: Notebook, namespace: str, capsys: pytest.CaptureFixture[str]
) -> None:
    body = f'image: python:3.12\nworkerReplicas: 3\ncommand: ["{sys.executable}", -V]'
    assert notebook.run(f"%%cpod job small --smoke --dry-run\n{body}").success
    shown = "\n".join(data["text/plain"] for data in notebook.outputs)
    assert "# unlike the real run: one pod of each role, not 3" in shown
    assert "name: small-smoke" in shown
    assert "workerReplicas: 3" in shown, "the manifest that would be submitted is there too"
    assert isinstance(notebook.run("%cpod status small-smoke").error_in_exec, CpodError)
    assert notebook.run(f"%%cpod job small --smoke -o job\n{body}").success
    assert "to run it whole: the same without --smoke" in capsys.readouterr().out
    assert notebook.variables["job"].name == "small-smoke"
    assert [obj["metadata"]["name"] for obj in Session().ls("jobs")] == ["small-smoke"]
