"""`cpod`: what it prints, where, and its exit code; in this process, on a real engine."""

from __future__ import annotations

import json
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import yaml
from chat_server import Model, Served
from judging_server import serving

from cpod_jupyter import cli

JOB = """
apiVersion: cpod.cpod/v1beta1
kind: CPodJob
metadata: {name: NAME}
spec:
  image: python:3.11
  backoffLimit: 0
  command: [PYTHON, -c, "CODE"]
"""


def manifest(path: Path, name: str, code: str = "print('hello')") -> Path:
    path.write_text(JOB.replace("NAME", name).replace("PYTHON", sys.executable).replace("CODE", code))
    return path


@pytest.fixture
def cpod(namespace: str, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run a command; its exit code, its output and its errors."""

    def run(*words: str) -> tuple[int, str, str]:
        code = cli.main(words)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def test_manifests_are_created_then_unchanged(cpod: Any, tmp_path: Path) -> None:
    files = [str(manifest(tmp_path / f"{name}.yaml", name)) for name in ("a", "b")]
    assert cpod("apply", "-f", files[0], "-f", files[1]) == (0, "job/a created\njob/b created\n", "")
    assert cpod("apply", "-f", str(tmp_path)) == (0, "job/a unchanged\njob/b unchanged\n", "")


def test_a_dry_run_submits_nothing(cpod: Any, tmp_path: Path) -> None:
    code, out, _ = cpod("apply", "--dry-run", "-f", str(manifest(tmp_path / "a.yaml", "a")))
    assert code == 0
    assert out.endswith("job/a checked (nothing was submitted)\n")
    assert "preflight of job/a: it may go" in out
    assert "the operator's plan for job/a:\nWHAT       HOW" in out
    told = json.loads(cpod("apply", "--dry-run", "-o", "json", "-f", str(tmp_path / "a.yaml"))[1])
    assert told[0]["plan"][0] == {"what": "runs as", "how": "Job a", "why": "jobType general"}
    assert "nothing in namespace" in cpod("ls")[1]


def test_what_is_smoked_on_the_engine_is_told_and_only_tried(cpod: Any, tmp_path: Path) -> None:
    code, out, err = cpod("apply", "--smoke", "-o", "json", "-f", str(manifest(tmp_path / "a.yaml", "a")))
    assert (code, json.loads(out)) == (0, [{"object": "job/a-smoke", "outcome": "smoked"}])
    assert "smoke of job/a passed on this machine" in err
    code, out, err = cpod("apply", "--smoke", "-f", str(manifest(tmp_path / "b.yaml", "b", "import sys; sys.exit(3)")))
    assert (code, out) == (1, "")
    assert "the smoke of job/b failed" in err
    assert "nothing was submitted" in err
    assert [line.split()[1] for line in cpod("ls", "jobs")[1].splitlines()[1:]] == ["a-smoke", "b-smoke"]


def test_a_fault_names_its_file_and_place_and_nothing_is_submitted(cpod: Any, tmp_path: Path) -> None:
    good, bad = manifest(tmp_path / "a.yaml", "a"), manifest(tmp_path / "b.yaml", "b")
    bad.write_text(bad.read_text().replace("image:", "imag:"))
    code, out, err = cpod("apply", "-f", str(good), "-f", str(bad))
    assert (code, out) == (1, "")
    assert err == (
        "cpod: the manifest was not submitted:\n"
        f"  {bad}: line 6, column 3: spec.image: is required\n"
        f'  {bad}: line 6, column 3: spec.imag: unknown field; did you mean "image"?\n'
    )
    assert "nothing in namespace" in cpod("ls")[1]


def test_a_file_that_is_not_there_is_one_message(cpod: Any) -> None:
    assert cpod("apply", "-f", "gone.yaml") == (1, "", "cpod: gone.yaml cannot be read: No such file or directory\n")


def test_an_object_is_told_about_in_words_and_as_data(cpod: Any, tmp_path: Path) -> None:
    cpod("apply", "-f", str(manifest(tmp_path / "a.yaml", "a", "import sys; print('oh no'); sys.exit(1)")))
    assert cpod("logs", "a", "-f")[1] == "oh no\n"
    code, out, _ = cpod("status", "a", "-o", "json")
    told = json.loads(out)
    while told["phase"] != "Failed":
        told = json.loads(cpod("status", "a", "-o", "json")[1])
    assert told["name"] == "job/a"
    assert told["state"] == "Failed"
    assert told["reason"]
    assert "job/a  Failed" in cpod("status", "job/a")[1]
    assert "Pod/" in cpod("events", "a")[1]
    assert yaml.safe_load(cpod("yaml", "a")[1])["spec"]["image"] == "python:3.11"
    assert code == 0


def test_an_event_that_has_the_end_of_a_log_is_one_row(cpod: Any, tmp_path: Path) -> None:
    code = "import sys; print('oh no'); print('and more'); sys.exit(1)"
    cpod("apply", "-f", str(manifest(tmp_path / "a.yaml", "a", code)))
    while json.loads(cpod("status", "a", "-o", "json")[1])["phase"] != "Failed":
        pass
    rows = cpod("events", "a")[1].splitlines()
    assert any(row.endswith("oh no … (1 more line)") for row in rows), rows
    assert "and more" in cpod("events", "a", "-o", "json")[1]


def test_objects_are_listed_as_table_json_and_yaml_and_deleted(cpod: Any, tmp_path: Path) -> None:
    cpod("apply", "-f", str(manifest(tmp_path / "a.yaml", "a")))
    table = cpod("ls", "jobs")[1].splitlines()
    assert table[0].split() == ["KIND", "NAME", "PHASE", "ABOUT", "AGE"]
    assert table[1].split()[:2] == ["job", "a"]
    assert json.loads(cpod("ls", "-o", "json")[1])[0]["metadata"]["name"] == "a"
    assert yaml.safe_load(cpod("ls", "jobs", "-o", "yaml")[1])[0]["kind"] == "CPodJob"
    assert cpod("delete", "job", "a") == (0, "job/a deleted\n", "")
    assert cpod("delete", "a")[0] == 1


def test_a_job_is_cancelled_once(cpod: Any, tmp_path: Path) -> None:
    cpod("apply", "-f", str(manifest(tmp_path / "a.yaml", "a", "import time; time.sleep(60)")))
    assert cpod("cancel", "a") == (0, "job/a cancelled\n", "")
    code, _, err = cpod("cancel", "a")
    assert code == 1
    assert 'named "a"' in err


def test_the_engine_is_named_with_what_there_is(cpod: Any, namespace: str) -> None:
    code, out, _ = cpod("status")
    assert code == 0
    assert out.startswith("the engine on this machine at https://127.0.0.1:")
    told = json.loads(cpod("status", "-o", "json")[1])
    assert told["engine"]["url"] == told["server"]
    path = Path(cpod("kubeconfig")[1].strip())
    assert yaml.safe_load(path.read_text())["kind"] == "Config"
    assert cpod("up")[1] == f"the engine runs at {told['server']}\n"


def test_without_an_engine_status_starts_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CPOD_HOME", str(tmp_path / "none"))
    monkeypatch.setenv("CPOD_CONTEXT", "engine")
    assert cli.main(["status"]) == 0
    assert capsys.readouterr().out == "no engine runs; cpod up starts it\n"
    assert cli.main(["kubeconfig"]) == 1
    assert capsys.readouterr().err == "cpod: no engine runs; cpod up starts it\n"
    assert cli.main(["down"]) == 0
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    "words", [[], ["lss"], ["apply"], ["ls", "--nope"]], ids=lambda words: " ".join(words) or "none"
)
def test_wrong_usage_is_exit_code_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(words)
    assert caught.value.code == 2
    assert "usage: cpod" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["up", "status", "apply", "ls", "logs", "delete", "yaml"])
def test_every_command_shows_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main([command, "--help"])
    assert caught.value.code == 0
    assert f"example:\n  cpod {command}" in capsys.readouterr().out


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["version"]) == 0
    assert capsys.readouterr().out == f"cpod {metadata.version('cpod-jupyter')}\n"


def test_a_training_job_is_cancelled_resumed_and_its_workers_log_read(cpod: Any, tmp_path: Path) -> None:
    container = {"name": "pytorch", "image": "python:3.11", "command": [sys.executable, "-c", "print('a worker')"]}
    replica = {"restartPolicy": "Never", "template": {"spec": {"containers": [container]}}}
    job = {
        "apiVersion": "kubeflow.org/v1",
        "kind": "PyTorchJob",
        "metadata": {"name": "ddp"},
        "spec": {"pytorchReplicaSpecs": {"Worker": replica}, "runPolicy": {"suspend": True}},
    }
    (tmp_path / "ddp.yaml").write_text(yaml.safe_dump(job))
    assert cpod("apply", "-f", str(tmp_path / "ddp.yaml"))[1] == "pytorchjob/ddp created\n"
    assert cpod("cancel", "ddp")[1] == "pytorchjob/ddp cancelled\n"
    while "Suspended" not in (listed := cpod("ls")[1]):
        assert "pytorchjob  ddp" in listed
    assert cpod("resume", "ddp")[1] == "pytorchjob/ddp resumed\n"
    assert cpod("logs", "-f", "ddp")[1] == "a worker\n"
    assert cpod("logs", "ddp", "--pod", "worker-0")[1] == "a worker\n"
    assert cpod("logs", "ddp", "--all-ranks")[1] == "worker-0 | a worker\n"
    assert cpod("logs", "-f", "ddp", "--all-ranks", "--grep", "work")[1] == "worker-0 | a worker\n"
    assert "no pod" in cpod("logs", "ddp", "--pod", "worker-1")[2]


def test_what_there_is_to_work_with_has_the_words_of_the_magics(cpod: Any) -> None:
    assert cpod("gpus") == (0, "no node has GPUs\n", "")
    assert cpod("gpus", "-o", "json") == (0, "[]\n", "")
    assert "*  engine" in cpod("context")[1]
    assert "google/gemma-2b-it" in cpod("models")[1]
    [gemma] = [model for model in json.loads(cpod("models", "-o", "json")[1]) if model["name"] == "google/gemma-2b-it"]
    assert (gemma["state"], gemma["licence"], gemma["storage"]) == ("in catalogue", "Gemma Terms of Use", "")
    assert "nothing in namespace" in cpod("datasets")[1]


def test_rows_in_a_file_become_a_dataset(cpod: Any, tmp_path: Path) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_text("prompt,completion\nWho rows?,She does.\n")
    assert cpod("upload", str(rows), "as", "boats") == (0, "dataset/boats created: 1 row, 51 B from rows.csv\n", "")
    assert cpod("upload", str(rows), "--as", "boats")[1] == "dataset/boats unchanged: 1 row, 51 B from rows.csv\n"
    assert "dataset" in cpod("datasets")[1]
    rows.write_text("prompt,completion\nWho rows?,\n")
    code, out, err = cpod("upload", str(rows), "as", "boats")
    assert (code, out) == (1, "")
    assert "row 1: `completion` is empty" in err
    code, _, err = cpod("upload", str(rows))
    assert (code, err) == (1, "cpod: say what and under which name: upload rows.jsonl as facts\n")


def test_where_one_is_comes_with_who_said_so(
    cpod: Any, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CPOD_NAMESPACE")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cpod.toml").write_text(f'namespace = "{namespace}"\n')
    said = f"context from CPOD_CONTEXT, namespace from {tmp_path / 'cpod.toml'}"
    assert cpod("status")[1].splitlines()[1] == said
    assert said in cpod("doctor")[1]
    assert "namespace from the argument" in cpod("status", "-n", "default")[1]
    (tmp_path / "cpod.toml").write_text("namespace = 7\n")
    assert cpod("ls")[2].endswith("cpod.toml, line 1: namespace must be the name of a namespace, and is 7\n")


def test_the_load_that_a_model_bears_is_measured(cpod: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    served = Served(Model(key="sk-1"))
    monkeypatch.setenv("MY_KEY", "sk-1")
    asked = ("bench", served.url, "--concurrency", "1,2", "--requests", "4", "--api-key-env", "MY_KEY")
    try:
        code, out, err = cpod(*asked)
        assert code == 0
        assert out.splitlines()[0] == f"{served.url}, model echo"
        assert [line.split()[:3] for line in out.splitlines()[2:]] == [["1", "4", "0"], ["2", "4", "0"]]
        assert f"{served.url}: 2 at a time (2 of 2)" in err
        assert [level["requests"] for level in json.loads(cpod(*asked, "-o", "json")[1])] == [4, 4]
    finally:
        served.stop()
    assert '"none" not found' in cpod("bench", "none")[2]


def test_a_deployment_is_scaled_and_nothing_else_is(cpod: Any, tmp_path: Path) -> None:
    kind = "apiVersion: cpod.cpod/v1beta1\nkind: Inference"
    (tmp_path / "i.yaml").write_text(f"{kind}\nmetadata: {{name: tuned}}\nspec: {{modelId: none}}\n")
    cpod("apply", "-f", str(tmp_path / "i.yaml"))
    assert cpod("scale", "tuned", "2") == (0, "inference/tuned has 2 replicas from now on\n", "")
    assert cpod("scale", "tuned", "0", "--max", "3")[1] == "inference/tuned has 0 to 3 replicas from now on\n"
    assert "cpod: -2 replicas cannot be" in cpod("scale", "tuned", "-2")[2]
    cpod("apply", "-f", str(manifest(tmp_path / "a.yaml", "a")))
    assert "job/a is no deployment" in cpod("scale", "a", "2")[2]


def test_a_manifest_may_have_the_path_of_its_data(cpod: Any, tmp_path: Path) -> None:
    file = manifest(tmp_path / "a.yaml", "a")
    file.write_text(file.read_text() + "  datasetName: ./rows.jsonl\n  datasetPath: /data\n")
    code, _, err = cpod("apply", "-f", str(file))
    assert (code, "line 9, column 16: spec.datasetName: there is no file or folder" in err) == (1, True)
    (tmp_path / "rows.jsonl").write_text(json.dumps({"prompt": "Who rows?"}))
    assert "row 1: `completion` is missing" in cpod("apply", "--dry-run", "-f", str(file))[2]
    (tmp_path / "rows.jsonl").write_text(json.dumps({"prompt": "Who rows?", "completion": "She does."}))
    assert cpod("apply", "--dry-run", "-f", str(file))[1].endswith("job/a checked (nothing was submitted)\n")
    assert "nothing in namespace" in cpod("ls")[1]
    assert cpod("apply", "-f", str(file))[1] == "job/a created\n"
    assert cpod("apply", "-f", str(file))[1] == "job/a unchanged\n"
    [dataset] = json.loads(cpod("datasets", "-o", "json")[1])
    assert yaml.safe_load(cpod("yaml", "a")[1])["spec"]["datasetName"] == dataset["metadata"]["name"]


def test_a_job_is_followed_and_runs_again_beside_itself(cpod: Any, tmp_path: Path) -> None:
    cpod("apply", "-f", str(manifest(tmp_path / "a.yaml", "a")))
    code, out, _ = cpod("follow", "a")
    assert (code, "job/a  Succeeded" in out) == (0, True)
    assert cpod("rerun", "a") == (0, "job/a-2 created\n", "")
    assert cpod("rerun", "a", "--as", "b") == (0, "job/b created\n", "")
    assert cpod("fix", "a") == (0, "nothing is wrong with job/a\n", "")


def test_why_it_failed_comes_with_the_cell_that_mends_it(cpod: Any, tmp_path: Path) -> None:
    spec = "image: python:3.12, command: [pyhton, -V], backoffLimit: 0"
    kind = "apiVersion: cpod.cpod/v1beta1\nkind: CPodJob"
    (tmp_path / "typo.yaml").write_text(f"{kind}\nmetadata: {{name: typo}}\nspec: {{{spec}}}\n")
    cpod("apply", "-f", str(tmp_path / "typo.yaml"))
    code, out, err = cpod("follow", "typo")
    assert (code, "what to do" in err) == (1, True)
    code, out, _ = cpod("fix", "typo")
    assert code == 0
    assert "%%cpod job typo" in out
    assert "command: [python, -V]  # was: [pyhton, -V]" in out


def test_every_word_of_the_magics_that_needs_no_notebook_is_a_command_too(cpod: Any, capsys: Any) -> None:
    from cpod_jupyter.jupyter.magics.grammar import LINES

    with pytest.raises(SystemExit):
        cli.main(["--help"])
    shown = capsys.readouterr().out
    assert [word for word in LINES if word and f"    {word} " not in shown] == [], "the line alone is cpod status"


def test_connecting_is_for_all_commands_after_it_in_the_project(
    cpod: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("CPOD_CONTEXT", "CPOD_NAMESPACE"):
        monkeypatch.delenv(name)
    (tmp_path / "cpod.toml").write_text('context = "lab"  # ours\nnamespace = "old"\n\n[defaults]\ngpus = 0\n')
    code, out, _ = cpod("connect", "engine", "-n", "team")
    assert code == 0
    assert "namespace team" in out
    wanted = 'context = "engine"\nnamespace = "team"\n\n[defaults]\ngpus = 0\n'
    assert (tmp_path / "cpod.toml").read_text() == wanted
    assert "nothing in namespace team yet" in cpod("ls")[1]
    assert "namespace team" in cpod("connect")[1]
    assert cpod("connect", "nowhere")[0] == 1
    assert (tmp_path / "cpod.toml").read_text() == wanted, "what cannot be reached changes nothing"
    assert "namespace default" in cpod("context", "use", "engine")[1]
    assert (tmp_path / "cpod.toml").read_text() == 'context = "engine"\n\n[defaults]\ngpus = 0\n'
    assert "say which" in cpod("context", "use")[2]
    monkeypatch.setenv("CPOD_CONTEXT", "engine")
    monkeypatch.setenv("KUBECONFIG", cpod("kubeconfig")[1].strip())
    assert "but CPOD_CONTEXT says engine" in cpod("connect", "cpod-engine")[2]


def test_help_names_every_command_and_the_options_of_one(cpod: Any, capsys: pytest.CaptureFixture[str]) -> None:
    for words, wanted in ((["help", "logs"], "usage: cpod logs"), (["help"], "usage: cpod [-h]")):
        with pytest.raises(SystemExit) as caught:
            cli.main(words)
        assert caught.value.code == 0
        assert wanted in capsys.readouterr().out
    assert '"none" not found' in cpod("accuracy", "none", "--rows", "x.jsonl")[2]


def test_a_comparison_takes_several_scorers_with_options(cpod: Any, tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"question": "Say green", "answer": "green"}\n{"question": "Say blue", "answer": "red"}\n')
    with serving() as url:
        asked = (
            "compare",
            url,
            "--rows",
            str(rows),
            "--scorer",
            "exact",
            "--scorer",
            "chrf: {word_order: 2, name: words}",
        )
        code, shown, _ = cpod(*asked)
        assert code == 0
        assert "exact   judge       50%" in shown
        found = json.loads(cpod(*asked, "-o", "json")[1])
    assert [(line["scorer"], line["rows"]) for line in found["summary"]] == [("exact", 2), ("words", 2)]
    assert found["rows"][0]["judge_words"] == pytest.approx(100)
    code, _, errors = cpod("compare", "a", "--rows", str(rows), "--scorer", "roug")
    assert code != 0
    assert 'there is no scorer "roug"; did you mean "rouge"' in errors
