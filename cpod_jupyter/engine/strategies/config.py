"""ConfigMaps, Secrets, namespaces, leases, events and roles (core/v1, coordination/v1, rbac/v1 validation)."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator
from typing import Any

from cpod_jupyter.api.resources import Object
from cpod_jupyter.api.schema import Path, Problem
from cpod_jupyter.engine.strategies import faults
from cpod_jupyter.errors import BadRequest

DATA_LIMIT = 2**20
"""Bytes of all values of a ConfigMap or a Secret together."""
_KEY = re.compile(r"[-._a-zA-Z0-9]{1,253}")
_RBAC = "rbac.authorization.k8s.io"
_NEEDED = {
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
}
"""Keys that a Secret of a type must have (Kubernetes, "Types of Secret")."""
_JSON_KEYS = (".dockercfg", ".dockerconfigjson")


# ---- ConfigMaps and Secrets


def secret_defaults(secret: Object) -> None:
    secret.setdefault("type", "Opaque")
    plain = secret.pop("stringData", None) or {}
    if plain:
        encoded = {key: base64.b64encode(str(value).encode()).decode() for key, value in plain.items()}
        secret["data"] = {**(secret.get("data") or {}), **encoded}


def configmap_faults(configmap: Object) -> Iterator[Problem]:
    text, binary = configmap.get("data") or {}, configmap.get("binaryData") or {}
    for field, found in (("data", text), ("binaryData", binary)):
        yield from _keys(field, found)
    for key in text.keys() & binary.keys():
        yield faults.invalid((f"data[{key}]",), key, "duplicate of key present in binaryData")
    size = sum(len(str(value).encode()) for value in text.values())
    size += sum(len(_decoded("binaryData", key, value)) for key, value in binary.items())
    if size > DATA_LIMIT:
        yield faults.too_long((), DATA_LIMIT)


def secret_faults(secret: Object) -> Iterator[Problem]:
    data = secret.get("data") or {}
    yield from _keys("data", data)
    plain = {key: _decoded("data", key, value) for key, value in data.items()}
    if sum(map(len, plain.values())) > DATA_LIMIT:
        yield faults.too_long(("data",), DATA_LIMIT)
    for key in _NEEDED.get(secret["type"], ()):
        if key not in data:
            yield faults.required((f"data[{key}]",))
        elif key in _JSON_KEYS and not _is_json(plain[key]):
            yield faults.invalid((f"data[{key}]",), "<secret contents redacted>", "must be JSON")
    if secret["type"] == "kubernetes.io/basic-auth" and not {"username", "password"} & data.keys():
        yield faults.required(("data[username]",))
        yield faults.required(("data[password]",))
    if secret["type"] == "kubernetes.io/service-account-token":
        name = "kubernetes.io/service-account.name"
        if not (secret["metadata"].get("annotations") or {}).get(name):
            yield faults.required((f"metadata.annotations[{name}]",))


def _keys(field: str, found: dict[str, Any]) -> Iterator[Problem]:
    for key in found:
        if not _KEY.fullmatch(key) or key in (".", "..") or key.startswith(".."):
            yield faults.invalid(
                (f"{field}[{key}]",), key, "a valid config key must consist of alphanumeric characters, '-', '_' or '.'"
            )


def _decoded(field: str, key: str, value: Any) -> bytes:
    """Raises BadRequest, as the API server cannot even decode such an object."""
    try:
        return base64.b64decode("".join(str(value).split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadRequest(f"the value of {field}[{key}] is illegal base64 data: {error}") from error


def _is_json(value: bytes) -> bool:
    try:
        json.loads(value)
    except ValueError:
        return False
    return True


def configmap_change(old: Object, new: Object) -> Iterator[Problem]:
    yield from _fixed(old, new, ("data", "binaryData"))


def secret_change(old: Object, new: Object) -> Iterator[Problem]:
    if old.get("type") != new.get("type"):
        yield faults.immutable(("type",), new.get("type"))
    yield from _fixed(old, new, ("data",))


def _fixed(old: Object, new: Object, fields: tuple[str, ...]) -> Iterator[Problem]:
    """An object that says `immutable` stays as it is, and goes on saying so."""
    if not old.get("immutable"):
        return
    text = "field is immutable when `immutable` is set"
    if not new.get("immutable"):
        yield faults.forbidden(("immutable",), text)
    for field in fields:
        if (old.get(field) or {}) != (new.get(field) or {}):
            yield faults.forbidden((field,), text)


# ---- namespaces


def new_namespace(namespace: Object) -> None:
    namespace["spec"] = {"finalizers": ["kubernetes"]}
    namespace["status"] = {"phase": "Active"}


def namespace_defaults(namespace: Object) -> None:
    labels = namespace["metadata"].setdefault("labels", {})
    labels["kubernetes.io/metadata.name"] = namespace["metadata"]["name"]


# ---- leases and events


def lease_faults(lease: Object) -> Iterator[Problem]:
    spec = lease.get("spec") or {}
    yield from faults.positive(("spec", "leaseDurationSeconds"), spec.get("leaseDurationSeconds"))
    yield from faults.not_negative(("spec", "leaseTransitions"), spec.get("leaseTransitions"))


def event_faults(event: Object) -> Iterator[Problem]:
    """An event is where its object is; one about a cluster-wide object is in `default` or `kube-system`."""
    about, own = (event.get("involvedObject") or {}).get("namespace"), event["metadata"]["namespace"]
    if about and about != own:
        yield faults.invalid(("involvedObject", "namespace"), about, "does not match event.namespace")


# ---- roles


def role_faults(role: Object) -> Iterator[Problem]:
    for index, rule in enumerate(role.get("rules") or []):
        at: Path = ("rules", index)
        if not rule.get("verbs"):
            yield faults.required((*at, "verbs"), "verbs must contain at least one value")
        if rule.get("nonResourceURLs"):
            if role["kind"] == "Role":
                text = "namespaced rules cannot apply to non-resource URLs"
                yield faults.invalid((*at, "nonResourceURLs"), rule["nonResourceURLs"], text)
            continue
        if not rule.get("apiGroups"):
            yield faults.required((*at, "apiGroups"), "resource rules must supply at least one api group")
        if not rule.get("resources"):
            yield faults.required((*at, "resources"), "resource rules must supply at least one resource")


def binding_defaults(binding: Object) -> None:
    if reference := binding.get("roleRef"):
        reference.setdefault("apiGroup", _RBAC)
    for subject in binding.get("subjects") or []:
        if subject.get("kind") in ("User", "Group"):
            subject.setdefault("apiGroup", _RBAC)


def binding_faults(binding: Object) -> Iterator[Problem]:
    role = binding.get("roleRef") or {}
    kinds = ("ClusterRole", "Role") if binding["kind"] == "RoleBinding" else ("ClusterRole",)
    yield from faults.one_of(("roleRef", "apiGroup"), role.get("apiGroup"), (_RBAC,))
    yield from faults.one_of(("roleRef", "kind"), role.get("kind"), kinds)
    if not role.get("name"):
        yield faults.required(("roleRef", "name"))
    for index, subject in enumerate(binding.get("subjects") or []):
        at: Path = ("subjects", index)
        yield from faults.one_of((*at, "kind"), subject.get("kind"), ("Group", "ServiceAccount", "User"))
        if not subject.get("name"):
            yield faults.required((*at, "name"))
        if subject.get("kind") == "ServiceAccount" and not subject.get("namespace"):
            yield faults.required((*at, "namespace"))


def binding_change(old: Object, new: Object) -> Iterator[Problem]:
    if old.get("roleRef") != new.get("roleRef"):
        yield faults.invalid(("roleRef",), new.get("roleRef"), "cannot change roleRef")
