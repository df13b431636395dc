"""Submitting objects: created, configured or unchanged, and never a second run by accident."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Literal

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import CPODJOBS, FINETUNES, MODELSTORAGES, PVCS, Object, Resource, of_object
from cpod_jupyter.errors import AlreadyExists, Conflict, CpodError, NotFound, WaitTimeout
from cpod_jupyter.sdk.kinds import RUN_ONCE, word_of
from cpod_jupyter.sdk.states import status_of

if TYPE_CHECKING:
    from cpod_jupyter.client.client import Client

Outcome = Literal["created", "configured", "unchanged"]

HASH = "cpod.cpod/spec-hash"
"""Annotation with the hash of what was submitted, so that the same cell finds its object again."""

_KEPT = ("metadata", "status")
_GONE_SECONDS = 60.0
_ATTEMPTS = 5


class AlreadyRun(CpodError):
    """The name belongs to a run of another specification."""


def submit(client: Client, obj: Object, *, new: bool = False) -> tuple[Object, Outcome]:
    """Bring an object to what is asked for. `new` deletes one of that name first, and its result.

    Raises AlreadyRun when the name belongs to a run (a job, a fine-tune) of another spec.
    """
    resource = of_object(obj)
    assert resource is not None, "checked objects have a known kind"
    obj = _hashed(obj)
    name, namespace = obj["metadata"].get("name"), obj["metadata"].get("namespace")
    if not name:
        return client.create(resource, obj), "created"
    if new:
        discard(client, resource, name, namespace)
    for _ in range(_ATTEMPTS):
        try:
            existing = client.get(resource, name, namespace)
        except NotFound:
            try:
                return client.create(resource, obj), "created"
            except AlreadyExists:
                continue  # someone was faster: look at theirs
        if meta.is_going(existing):
            wait_gone(client, resource, name, namespace, meta.uid_of(existing))
            continue
        if _same(existing, obj):
            return existing, "unchanged"
        if resource in RUN_ONCE:
            raise _already_run(resource, existing)
        try:
            return client.replace(resource, _merged(existing, obj)), "configured"
        except (Conflict, NotFound):
            continue
    raise CpodError(f"{word_of(resource)}/{name} changes all the time; try again")


def is_same(client: Client, obj: Object) -> bool:
    """Whether what is asked for is there already, so that nothing need be prepared for it.

    Raises AlreadyRun when the name belongs to a run of another spec, as `submit` would.
    """
    resource = of_object(obj)
    assert resource is not None, "checked objects have a known kind"
    name = obj["metadata"].get("name")
    try:
        existing = client.get(resource, name, obj["metadata"].get("namespace")) if name else None
    except NotFound:
        existing = None
    if existing is None or meta.is_going(existing):
        return False
    same = _same(existing, _hashed(obj))
    if not same and resource in RUN_ONCE:
        raise _already_run(resource, existing)
    return same


def remove(client: Client, resource: Resource, name: str, namespace: str | None, *, missing_ok: bool = False) -> None:
    """Delete an object and what was made for it, and wait until it is gone."""
    try:
        uid = meta.uid_of(client.get(resource, name, namespace))
        client.delete(resource, name, namespace, propagation="Foreground", uid=uid)
        wait_gone(client, resource, name, namespace, uid)
    except NotFound:
        if not missing_ok:
            raise


def discard(client: Client, resource: Resource, name: str, namespace: str | None) -> None:
    """Delete an object, if it is there, with what was made for it and what it has left."""
    remove(client, resource, name, namespace, missing_ok=True)
    _remove_result(client, resource, name, namespace)


def _remove_result(client: Client, resource: Resource, name: str, namespace: str | None) -> None:
    """Delete what a run of this name has left: its result outlives it, and another run would not write over it."""
    if resource not in (FINETUNES, CPODJOBS):
        return
    job = f"{name}-cpodjob" if resource == FINETUNES else name
    remove(client, MODELSTORAGES, f"{job}-modelsavestorage", namespace, missing_ok=True)
    remove(client, PVCS, f"{job}-modelsave-pvc", namespace, missing_ok=True)


def wait_gone(
    client: Client, resource: Resource, name: str, namespace: str | None, uid: str, timeout: float = _GONE_SECONDS
) -> None:
    """Return once the object is gone. Raises WaitTimeout."""
    selector = f"metadata.name={name}"
    until = time.monotonic() + timeout
    while (left := until - time.monotonic()) > 0:
        listed = client.list(resource, namespace, field_selector=selector)
        if not any(meta.uid_of(item) == uid for item in listed.items):
            return
        for event in client.watch(
            resource,
            namespace,
            resource_version=listed.resource_version,
            field_selector=selector,
            timeout_seconds=max(1, int(left)),
        ):
            if event.type == "DELETED" and meta.uid_of(event.object) == uid:
                return
    raise WaitTimeout(f"{word_of(resource)}/{name} is still being deleted after {timeout:g} s")


def _content(obj: Object) -> dict[str, Any]:
    """What of an object is asked for: everything but its identity and its status."""
    return {key: value for key, value in obj.items() if key not in _KEPT}


def _hashed(obj: Object) -> Object:
    metadata = dict(obj["metadata"])
    metadata["annotations"] = {**(metadata.get("annotations") or {}), HASH: meta.spec_hash(_content(obj))}
    return {**obj, "metadata": metadata}


def _same(existing: Object, wanted: Object) -> bool:
    """Whether the object was submitted from the same content, and its labels and annotations are there."""
    there, asked = existing["metadata"], wanted["metadata"]
    return all(
        (there.get(field) or {}).get(key) == value
        for field in ("labels", "annotations")
        for key, value in (asked.get(field) or {}).items()
    )


def _merged(existing: Object, wanted: Object) -> Object:
    """The object with the content that is asked for; its identity, and labels others gave it, stay."""
    metadata = dict(existing["metadata"])
    for field in ("labels", "annotations"):
        merged = {**(metadata.get(field) or {}), **(wanted["metadata"].get(field) or {})}
        if merged:
            metadata[field] = merged
    return {**wanted, "metadata": metadata, **({"status": existing["status"]} if "status" in existing else {})}


def _already_run(resource: Resource, existing: Object) -> AlreadyRun:
    word, name = word_of(resource), meta.name_of(existing)
    status = status_of(existing, resource)
    how = f"is {status.phase}" if not status.state.final else f"has run ({status.phase})"
    return AlreadyRun(
        f"{word}/{name} {how}, and it was submitted with another spec. Take another name, "
        f"or add --new to delete {name} and run this one"
    )
