"""What the API server adds to and asks of the built-in kinds beyond their schemas.

Each kind's strategy fills defaults of a new object and checks a changed one, as the strategies of
Kubernetes' registry do; here is the part that clients and controllers rely on.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

from cpod_jupyter.api.resources import Object
from cpod_jupyter.api.schema import Problem
from cpod_jupyter.engine.definitions import definition_problems, prepared

Prepare = Callable[[Object], None]
"""Fills in defaults of an object about to be stored; may change it."""

Check = Callable[[Object, Object], list[Problem]]
"""Faults of a change from the first object to the second."""


def _pod(pod: Object) -> None:
    pod_spec(pod.setdefault("spec", {}))
    pod["spec"].setdefault("serviceAccountName", "default")
    pod["spec"].setdefault("enableServiceLinks", True)
    status = pod.setdefault("status", {})
    status.setdefault("phase", "Pending")
    status.setdefault("qosClass", "BestEffort")


def pod_spec(spec: dict[str, Any]) -> None:
    """Defaults of a pod's spec (core/v1 defaults)."""
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("terminationGracePeriodSeconds", 30)
    spec.setdefault("dnsPolicy", "ClusterFirst")
    spec.setdefault("schedulerName", "default-scheduler")
    spec.setdefault("securityContext", {})
    for container in [*(spec.get("containers") or []), *(spec.get("initContainers") or [])]:
        container.setdefault("terminationMessagePath", "/dev/termination-log")
        container.setdefault("terminationMessagePolicy", "File")
        container.setdefault("imagePullPolicy", "IfNotPresent")
        container.setdefault("resources", {})
        resources = container["resources"]
        if resources.get("limits"):
            resources["requests"] = {**resources["limits"], **(resources.get("requests") or {})}
        for port in container.get("ports") or []:
            port.setdefault("protocol", "TCP")


_MUTABLE_POD_FIELDS = ("activeDeadlineSeconds", "tolerations", "terminationGracePeriodSeconds")


def _pod_change(old: Object, new: Object) -> list[Problem]:
    def fixed(spec: dict[str, Any]) -> dict[str, Any]:
        rest = {key: value for key, value in spec.items() if key not in _MUTABLE_POD_FIELDS}
        rest["containers"] = [{**item, "image": ""} for item in spec.get("containers") or []]
        rest["initContainers"] = [{**item, "image": ""} for item in spec.get("initContainers") or []]
        if not old["spec"].get("nodeName"):
            rest.pop("nodeName", None)  # binding sets it once
        return rest

    if fixed(old["spec"]) == fixed(new["spec"]):
        return []
    text = "pod updates may not change fields other than the images, activeDeadlineSeconds and tolerations"
    return [Problem(("spec",), "FieldValueForbidden", text)]


def _job(job: Object) -> None:
    spec = job.setdefault("spec", {})
    spec.setdefault("parallelism", 1)
    if "completions" not in spec and spec["parallelism"] == 1:
        spec["completions"] = 1
    spec.setdefault("backoffLimit", 6)
    spec.setdefault("completionMode", "NonIndexed")
    spec.setdefault("suspend", False)
    uid, name = job["metadata"]["uid"], job["metadata"]["name"]
    if not spec.get("manualSelector"):
        spec["selector"] = {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}
        labels = spec.setdefault("template", {}).setdefault("metadata", {}).setdefault("labels", {})
        labels.update(
            {
                "batch.kubernetes.io/controller-uid": uid,
                "batch.kubernetes.io/job-name": name,
                "controller-uid": uid,
                "job-name": name,
            }
        )
    pod_spec(spec["template"].setdefault("spec", {}))


def _service(service: Object) -> None:
    spec = service.setdefault("spec", {})
    spec.setdefault("type", "ClusterIP")
    spec.setdefault("sessionAffinity", "None")
    for port in spec.get("ports") or []:
        port.setdefault("protocol", "TCP")
        port.setdefault("targetPort", port.get("port"))
    service.setdefault("status", {"loadBalancer": {}})


def _secret(secret: Object) -> None:
    secret.setdefault("type", "Opaque")
    plain = secret.pop("stringData", None) or {}
    if plain:
        encoded = {key: base64.b64encode(str(value).encode()).decode() for key, value in plain.items()}
        secret["data"] = {**(secret.get("data") or {}), **encoded}


def _namespace(namespace: Object) -> None:
    namespace["spec"] = {"finalizers": ["kubernetes"]}
    namespace.setdefault("status", {}).setdefault("phase", "Active")
    labels = namespace["metadata"].setdefault("labels", {})
    labels["kubernetes.io/metadata.name"] = namespace["metadata"]["name"]


def _claim(claim: Object) -> None:
    claim.setdefault("status", {}).setdefault("phase", "Pending")
    claim.setdefault("spec", {}).setdefault("volumeMode", "Filesystem")


def _crd(definition: Object) -> None:
    definition.update(prepared(definition))


PREPARE: dict[str, Prepare] = {
    "/pods": _pod,
    "batch/jobs": _job,
    "/services": _service,
    "/secrets": _secret,
    "/namespaces": _namespace,
    "/persistentvolumeclaims": _claim,
    "apiextensions.k8s.io/customresourcedefinitions": _crd,
}
ALWAYS_PREPARED = frozenset({"/secrets", "apiextensions.k8s.io/customresourcedefinitions"})
"""What is filled in on every change, not only for a new object."""

VALIDATE: dict[str, Callable[[Object | None, Object], list[Problem]]] = {
    "apiextensions.k8s.io/customresourcedefinitions": definition_problems,
}
"""Faults of a new object (the first one is None) or a changed one, beyond its schema."""

CHECK: dict[str, Check] = {"/pods": _pod_change}
