"""A copy of a public storage in a user's namespace: the object, a second volume of the same data, and its claim.

Pure. A claim is of one namespace, and a volume of one claim; so a second PersistentVolume says where the same data
are. It only reads them, and it is retained: the data go with the public storage, never with a copy.
"""

from __future__ import annotations

import copy
from typing import Any

from cpod_jupyter.api import meta, names
from cpod_jupyter.api.resources import Object
from cpod_jupyter.operator.metadata import child_metadata
from cpod_jupyter.operator.storage_kinds import StorageKind

_READ_ONLY_SOURCES = (
    "csi", "nfs", "cephfs", "rbd", "glusterfs", "iscsi", "fc", "azureFile", "azureDisk", "gcePersistentDisk",
    "awsElasticBlockStore", "cinder", "portworxVolume", "scaleIO", "storageos", "flexVolume", "quobyte",
)  # fmt: skip
"""Volume sources with a field `readOnly` (core/v1 PersistentVolumeSource); hostPath and local have none."""
_NOT_COPIED = ("claimRef", "accessModes", "persistentVolumeReclaimPolicy", "storageClassName")
_READ_ONLY_MANY = "ReadOnlyMany"


def storage(kind: StorageKind, original: Object, namespace: str) -> Object:
    """The copy's object: what the original says about the model or dataset, and whose copy it is."""
    annotations = dict(original["metadata"].get("annotations") or {})
    kept = {key: value for key, value in annotations.items() if key.startswith("cpod.cpod/")}
    kept[names.ANNOTATION_COPY_OF] = meta.uid_of(original)
    spec = {key: value for key, value in original["spec"].items() if key not in ("pvc", "converttensortrengine")}
    return {
        "apiVersion": kind.resource.api_version,
        "kind": kind.resource.kind,
        "metadata": {
            "name": names.public_copy(meta.name_of(original)),
            "namespace": namespace,
            "labels": {names.LABEL_COPY: "true"},
            "annotations": kept,
        },
        "spec": spec,
    }


def whose(kind: StorageKind, namespace: str, name: str) -> str:
    """How a volume names the copy that it is for."""
    return f"{kind.resource.kind}/{namespace}/{name}"


def claim_name(original_claim: str) -> str:
    return names.public_copy(original_claim)


def volume(kind: StorageKind, original: Object, of: Object, claim: str) -> Object:
    """The second volume of what is in `original`, for the claim of the copy `of`."""
    namespace = meta.namespace_of(of)
    spec: dict[str, Any] = copy.deepcopy({k: v for k, v in original["spec"].items() if k not in _NOT_COPIED})
    for source in _READ_ONLY_SOURCES:
        if source in spec:
            spec[source]["readOnly"] = True
    spec |= {
        "accessModes": [_READ_ONLY_MANY],
        "persistentVolumeReclaimPolicy": "Retain",
        "claimRef": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": namespace, "name": claim},
    }
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {
            "name": names.copied_volume(meta.name_of(original), namespace),
            "labels": {names.LABEL_COPY: "true"},
            "annotations": {names.ANNOTATION_COPY: whose(kind, namespace, meta.name_of(of))},
        },
        "spec": spec,
    }


def claim(name: str, volume: Object, of: Object) -> Object:
    """The copy's claim, of that volume and no other."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {**child_metadata(name, of), "labels": {names.LABEL_COPY: "true"}},
        "spec": {
            "accessModes": [_READ_ONLY_MANY],
            "resources": {"requests": {"storage": volume["spec"]["capacity"]["storage"]}},
            "storageClassName": "",
            "volumeName": meta.name_of(volume),
        },
    }
