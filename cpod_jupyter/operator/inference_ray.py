"""Backend `ray` of an Inference: a RayService that is kept as the Inference's spec says."""

from __future__ import annotations

from cpod_jupyter.api import meta, names
from cpod_jupyter.api.resources import PODS, RAYSERVICES, Object
from cpod_jupyter.control.api import KubeApi
from cpod_jupyter.control.controller import Recorder
from cpod_jupyter.operator.builders import inference as build
from cpod_jupyter.operator.builders import inference_ray as ray
from cpod_jupyter.operator.inference_models import Found
from cpod_jupyter.operator.inference_status import RAY_SERVE, Observed, from_ray_service
from cpod_jupyter.operator.metadata import annotation
from cpod_jupyter.operator.objects import Refused, ensure_child, find, find_child, update_child
from cpod_jupyter.operator.settings import Settings


def check(inference: Object) -> None:
    """Raises Refused for what is wrong with the Inference by itself."""
    build.check_name(inference, ray.LONGEST_NAME)
    ray.check(inference)


class RayBackend:
    """What the reconciler asks of a backend; see also KServeBackend."""

    def __init__(self, api: KubeApi, settings: Settings, recorder: Recorder) -> None:
        self.api = api
        self.settings = settings
        self.recorder = recorder

    def deploy(self, inference: Object, found: Found) -> str:
        """Make the RayService, or bring it to what the Inference wants now; the engine's name. Raises Refused."""
        if found.adapter is not None:
            raise Refused(
                "NotSupported",
                "Ray Serve LLM loads adapters from an object store only, and this one is in a claim: take backend "
                "kserve, or serve a model that the adapter was merged into (autoMerge: true)",
            )
        assert found.model is not None  # check refuses a predictor that says what serves
        name = meta.name_of(inference)
        wanted = ray.ray_service(inference, found.model_claim, found.embeds, self.settings)
        existing = find_child(self.api, RAYSERVICES, name, inference)
        if existing is None:
            _, created = ensure_child(self.api, RAYSERVICES, wanted, inference)
            if created:
                self._say_created(inference)
        elif _mark(existing) != _mark(wanted):
            if (replicas := _replicas(wanted)) != _replicas(existing):
                self.recorder.normal(inference, "Scaled", f"RayService {name} has {replicas} replicas")
            annotations = {**(existing["metadata"].get("annotations") or {}), **wanted["metadata"]["annotations"]}
            metadata = {**existing["metadata"], "annotations": annotations}
            update_child(self.api, RAYSERVICES, {**existing, "metadata": metadata, "spec": wanted["spec"]})
            sentence = f"RayService {name} follows the new specification; the old one answers until that is ready"
            self.recorder.normal(inference, "Updated", sentence)
        return RAY_SERVE

    def _say_created(self, inference: Object) -> None:
        spec = build.spec_of(inference)
        gpus = ray.gpus_of(spec)
        why = f"gpuCount is {gpus}" if spec.gpu_count else "gpuCount is 0, and vLLM under Ray Serve needs one"
        low, high = ray.replicas(inference)
        where = f"{gpus} GPU{'s' if gpus > 1 else ''}"
        sentence = f"Ray Serve with vLLM on {where} serves the model, {low} to {high} replicas: {why}"
        self.recorder.normal(inference, "EngineChosen", sentence)
        self.recorder.normal(inference, "Created", f"RayService {meta.name_of(inference)} serves the model")

    def observe(self, inference: Object) -> Observed | None:
        """The RayService as it is; None when there is none of this Inference, or no such kind."""
        service = find(self.api, RAYSERVICES, meta.name_of(inference), meta.namespace_of(inference))
        if service is None or not meta.is_controlled_by(service, inference):
            return None
        name, port = self.upstream(inference)
        return from_ray_service(service, f"http://{name}.{meta.namespace_of(inference)}.svc.cluster.local:{port}")

    def pods(self, inference: Object) -> list[Object]:
        """The pods of the Ray clusters, of every revision."""
        selector = f"{names.LABEL_INFERENCE}={meta.name_of(inference)},{names.LABEL_RAY_CLUSTER}"
        return self.api.list(PODS, meta.namespace_of(inference), label_selector=selector).items

    def upstream(self, inference: Object) -> tuple[str, int]:
        """The Service and its port that answer inside the cluster: KubeRay makes it."""
        return names.ray_serve_service(meta.name_of(inference)), ray.PORT


def _mark(service: Object) -> str:
    return annotation(service, names.ANNOTATION_SPEC_HASH)


def _replicas(service: Object) -> str:
    (workers,) = service["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    return f"{workers['minReplicas']} to {workers['maxReplicas']}"
