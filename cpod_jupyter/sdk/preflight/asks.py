"""What an object asks for: storages and Secrets by name, and pods with their GPUs. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cpod_jupyter.api import names, scheduling
from cpod_jupyter.api.quantity import is_quantity
from cpod_jupyter.api.resources import CPODJOBS, FINETUNES, INFERENCES, JOBS, TRAINJOBS, Object, Resource

GPU, PRODUCT = "nvidia.com/gpu", "nvidia.com/gpu.product"


@dataclass(frozen=True)
class Named:
    """A storage that an object names. `field` is where; `catalogue`: a model of the catalogue will do as well."""

    kind: str
    name: str
    field: str
    public: bool = False
    catalogue: bool = False


@dataclass(frozen=True)
class Pods:
    """`replicas` equal pods of a role."""

    role: str
    replicas: int
    spec: dict[str, Any]

    @property
    def gpus(self) -> int:
        """Of one pod."""
        return int(scheduling.requests(self.spec).get(GPU, 0))


def named_storages(resource: Resource, obj: Object) -> Iterator[Named]:
    spec = obj.get("spec") or {}
    if resource == FINETUNES:
        yield Named("model", spec.get("model") or "", "model", catalogue=True)
        yield Named("dataset", spec.get("dataset") or "", "dataset", bool(spec.get("datasetIsPublic")))
    elif resource == CPODJOBS:
        if name := spec.get("pretrainModelName"):
            yield Named("model", name, "pretrainModelName", bool(spec.get("pretrainModelIsPublic")))
        if name := spec.get("datasetName"):
            yield Named("dataset", name, "datasetName", bool(spec.get("datasetIsPublic")))
    elif resource == INFERENCES and (name := spec.get("modelId")):
        yield Named("model", name, "modelId", bool(spec.get("modelIsPublic")))


def secrets_of(obj: Object) -> set[str]:
    """Secrets that the object cannot do without, wherever its pod templates name them."""
    annotated = (obj["metadata"].get("annotations") or {}).get(names.ANNOTATION_SECRET)
    return {*_secrets(obj.get("spec")), *([annotated] if annotated else [])}


def _secrets(node: Any) -> Iterator[str]:
    if isinstance(node, list):
        for item in node:
            yield from _secrets(item)
    elif isinstance(node, Mapping):
        for key, value in node.items():
            if key in ("secretKeyRef", "secretRef", "secret") and isinstance(value, Mapping):
                name = value.get("secretName") or value.get("name")
                if isinstance(name, str) and name and not value.get("optional"):
                    yield name
            else:
                yield from _secrets(value)


def pods_of(resource: Resource, obj: Object) -> list[Pods]:
    """The pods of everything but a FineTune, whose device the operator's plan chooses."""
    spec = obj.get("spec") or {}
    if resource == CPODJOBS and not spec.get("replicaSpecs"):
        replicas, gpus = max(1, int(spec.get("workerReplicas") or 1)), int(spec.get("gpuRequiredPerReplica") or 0)
        return [Pods("worker", replicas, with_gpus(gpus, str(spec.get("gpuType") or "")))]
    if resource == INFERENCES:
        return [Pods("server", 1, with_gpus(int(spec.get("gpuCount") or 0), str(spec.get("gpuType") or "")))]
    if resource == TRAINJOBS:
        trainer = spec.get("trainer") or {}
        container = {"resources": trainer.get("resourcesPerNode") or {}}
        return [Pods("node", int(trainer.get("numNodes") or 1), {"containers": [container]})]
    if resource == JOBS:
        return [Pods("pod", int(spec.get("parallelism") or 1), _pod_spec(spec.get("template")))]
    field = next((name for name in spec if name.lower().endswith("replicaspecs")), "")
    found = []
    for role, entry in (spec.get(field) or {}).items():
        count = (entry or {}).get("replicas")
        found.append(Pods(role.lower(), 1 if count is None else int(count), _pod_spec((entry or {}).get("template"))))
    return found


def with_gpus(gpus: int, product: str = "") -> dict[str, Any]:
    """The least that is known of a pod which asks for GPUs of a type."""
    limits = {"limits": {GPU: str(gpus)}} if gpus else {}
    selector = {"nodeSelector": {PRODUCT: product}} if product and gpus else {}
    return {"containers": [{"resources": limits}], **selector}


def _pod_spec(template: Any) -> dict[str, Any]:
    """A template's pod, without amounts that are no quantities: the server has said so already."""
    spec = dict((template or {}).get("spec") or {})
    for field in ("containers", "initContainers"):
        spec[field] = [_sound(container) for container in spec.get(field) or []]
    return spec


def _sound(container: Mapping[str, Any]) -> dict[str, Any]:
    resources = {
        kind: {name: amount for name, amount in amounts.items() if is_quantity(amount)}
        for kind, amounts in (container.get("resources") or {}).items()
        if kind in ("limits", "requests") and isinstance(amounts, Mapping)
    }
    return {**container, "resources": resources}
