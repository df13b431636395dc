"""Entries that a cluster adds to the catalogue of base models."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cpod_jupyter.api.catalog import CATALOG, BaseModel, find_model, read_models

QWEN = "Qwen/Qwen2.5-7B-Instruct"


def read(*entries: Any) -> tuple[tuple[BaseModel, ...], list[str]]:
    return read_models(json.dumps(entries))


def test_an_entry_as_the_original_writes_it_is_understood() -> None:
    entry = {
        "Name": QWEN,
        "ModelStorageName": "qwen",
        "Image": "registry/llamafactory:v2",
        "Template": "qwen",
        "LoRATarget": "q_proj,v_proj",
        "Targetmodelsize": 40960,
        "RequireGPUType": "NVIDIA-A100-SXM4-80GB",
    }
    models, problems = read(entry)
    assert problems == []
    assert models[0] == BaseModel(
        QWEN,
        template="qwen",
        volume_mib=40960,
        lora_target="q_proj,v_proj",
        gpu_product="NVIDIA-A100-SXM4-80GB",
        storage="qwen",
        image="registry/llamafactory:v2",
    )
    assert models[1:] == CATALOG


def test_a_name_on_the_hub_is_enough() -> None:
    models, _ = read({"name": QWEN, "aliases": ["qwen-7b"]})
    assert models[0].source == f"hf://{QWEN}"
    assert find_model("qwen7b", models) is models[0]


def test_a_built_in_entry_is_changed_in_what_is_said_and_kept_in_the_rest() -> None:
    models, _ = read({"name": "google/Gemma-2b-it", "targets": ["q_proj", "k_proj"]})
    assert len(models) == len(CATALOG)
    gemma = find_model("gemma-2b-it", models)
    assert gemma is not None
    assert (gemma.name, gemma.lora_target, gemma.template) == ("google/gemma-2b-it", "q_proj,k_proj", "gemma")


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        pytest.param("gemma", "entry 2 of models is left out: it is not a JSON object", id="no object"),
        pytest.param({"template": "qwen"}, "it has no name", id="no name"),
        pytest.param({"name": "qwen"}, "needs a source or a ModelStorageName", id="nowhere to fetch it from"),
        pytest.param({"name": QWEN, "sorce": "hf://a/b"}, 'did you mean "source"?', id="unknown field"),
        pytest.param({"name": QWEN, "size": "big"}, "a whole number above 0", id="no size"),
        pytest.param({"name": QWEN, "source": "gopher://a"}, "gopher", id="no source that is known"),
        pytest.param({"name": "a/B"}, "in the list twice", id="twice"),
        pytest.param({"name": 7}, "must be a text", id="no text"),
    ],
)
def test_an_entry_with_a_fault_is_left_out_and_the_others_hold(entry: Any, words: str) -> None:
    models, [problem] = read({"name": "a/b"}, entry, {"name": "c/d"})
    assert words in problem
    assert [model.name for model in models[:2]] == ["a/b", "c/d"]


@pytest.mark.parametrize("text", ["", "{", '{"name": "a/b"}'], ids=["nothing", "no JSON", "no list"])
def test_what_is_no_list_leaves_the_built_in_entries(text: str) -> None:
    models, [problem] = read_models(text)
    assert models == CATALOG
    assert "models is not" in problem
