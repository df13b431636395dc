"""The storages that an object names, among those that are there, and what a plan takes from them. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from cpod_jupyter.api import meta, names
from cpod_jupyter.api.catalog import BaseModel, find_model
from cpod_jupyter.api.resources import Object
from cpod_jupyter.operator.builders import plan as planning
from cpod_jupyter.sdk.preflight.asks import Named, named_storages
from cpod_jupyter.sdk.preflight.facts import Facts


def storage_of(facts: Facts, named: Named) -> Object | None:
    """The storage of a name, in the namespace or among the public ones, as the operator looks for it."""
    own = facts.models if named.kind == "model" else facts.datasets
    public = facts.public_models if named.kind == "model" else facts.public_datasets
    wanted = names.public_original(named.name) if named.public else named.name
    return next((item for item in (public if named.public else own) or () if meta.name_of(item) == wanted), None)


def base_of(facts: Facts) -> tuple[Object | None, BaseModel | None]:
    """A fine-tune's model: its storage, the catalogue's entry, or both."""
    named = next(item for item in named_storages(facts.resource, facts.obj) if item.kind == "model")
    storage = storage_of(facts, named)
    if storage is not None:
        return storage, next((model for model in facts.catalogue if model.storage_name == named.name), None)
    model = find_model(named.name, facts.catalogue)
    found = Named("model", model.storage_name, named.field) if model else None
    return (storage_of(facts, found) if found else None), model


def dataset_of(facts: Facts) -> Object | None:
    """A fine-tune's dataset; where it is not fetched yet, with what was read of its rows here."""
    named = next((item for item in named_storages(facts.resource, facts.obj) if item.kind == "dataset"), None)
    storage = storage_of(facts, named) if named is not None else None
    if storage is None or facts.data is None:
        return storage
    return {
        **storage,
        "status": {"examples": facts.data.examples, "longest": facts.data.longest, **(storage.get("status") or {})},
    }


def plan_facts(
    facts: Facts, device: planning.Device, nodes: Sequence[Object], storage: Object | None, model: BaseModel | None
) -> planning.PlanFacts:
    """What the operator's plan for a fine-tune of that model will depend on."""
    return planning.facts_for(device, nodes, planning.shape_of(storage, model), dataset_of(facts))
