"""Derived names and the catalogue."""

from __future__ import annotations

import pytest

from cpod_jupyter.api import names
from cpod_jupyter.api.catalog import CATALOG, find_model


def test_a_hubs_model_is_named_as_clusters_know_it() -> None:
    assert names.hub_model_storage("google/gemma-2b-it") == "model-storage-0ce92f029254ff34"
    assert names.storage_claim("model", "model-storage-0ce92f029254ff34") == "pvc-model-0ce92f029254ff34"
    assert names.storage_claim("dataset", "facts") == "pvc-dataset-facts"


def test_every_entry_of_the_catalogue_has_a_name_of_its_own() -> None:
    assert len({model.storage_name for model in CATALOG}) == len(CATALOG) == 10


@pytest.mark.parametrize("name", ["meta-llama/Llama-2-7b", "LLaMA-2-7B", "llama2-7b", "meta-llama/Llama-2-7b-hf"])
def test_one_model_goes_by_the_names_that_people_use(name: str) -> None:
    found = find_model(name)
    assert found is not None
    assert found.name == "meta-llama/Llama-2-7b"


@pytest.mark.parametrize("model", CATALOG, ids=lambda model: model.name)
def test_every_name_and_alias_finds_its_own_entry(model: object) -> None:
    assert isinstance(model, type(CATALOG[0]))
    assert all(find_model(name) is model for name in (model.name, *model.aliases))


def test_an_unknown_model_is_in_no_catalogue() -> None:
    assert find_model("smol") is None
    assert find_model("") is None


@pytest.mark.parametrize(
    ("kind", "limit"),
    [
        pytest.param("FineTune", 44, id="FineTune"),
        pytest.param("CPodJob", 52, id="CPodJob"),
        pytest.param("Inference", 50, id="Inference"),
    ],
)
def test_a_name_may_be_as_long_as_its_longest_child_allows(kind: str, limit: int) -> None:
    assert names.too_long(kind, "x" * limit) is None
    assert f"at most {limit}" in str(names.too_long(kind, "x" * (limit + 1)))
