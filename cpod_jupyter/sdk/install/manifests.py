"""The manifests of an installation, in the order in which they can be applied. Pure."""

from __future__ import annotations

import copy
import hashlib
from dataclasses import dataclass
from typing import Any

from cpod_jupyter.api.crds import cpod_crds
from cpod_jupyter.api.resources import CONFIGMAPS, DEPLOYMENTS, NAMESPACES, SERVICES, Object, Resource
from cpod_jupyter.control.certificates import Issued
from cpod_jupyter.operator.running import SYSTEM_NAMESPACE
from cpod_jupyter.operator.settings import Settings
from cpod_jupyter.operator.settings_file import FILE_NAME
from cpod_jupyter.sdk.install import webhooks
from cpod_jupyter.sdk.install.roles import NAME, operator_roles, user_roles
from cpod_jupyter.version import VERSION

DISRUPTION_BUDGETS = Resource("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget")
PRIORITY_CLASSES = Resource("scheduling.k8s.io", "v1", "priorityclasses", "PriorityClass", namespaced=False)

LABELS = {
    "app.kubernetes.io/name": NAME,
    "app.kubernetes.io/version": VERSION,
    "app.kubernetes.io/part-of": "cpod-jupyter",
    "app.kubernetes.io/managed-by": "cpod-install",
}
_SELECTOR = {"app.kubernetes.io/name": NAME}

_HEALTH_PORT = 8081
_CONFIG_FOLDER = "/etc/cpod"
_USER = 65532
"""Nobody's, as in distroless images; the Dockerfile makes it."""
_PRIORITY = 1_000_000
"""Above what people submit (0), and far below the cluster's own (two thousand millions)."""
_DEEPEST_DESCRIPTION = 6
"""Properties nested deeper than this in a definition lose their description: those are Kubernetes' own types'."""


@dataclass(frozen=True)
class Choices:
    """What a person may choose."""

    namespace: str = SYSTEM_NAMESPACE
    image: str = Settings().runtime_image
    settings: str = ""
    """The operator's settings, YAML; empty for the defaults."""
    replicas: int = 2
    webhook: Issued | None = None
    """The certificate of the admission webhook, which is installed where there is one."""


def manifests(choices: Choices) -> list[Object]:
    """Everything: what others refer to comes first."""
    issued = choices.webhook
    return [
        _labelled(obj)
        for obj in (
            {**_head(NAMESPACES, choices.namespace), "metadata": _namespace_metadata(choices.namespace)},
            *lean_crds(),
            *operator_roles(choices.namespace),
            *user_roles(),
            _priority_class(),
            _settings(choices),
            _service(choices),
            *([webhooks.secret(choices.namespace, issued), webhooks.service(choices.namespace)] if issued else []),
            _deployment(choices),
            _disruption_budget(choices),
            *([webhooks.configuration(choices.namespace, issued)] if issued else []),
        )
    ]


def lean_crds() -> list[Object]:
    """The project's definitions without the descriptions of Kubernetes' own types in them.

    kubectl keeps what it applied in an annotation, and annotations end at 256 KiB (apimachinery,
    TotalAnnotationSizeLimitB); with every description CPodJob's is larger.
    """
    found = copy.deepcopy(cpod_crds())
    for definition in found:
        for version in definition["spec"]["versions"]:
            _shorten(version["schema"]["openAPIV3Schema"], 0)
    return found


def _shorten(schema: Any, depth: int) -> None:
    if not isinstance(schema, dict):
        return
    if depth > _DEEPEST_DESCRIPTION and isinstance(schema.get("description"), str):
        del schema["description"]
    for name in ("properties", "items", "additionalProperties"):
        inner = schema.get(name)
        if name == "properties" and isinstance(inner, dict):
            for field in inner.values():
                _shorten(field, depth + 2)
        else:
            _shorten(inner, depth + 1)


def _labelled(obj: Object) -> Object:
    metadata = obj["metadata"]
    return {**obj, "metadata": {**metadata, "labels": {**LABELS, **(metadata.get("labels") or {})}}}


def _head(resource: Resource, name: str, namespace: str = "") -> Object:
    metadata = {"name": name, "namespace": namespace} if namespace else {"name": name}
    return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata}


def _namespace_metadata(name: str) -> Object:
    """The operator's pods keep to level restricted of the Pod Security Standards (Kubernetes documentation)."""
    return {"name": name, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}}


def _priority_class() -> Object:
    return {
        **_head(PRIORITY_CLASSES, NAME),
        "value": _PRIORITY,
        "globalDefault": False,
        "description": "The operator of cpod-jupyter: before what people submit.",
    }


def _settings(choices: Choices) -> Object:
    text = choices.settings or f"# See docs/cluster.md for every setting.\nruntimeImage: {choices.image}\n"
    return {**_head(CONFIGMAPS, NAME, choices.namespace), "data": {FILE_NAME: text}}


def _service(choices: Choices) -> Object:
    port = {"name": "metrics", "port": _HEALTH_PORT, "targetPort": "health", "protocol": "TCP"}
    return {
        **_head(SERVICES, f"{NAME}-metrics", choices.namespace),
        "spec": {"selector": _SELECTOR, "ports": [port]},
    }


def _deployment(choices: Choices) -> Object:
    digest = hashlib.sha256(_settings(choices)["data"][FILE_NAME].encode()).hexdigest()[:16]
    pod = _pod(choices)
    if choices.webhook:
        _add_webhook(pod)
    marks = {"cpod.cpod/settings": digest}
    if choices.webhook:  # a renewed certificate is not waited for until the mounted Secret follows
        marks["cpod.cpod/webhook"] = hashlib.sha256(choices.webhook.certificate).hexdigest()[:16]
    template = {"metadata": {"labels": LABELS, "annotations": marks}, "spec": pod}
    return {
        **_head(DEPLOYMENTS, NAME, choices.namespace),
        "spec": {"replicas": choices.replicas, "selector": {"matchLabels": _SELECTOR}, "template": template},
    }


def _pod(choices: Choices) -> Object:
    spread = {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": _SELECTOR},
    }
    return {
        "serviceAccountName": NAME,
        "priorityClassName": NAME,
        "topologySpreadConstraints": [spread],
        "terminationGracePeriodSeconds": 30,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _USER,
            "runAsGroup": _USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(choices)],
        "volumes": [
            {"name": "settings", "configMap": {"name": NAME}},
            {"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}},
        ],
    }


def _container(choices: Choices) -> Object:
    return {
        "name": "operator",
        "image": choices.image,
        "command": ["python", "-m", "cpod_jupyter.operator"],
        "args": [
            f"--config={_CONFIG_FOLDER}/{FILE_NAME}",
            "--health-address=$(POD_IP)",
            f"--health-port={_HEALTH_PORT}",
            "--log-format=json",
        ],
        "env": [
            {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            {"name": "POD_NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
            {"name": "PYTHONDONTWRITEBYTECODE", "value": "1"},
        ],
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "ports": [{"name": "health", "containerPort": _HEALTH_PORT, "protocol": "TCP"}],
        "livenessProbe": _probe("/healthz", period=20, failures=3),
        "readinessProbe": _probe("/readyz", period=5, failures=3),
        "startupProbe": _probe("/healthz", period=2, failures=30),
        "resources": {"requests": {"cpu": "100m", "memory": "192Mi"}, "limits": {"memory": "1Gi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "settings", "mountPath": _CONFIG_FOLDER, "readOnly": True},
            {"name": "tmp", "mountPath": "/tmp"},
        ],
    }


def _add_webhook(pod: Object) -> None:
    container = pod["containers"][0]
    container["args"] += [f"--webhook-port={webhooks.PORT}", f"--webhook-certificates={webhooks.FOLDER}"]
    container["ports"].append({"name": "webhook", "containerPort": webhooks.PORT, "protocol": "TCP"})
    container["volumeMounts"].append({"name": "webhook", "mountPath": webhooks.FOLDER, "readOnly": True})
    pod["volumes"].append({"name": "webhook", "secret": {"secretName": webhooks.SERVICE}})
    pod["securityContext"]["fsGroup"] = _USER  # whose members may read the key


def _probe(path: str, *, period: int, failures: int) -> Object:
    return {
        "httpGet": {"path": path, "port": "health"},
        "periodSeconds": period,
        "failureThreshold": failures,
        "timeoutSeconds": 5,
    }


def _disruption_budget(choices: Choices) -> Object:
    return {
        **_head(DISRUPTION_BUDGETS, NAME, choices.namespace),
        "spec": {"minAvailable": 1, "selector": {"matchLabels": _SELECTOR}},
    }
