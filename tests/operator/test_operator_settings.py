"""The operator's settings in a file: named in camel case, of the right types, and nothing else in it."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from cpod_jupyter.errors import CpodError
from cpod_jupyter.operator.settings import Settings
from cpod_jupyter.operator.settings_file import NAMES, load_settings, parse_settings, settings_of_home


def test_what_a_file_names_is_set_and_the_rest_keeps_its_default(tmp_path: Path) -> None:
    (tmp_path / "operator.yaml").write_text("runtimeImage: registry.example/runtime:2\njobRetries: 5\n")
    assert settings_of_home(tmp_path) == Settings(runtime_image="registry.example/runtime:2", job_retries=5)
    assert settings_of_home(tmp_path / "elsewhere") == Settings()
    assert parse_settings("# nothing yet\n", "a text") == Settings()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        pytest.param("runtimeImag: x", "runtimeImag: there is no such setting; runtimeImage is there", id="misspelt"),
        pytest.param("runtime_image: x", "there is no such setting; runtimeImage is there", id="snake case"),
        pytest.param("zzzzzz: 1", "zzzzzz: there is no such setting; there are: ", id="unknown"),
        pytest.param("jobRetries: many", "jobRetries: should be a valid integer, not 'many'", id="word for a number"),
        pytest.param("jobRetries: '3'", "jobRetries: should be a valid integer, not '3'", id="text for a number"),
        pytest.param("runtimeImage: 3", "runtimeImage: should be a valid string, not 3", id="number for a text"),
        pytest.param("modelVolume: large", "modelVolume: 'large' is not a quantity such as 50Gi", id="quantity"),
        pytest.param("- runtimeImage", "are no map of names to values", id="list"),
        pytest.param("runtimeImage: [", "are no YAML", id="no YAML"),
        pytest.param("runtimeImage: 2026-01-01", "date is not JSON serializable", id="date"),
    ],
)
def test_what_is_wrong_is_said(text: str, sentence: str) -> None:
    with pytest.raises(CpodError, match="the operator's settings a text are") as caught:
        parse_settings(text, "a text")
    assert sentence in str(caught.value)


def test_everything_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(CpodError) as caught:
        parse_settings("runtimeImag: x\njobRetries: many\n", "a text")
    assert len(str(caught.value).splitlines()) == 3


def test_a_file_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(CpodError, match="cannot be read: No such file or directory"):
        load_settings(tmp_path / "missing.yaml")


def test_every_setting_has_a_name_in_files() -> None:
    assert set(NAMES.values()) == {field.name for field in fields(Settings)}
