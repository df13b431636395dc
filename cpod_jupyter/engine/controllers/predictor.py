"""What an InferenceService's predictor is made of: its runtime and its own fields to a pod and a Service. Pure."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from cpod_jupyter.api import meta
from cpod_jupyter.api.kserve import FRAMEWORKS
from cpod_jupyter.api.model import kubernetes_schema
from cpod_jupyter.api.resources import Object
from cpod_jupyter.engine.controllers import model_storage
from cpod_jupyter.engine.controllers import pods as podset
from cpod_jupyter.engine.controllers.serving_runtimes import INVALID_PREDICTOR, Refused, Runtime, choose
from cpod_jupyter.engine.kubelet.images import is_runtime
from cpod_jupyter.engine.strategic import strategic_merge

CONTAINER, TRANSFORMER = "kserve-container", "transformer-container"
SERVICE_LABEL = "serving.kserve.io/inferenceservice"
HASH_LABEL = "pod-template-hash"
STORAGE_URI = "STORAGE_URI"
DEFAULT_PORT = 8080

_NOT_POD_FIELDS = {
    "model", "minReplicas", "maxReplicas", "scaleTarget", "scaleMetric", "scaleMetricType", "autoScaling", "name",
    "containerConcurrency", "timeout", "canaryTrafficPercent", "logger", "batcher", "labels", "annotations",
    "deploymentStrategy", "workerSpec", "storageUris", "storageContainerName",
}  # fmt: skip
"""Fields of a predictor that say how it is run; all others are those of its pods."""
_RUNTIME_POD_FIELDS = (
    "nodeSelector", "affinity", "tolerations", "volumes", "imagePullSecrets", "schedulerName", "hostIPC",
    "resourceClaims",
)  # fmt: skip
_NOT_CONTAINER_FIELDS = {
    "modelFormat", "runtime", "storageUri", "runtimeVersion", "protocolVersion", "storage", "confidential", "name",
}  # fmt: skip
"""Fields of a model that are not those of its container."""
_V2_FORMATS = ("triton", "onnx", "huggingface")
"""Fields of a predictor whose models speak protocol v2 where they name none, as KServe's defaults have it."""
_LOADED_BY_TRANSFORMERS = ("huggingface",)


@dataclass(frozen=True)
class Predictor:
    """What is to run: a PodSpec, marks of the pods, the port that answers, and a name for this version of it all."""

    service: Object
    pod_spec: dict[str, Any]
    labels: dict[str, str]
    annotations: dict[str, str]
    port: int
    runtime: Runtime | None
    revision: str
    """Changes with what the pods are made of, not with their number."""

    def pod(self, number: int) -> Object:
        """The pod of that number in this revision."""
        template = {"metadata": {"labels": self.labels, "annotations": self.annotations}, "spec": self.pod_spec}
        name = f"{predictor_name(self.service)}-{self.revision}-{number}"
        return podset.from_template(template, self.service, name, {**labels(self.service), HASH_LABEL: self.revision})


def predictor_name(service: Object) -> str:
    return f"{meta.name_of(service)}-predictor"


def labels(service: Object) -> dict[str, str]:
    return {SERVICE_LABEL: meta.name_of(service), "component": "predictor", "app": f"isvc.{predictor_name(service)}"}


def work_out(service: Object, runtimes: Iterable[Runtime] = ()) -> Predictor:
    """What an InferenceService asks to run, with the runtimes there are for it. Raises Refused."""
    _refuse_what_only_a_cluster_has(service)
    predictor = as_model(service["spec"]["predictor"])
    model, runtime = predictor.get("model"), None
    if model:
        runtime = choose(model, runtimes)
        spec, container = _pod_of_model(service, predictor, runtime)
        uri, as_transformers = model.get("storageUri"), model["modelFormat"]["name"] in _LOADED_BY_TRANSFORMERS
    else:
        spec = _own_pod(predictor)
        found = serving_container(spec)
        if found is None:
            raise Refused(
                INVALID_PREDICTOR, "the predictor has neither a model nor containers: there is nothing to run"
            )
        container, as_transformers = found, is_runtime(str(found.get("image", "")))
        uri = _given_uri(container)
    port = serving_port(container)
    container.setdefault("readinessProbe", {"tcpSocket": {"port": port}, "periodSeconds": 2})
    for entry in spec["containers"]:
        _set_default(entry, "INFERENCE_SERVICE_NAME", meta.name_of(service))
    annotations = service["metadata"].get("annotations") or {}
    wanted = model_storage.wanted_storage(predictor, container, uri)
    model_storage.mount(spec, container, wanted, annotations, as_model=as_transformers)
    spec["restartPolicy"] = "Always"
    theirs = runtime.spec if runtime else {}
    pod_labels = {**(theirs.get("labels") or {}), **(predictor.get("labels") or {})}
    pod_annotations = {**(theirs.get("annotations") or {}), **(predictor.get("annotations") or {})}
    revision = meta.spec_hash([spec, pod_labels, pod_annotations])
    return Predictor(service, spec, pod_labels, pod_annotations, port, runtime, revision)


def _refuse_what_only_a_cluster_has(service: Object) -> None:
    spec, predictor = service["spec"], service["spec"]["predictor"]
    percent = predictor.get("canaryTrafficPercent")
    asked = {
        "transformer": spec.get("transformer"),
        "explainer": spec.get("explainer"),
        "canary": spec.get("canary"),
        "predictor.canaryTrafficPercent (a new revision takes over as a whole)": percent is not None and percent != 100,
        "predictor.workerSpec (several nodes)": predictor.get("workerSpec") is not None,
        "predictor.logger": predictor.get("logger"),
        "predictor.batcher": predictor.get("batcher"),
        "predictor.autoScaling": predictor.get("autoScaling"),
        "predictor.storageContainerName": predictor.get("storageContainerName"),
        f"a container {TRANSFORMER}": any(
            entry.get("name") == TRANSFORMER for entry in predictor.get("containers") or []
        ),
        "model.storage (a key of a Secret; give storageUri)": (predictor.get("model") or {}).get("storage"),
    }
    if found := [what for what, given in asked.items() if given]:
        raise Refused(INVALID_PREDICTOR, f"the embedded engine does not serve {', '.join(found)}; a cluster does")


def as_model(predictor: Mapping[str, Any]) -> dict[str, Any]:
    """The predictor with a framework's field (`sklearn`, …) turned into `model`. Raises Refused when there are several.

    As KServe's webhook does when such an object is written; here the object stays as it was written.
    """
    named = [name for name in FRAMEWORKS if predictor.get(name) is not None]
    if len(named) + bool(predictor.get("model")) > 1:
        given = ", ".join(["model"] * bool(predictor.get("model")) + named)
        raise Refused(INVALID_PREDICTOR, f"the predictor has several models ({given}): give one")
    result = {key: value for key, value in predictor.items() if key not in FRAMEWORKS}
    if named:
        result["model"] = {"modelFormat": {"name": named[0]}, **predictor[named[0]]}
        if named[0] in _V2_FORMATS:
            result["model"].setdefault("protocolVersion", "v2")
    elif (model := result.get("model")) and (model.get("modelFormat") or {}).get("name") == "triton":
        result["model"] = {"protocolVersion": "v2", **model}
    return result


def serving_container(pod: Mapping[str, Any]) -> dict[str, Any] | None:
    """The container that serves: the one named `kserve-container`, else the first."""
    containers = pod.get("containers") or []
    named = [entry for entry in containers if entry.get("name") == CONTAINER]
    return next(iter([*named, *containers]), None)


def serving_port(container: Mapping[str, Any]) -> int:
    """The first port of the serving container."""
    ports = container.get("ports") or []
    return int(ports[0]["containerPort"]) if ports else DEFAULT_PORT


def _given_uri(container: dict[str, Any]) -> str | None:
    """The STORAGE_URI of a custom container, which is left as the directory where the model then is."""
    for variable in container.get("env") or []:
        if variable.get("name") == STORAGE_URI and variable.get("value"):
            uri = str(variable["value"])
            variable["value"] = model_storage.MODEL_DIRECTORY  # as KServe's storage initializer leaves it
            return uri
    return None


def _set_default(container: dict[str, Any], name: str, value: str) -> None:
    """An environment variable, where the container has none of that name."""
    if not any(entry.get("name") == name for entry in container.get("env") or []):
        container["env"] = [*(container.get("env") or []), {"name": name, "value": value}]


# ---- a model and its runtime


def _own_pod(predictor: Mapping[str, Any]) -> dict[str, Any]:
    return copy.deepcopy({key: value for key, value in predictor.items() if key not in _NOT_POD_FIELDS})


def _pod_of_model(
    service: Object, predictor: dict[str, Any], runtime: Runtime
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The PodSpec of a model on its runtime, and its serving container, which is part of it."""
    theirs = [copy.deepcopy(entry) for entry in runtime.spec.get("containers") or []]
    base = next((entry for entry in theirs if entry.get("name") == CONTAINER), None)
    if base is None:
        raise Refused(INVALID_PREDICTOR, f"the serving runtime {runtime.name!r} has no container {CONTAINER}")
    model = predictor["model"]
    container = merged_container(base, model)
    container = _filled(container, service, runtime)
    if version := model.get("runtimeVersion"):
        container["image"] = with_tag(str(container.get("image", "")), str(version))
    pod_fields = {key: runtime.spec[key] for key in _RUNTIME_POD_FIELDS if runtime.spec.get(key) is not None}
    own = _own_pod(predictor)
    others = own.pop("containers", None) or []
    spec = strategic_merge(kubernetes_schema("V1PodSpec"), pod_fields, own)
    rest = [entry for entry in theirs if entry.get("name") not in (CONTAINER, TRANSFORMER)]
    spec["containers"] = [container, *rest, *others]
    return spec, container


def merged_container(base: dict[str, Any], model: Mapping[str, Any]) -> dict[str, Any]:
    """A runtime's container with a model's container fields laid over it, lists with keys (env, mounts) merged by
    them; arguments follow the runtime's."""
    own = {key: value for key, value in model.items() if key not in _NOT_CONTAINER_FIELDS and value is not None}
    args = [*(base.get("args") or []), *(own.pop("args", None) or [])]
    result: dict[str, Any] = strategic_merge(kubernetes_schema("V1Container"), base, own)
    return {**result, "args": args} if args else result


_PLACEHOLDER = re.compile(r"\{\{-?\s*(.*?)\s*-?\}\}")
_FIELD = re.compile(r"\.(Labels|Annotations)\.([A-Za-z_]\w*)")
_INDEXED = re.compile(r'index \.(Labels|Annotations) "([^"]*)"')


def _filled(container: dict[str, Any], service: Object, runtime: Runtime) -> dict[str, Any]:
    """The container with the placeholders of its runtime replaced by the InferenceService's metadata.

    KServe's are Go templates over ObjectMeta; of these the fields that runtimes use are known here.
    """
    metadata = service["metadata"]
    plain = {".Name": metadata["name"], ".Namespace": metadata.get("namespace", ""), ".UID": metadata.get("uid", "")}

    def value(match: re.Match[str]) -> str:
        if match[1] in plain:
            return str(plain[match[1]])
        if found := _FIELD.fullmatch(match[1]) or _INDEXED.fullmatch(match[1]):
            return str((metadata.get(found[1].lower()) or {}).get(found[2], ""))
        raise Refused(
            INVALID_PREDICTOR,
            f"the serving runtime {runtime.name!r} has the placeholder {match[0]}, which is not known here: there are "
            ".Name, .Namespace, .UID, .Labels.KEY, .Annotations.KEY and index .Annotations KEY",
        )

    def filled(part: Any) -> Any:
        if isinstance(part, str):
            return _PLACEHOLDER.sub(value, part)
        if isinstance(part, dict):
            return {key: filled(item) for key, item in part.items()}
        return [filled(item) for item in part] if isinstance(part, list) else part

    return dict(filled(container))


def with_tag(image: str, tag: str) -> str:
    """The image with another tag; one that is named by its digest stays."""
    if "@sha256:" in image:
        return image
    head, slash, last = image.rpartition("/")
    return f"{head}{slash}{last.partition(':')[0]}:{tag}"


# ---- its Service


def predictor_service(predictor: Predictor, annotations: Mapping[str, str] | None = None) -> Object:
    """Port 80 to the serving port of every pod of the predictor, whatever its revision."""
    service = predictor.service
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": predictor_name(service),
            "namespace": meta.namespace_of(service),
            "labels": labels(service),
            "annotations": dict(annotations or {}),
            "ownerReferences": [meta.owner_reference(service)],
        },
        "spec": {
            "selector": labels(service),
            "ports": [{"name": "http", "port": 80, "targetPort": predictor.port, "protocol": "TCP"}],
        },
    }
