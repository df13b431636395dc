"""What every reconciler does with objects: look up, create as a child, write a status, refuse."""

from __future__ import annotations

from typing import Any

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import NAMESPACES, Object, Resource
from cpod_jupyter.control.api import KubeApi
from cpod_jupyter.errors import BadRequest, Conflict, Forbidden, Invalid, NotFound, WorkFailed
from cpod_jupyter.operator.metadata import generation


class Refused(WorkFailed):
    """An object asks for what cannot be done; becomes its failure message. Never leaves the operator.

    `reason` is a condition's or an event's: one word in camel case, for programs.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def find(api: KubeApi, resource: Resource, name: str, namespace: str) -> Object | None:
    """The object, or None where there is none: also for what is no object's name, such as ORG/NAME of a hub."""
    if "/" in name:  # in a URL it would be another path
        return None
    try:
        return api.get(resource, name, namespace)
    except NotFound:
        return None


def find_live(api: KubeApi, resource: Resource, name: str, namespace: str) -> Object | None:
    """A primary to reconcile: None as well when it is being deleted, for then nothing is to be done."""
    obj = find(api, resource, name, namespace)
    return None if obj is None or meta.is_going(obj) else obj


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

    What the API server does not accept (a rule, a quota, a webhook, a kind it does not know) is refused
    too, in its words.
    """
    found = find_child(api, resource, meta.name_of(child), owner)
    if found is not None:
        return found, False
    name = meta.name_of(child)
    try:
        return api.create(resource, child), True
    except (Invalid, BadRequest, Forbidden) as error:
        raise Refused("Rejected", f"the cluster does not accept the {resource.kind} {name!r}: {error}") from error
    except NotFound as error:
        if error.details.get("kind") == NAMESPACES.plural:
            raise  # it is being deleted, and the owner with it
        raise Refused(
            "KindUnknown", f"the cluster does not know the kind {resource.kind} ({resource.api_version}): {error}"
        ) from error


def update_child(api: KubeApi, resource: Resource, child: Object) -> Object:
    """Put a child in the place of what it was. Raises Refused for what the API server does not accept."""
    try:
        return api.replace(resource, child)
    except (Invalid, BadRequest, Forbidden) as error:
        name = child["metadata"]["name"]
        raise Refused("Rejected", f"the cluster does not accept the {resource.kind} {name!r}: {error}") from error


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
