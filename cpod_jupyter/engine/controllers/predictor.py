"""The children of an InferenceService: pods of its predictor and their Service. Pure."""

from __future__ import annotations

import copy
import re
from typing import Any

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import Object
from cpod_jupyter.engine.controllers import pods as podset

CONTAINER = "kserve-container"
MODEL_DIRECTORY = "/mnt/models"
SERVICE_LABEL = "serving.kserve.io/inferenceservice"
HASH_LABEL = "pod-template-hash"
STOP_ANNOTATION = "serving.kserve.io/stop"
STORAGE_URI = "STORAGE_URI"
DEFAULT_PORT = 8080

_MODEL_VOLUME = "kserve-pvc-source"
_NOT_POD_FIELDS = {
    "model", "minReplicas", "maxReplicas", "scaleTarget", "scaleMetric", "scaleMetricType", "autoScaling",
    "containerConcurrency", "timeout", "canaryTrafficPercent", "logger", "batcher", "labels", "annotations",
    "deploymentStrategy", "workerSpec", "storageUris", "storageContainerName",
}  # fmt: skip
"""Fields of a predictor that say how it is run; all others are those of its pods."""


def predictor_name(service: Object) -> str:
    return f"{meta.name_of(service)}-predictor"


def is_stopped(service: Object) -> bool:
    annotations = service["metadata"].get("annotations") or {}
    return str(annotations.get(STOP_ANNOTATION, "")).lower() == "true"


def wanted_replicas(service: Object) -> int:
    """How many pods: minReplicas (1 by default, 0 is allowed); none of a stopped service."""
    if is_stopped(service):
        return 0
    wanted = service["spec"]["predictor"].get("minReplicas")
    return 1 if wanted is None else int(wanted)


def serving_container(predictor: dict[str, Any]) -> dict[str, Any] | None:
    """The container that serves: the one named `kserve-container`, else the first."""
    containers = predictor.get("containers") or []
    named = [entry for entry in containers if entry.get("name") == CONTAINER]
    return next(iter([*named, *containers]), None)


def serving_port(service: Object) -> int:
    """The first port of the serving container."""
    container = serving_container(service["spec"]["predictor"]) or {}
    ports = container.get("ports") or []
    return int(ports[0]["containerPort"]) if ports else DEFAULT_PORT


def storage_uri(service: Object) -> str | None:
    """Where the model is, by the serving container's STORAGE_URI."""
    container = serving_container(service["spec"]["predictor"]) or {}
    for variable in container.get("env") or []:
        if variable.get("name") == STORAGE_URI:
            return str(variable.get("value") or "")
    return None


def claim_of(uri: str) -> tuple[str, str] | None:
    """The claim and the path in it that `pvc://CLAIM[/path]` names; None for another URI."""
    match = re.fullmatch(r"pvc://([^/]+)/?(.*)", uri)
    return (match[1], match[2].strip("/")) if match else None


def pod_spec(service: Object) -> dict[str, Any]:
    """The PodSpec of the predictor: the model mounted, a readiness probe on the serving port, always restarted."""
    predictor = service["spec"]["predictor"]
    spec: dict[str, Any] = copy.deepcopy({key: value for key, value in predictor.items() if key not in _NOT_POD_FIELDS})
    container = serving_container(spec)
    assert container is not None
    container.setdefault("readinessProbe", {"tcpSocket": {"port": serving_port(service)}, "periodSeconds": 10})
    uri = storage_uri(service)
    source = claim_of(uri) if uri else None
    if source is not None:
        claim, path = source
        mount = {"name": _MODEL_VOLUME, "mountPath": MODEL_DIRECTORY, "readOnly": True}
        if path:
            mount["subPath"] = path
        container["volumeMounts"] = [*(container.get("volumeMounts") or []), mount]
        volume = {"name": _MODEL_VOLUME, "persistentVolumeClaim": {"claimName": claim, "readOnly": True}}
        spec["volumes"] = [*(spec.get("volumes") or []), volume]
        for variable in container["env"]:
            if variable.get("name") == STORAGE_URI:
                variable["value"] = MODEL_DIRECTORY  # as KServe's storage initializer leaves it
    spec["restartPolicy"] = "Always"
    return spec


def revision(service: Object) -> str:
    """Names a version of the predictor: it changes with what its pods are made of, not with their number."""
    predictor = service["spec"]["predictor"]
    return meta.spec_hash([pod_spec(service), predictor.get("labels"), predictor.get("annotations")])


def labels(service: Object) -> dict[str, str]:
    return {SERVICE_LABEL: meta.name_of(service), "component": "predictor", "app": f"isvc.{predictor_name(service)}"}


def predictor_pod(service: Object, number: int) -> Object:
    """The pod of that number in the present revision."""
    predictor, current = service["spec"]["predictor"], revision(service)
    template = {
        "metadata": {"labels": predictor.get("labels"), "annotations": predictor.get("annotations")},
        "spec": pod_spec(service),
    }
    name = f"{predictor_name(service)}-{current}-{number}"
    return podset.from_template(template, service, name, {**labels(service), HASH_LABEL: current})


def predictor_service(service: Object) -> Object:
    """Port 80 to the serving port of every pod of the predictor, whatever its revision."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": predictor_name(service),
            "namespace": meta.namespace_of(service),
            "labels": labels(service),
            "ownerReferences": [meta.owner_reference(service)],
        },
        "spec": {
            "selector": labels(service),
            "ports": [{"name": "http", "port": 80, "targetPort": serving_port(service), "protocol": "TCP"}],
        },
    }
