"""Which PersistentVolume a claim gets, and what both say afterwards (Kubernetes, "Persistent Volumes"): pure."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cpod_jupyter.api import meta
from cpod_jupyter.api.quantity import parse_quantity
from cpod_jupyter.api.resources import Object
from cpod_jupyter.engine.strategies.faults import selects

PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
PROVISIONER = "cpod.cpod/engine"


def is_provisioned(volume: Object) -> bool:
    """Whether the engine made the volume for a claim; the others are people's."""
    return (volume["metadata"].get("annotations") or {}).get(PROVISIONED_BY) == PROVISIONER


def made_name(claim: Object) -> str:
    """The name of the volume that the engine makes for a claim."""
    return f"pvc-{meta.uid_of(claim)}"


def reference(claim: Object) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "namespace": meta.namespace_of(claim),
        "name": meta.name_of(claim),
        "uid": meta.uid_of(claim),
    }


def requested(claim: Object) -> str:
    return str(((claim["spec"].get("resources") or {}).get("requests") or {}).get("storage", "0"))


def made_volume(claim: Object, directory: Path) -> Object:
    """The volume for a claim that takes what there is: a directory of this machine, which goes with the claim."""
    spec = claim["spec"]
    return {
        "metadata": {"name": made_name(claim), "annotations": {PROVISIONED_BY: PROVISIONER}},
        "spec": {
            "capacity": {"storage": requested(claim)},
            "accessModes": list(spec["accessModes"]),
            "claimRef": reference(claim),
            "persistentVolumeReclaimPolicy": "Delete",
            "volumeMode": spec.get("volumeMode", "Filesystem"),
            **({"storageClassName": spec["storageClassName"]} if spec.get("storageClassName") else {}),
            "hostPath": {"path": str(directory), "type": ""},
        },
    }


def is_of(volume: Object, claim: Object) -> bool:
    """Whether a volume is bound to this very claim."""
    return bool((volume["spec"].get("claimRef") or {}).get("uid") == meta.uid_of(claim))


def choose(claim: Object, volumes: Iterable[Object]) -> Object | None:
    """The smallest volume made by hand that is free and fits; the one that is named, if one is."""
    named = claim["spec"].get("volumeName")
    fitting = [
        volume
        for volume in volumes
        if (not named or meta.name_of(volume) == named)
        and not meta.is_going(volume)
        and not is_provisioned(volume)
        and _is_free(volume, claim)
        and _fits(volume, claim)
    ]
    return min(fitting, key=lambda volume: (_size(volume), meta.name_of(volume)), default=None)


def _is_free(volume: Object, claim: Object) -> bool:
    kept_for = volume["spec"].get("claimRef")
    if not kept_for:
        return True
    same = (kept_for.get("namespace"), kept_for.get("name")) == (meta.namespace_of(claim), meta.name_of(claim))
    return same and kept_for.get("uid") in (None, "", meta.uid_of(claim))


def _fits(volume: Object, claim: Object) -> bool:
    wanted, offered = claim["spec"], volume["spec"]
    selector = wanted.get("selector")
    return (
        (wanted.get("storageClassName") or "") == (offered.get("storageClassName") or "")
        and set(wanted["accessModes"]) <= set(offered["accessModes"])
        and wanted.get("volumeMode", "Filesystem") == offered.get("volumeMode", "Filesystem")
        and _size(volume) >= parse_quantity(requested(claim))
        and (not selector or selects(selector, volume["metadata"].get("labels") or {}))
    )


def _size(volume: Object) -> Any:
    return parse_quantity(volume["spec"]["capacity"]["storage"])


def waits_for_a_volume(claim: Object) -> bool:
    """Whether only a volume made by hand will do: an empty class, a selector, or one that is named."""
    spec = claim["spec"]
    named = spec.get("volumeName") not in (None, "", made_name(claim))
    return named or spec.get("storageClassName") == "" or bool(spec.get("selector"))


def claim_status(volume: Object) -> dict[str, Any]:
    """The status of a claim that has a volume. Sizes are not enforced: the disk is shared."""
    spec = volume["spec"]
    return {"phase": "Bound", "accessModes": list(spec["accessModes"]), "capacity": dict(spec["capacity"])}
