"""What ModelStorage and DataSetStorage have in common, and how other reconcilers find one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from cpod_jupyter.api import meta, names
from cpod_jupyter.api.resources import DATASETSTORAGES, MODELSTORAGES, Object, Resource
from cpod_jupyter.api.storage import StoragePhase
from cpod_jupyter.control.api import KubeApi
from cpod_jupyter.operator.objects import Refused, find


@dataclass(frozen=True)
class StorageKind:
    """The two kinds differ in words only."""

    resource: Resource
    word: str
    """model or dataset: in derived names, for the runtime's `--kind`, and for `%%cpod`."""
    label: str
    """On the pods that fetch it."""
    size_annotation: str
    """On the storage: its size in bytes, before it is fetched an estimate."""

    def type_of(self, storage: Object) -> str:
        return str(storage["spec"].get(f"{self.word}type") or "")

    def name_of(self, storage: Object) -> str:
        return str(storage["spec"].get(f"{self.word}name") or "")


MODEL = StorageKind(MODELSTORAGES, "model", names.LABEL_MODELSTORAGE, names.ANNOTATION_MODEL_SIZE)
DATASET = StorageKind(DATASETSTORAGES, "dataset", names.LABEL_DATASETSTORAGE, names.ANNOTATION_DATASET_SIZE)


def phase_of(storage: Object) -> str:
    return str((storage.get("status") or {}).get("phase") or "")


def is_done(storage: Object) -> bool:
    return phase_of(storage) == StoragePhase.DONE


def claim_of(storage: Object) -> str:
    """The claim that holds the files of a storage that is done."""
    return str(storage["spec"].get("pvc") or (storage.get("status") or {}).get("pvc") or "")


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
