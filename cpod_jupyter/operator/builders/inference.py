"""An Inference to KServe's InferenceService: what both forms have in common, and the predictor that a user gives."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from cpod_jupyter.api import meta, names
from cpod_jupyter.api.inference import FRAMEWORKS, PREDICTOR_FIELDS, AutoscalerOptions, InferenceSpec
from cpod_jupyter.api.resources import INFERENCESERVICES, Object
from cpod_jupyter.operator.builders import inference_engines as engines
from cpod_jupyter.operator.builders import inference_params
from cpod_jupyter.operator.builders.claims import claim_volume
from cpod_jupyter.operator.builders.inference_engines import ADAPTER_PATH, Container, Engine
from cpod_jupyter.operator.builders.workload import GPU, GPU_PRODUCT
from cpod_jupyter.operator.lookup import nearest_first
from cpod_jupyter.operator.metadata import annotation, child_metadata, generation
from cpod_jupyter.operator.objects import Refused
from cpod_jupyter.operator.settings import Settings

CONTAINER = "kserve-container"
STORAGE_URI = "STORAGE_URI"
"""In a container's environment: the model that KServe mounts at /mnt/models."""

DEPLOYMENT_MODE = "serving.kserve.io/deploymentMode"
AUTOSCALER_CLASS = "serving.kserve.io/autoscalerClass"
KNATIVE_CLASS = "autoscaling.knative.dev/class"
PROGRESS_DEADLINE = "serving.knative.dev/progress-deadline"
PASSED_ON = ("serving.kserve.io/", "autoscaling.knative.dev/")
"""Annotations of an Inference with these beginnings are the InferenceService's as well."""


@dataclass
class Deployable:
    """What is to be deployed, and what there is to say about it."""

    predictor: dict[str, Any]
    engine: Engine | None
    gpus: int = 0
    notes: list[tuple[str, str]] = field(default_factory=list)
    """Reason and sentence of what a person should know, for events."""


def spec_of(inference: Object) -> InferenceSpec:
    return InferenceSpec.model_validate(inference["spec"])


def is_ray(inference: Object) -> bool:
    return str(inference["spec"].get("backend") or "") == "ray"


# ---- the models


@dataclass(frozen=True)
class Models:
    """The ModelStorages that an Inference names."""

    model: str = ""
    """For the short form: `modelId`."""
    in_uris: tuple[str, ...] = ()
    """For a predictor: those behind `modelstorage://`."""
    adapter: str = ""
    """Besides, by annotation."""

    @property
    def all(self) -> tuple[str, ...]:
        return tuple(name for name in (self.model, *self.in_uris, self.adapter) if name)


def models_of(inference: Object) -> Models:
    """The names; the one in a URI counts, not `modelId`, where there is a predictor with something in it."""
    adapter = annotation(inference, names.ANNOTATION_ADAPTER)
    predictor = inference["spec"].get("predictor") or {}
    if not implementations(predictor):
        return Models(model=str(inference["spec"].get("modelId") or ""), adapter=adapter)
    found = (storage_of(str(holder[key])) for holder, key in _uris(predictor))
    return Models(in_uris=tuple(dict.fromkeys(name for name, _ in found if name)), adapter=adapter)


def storage_of(uri: str) -> tuple[str, str]:
    """The ModelStorage and the path in it that `modelstorage://NAME[/path]` names; nothing for another URI."""
    if not uri.startswith(names.MODELSTORAGE_URI):
        return "", ""
    name, _, path = uri.removeprefix(names.MODELSTORAGE_URI).partition("/")
    return name, path


def _uris(predictor: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str]]:
    """Every place with a storage URI, as a mapping and a key in it."""
    served = [predictor[key] for key in ("model", *FRAMEWORKS) if predictor.get(key)]
    for model in served:
        if model.get("storageUri"):
            yield model, "storageUri"
    for entry in predictor.get("storageUris") or []:
        if entry.get("uri"):
            yield entry, "uri"
    containers = [*(predictor.get("initContainers") or []), *(predictor.get("containers") or []), *served]
    for container in containers:
        for variable in container.get("env") or []:
            if variable.get("name") == STORAGE_URI and variable.get("value"):
                yield variable, "value"


# ---- the predictor that a user gives


def implementations(predictor: Mapping[str, Any]) -> list[str]:
    """Which of KServe's ways to say what serves are in a predictor; it takes exactly one."""
    return [key for key in ("containers", "model", *FRAMEWORKS) if predictor.get(key)]


def check_predictor(predictor: Mapping[str, Any]) -> None:
    """Raises Refused for what KServe would not understand."""
    for key in predictor:
        if key not in PREDICTOR_FIELDS:
            near = ", ".join(nearest_first(key, PREDICTOR_FIELDS)[:3])
            raise Refused("BadPredictor", f"predictor.{key} is not a field of KServe's PredictorSpec; near it: {near}")
    found = implementations(predictor)
    if len(found) > 1:
        raise Refused("BadPredictor", f"predictor has {' and '.join(found)}, and KServe takes one of them")


def given_predictor(inference: Object, claims: Mapping[str, str], settings: Settings) -> Deployable:
    """The user's predictor, its `modelstorage://NAME[/path]` resolved to `pvc://CLAIM[/path]`; `claims` is by name."""
    spec = spec_of(inference)
    predictor: dict[str, Any] = copy.deepcopy(inference["spec"]["predictor"])
    for holder, key in _uris(predictor):
        name, path = storage_of(str(holder[key]))
        if name:
            holder[key] = f"pvc://{claims[name]}" + (f"/{path}" if path else "")
    server = _server_of(predictor)
    engine = engines.engine_of(server, settings) if predictor.get("containers") else None
    result = Deployable(predictor, engine)
    if engine is not None:
        engines.fill_in(engine, server, startup_probe=not engines.on_knative(settings))
    if spec.gpu_count and GPU not in ((server.get("resources") or {}).get("limits") or {}):
        ask_for_gpus(server, spec.gpu_count)
    result.gpus = _gpus_of(server)
    if engine is engines.VLLM and spec.gpu_count > 1 and not engines.has_argument(server, "--tensor-parallel-size"):
        engines.add_arguments(server, [f"--tensor-parallel-size={spec.gpu_count}"])
        share_memory(predictor, server, settings)
    if adapter := annotation(inference, names.ANNOTATION_ADAPTER):
        _give_adapter(result, server, adapter, claims[adapter])
    if params := inference_params.parse(spec.params):
        if engine is None or engine.params is None:
            what = (
                f"{engine.name} takes"
                if engine
                else "the operator does not know the server in the predictor, which has"
            )
            raise Refused("BadParams", f"params cannot be handed on: {what} none; put arguments into the predictor")
        engines.add_arguments(server, engine.params(params))
    finish(result, spec, annotations_of(inference, settings), settings)
    return result


def _server_of(predictor: dict[str, Any]) -> Container:
    """What serves: the container `kserve-container` or else the first, or the model, which has a container's fields."""
    containers: list[Container] = predictor.get("containers") or []
    named = [container for container in containers if container.get("name") == CONTAINER]
    found = next(iter([*named, *containers]), None)
    if found is not None:
        return found
    server: Container = predictor[implementations(predictor)[0]]
    return server


def _gpus_of(server: Container) -> int:
    text = str(((server.get("resources") or {}).get("limits") or {}).get(GPU) or 0)
    return int(text) if text.isdecimal() else 0


def _give_adapter(result: Deployable, server: Container, adapter: str, claim: str) -> None:
    """The adapter at /mnt/adapter, and the arguments for it where the server is one that takes them."""
    mount_adapter(result.predictor, server, claim)
    known = result.engine
    if known is None or known.adapter_arguments is None:
        what = known.name if known else "none that the operator knows"
        sentence = (
            f"the adapter {adapter} is at {ADAPTER_PATH}; the server is {what}, so its own arguments must name it"
        )
        result.notes.append(("AdapterMounted", sentence))
        return
    words = known.adapter_arguments(adapter)
    if not any(engines.has_argument(server, word) for word in words if word.startswith("--")):
        engines.add_arguments(server, words)


# ---- what both forms share


def finish(result: Deployable, spec: InferenceSpec, annotations: Mapping[str, str], settings: Settings) -> None:
    """Where it runs and how many of it: `gpuType`, `autoscalerOptions`, and what scaling to zero needs."""
    predictor = result.predictor
    if spec.gpu_type:
        predictor["nodeSelector"] = {GPU_PRODUCT: spec.gpu_type, **(predictor.get("nodeSelector") or {})}
    scale(predictor, spec.autoscaler_options)
    if engines.on_knative(settings) and result.engine is not None:
        # Knative gives a revision ten minutes to become ready (Knative Serving, "progress-deadline").
        predictor["annotations"] = {PROGRESS_DEADLINE: "3600s", **(predictor.get("annotations") or {})}
    standard = annotations.get(DEPLOYMENT_MODE) in ("Standard", "RawDeployment")
    if predictor.get("minReplicas") == 0 and standard and annotations.get(AUTOSCALER_CLASS, "hpa") == "hpa":
        sentence = (
            "minReplicas is 0, and KServe's Standard mode with its usual autoscaler (HPA) keeps one replica: annotate "
            f"the Inference with {AUTOSCALER_CLASS}: keda, or with {DEPLOYMENT_MODE}: Knative where that is installed"
        )
        result.notes.append(("KeepsOneReplica", sentence))


def scale(predictor: dict[str, Any], options: AutoscalerOptions | None) -> None:
    """`autoscalerOptions` into the predictor. Raises Refused when they contradict it or each other."""
    wanted = {"minReplicas": options.min_replicas, "maxReplicas": options.max_replicas} if options else {}
    for key, value in wanted.items():
        if value is None:
            continue
        if predictor.get(key, value) != value:
            raise Refused(
                "BadReplicas",
                f"autoscalerOptions.{key} is {value} and predictor.{key} is {predictor[key]}; leave one of them out",
            )
        predictor[key] = value
    low, high = predictor.get("minReplicas"), predictor.get("maxReplicas")
    if low is not None and high and low > high:
        raise Refused("BadReplicas", f"minReplicas is {low} and maxReplicas {high}: the first may not be the larger")


def annotations_of(inference: Object, settings: Settings) -> dict[str, str]:
    """The InferenceService's annotations: the Inference's own for KServe and Knative, and the deployment mode."""
    given = inference["metadata"].get("annotations") or {}
    passed = {key: str(value) for key, value in given.items() if key.startswith(PASSED_ON)}
    if settings.kserve_deployment_mode:
        passed.setdefault(DEPLOYMENT_MODE, settings.kserve_deployment_mode)
    return passed


def ask_for_gpus(container: Container, gpus: int) -> None:
    resources = container.get("resources") or {}
    container["resources"] = {
        **resources,
        **{key: {**(resources.get(key) or {}), GPU: str(gpus)} for key in ("requests", "limits")},
    }


def mount_adapter(pod: dict[str, Any], container: Container, claim: str) -> None:
    pod["volumes"] = [*(pod.get("volumes") or []), claim_volume("adapter", claim)]
    mount = {"name": "adapter", "mountPath": ADAPTER_PATH, "readOnly": True}
    container["volumeMounts"] = [*(container.get("volumeMounts") or []), mount]


def share_memory(pod: dict[str, Any], container: Container, settings: Settings) -> None:
    """A memory-backed /dev/shm, through which the processes of several GPUs talk; not where one is mounted already."""
    if any(mount.get("mountPath") == "/dev/shm" for mount in container.get("volumeMounts") or []):
        return
    volume = {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": settings.shared_memory}}
    pod["volumes"] = [*(pod.get("volumes") or []), volume]
    mount = {"name": "shm", "mountPath": "/dev/shm"}
    container["volumeMounts"] = [*(container.get("volumeMounts") or []), mount]


def inference_service(inference: Object, deployable: Deployable, settings: Settings) -> Object:
    """The InferenceService, marked with the hash of what it was made from."""
    spec = {"predictor": deployable.predictor}
    passed = annotations_of(inference, settings)
    if deployable.predictor.get("minReplicas") == 0 and passed.get(DEPLOYMENT_MODE) in ("Knative", "Serverless"):
        passed.setdefault(KNATIVE_CLASS, "kpa.autoscaling.knative.dev")
    marks = {
        names.ANNOTATION_SPEC_HASH: meta.spec_hash([spec, passed]),
        names.ANNOTATION_OWNER_GENERATION: str(generation(inference)),
        names.ANNOTATION_ENGINE: deployable.engine.name if deployable.engine else "",
        names.ANNOTATION_GPUS: str(deployable.gpus),
        names.ANNOTATION_PASSED_ON: ",".join(sorted(passed)),
    }
    return {
        "apiVersion": INFERENCESERVICES.api_version,
        "kind": INFERENCESERVICES.kind,
        "metadata": child_metadata(names.inference_service(meta.name_of(inference)), inference, {**passed, **marks}),
        "spec": spec,
    }
