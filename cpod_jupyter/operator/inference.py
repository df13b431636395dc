"""Inference: find its models, deploy them through KServe or KubeRay, and say how it stands.

Unlike a job, a deployment is never finished: whatever was missing may appear, and every edit is applied.
What is deployed stays while a newer specification can't be, and until that is ready.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from cpod_jupyter.api import meta, names
from cpod_jupyter.api.resources import (
    DEPLOYMENTS,
    INFERENCES,
    INFERENCESERVICES,
    INGRESSES,
    MODELSTORAGES,
    PODS,
    RAYSERVICES,
    SERVICES,
    Object,
)
from cpod_jupyter.control.api import KubeApi
from cpod_jupyter.control.controller import Controller, Key, Recorder, to_controller, to_itself
from cpod_jupyter.operator import admission
from cpod_jupyter.operator import inference_status as status_of
from cpod_jupyter.operator.builders import inference as build
from cpod_jupyter.operator.builders.inference_access import chats
from cpod_jupyter.operator.inference_access import Access
from cpod_jupyter.operator.inference_kserve import KServeBackend
from cpod_jupyter.operator.inference_models import Preparing, find_models
from cpod_jupyter.operator.inference_ray import RayBackend
from cpod_jupyter.operator.inference_status import Deployed, Said
from cpod_jupyter.operator.objects import Refused, find_live, write_status
from cpod_jupyter.operator.settings import Settings
from cpod_jupyter.operator.wakers import to_waiting

Changes = dict[str, Any]
Backend = KServeBackend | RayBackend


class InferenceReconciler:
    def __init__(self, api: KubeApi, settings: Settings, recorder: Recorder) -> None:
        self.api = api
        self.settings = settings
        self.recorder = recorder
        self.kserve = KServeBackend(api, settings, recorder)
        self.ray = RayBackend(api, settings, recorder)
        self.access = Access(api, settings, recorder)

    def reconcile(self, key: Key) -> None:
        inference = find_live(self.api, INFERENCES, key.name, key.namespace)
        if inference is None:
            return
        backend = self.ray if build.is_ray(inference) else self.kserve
        deployed = self._deploy(inference, backend)
        observed = backend.observe(inference)
        if observed is None:
            changes = status_of.unserved(inference, deployed)
        else:
            pods, url = backend.pods(inference), self.access.url(inference)
            changes = status_of.served(inference, observed, pods, deployed, url)
        if write_status(self.api, INFERENCES, inference, changes):
            self._tell(inference, changes)

    def _deploy(self, inference: Object, backend: Backend) -> Deployed:
        """Bring the deployment to what is wanted.

        The specification is looked at before the models are, which may be on their way for long.
        """
        refused: Said | None = None
        try:
            admission.check(inference)
        except Refused as refusal:
            refused = _refusal(refusal)
        try:
            found = find_models(self.api, inference, self.settings.public_namespace)
        except Preparing as waiting:
            return Deployed(Said(False, "Preparing", str(waiting)), refused)
        except Refused as refusal:
            return Deployed(_refusal(refusal), refused or _refusal(refusal))
        data = Said(True, "DataReady", "every model is there")
        if refused is not None:
            return Deployed(data, refused)
        try:
            engine = backend.deploy(inference, found)
            with_ui = chats(engine, found.embeds)
            return Deployed(data, None, self.access.keep(inference, backend.upstream(inference), with_ui))
        except Refused as refusal:
            return Deployed(data, _refusal(refusal))

    def _tell(self, inference: Object, changes: Changes) -> None:
        """An event for each change that a person would want to know of."""
        old = inference.get("status") or {}
        message = changes["failureMessage"]
        if message and message != old.get("failureMessage"):
            reason = "RolloutHeldUp" if changes["ready"] else "NotReady"
            self.recorder.warning(inference, reason, message)
        now, before = {"status": changes}, meta.condition(inference, status_of.UP_TO_DATE) or {}
        if changes["ready"] and not old.get("ready"):
            self.recorder.normal(inference, "Ready", f"the model answers at {changes['url']}")
        elif changes["ready"] and meta.is_true(now, status_of.UP_TO_DATE) and before.get("status") == "False":
            self.recorder.normal(inference, "RolledOut", f"the new specification answers at {changes['url']}")
        elif old.get("ready") and not changes["ready"] and not message:
            self.recorder.warning(inference, "NotReady", "the deployment answered and does so no longer")
        reached = (meta.condition(now, status_of.UP_TO_DATE) or {}).get("reason")
        if reached == status_of.SCALED_TO_ZERO and before.get("reason") != reached:
            self.recorder.normal(
                inference, status_of.SCALED_TO_ZERO, "nothing runs until a request comes (minReplicas is 0)"
            )


def _refusal(refusal: Refused) -> Said:
    return Said(False, refusal.reason, str(refusal))


def _uses(inference: Object, storage: Object) -> bool:
    """Whether the Inference names this ModelStorage, or may be waiting for it as an adapter's base."""
    data_ready = (inference.get("status") or {}).get("dataReady")
    used = build.models_of(inference).all
    return not data_ready or any(names.same_storage(name, meta.name_of(storage)) for name in used)


def _pod_to_inference(pod: Object) -> Iterable[Key]:
    labels = pod["metadata"].get("labels") or {}
    service = str(labels.get(names.LABEL_INFERENCE_SERVICE, ""))
    suffix = names.inference_service("")
    if service.endswith(suffix):
        yield Key(meta.namespace_of(pod), service.removesuffix(suffix))
    if names.LABEL_INFERENCE in labels:
        yield Key(meta.namespace_of(pod), str(labels[names.LABEL_INFERENCE]))


def controller(api: KubeApi, settings: Settings, recorder: Recorder) -> Controller:
    """Woken by the Inference, its children and their pods, and the ModelStorages it serves."""
    children = [INFERENCESERVICES, RAYSERVICES]
    children += [INGRESSES] if settings.ingress else []
    children += [DEPLOYMENTS, SERVICES] if settings.web_ui else []
    return Controller(
        INFERENCES.plural,
        InferenceReconciler(api, settings, recorder).reconcile,
        {
            INFERENCES: to_itself,
            MODELSTORAGES: to_waiting(api, INFERENCES, _uses),
            PODS: _pod_to_inference,
            **{child: to_controller(INFERENCES.kind) for child in children},
        },
    )
