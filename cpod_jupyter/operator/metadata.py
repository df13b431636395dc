"""What an object's metadata says, and what a child's has to. Pure."""

from __future__ import annotations

from typing import Any

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import Object


def generation(obj: Object) -> int:
    return int(obj["metadata"].get("generation") or 0)


def observed_generation(obj: Object) -> int:
    return int((obj.get("status") or {}).get("observedGeneration") or 0)


def annotation(obj: Object, name: str) -> str:
    return str((obj["metadata"].get("annotations") or {}).get(name, ""))


def child_metadata(name: str, owner: Object, annotations: dict[str, str] | None = None) -> dict[str, Any]:
    """Metadata of a child: in the owner's namespace, and owned by it."""
    metadata: dict[str, Any] = {
        "name": name,
        "namespace": meta.namespace_of(owner),
        "ownerReferences": [meta.owner_reference(owner)],
    }
    if annotations:
        metadata["annotations"] = annotations
    return metadata
