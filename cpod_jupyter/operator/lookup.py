"""How a reconciler finds the storages that its object names, and what it says where there are none."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import Object
from cpod_jupyter.api.storage import StoragePhase
from cpod_jupyter.control.api import KubeApi
from cpod_jupyter.operator.objects import Refused, find
from cpod_jupyter.operator.storage_kinds import StorageKind, phase_of


def wanted_storage(api: KubeApi, kind: StorageKind, name: str, namespace: str) -> Object:
    """The storage that another object names, done or on its way.

    Raises Refused when there is none, with a message that lists those there are, and when it failed,
    with its own message.
    """
    storage = find(api, kind.resource, name, namespace)
    if storage is None:
        raise Refused(f"{kind.word.capitalize()}NotFound", missing(api, kind, name, namespace))
    refuse_failed(kind, storage)
    return storage


def refuse_failed(kind: StorageKind, storage: Object) -> None:
    """Raises Refused when the storage failed, with its own message."""
    if phase_of(storage) == StoragePhase.FAILED:
        why = (storage.get("status") or {}).get("failureMessage") or "no reason is given"
        raise Refused(
            f"{kind.word.capitalize()}Failed", f"{kind.resource.kind} {meta.name_of(storage)!r} failed: {why}"
        )


def missing(api: KubeApi, kind: StorageKind, name: str, namespace: str, also: str = "") -> str:
    """The message for a name that no storage has: what there is, nearest first, and how to make one."""
    there = [meta.name_of(storage) for storage in api.list(kind.resource, namespace).items]
    listed = ", ".join(nearest_first(name, there)) or "none"
    return (
        f"there is no {kind.resource.kind} {name!r} in namespace {namespace!r}{also}; there are: {listed}. "
        f"Register one with `%%cpod {kind.word} {name}` in a notebook, or kubectl apply a {kind.resource.kind}"
    )


def nearest_first(wanted: str, choices: Iterable[str]) -> list[str]:
    """The choices, those most like the wanted one first."""

    def unlikeness(choice: str) -> tuple[float, str]:
        return -difflib.SequenceMatcher(None, wanted.lower(), choice.lower()).ratio(), choice

    return sorted(choices, key=unlikeness)
