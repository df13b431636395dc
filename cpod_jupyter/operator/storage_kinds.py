"""What ModelStorage and DataSetStorage have in common. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from cpod_jupyter.api import names
from cpod_jupyter.api.resources import DATASETSTORAGES, MODELSTORAGES, Object, Resource
from cpod_jupyter.api.storage import StoragePhase


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


def standing(storage: Object) -> str:
    """How far a storage is that is not done, in a few words."""
    status = storage.get("status") or {}
    return str(status.get("failureMessage") or phase_of(storage) or "not begun")
