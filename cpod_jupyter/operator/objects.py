"""What every reconciler does with objects: look up, create as a child, write a status, refuse."""

from __future__ import annotations

from typing import Any

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import Object, Resource
from cpod_jupyter.control.api import KubeApi
from cpod_jupyter.errors import Conflict, Invalid, NotFound, WorkFailed


class Refused(WorkFailed):
    """An object asks for what cannot be done; becomes its failure message. Never leaves the operator.

    `reason` is a condition's or an event's: one word in camel case, for programs.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def find(api: KubeApi, resource: Resource, name: str, namespace: str) -> Object | None:
    """The object, or None where there is none."""
    try:
        return api.get(resource, name, namespace)
    except NotFound:
        return None


def find_live(api: KubeApi, resource: Resource, name: str, namespace: str) -> Object | None:
    """A primary to reconcile: None as well when it is being deleted, for then nothing is to be done."""
    obj = find(api, resource, name, namespace)
    return None if obj is None or is_going(obj) else obj


def is_going(obj: Object) -> bool:
    return bool(obj["metadata"].get("deletionTimestamp"))


def generation(obj: Object) -> int:
    return int(obj["metadata"].get("generation") or 0)


def observed_generation(obj: Object) -> int:
    return int((obj.get("status") or {}).get("observedGeneration") or 0)


def annotation(obj: Object, name: str) -> str:
    return str((obj["metadata"].get("annotations") or {}).get(name, ""))


def find_child(api: KubeApi, resource: Resource, name: str, owner: Object) -> Object | None:
    """The child of that name, or None where the name is free.

    Raises Refused when the name belongs to someone else, and Conflict while the child of an earlier
    owner of the same name still waits for garbage collection: the reconciler then comes again.
    """
    found = find(api, resource, name, meta.namespace_of(owner))
    if found is None or meta.is_controlled_by(found, owner):
        return found
    holder = meta.controller_of(found)
    if holder is not None and (holder["kind"], holder["name"]) == (owner["kind"], meta.name_of(owner)):
        raise Conflict(f"the {resource.kind} {name} of an earlier {owner['kind']} is still being deleted")
    raise Refused(
        "NameTaken",
        f"a {resource.kind} named {name!r} is already there and does not belong to this {owner['kind']}; "
        f"delete it, or choose another name for the {owner['kind']}",
    )


def ensure_child(api: KubeApi, resource: Resource, child: Object, owner: Object) -> tuple[Object, bool]:
    """The child as it is, and whether it was just created. Raises Refused and Conflict as `find_child`.

    What the API server finds invalid is refused too, in its words: it will not become valid by waiting.
    """
    found = find_child(api, resource, meta.name_of(child), owner)
    if found is not None:
        return found, False
    try:
        return api.create(resource, child), True
    except Invalid as error:
        raise Refused("Rejected", f"the {resource.kind} {meta.name_of(child)} is not valid: {error}") from error


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


def write_status(api: KubeApi, resource: Resource, obj: Object, changes: dict[str, Any]) -> bool:
    """Put changes over the object's status; False, and no call, when that changes nothing.

    A None removes the field. Raises Conflict when the object changed since it was read.
    """
    old = obj.get("status") or {}
    new = {**old, **changes, "observedGeneration": generation(obj)}
    new = {key: value for key, value in new.items() if value is not None}
    if new == old:
        return False
    api.replace(resource, {**obj, "status": new}, subresource="status")
    return True
