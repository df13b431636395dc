"""The Secrets that pods get their keys from: by name only, a value never passes through the operator."""

from __future__ import annotations

from typing import Any

from cpod_jupyter.api import names
from cpod_jupyter.api.resources import Object
from cpod_jupyter.operator.metadata import annotation
from cpod_jupyter.operator.settings import Settings


def object_store(settings: Settings, obj: Object) -> list[dict[str, Any]]:
    """The `envFrom` of a container that reads or writes an object store for `obj`.

    The Secret's keys are environment variables, as the store's own tools name them (AWS_ACCESS_KEY_ID, …). The one
    of the settings may be absent, for a store may be open to all; the one that the object's annotation names must
    be there, and until it is, the pod waits.
    """
    named = annotation(obj, names.ANNOTATION_SECRET)
    if named:
        return [{"secretRef": {"name": named}}]
    if not settings.object_store_secret:
        return []
    return [{"secretRef": {"name": settings.object_store_secret, "optional": True}}]
