"""Inference: resolve its models to claims, and keep an InferenceService as its spec says.

Unlike a job, a deployment is never finished: whatever was missing may appear, and every edit is applied.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from cpod_jupyter.api import meta, names
from cpod_jupyter.api.resources import INFERENCES, INFERENCESERVICES, MODELSTORAGES, PODS, Object
from cpod_jupyter.control.api import KubeApi
from cpod_jupyter.control.controller import Controller, Key, Recorder, to_controller, to_itself
from cpod_jupyter.operator.builders import inference as build
from cpod_jupyter.operator.conditions import Conditions, inference_status
from cpod_jupyter.operator.lookup import wanted_storage
from cpod_jupyter.operator.metadata import annotation
from cpod_jupyter.operator.objects import Refused, ensure_child, find, find_live, write_status
from cpod_jupyter.operator.settings import Settings
from cpod_jupyter.operator.storage_kinds import MODEL, claim_of, is_done, standing
from cpod_jupyter.operator.wakers import to_waiting

Changes = dict[str, Any]
DATA_READY = "DataReady"


class _Preparing(Exception):
    """A model is on its way."""


class InferenceReconciler:
    def __init__(self, api: KubeApi, settings: Settings, recorder: Recorder) -> None:
        self.api = api
        self.settings = settings
        self.recorder = recorder

    def reconcile(self, key: Key) -> None:
        inference = find_live(self.api, INFERENCES, key.name, key.namespace)
        if inference is None:
            return
        try:
            changes = self._served(inference)
        except _Preparing as waiting:
            changes = self._unserved(inference, "Preparing", str(waiting))
        except Refused as refusal:
            changes = self._unserved(inference, refusal.reason, str(refusal), failed=True)
        if write_status(self.api, INFERENCES, inference, changes):
            self._tell(inference, changes)

    def _served(self, inference: Object) -> Changes:
        """The InferenceService as it should be, and the status from it."""
        if sentence := build.not_supported(build.spec_of(inference)):
            raise Refused("NotSupported", sentence)
        if too_long := names.too_long(INFERENCES.kind, meta.name_of(inference)):
            raise Refused("BadName", too_long)
        wanted = build.inference_service(inference, self._predictor(inference))
        service, created = ensure_child(self.api, INFERENCESERVICES, wanted, inference)
        mark = names.ANNOTATION_SPEC_HASH
        if created:
            self.recorder.normal(inference, "Created", f"InferenceService {meta.name_of(service)} serves the model")
        elif annotation(service, mark) != annotation(wanted, mark):
            service = self._update(service, wanted)
            self.recorder.normal(inference, "Updated", f"InferenceService {meta.name_of(service)} follows the new spec")
        conditions = _data_ready(inference, True, "DataReady", "every model is there")
        pods = self._pods(service)
        return inference_status(service, pods, conditions)

    def _predictor(self, inference: Object) -> dict[str, Any]:
        models = build.models_of(inference)
        if inference["spec"].get("predictor"):
            claims = {name: claim_of(self._model(name, inference)) for name in models.all}
            return build.given_predictor(inference, claims)
        if not models.model:
            raise Refused("NothingToServe", "neither modelId nor predictor is given; modelId names a ModelStorage")
        model, adapter = self._model(models.model, inference), None
        if models.adapter:
            adapter = self._model(models.adapter, inference)
        elif model["spec"].get("isloraadapter"):
            adapter, model = model, self._base_of(model, inference)
        adapter_claim = claim_of(adapter) if adapter else ""
        return build.own_predictor(inference, claim_of(model), adapter_claim, self.settings)

    def _model(self, name: str, inference: Object) -> Object:
        """The ModelStorage of that name, done. Raises Refused, or _Preparing while it is on its way."""
        storage = wanted_storage(self.api, MODEL, name, meta.namespace_of(inference))
        if not is_done(storage):
            raise _Preparing(f"waiting for ModelStorage {name!r} ({standing(storage)})")
        return storage

    def _base_of(self, adapter: Object, inference: Object) -> Object:
        base = annotation(adapter, names.ANNOTATION_BASE_MODEL)
        if not base:
            raise Refused(
                "BaseUnknown",
                f"ModelStorage {meta.name_of(adapter)!r} is a LoRA adapter, and its annotation "
                f"{names.ANNOTATION_BASE_MODEL} does not say for which model",
            )
        return self._model(base, inference)

    def _update(self, service: Object, wanted: Object) -> Object:
        annotations = {**(service["metadata"].get("annotations") or {}), **wanted["metadata"]["annotations"]}
        metadata = {**service["metadata"], "annotations": annotations}
        return self.api.replace(INFERENCESERVICES, {**service, "metadata": metadata, "spec": wanted["spec"]})

    def _pods(self, service: Object) -> list[Object]:
        selector = f"{names.LABEL_INFERENCE_SERVICE}={meta.name_of(service)}"
        return self.api.list(PODS, meta.namespace_of(service), label_selector=selector).items

    def _unserved(self, inference: Object, reason: str, message: str, *, failed: bool = False) -> Changes:
        """The status while there is nothing to serve, or nothing that may be; what is deployed stays."""
        name = names.inference_service(meta.name_of(inference))
        service = find(self.api, INFERENCESERVICES, name, meta.namespace_of(inference))
        conditions = _data_ready(inference, False, reason, message)
        if service is not None and meta.is_controlled_by(service, inference):
            changes = inference_status(service, self._pods(service), conditions)
        else:
            changes = {"ready": False, "url": None, "conditions": conditions}
        return {**changes, "dataReady": False, "failureMessage": message if failed else ""}

    def _tell(self, inference: Object, changes: Changes) -> None:
        old = inference.get("status") or {}
        message = changes["failureMessage"]
        if message and message != old.get("failureMessage"):
            self.recorder.warning(inference, "NotReady", message)
        if changes["ready"] and not old.get("ready"):
            self.recorder.normal(inference, "Ready", f"the model answers at {changes['url']}")


def _data_ready(inference: Object, status: bool, reason: str, message: str) -> Conditions:
    """Our one condition, beside KServe's, with the time since when it holds."""
    so_far = meta.condition(inference, DATA_READY)
    return meta.with_condition([so_far] if so_far else [], DATA_READY, status, reason, message)


def _uses(inference: Object, storage: Object) -> bool:
    """Whether the Inference names this ModelStorage, or may be waiting for it as an adapter's base."""
    data_ready = (inference.get("status") or {}).get("dataReady")
    return not data_ready or meta.name_of(storage) in build.models_of(inference).all


def _pod_to_inference(pod: Object) -> Iterable[Key]:
    service = str((pod["metadata"].get("labels") or {}).get(names.LABEL_INFERENCE_SERVICE, ""))
    suffix = names.inference_service("")
    if service.endswith(suffix):
        yield Key(meta.namespace_of(pod), service.removesuffix(suffix))


def controller(api: KubeApi, settings: Settings, recorder: Recorder) -> Controller:
    """Woken by the Inference, its InferenceService and pods, and the ModelStorages it serves."""
    return Controller(
        INFERENCES.plural,
        InferenceReconciler(api, settings, recorder).reconcile,
        {
            INFERENCES: to_itself,
            INFERENCESERVICES: to_controller(INFERENCES.kind),
            MODELSTORAGES: to_waiting(api, INFERENCES, _uses),
            PODS: _pod_to_inference,
        },
    )
