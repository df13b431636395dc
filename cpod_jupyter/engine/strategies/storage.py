"""Claims, volumes and quotas (core/v1 validation)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cpod_jupyter.api.quantity import parse_quantity
from cpod_jupyter.api.resources import Object
from cpod_jupyter.api.schema import Path, Problem
from cpod_jupyter.engine.strategies import faults

ACCESS_MODES = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
VOLUME_MODES = ("Block", "Filesystem")
_NOT_SOURCES = {
    "accessModes", "capacity", "claimRef", "mountOptions", "nodeAffinity", "persistentVolumeReclaimPolicy",
    "storageClassName", "volumeAttributesClassName", "volumeMode",
}  # fmt: skip
SCOPES = ("BestEffort", "NotBestEffort", "NotTerminating", "Terminating")


def claim_defaults(claim: Object) -> None:
    claim.setdefault("spec", {}).setdefault("volumeMode", "Filesystem")


def new_claim(claim: Object) -> None:
    claim["status"] = {"phase": "Pending"}


def claim_faults(claim: Object) -> Iterator[Problem]:
    spec, here = claim["spec"], ("spec",)
    yield from _modes(spec, here)
    requests = (spec.get("resources") or {}).get("requests") or {}
    if "storage" not in requests:
        yield faults.required(("spec", "resources[storage]"))
    for name, amount in requests.items():
        yield from faults.quantity((*here, "resources", "requests", name), amount)
        if name == "storage" and _amount(amount) == 0:
            yield faults.invalid((*here, "resources[storage]"), str(amount), "must be greater than zero")
    if selector := spec.get("selector"):
        yield from faults.label_selector((*here, "selector"), selector)
    if (name := spec.get("storageClassName")) and not faults.is_subdomain(name):
        yield faults.invalid((*here, "storageClassName"), name, "must be a lowercase RFC 1123 subdomain")


def _modes(spec: dict[str, Any], path: Path) -> Iterator[Problem]:
    if not spec.get("accessModes"):
        yield faults.required((*path, "accessModes"), "at least 1 access mode is required")
    for mode in spec.get("accessModes") or []:
        yield from faults.one_of((*path, "accessModes"), mode, ACCESS_MODES)
    if len(spec.get("accessModes") or []) > 1 and "ReadWriteOncePod" in spec["accessModes"]:
        text = "may not use ReadWriteOncePod with other access modes"
        yield faults.forbidden((*path, "accessModes"), text)
    yield from faults.one_of((*path, "volumeMode"), spec.get("volumeMode"), VOLUME_MODES)


def claim_change(old: Object, new: Object) -> Iterator[Problem]:
    def rest(spec: dict[str, Any]) -> dict[str, Any]:
        kept = {key: value for key, value in spec.items() if key not in ("resources", "volumeName")}
        resources = spec.get("resources") or {}
        return {**kept, "limits": resources.get("limits")}

    before, after = old["spec"], new["spec"]
    named = before.get("volumeName") and before["volumeName"] != after.get("volumeName")
    if rest(before) != rest(after) or named:
        yield faults.forbidden(
            ("spec",),
            "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims",
        )
    then = _amount(((before.get("resources") or {}).get("requests") or {}).get("storage"))
    now = _amount(((after.get("resources") or {}).get("requests") or {}).get("storage"))
    if now < then:
        place = ("spec", "resources", "requests", "storage")
        yield faults.forbidden(place, "field can not be less than previous value")


def _amount(value: Any) -> Any:
    try:
        return parse_quantity(value or 0)
    except ValueError:
        return 0


def volume_sources(spec: dict[str, Any]) -> dict[str, Any]:
    """Where a volume is: of one kind of storage."""
    return {name: value for name, value in spec.items() if name not in _NOT_SOURCES and value is not None}


def volume_defaults(volume: Object) -> None:
    spec = volume.setdefault("spec", {})
    spec.setdefault("persistentVolumeReclaimPolicy", "Retain")
    spec.setdefault("volumeMode", "Filesystem")
    if (host := spec.get("hostPath")) is not None:
        host.setdefault("type", "")


def new_volume(volume: Object) -> None:
    volume["status"] = {"phase": "Pending"}


def volume_faults(volume: Object) -> Iterator[Problem]:
    spec, here = volume["spec"], ("spec",)
    yield from _modes(spec, here)
    capacity = spec.get("capacity") or {}
    if "storage" not in capacity:
        yield faults.required((*here, "capacity"))
    for name, amount in capacity.items():
        yield from faults.quantity((*here, "capacity", name), amount)
    policies = ("Delete", "Recycle", "Retain")
    policy = spec.get("persistentVolumeReclaimPolicy")
    yield from faults.one_of((*here, "persistentVolumeReclaimPolicy"), policy, policies)
    sources = volume_sources(spec)
    if not sources:
        yield faults.required(here, "must specify a volume type")
    for name in list(sources)[1:]:
        yield faults.forbidden((*here, name), "may not specify more than 1 volume type")
    for name in ("hostPath", "local"):
        path = (sources.get(name) or {}).get("path") if name in sources else "/"
        if not path:
            yield faults.required((*here, name, "path"))
        elif ".." in str(path).split("/"):
            yield faults.invalid((*here, name, "path"), path, "must not contain '..'")


def volume_change(old: Object, new: Object) -> Iterator[Problem]:
    if volume_sources(old["spec"]) != volume_sources(new["spec"]):
        text = "spec.persistentvolumesource is immutable after creation"
        yield faults.forbidden(("spec", "persistentvolumesource"), text)
    if old["spec"].get("volumeMode") != new["spec"].get("volumeMode"):
        yield faults.immutable(("spec", "volumeMode"), new["spec"].get("volumeMode"))


def quota_faults(quota: Object) -> Iterator[Problem]:
    spec = quota.get("spec") or {}
    for name, amount in (spec.get("hard") or {}).items():
        at: Path = ("spec", f"hard[{name}]")
        if not faults.is_qualified(name):
            yield faults.invalid(at, name, "must be a standard resource for quota, or count/RESOURCE.GROUP")
        yield from faults.quantity(at, amount)
    for scope in spec.get("scopes") or []:
        yield from faults.one_of(("spec", "scopes"), scope, SCOPES)
    if spec.get("scopeSelector"):
        yield faults.forbidden(("spec", "scopeSelector"), "the embedded engine offers `scopes` and no scope selectors")


def quota_change(old: Object, new: Object) -> Iterator[Problem]:
    if (old.get("spec") or {}).get("scopes") != (new.get("spec") or {}).get("scopes"):
        yield faults.immutable(("spec", "scopes"), (new.get("spec") or {}).get("scopes"))
