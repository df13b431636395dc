"""What the API server adds to and asks of the built-in kinds beyond their schemas.

Each kind's strategy fills defaults of a new object and checks a changed one, as the strategies of
Kubernetes' registry do; here is the part that clients and controllers rely on.
"""

from __future__ import annotations

import base64
from collections.abc import Callable

from cpod_jupyter.api.resources import Object
from cpod_jupyter.api.schema import Problem
from cpod_jupyter.engine.strategies.pods import spec_defaults

Prepare = Callable[[Object], None]
"""Fills in defaults of an object about to be stored; may change it."""

Check = Callable[[Object, Object], list[Problem]]
"""Faults of a change from the first object to the second."""


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
    spec_defaults(spec["template"].setdefault("spec", {}))


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
