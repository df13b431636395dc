"""Backend `kserve` of an Inference: an InferenceService that is kept as the Inference's spec says."""

from __future__ import annotations

from typing import Any

from cpod_jupyter.api import meta, names
from cpod_jupyter.api.resources import INFERENCESERVICES, NODES, PODS, Object
from cpod_jupyter.control.api import KubeApi
from cpod_jupyter.control.controller import Recorder
from cpod_jupyter.operator.builders import inference as build
from cpod_jupyter.operator.builders import inference_params
from cpod_jupyter.operator.builders import inference_short as short
from cpod_jupyter.operator.inference_models import Found
from cpod_jupyter.operator.inference_status import Observed, from_inference_service
from cpod_jupyter.operator.metadata import annotation
from cpod_jupyter.operator.objects import ensure_child, find, find_child, update_child
from cpod_jupyter.operator.settings import Settings


def check(inference: Object) -> None:
    """Raises Refused for what is wrong with the Inference by itself."""
    build.check_name(inference)
    build.check_predictor(inference["spec"].get("predictor") or {})
    spec = build.spec_of(inference)
    inference_params.parse(spec.params)
    build.scale(dict(inference["spec"].get("predictor") or {}), spec.autoscaler_options)


class KServeBackend:
    """What the reconciler asks of a backend; see also RayBackend."""

    def __init__(self, api: KubeApi, settings: Settings, recorder: Recorder) -> None:
        self.api = api
        self.settings = settings
        self.recorder = recorder

    def deploy(self, inference: Object, found: Found) -> str:
        """Make the InferenceService, or bring it to what the Inference wants now; the engine's name. Raises Refused."""
        existing = find_child(self.api, INFERENCESERVICES, names.inference_service(meta.name_of(inference)), inference)
        deployable, why = self._deployable(inference, found, existing)
        wanted = build.inference_service(inference, deployable, self.settings)
        if existing is None:
            _, created = ensure_child(self.api, INFERENCESERVICES, wanted, inference)
            if created:
                self._say_chosen(inference, deployable, why)
                name = meta.name_of(wanted)
                self.recorder.normal(inference, "Created", f"InferenceService {name} serves the model")
        elif _marks(existing) != _marks(wanted):
            update_child(self.api, INFERENCESERVICES, _updated(existing, wanted))
            self._say_updated(inference, existing, wanted, deployable, why)
        return annotation(wanted, names.ANNOTATION_ENGINE)

    def _deployable(self, inference: Object, found: Found, existing: Object | None) -> tuple[build.Deployable, str]:
        """What to deploy, and why with that engine where it was the operator's choice."""
        spec = build.spec_of(inference)
        if build.implementations(inference["spec"].get("predictor") or {}):
            return build.given_predictor(inference, found.claims, self.settings, found.template), ""
        assert found.model is not None  # without a predictor there is a model, or it was refused
        choice = short.remembered(inference, existing, self.settings)
        if choice is None:
            choice = short.choose(spec, found.model, self.api.list(NODES).items, self.settings)
        model_claim, adapter_claim = found.model_claim, found.adapter_claim
        made = short.own_predictor(inference, choice, found.model, model_claim, adapter_claim, self.settings)
        return made, choice.why

    def observe(self, inference: Object) -> Observed | None:
        """The InferenceService as it is; None when there is none of this Inference."""
        name = names.inference_service(meta.name_of(inference))
        service = find(self.api, INFERENCESERVICES, name, meta.namespace_of(inference))
        if service is None or not meta.is_controlled_by(service, inference):
            return None
        return from_inference_service(service, annotation(service, names.ANNOTATION_ENGINE))

    def pods(self, inference: Object) -> list[Object]:
        """The pods of the InferenceService, of every revision."""
        selector = f"{names.LABEL_INFERENCE_SERVICE}={names.inference_service(meta.name_of(inference))}"
        return self.api.list(PODS, meta.namespace_of(inference), label_selector=selector).items

    def upstream(self, inference: Object) -> tuple[str, int]:
        """The Service and its port that answer inside the cluster."""
        return f"{names.inference_service(meta.name_of(inference))}-predictor", 80

    def _say_chosen(self, inference: Object, deployable: build.Deployable, why: str) -> None:
        engine = deployable.engine
        if engine is not None:
            where = f"{deployable.gpus} GPU{'s' if deployable.gpus > 1 else ''}" if deployable.gpus else "CPU"
            because = f": {why}" if why else ", which is what the predictor starts"
            self.recorder.normal(inference, "EngineChosen", f"{engine.name} on {where} serves the model{because}")
        for reason, sentence in deployable.notes:
            self.recorder.normal(inference, reason, sentence)

    def _say_updated(self, inference: Object, old: Object, new: Object, deployable: build.Deployable, why: str) -> None:
        mark, name = names.ANNOTATION_SPEC_HASH, meta.name_of(old)
        if annotation(old, mark) == annotation(new, mark):
            return  # only the generation is a new one
        before, after = _replicas(old), _replicas(new)
        if before != after:
            self.recorder.normal(inference, "Scaled", f"InferenceService {name} has {after} replicas, before {before}")
        chosen = (names.ANNOTATION_ENGINE, names.ANNOTATION_GPUS)
        if any(annotation(old, key) != annotation(new, key) for key in chosen) or deployable.notes:
            self._say_chosen(inference, deployable, why)
        self.recorder.normal(
            inference,
            "Updated",
            f"InferenceService {name} follows the new specification; the old one answers until that is ready",
        )


def _marks(service: Object) -> tuple[str, ...]:
    return tuple(annotation(service, key) for key in (names.ANNOTATION_SPEC_HASH, names.ANNOTATION_OWNER_GENERATION))


def _updated(service: Object, wanted: Object) -> Object:
    """The service with the specification and annotations wanted; others' annotations stay."""
    had = set(annotation(service, names.ANNOTATION_PASSED_ON).split(","))
    kept = {key: text for key, text in (service["metadata"].get("annotations") or {}).items() if key not in had}
    metadata = {**service["metadata"], "annotations": {**kept, **wanted["metadata"]["annotations"]}}
    return {**service, "metadata": metadata, "spec": wanted["spec"]}


def _replicas(service: Object) -> str:
    predictor: dict[str, Any] = service["spec"]["predictor"]
    low, high = predictor.get("minReplicas"), predictor.get("maxReplicas")
    low = 1 if low is None else low
    return f"{low} to {high}" if high and high != low else str(low)
