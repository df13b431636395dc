"""How a predictor's pods come to their model: claims are mounted, all else is fetched by an init container. Pure.

As KServe's storage initializer: `storageUri` (or STORAGE_URI of a custom container) at /mnt/models, `storageUris` each
at its `mountPath`. What fetches is this project's own `download`, into a volume that lives as long as the pod.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from cpod_jupyter.api.names import ANNOTATION_SECRET
from cpod_jupyter.api.sources import source_uri
from cpod_jupyter.engine.controllers.serving_runtimes import INVALID_PREDICTOR, Refused
from cpod_jupyter.version import VERSION

MODEL_DIRECTORY = "/mnt/models"
INITIALIZER = "storage-initializer"
_SECRET_ANNOTATIONS = (ANNOTATION_SECRET, "serving.kserve.io/storageSecretName")
"""On the InferenceService: the Secret whose keys are environment variables of what fetches the model."""
_DEFAULT_SECRETS = ("object-store",)
_HUB_SECRET = ("huggingface", "token")
"""Secret and key with the token for models of the hub that need an account; may be absent."""

_CREDENTIALS = ("HF_", "AWS_", "S3_", "OSS_", "GOOGLE_", "GCS_", "MODELSCOPE_")
"""Variables of the serving container that the initializer gets too, as KServe's does with HF_TOKEN."""

_FETCHED_VOLUME, _CLAIM_VOLUME = "kserve-provision-location", "kserve-pvc-source"
_IMAGE = f"cpod-jupyter/runtime:{VERSION}"
_COMMAND = ["python", "-m", "cpod_jupyter.runtime"]


def claim_of(uri: str) -> tuple[str, str] | None:
    """The claim and the path in it that `pvc://CLAIM[/path]` names; None for another URI."""
    match = re.fullmatch(r"pvc://([^/]+)/?(.*)", uri)
    return (match[1], match[2].strip("/")) if match else None


def check_uri(uri: str) -> None:
    """Raises Refused for a URI that can be neither mounted nor fetched."""
    try:
        source_uri("", uri)
    except ValueError as error:
        raise Refused(INVALID_PREDICTOR, f"the storage URI can't be had: {error}") from error


def wanted_storage(
    predictor: Mapping[str, Any], container: Mapping[str, Any], uri: str | None
) -> list[tuple[str, str]]:
    """Each URI and the directory it is to be at. Raises Refused where they can't be had, or not together."""
    several = [(str(entry["uri"]), str(entry.get("mountPath") or MODEL_DIRECTORY)) for entry in _uris(predictor)]
    if uri and several:
        raise Refused(INVALID_PREDICTOR, "give storageUri or storageUris, not both")
    found = several or ([(uri, MODEL_DIRECTORY)] if uri else [])
    taken = [mount.get("mountPath", "").rstrip("/") for mount in container.get("volumeMounts") or []]
    for address, path in found:
        check_uri(address)
        if path.rstrip("/") in taken:
            raise Refused(
                INVALID_PREDICTOR, f"two things are to be mounted at {path}; give each a mountPath of its own"
            )
        taken.append(path.rstrip("/"))
    return found


def _uris(predictor: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return predictor.get("storageUris") or []


def mount(
    spec: dict[str, Any],
    container: dict[str, Any],
    wanted: Sequence[tuple[str, str]],
    annotations: Mapping[str, str],
    *,
    as_model: bool,
) -> None:
    """Bring what is wanted into a PodSpec: volumes, the container's mounts, and init containers before all others.

    `as_model`: it is fetched to be loaded by transformers, so that it is checked, and converted where it is a GGUF;
    else its files come as they are.
    """
    mounts, volumes, initializers = [], [], []
    for number, (uri, path) in enumerate(wanted):
        ending = f"-{number}" if number else ""
        claim = claim_of(uri)
        if claim is not None:
            name = _CLAIM_VOLUME + ending
            volumes.append({"name": name, "persistentVolumeClaim": {"claimName": claim[0], "readOnly": True}})
            mounts.append(_mount(name, path, claim[1]))
        else:
            name = _FETCHED_VOLUME + ending
            volumes.append({"name": name, "emptyDir": {}})
            mounts.append(_mount(name, path))
            credentials = _credentials(container, annotations)
            initializers.append(_initializer(INITIALIZER + ending, uri, name, path, credentials, as_model=as_model))
    if volumes:
        container["volumeMounts"] = [*(container.get("volumeMounts") or []), *mounts]
        spec["volumes"] = [*(spec.get("volumes") or []), *volumes]
    if initializers:
        spec["initContainers"] = [*initializers, *(spec.get("initContainers") or [])]


def _mount(volume: str, path: str, inside: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {"name": volume, "mountPath": path, "readOnly": True}
    return {**found, "subPath": inside} if inside else found


def _initializer(
    name: str, uri: str, volume: str, path: str, credentials: dict[str, Any], *, as_model: bool
) -> dict[str, Any]:
    kind = "model" if as_model else "files"
    return {
        "name": name,
        "image": _IMAGE,
        "command": list(_COMMAND),
        "args": ["download", "--kind", kind, "--source", uri, "--destination", path],
        "volumeMounts": [{"name": volume, "mountPath": path}],
        "terminationMessagePolicy": "FallbackToLogsOnError",
        **credentials,
    }


def _credentials(container: Mapping[str, Any], annotations: Mapping[str, str]) -> dict[str, Any]:
    """Environment from Secrets, by name: never a value in an argument."""
    named = [annotations[name] for name in _SECRET_ANNOTATIONS if annotations.get(name)]
    secrets: list[dict[str, Any]] = [{"secretRef": {"name": name}} for name in named] or [
        {"secretRef": {"name": name, "optional": True}} for name in _DEFAULT_SECRETS
    ]
    own = [entry for entry in container.get("env") or [] if str(entry.get("name", "")).startswith(_CREDENTIALS)]
    if not any(entry["name"] == "HF_TOKEN" for entry in own):
        secret, key = _HUB_SECRET
        reference = {"secretKeyRef": {"name": secret, "key": key, "optional": True}}
        own.append({"name": "HF_TOKEN", "valueFrom": reference})
    return {"env": own, "envFrom": secrets}
