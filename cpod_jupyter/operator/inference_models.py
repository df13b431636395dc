"""The ModelStorages that an Inference names, found and ready, or the reason why not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cpod_jupyter.api import meta, names
from cpod_jupyter.api.resources import Object
from cpod_jupyter.control.api import KubeApi
from cpod_jupyter.operator.builders.inference import Models, implementations, models_of
from cpod_jupyter.operator.builders.inference_short import is_embedding
from cpod_jupyter.operator.lookup import wanted_storage
from cpod_jupyter.operator.metadata import annotation
from cpod_jupyter.operator.objects import Refused
from cpod_jupyter.operator.storage_kinds import MODEL, claim_of, is_done, standing


class Preparing(Exception):
    """A model is on its way."""


@dataclass(frozen=True)
class Found:
    """What an Inference serves."""

    claims: Mapping[str, str]
    """By the name of the ModelStorage."""
    model: Object | None = None
    """For the short form: the model, or the base of the adapter."""
    adapter: Object | None = None

    @property
    def model_claim(self) -> str:
        return claim_of(self.model) if self.model else ""

    @property
    def adapter_claim(self) -> str:
        return claim_of(self.adapter) if self.adapter else ""

    embeds: bool = False
    """Whether a model in it is for embeddings."""
    template: str = ""
    """Of a predictor's model: its chat template's name."""


def find_models(api: KubeApi, inference: Object, public_namespace: str) -> Found:
    """Every model that the Inference names, done. Raises Refused, or Preparing while one is on its way."""
    wanted = models_of(inference)
    public = public_namespace if inference["spec"].get("modelIsPublic") else ""
    if implementations(inference["spec"].get("predictor") or {}):
        return _in_predictor(api, inference, wanted, public, public_namespace)
    if not wanted.model:
        raise Refused("NothingToServe", "neither modelId nor predictor is given; modelId names a ModelStorage")
    model, adapter = _done(api, inference, wanted.model, public), None
    if wanted.adapter:
        adapter = _adapter(api, inference, wanted.adapter, public_namespace)
    if model["spec"].get("isloraadapter"):
        if adapter is not None:
            raise Refused(
                "TwoAdapters",
                f"modelId names an adapter, {meta.name_of(model)!r}, and the annotation {names.ANNOTATION_ADAPTER} "
                f"another, {wanted.adapter!r}; name the base model in modelId, or leave the annotation out",
            )
        adapter, model = model, _base_of(api, inference, model, public)
    return Found({}, model, adapter, is_embedding(model))


def _in_predictor(api: KubeApi, inference: Object, wanted: Models, public: str, public_namespace: str) -> Found:
    found = {name: _done(api, inference, name, public) for name in wanted.in_uris}
    claims = {name: claim_of(storage) for name, storage in found.items()}
    adapter = None
    if wanted.adapter:
        adapter = _adapter(api, inference, wanted.adapter, public_namespace)
        claims[wanted.adapter] = claim_of(adapter)
    embeds = any(is_embedding(storage) for storage in found.values())
    templates = (str(storage["spec"].get("template") or "") for storage in found.values())
    return Found(claims, None, adapter, embeds, next(filter(None, templates), ""))


def _done(api: KubeApi, inference: Object, name: str, public: str) -> Object:
    storage = wanted_storage(api, MODEL, name, meta.namespace_of(inference), public)
    if not is_done(storage):
        raise Preparing(f"waiting for ModelStorage {name!r} ({standing(storage)})")
    return storage


def _adapter(api: KubeApi, inference: Object, name: str, public_namespace: str) -> Object:
    is_public = names.ANNOTATION_ADAPTER_PUBLIC in (inference["metadata"].get("annotations") or {})
    return _done(api, inference, name, public_namespace if is_public else "")


def _base_of(api: KubeApi, inference: Object, adapter: Object, public: str) -> Object:
    base = annotation(adapter, names.ANNOTATION_BASE_MODEL)
    if not base:
        raise Refused(
            "BaseUnknown",
            f"ModelStorage {meta.name_of(adapter)!r} is a LoRA adapter, and its annotation "
            f"{names.ANNOTATION_BASE_MODEL} does not say for which model",
        )
    return _done(api, inference, base, public)
