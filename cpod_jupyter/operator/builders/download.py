"""A storage to the claim that holds its files and the Job that fetches them."""

from __future__ import annotations

from typing import Any

from cpod_jupyter.api import meta, names
from cpod_jupyter.api.resources import Object
from cpod_jupyter.api.sources import OBJECT_STORES, split_checksum
from cpod_jupyter.operator.builders import credentials
from cpod_jupyter.operator.builders.claims import claim, claim_volume, with_headroom
from cpod_jupyter.operator.metadata import annotation, child_metadata, generation
from cpod_jupyter.operator.pods import TOO_SMALL
from cpod_jupyter.operator.settings import Settings
from cpod_jupyter.operator.storage_kinds import MODEL, StorageKind

_FINAL_EXIT_CODES = [1, 2, TOO_SMALL]
"""How the runtime ends when trying again will not help: a row that is not valid, a source that is not there."""

_SOURCE_VOLUME, _SOURCE_PATH = "source", "/data/source"

RUNTIME = ("python", "-m", "cpod_jupyter.runtime")
"""The command that every container of the runtime image starts with."""


def storage_claim(kind: StorageKind, storage: Object, settings: Settings) -> Object:
    """The claim: as large as the storage's size annotation asks, or what a download found that it takes.

    Without either it has the default size.
    """
    default = settings.model_volume if kind is MODEL else settings.dataset_volume
    size = max(stated_size(kind, storage), found_size(storage))
    name = names.storage_claim(kind.word, meta.name_of(storage))
    return claim(name, storage, with_headroom(size) if size else default, settings)


def stated_size(kind: StorageKind, storage: Object) -> int:
    """Bytes by the storage's annotation; 0 when it has none that is a number."""
    text = annotation(storage, kind.size_annotation)
    return int(text) if text.isdecimal() else 0


def found_size(storage: Object) -> int:
    """Bytes that the source has, by a download that has begun; 0 before that."""
    progress = (storage.get("status") or {}).get("progress") or {}
    return int(progress.get("totalBytes") or 0) if progress.get("phase") == "download" else 0


def download_job(kind: StorageKind, storage: Object, source: str, settings: Settings) -> Object:
    """The Job that fetches `source` into the storage's claim. Credentials come from Secrets, never arguments."""
    name = meta.name_of(storage)
    destination = f"/data/{kind.word}"
    container: dict[str, Any] = {
        "name": "download",
        "image": settings.runtime_image,
        "command": list(RUNTIME),
        "args": ["download", "--kind", kind.word, "--source", source, "--destination", destination],
        "volumeMounts": [{"name": kind.word, "mountPath": destination}],
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
    volumes = [claim_volume(kind.word, names.storage_claim(kind.word, name))]
    if checksum := annotation(storage, names.ANNOTATION_CHECKSUM):
        container["args"] += ["--sha256", checksum]
    scheme, _, rest = split_checksum(source)[0].partition("://")
    if scheme == "pvc":
        container["args"] += ["--mounted", _SOURCE_PATH]
        container["volumeMounts"].append({"name": _SOURCE_VOLUME, "mountPath": _SOURCE_PATH, "readOnly": True})
        volumes.append(claim_volume(_SOURCE_VOLUME, rest.partition("/")[0]))
    container |= _credentials(scheme, storage, settings)
    final = {"containerName": "download", "operator": "In", "values": _FINAL_EXIT_CODES}
    marks = {names.ANNOTATION_SOURCE: source, names.ANNOTATION_OWNER_GENERATION: str(generation(storage))}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": child_metadata(names.download_job(kind.word, name), storage, marks),
        "spec": {
            "backoffLimit": settings.download_retries,
            "podFailurePolicy": {"rules": [{"action": "FailJob", "onExitCodes": final}]},
            "template": {
                "metadata": {"labels": {kind.label: name}},
                "spec": {
                    "restartPolicy": "Never",
                    "containers": [container],
                    "volumes": volumes,
                },
            },
        },
    }


def _credentials(scheme: str, storage: Object, settings: Settings) -> dict[str, Any]:
    """The container's `env` and `envFrom`: keys of the source, from Secrets."""
    found: dict[str, Any] = {}
    tokens = {
        "hf": ("HF_TOKEN", settings.hub_token_secret),
        "modelscope": ("MODELSCOPE_API_TOKEN", settings.modelscope_token_secret),
    }
    if scheme in tokens:
        variable, name = tokens[scheme]
        secret = {"name": name, "key": "token", "optional": True}
        found["env"] = [{"name": variable, "valueFrom": {"secretKeyRef": secret}}]
    if scheme in (*OBJECT_STORES, "https") or annotation(storage, names.ANNOTATION_SECRET):
        found["envFrom"] = credentials.object_store(settings, storage)
    return found
