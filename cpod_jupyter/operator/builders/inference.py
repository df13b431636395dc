"""An Inference to KServe's InferenceService."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from cpod_jupyter.api import meta, names
from cpod_jupyter.api.inference import InferenceSpec
from cpod_jupyter.api.resources import INFERENCESERVICES, Object
from cpod_jupyter.operator.builders.claims import claim_volume
from cpod_jupyter.operator.builders.download import RUNTIME
from cpod_jupyter.operator.builders.workload import GPU
from cpod_jupyter.operator.metadata import annotation, child_metadata
from cpod_jupyter.operator.settings import Settings

CONTAINER = "kserve-container"
STORAGE_URI = "STORAGE_URI"
"""In a custom container's environment: the model that KServe mounts at /mnt/models."""
MODEL_PATH, ADAPTER_PATH = "/mnt/models", "/mnt/adapter"
PORT = 8080


def spec_of(inference: Object) -> InferenceSpec:
    return InferenceSpec.model_validate(inference["spec"])


def not_supported(spec: InferenceSpec) -> str:
    """What of an Inference this version does not do, as a sentence; empty when it does all of it."""
    asked = {
        "backend ray": spec.backend == "ray",
        "autoscalerOptions": spec.autoscaler_options is not None,
        "params": bool(spec.params),
        "modelIsPublic": spec.model_is_public,
    }
    found = [name for name, given in asked.items() if given]
    return f"this version does not support {', '.join(found)} of an Inference yet; leave it out" if found else ""


@dataclass(frozen=True)
class Models:
    """The ModelStorages that an Inference names."""

    model: str = ""
    """For the short form: `modelId`."""
    in_uris: tuple[str, ...] = ()
    """For a predictor: those behind `modelstorage://`."""
    adapter: str = ""
    """Mounted besides, by annotation."""

    @property
    def all(self) -> tuple[str, ...]:
        return tuple(name for name in (self.model, *self.in_uris, self.adapter) if name)


def models_of(inference: Object) -> Models:
    """The names; the one in a URI counts, not `modelId`, where there is a predictor."""
    predictor = inference["spec"].get("predictor")
    adapter = annotation(inference, names.ANNOTATION_ADAPTER)
    if not predictor:
        return Models(model=str(inference["spec"].get("modelId") or ""), adapter=adapter)
    prefix = names.MODELSTORAGE_URI
    uris = [str(holder[key]) for holder, key in _uris(predictor)]
    return Models(in_uris=tuple(uri.removeprefix(prefix) for uri in uris if uri.startswith(prefix)), adapter=adapter)


def _uris(predictor: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str]]:
    """Every place with a storage URI, as a mapping and a key in it."""
    model = predictor.get("model") or {}
    if model.get("storageUri"):
        yield model, "storageUri"
    for container in [*(predictor.get("containers") or []), model]:
        for variable in container.get("env") or []:
            if variable.get("name") == STORAGE_URI and variable.get("value"):
                yield variable, "value"


def given_predictor(inference: Object, claims: dict[str, str]) -> dict[str, Any]:
    """The user's predictor, its `modelstorage://NAME` resolved to `pvc://CLAIM`; `claims` is by name."""
    predictor: dict[str, Any] = copy.deepcopy(inference["spec"]["predictor"])
    for holder, key in _uris(predictor):
        if holder[key].startswith(names.MODELSTORAGE_URI):
            holder[key] = f"pvc://{claims[holder[key].removeprefix(names.MODELSTORAGE_URI)]}"
    container = _server_of(predictor)
    gpus = int(inference["spec"].get("gpuCount") or 0)
    if container is not None and gpus and GPU not in ((container.get("resources") or {}).get("limits") or {}):
        _ask_for_gpus(container, gpus)
    adapter = annotation(inference, names.ANNOTATION_ADAPTER)
    if container is not None and adapter:
        _mount_adapter(predictor, container, claims[adapter])
        command = container.get("command") or []
        # LLaMA-Factory's arguments, which the original adds to every command, whoever understands them.
        if "--model_name_or_path" in command and "--adapter_name_or_path" not in command:
            container["command"] = [*command, "--adapter_name_or_path", ADAPTER_PATH]
    return predictor


def _server_of(predictor: dict[str, Any]) -> dict[str, Any] | None:
    """The container that serves: `kserve-container`, or `model`, which has a container's fields too."""
    containers: list[dict[str, Any]] = predictor.get("containers") or []
    served = [container for container in containers if container.get("name") == CONTAINER]
    model: dict[str, Any] | None = predictor.get("model")
    return served[0] if served else model


def own_predictor(inference: Object, model_claim: str, adapter_claim: str, settings: Settings) -> dict[str, Any]:
    """The predictor of the short form: our runtime, which serves the OpenAI protocol."""
    name = meta.name_of(inference)
    container: dict[str, Any] = {
        "name": CONTAINER,
        "image": settings.runtime_image,
        "command": list(RUNTIME),
        # On the pod's own address: the probe comes from outside, and so do the requests.
        "args": ["serve", "--model", MODEL_PATH, "--name", name, "--host", "$(POD_IP)", "--port", str(PORT)],
        "env": [
            {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            {"name": STORAGE_URI, "value": f"pvc://{model_claim}"},
        ],
        "ports": [{"containerPort": PORT, "protocol": "TCP"}],
        "readinessProbe": {"httpGet": {"path": "/health", "port": PORT}, "periodSeconds": 1},
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
    predictor: dict[str, Any] = {"minReplicas": 1, "containers": [container]}
    gpus = int(inference["spec"].get("gpuCount") or 0)
    if gpus:
        _ask_for_gpus(container, gpus)
    if adapter_claim:
        container["args"] += ["--adapter", ADAPTER_PATH]
        _mount_adapter(predictor, container, adapter_claim)
    return predictor


def _ask_for_gpus(container: dict[str, Any], gpus: int) -> None:
    resources = container.get("resources") or {}
    container["resources"] = {
        **resources,
        **{key: {**(resources.get(key) or {}), GPU: str(gpus)} for key in ("requests", "limits")},
    }


def _mount_adapter(predictor: dict[str, Any], container: dict[str, Any], claim: str) -> None:
    predictor["volumes"] = [*(predictor.get("volumes") or []), claim_volume("adapter", claim)]
    mount = {"name": "adapter", "mountPath": ADAPTER_PATH, "readOnly": True}
    container["volumeMounts"] = [*(container.get("volumeMounts") or []), mount]


def inference_service(inference: Object, predictor: dict[str, Any]) -> Object:
    """The InferenceService, marked with the hash of what it was made from."""
    spec = {"predictor": predictor}
    mark = {names.ANNOTATION_SPEC_HASH: meta.spec_hash(spec)}
    return {
        "apiVersion": INFERENCESERVICES.api_version,
        "kind": INFERENCESERVICES.kind,
        "metadata": child_metadata(names.inference_service(meta.name_of(inference)), inference, mark),
        "spec": spec,
    }
