"""How a reconciler finds the storages that its object names, and what it says where there are none."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from cpod_jupyter.api import meta, names
from cpod_jupyter.api.resources import Object
from cpod_jupyter.api.storage import StoragePhase
from cpod_jupyter.control.api import KubeApi
from cpod_jupyter.operator.builders import publiccopy
from cpod_jupyter.operator.objects import Refused, find
from cpod_jupyter.operator.storage_kinds import StorageKind, phase_of


def wanted_storage(api: KubeApi, kind: StorageKind, name: str, namespace: str, public: str = "") -> Object:
    """The storage that another object names, done or on its way.

    `public` is the public namespace when a public storage is meant: then it is that one's copy in `namespace`, which
    is made if it is absent. Raises Refused when there is no such storage, with a message that lists those there are,
    and when it failed, with its own message.
    """
    if public and public != namespace:
        return _public_storage(api, kind, name, namespace, public)
    storage = find(api, kind.resource, name, namespace)
    if storage is None:
        raise Refused(f"{kind.word.capitalize()}NotFound", missing(api, kind, name, namespace))
    refuse_failed(kind, storage)
    return storage


def _public_storage(api: KubeApi, kind: StorageKind, name: str, namespace: str, public: str) -> Object:
    copy = find(api, kind.resource, names.public_copy(name), namespace)
    if copy is None:
        name = names.public_original(name)
        original = wanted_storage(api, kind, name, public)
        copy = api.create(kind.resource, publiccopy.storage(kind, original, namespace))
    refuse_failed(kind, copy)
    return copy


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
