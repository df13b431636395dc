"""The models that one can name: own, downloaded, and in the catalogue."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy
import safetensors.numpy

from cpod_jupyter.api.catalog import CATALOG
from cpod_jupyter.api.names import hub_model_storage
from cpod_jupyter.api.resources import CONFIGMAPS, NAMESPACES, Object
from cpod_jupyter.errors import AlreadyExists
from cpod_jupyter.sdk import Session
from cpod_jupyter.sdk.models import ModelInfo, Models, joined

GEMMA = "google/gemma-2b-it"


def storage(name: str, phase: str = "done", **status: Any) -> Object:
    spec = {"modeltype": "huggingface", "modelname": f"team/{name}"}
    return {
        "apiVersion": "cpod.cpod/v1", "kind": "ModelStorage", "metadata": {"name": name, "namespace": "n"},
        "spec": spec, "status": {"phase": phase, **status},
    }  # fmt: skip


def by_name(models: Any) -> dict[str, ModelInfo]:
    return {model.name: model for model in models}


def test_each_model_is_there_once_by_the_name_that_a_fine_tune_takes() -> None:
    fetched = storage(hub_model_storage(GEMMA), size=5_000_000_000)
    found = joined([storage("tuned", size=1000), storage("half", "downloading"), fetched], CATALOG)
    names = [model.name for model in found]
    assert names[:3] == ["half", "tuned", GEMMA], "own ones first, then what is fetched"
    assert len(names) == len(set(names)) == len(CATALOG) + 2
    models = by_name(found)
    assert (models["tuned"].state, models["tuned"].source) == ("own", "huggingface://team/tuned")
    assert models["half"].state == "downloading"
    assert (models[GEMMA].state, models[GEMMA].size, models[GEMMA].licence) == (
        "downloaded", 5_000_000_000, "Gemma Terms of Use",
    )  # fmt: skip
    llama = models["LLM-Research/Llama-3.2-1B-Instruct"]
    assert (llama.state, llama.storage) == ("in catalogue", "")
    assert 1_000_000_000 < llama.parameters < 1_500_000_000
    assert all(model.licence and model.parameters for model in found[2:])


def test_a_long_list_says_how_many_it_does_not_show() -> None:
    many = [ModelInfo(f"m{number}", "own") for number in range(40)]
    models = Models(many, "team")
    assert len(models.rows()) == 25
    assert repr(models).endswith("15 more; --all shows them")
    assert len(models.to_df()) == 40
    assert "--all" not in repr(Models(many, "team", None))
    assert "no models in namespace team" in Models([], "team")._repr_mimebundle_()["text/html"]


def test_the_catalogue_of_a_cluster_counts(session: Session, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    safetensors.numpy.save_file({"weight": numpy.zeros(8, "float32")}, tmp_path / "model.safetensors")
    session.upload(tmp_path, "mine", model=True).wait(60)
    name = {"metadata": {"name": "public"}}
    if not session.client.has(NAMESPACES, "public"):
        session.client.create(NAMESPACES, name)
    entry = {"name": "team/Special-3B", "licence": "MIT", "parameters": 3_000_000_000}
    data = {"models": json.dumps([entry])}
    obj = {"metadata": {"name": "support-models", "namespace": "public"}, "data": data}
    try:
        session.client.create(CONFIGMAPS, obj)
    except AlreadyExists:
        session.client.replace(CONFIGMAPS, obj)
    try:
        found = session.models()
    finally:
        session.client.delete(CONFIGMAPS, "support-models", "public")
    models = by_name(found)
    assert models["mine"].state == "own"
    assert models["mine"].size > 0
    special = models["team/Special-3B"]
    assert (special.state, special.licence, special.source) == ("in catalogue", "MIT", "hf://team/Special-3B")
    assert "3.0B" in repr(found)
    frame = found.to_df().set_index("name")
    assert frame.loc[GEMMA, "state"] == "in catalogue"
