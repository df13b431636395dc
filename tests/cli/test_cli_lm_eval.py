"""`cpod lm-eval`, with the harness itself."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from chat_server import Model, Served

from cpod_jupyter import cli

TASKS = Path(__file__).parents[2] / "examples" / "lm-eval"


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.setenv("CPOD_HOME", str(tmp_path / "home"))
    found = Served(Model(answer=lambda said: "It is Paris." if "France" in said else "I do not know.", key="sk-1"))
    yield found
    found.stop()


@pytest.mark.skipif(importlib.util.find_spec("lm_eval") is None, reason="needs the extra lm-eval")
def test_tasks_are_put_to_a_model(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MY_KEY", "sk-1")
    words = ["--tasks", "capitals", "--include", str(TASKS), "--limit", "2", "--api-key-env", "MY_KEY"]
    folder = tmp_path / "kept"
    assert cli.main(["lm-eval", served.url, *words, "--folder", str(folder), "-o", "json"]) == 0
    captured = capsys.readouterr()
    told = json.loads(captured.out)
    assert [(row["task"], row["value"], row["rows"]) for row in told["rows"]] == [("capitals", 0.5, 2)]
    assert told["folder"] == str(folder)
    assert captured.err.splitlines()[0] == f"{served.url}: lm-eval starts"
    assert captured.err.splitlines()[-1] == f"{served.url}: 2 of 2 answers"


def test_how_lm_eval_is_installed_is_said_where_it_is_not(
    served: Served, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "lm_eval", None)
    monkeypatch.delenv("CPOD_LM_EVAL_PYTHON", raising=False)
    words = ["--tasks", "capitals", "--include", str(TASKS), "--model", "echo"]
    assert cli.main(["lm-eval", served.url, *words]) == 1
    assert "pip install 'cpod-jupyter[lm-eval]'" in capsys.readouterr().err


def test_the_options_are_explained(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        cli.main(["lm-eval", "--help"])
    assert left.value.code == 0
    assert "--include FOLDER" in capsys.readouterr().out
