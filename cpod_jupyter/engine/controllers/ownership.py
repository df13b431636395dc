"""Which objects a controller holds: by owner reference, with strays that its selector matches adopted.

As Kubernetes' controller_ref_manager: an object that is controlled and no longer matches is let go.
"""

from __future__ import annotations

from typing import Any

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import Object, Resource
from cpod_jupyter.control.api import KubeApi
from cpod_jupyter.engine.strategies.faults import selects
from cpod_jupyter.errors import Conflict, NotFound


def claimed(api: KubeApi, resource: Resource, owner: Object) -> list[Object]:
    """The owner's objects of a kind, by name, after adoption and release."""
    selector = owner["spec"].get("selector") or {}
    found = []
    for obj in api.list(resource, meta.namespace_of(owner)).items:
        controller = meta.controller_of(obj)
        matches = selects(selector, obj["metadata"].get("labels") or {})
        if controller is not None and controller.get("uid") == meta.uid_of(owner):
            if matches or meta.is_going(owner):
                found.append(obj)
            else:
                _release(api, resource, owner, obj)
        elif controller is None and matches and not meta.is_going(owner) and not meta.is_going(obj):
            adopted = _adopt(api, resource, owner, obj)
            if adopted is not None:
                found.append(adopted)
    return sorted(found, key=meta.name_of)


def _adopt(api: KubeApi, resource: Resource, owner: Object, obj: Object) -> Object | None:
    references = [*(obj["metadata"].get("ownerReferences") or []), meta.owner_reference(owner)]
    return _set_owners(api, resource, obj, references)


def _release(api: KubeApi, resource: Resource, owner: Object, obj: Object) -> None:
    others = [item for item in obj["metadata"]["ownerReferences"] if item.get("uid") != meta.uid_of(owner)]
    _set_owners(api, resource, obj, others or None)


def _set_owners(api: KubeApi, resource: Resource, obj: Object, references: Any) -> Object | None:
    change = {"metadata": {"uid": meta.uid_of(obj), "ownerReferences": references}}
    try:
        return api.patch(resource, meta.name_of(obj), change, meta.namespace_of(obj))
    except (Conflict, NotFound):
        return None  # it changed or went meanwhile, which is told of
