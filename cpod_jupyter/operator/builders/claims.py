"""PersistentVolumeClaims, and how pods mount them."""

from __future__ import annotations

from typing import Any

from cpod_jupyter.api.resources import Object
from cpod_jupyter.operator.metadata import child_metadata
from cpod_jupyter.operator.settings import Settings

MIB = 2**20


def claim(name: str, owner: Object, size: str, settings: Settings) -> Object:
    """A claim of that size, a quantity. ReadWriteMany: several pods on several nodes use the files."""
    spec: dict[str, Any] = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": size}}}
    if settings.storage_class:
        spec["storageClassName"] = settings.storage_class
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": child_metadata(name, owner),
        "spec": spec,
    }


def claim_volume(volume: str, claim_name: str) -> dict[str, Any]:
    return {"name": volume, "persistentVolumeClaim": {"claimName": claim_name}}


def with_headroom(size: int) -> str:
    """The quantity for a claim that is to hold that many bytes: a fifth more, in whole MiB."""
    return f"{-(-size * 6 // (5 * MIB))}Mi"
