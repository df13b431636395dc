"""ResourceQuotas: what objects charge, and the refusal of what goes beyond (Kubernetes, "Resource Quotas").

What is used is counted from the objects themselves at every admission, under the store's lock, so a burst of
creations cannot pass a quota; a quota's status, which a controller keeps, is for people to read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from cpod_jupyter.api import meta
from cpod_jupyter.api.quantity import format_quantity, parse_quantity
from cpod_jupyter.api.resources import Object
from cpod_jupyter.engine.kinds import ServedKind
from cpod_jupyter.engine.store import Store
from cpod_jupyter.errors import Forbidden

Amounts = dict[str, Decimal]

_PLAIN = {"/pods", "/services", "/configmaps", "/secrets", "/persistentvolumeclaims", "/resourcequotas"}
"""Kinds whose plural alone names their number in a quota."""
_CHANGING = {"/services", "/persistentvolumeclaims"}
"""Kinds of which a change may charge more than before."""
_COMPUTE = {"cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"}
"""What every container must name when a quota counts it."""


def count_name(kind: str) -> str:
    """The quota's name for the number of objects of a kind key: `count/jobs.batch`."""
    group, _, plural = kind.partition("/")
    return f"count/{plural}.{group}" if group else f"count/{plural}"


def charges(kind: str, obj: Object) -> Amounts:
    """What one object uses, by the names of a quota."""
    found: Amounts = {count_name(kind): Decimal(1)}
    if kind == "/pods" and (obj.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
        return found  # it holds nothing any more
    if kind in _PLAIN:
        found[kind[1:]] = Decimal(1)
    if kind == "/pods":
        found |= _pod_charges(obj["spec"])
    elif kind == "/persistentvolumeclaims":
        found |= _claim_charges(obj["spec"])
    elif kind == "/services":
        type_ = obj["spec"].get("type")
        found["services.loadbalancers"] = Decimal(type_ == "LoadBalancer")
        found["services.nodeports"] = Decimal(
            len(obj["spec"].get("ports") or []) if type_ in ("NodePort", "LoadBalancer") else 0
        )
    return found


def _pod_charges(spec: Mapping[str, Any]) -> Amounts:
    found: Amounts = {}
    for side in ("requests", "limits"):
        for name, amount in _together(spec, side).items():
            found[f"{side}.{name}"] = amount
            if side == "requests" and "/" not in name:
                found[name] = amount
    return found


def _together(spec: Mapping[str, Any], side: str) -> Amounts:
    """The sum over the containers, or the largest init container where that is more."""
    total: Amounts = {}
    for container in spec.get("containers") or []:
        for name, amount in ((container.get("resources") or {}).get(side) or {}).items():
            total[name] = total.get(name, Decimal(0)) + parse_quantity(amount)
    for container in spec.get("initContainers") or []:
        for name, amount in ((container.get("resources") or {}).get(side) or {}).items():
            total[name] = max(total.get(name, Decimal(0)), parse_quantity(amount))
    return total


def _claim_charges(spec: Mapping[str, Any]) -> Amounts:
    size = parse_quantity(((spec.get("resources") or {}).get("requests") or {}).get("storage", 0))
    found = {"requests.storage": size}
    if class_ := spec.get("storageClassName"):
        prefix = f"{class_}.storageclass.storage.k8s.io"
        found |= {f"{prefix}/requests.storage": size, f"{prefix}/persistentvolumeclaims": Decimal(1)}
    return found


def in_scope(quota: Object, kind: str, obj: Object) -> bool:
    """Whether a quota counts an object; one with scopes counts the pods in all of them, and nothing else."""
    scopes = (quota.get("spec") or {}).get("scopes") or []
    if not scopes:
        return True
    if kind != "/pods":
        return False
    best_effort = (obj.get("status") or {}).get("qosClass") == "BestEffort"
    terminating = obj["spec"].get("activeDeadlineSeconds") is not None
    holds = {
        "BestEffort": best_effort,
        "NotBestEffort": not best_effort,
        "Terminating": terminating,
        "NotTerminating": not terminating,
    }
    return all(holds[scope] for scope in scopes)


def hard(quota: Object) -> Amounts:
    return {name: parse_quantity(value) for name, value in ((quota.get("spec") or {}).get("hard") or {}).items()}


def used(quota: Object, kind: str, objects: Iterable[Object]) -> Amounts:
    """What the objects of a kind use of what a quota limits."""
    limits, total = hard(quota), Amounts()
    for obj in objects:
        if in_scope(quota, kind, obj):
            for name, amount in charges(kind, obj).items():
                if name in limits:
                    total[name] = total.get(name, Decimal(0)) + amount
    return total


def shown(name: str, amount: Decimal) -> str:
    """An amount of a quota's resource as a quantity."""
    return format_quantity(amount, binary="memory" in name or "storage" in name.rpartition("/")[2])


def admit(store: Store, kind: ServedKind, new: Object, old: Object | None = None) -> None:
    """Raises Forbidden, in the API server's words, when an object goes beyond a quota of its namespace."""
    if not kind.resource.namespaced or (old is not None and kind.key not in _CHANGING):
        return
    quotas = store.list("/resourcequotas", meta.namespace_of(new))
    for quota in quotas:
        if in_scope(quota, kind.key, new) and (problem := _excess(store, quota, kind.key, new, old)) is not None:
            name, resource = meta.name_of(new), kind.resource
            details = {"name": name, "group": resource.group, "kind": resource.plural}
            raise Forbidden(
                f'{resource.qualified} "{name}" is forbidden: {problem}',
                {key: value for key, value in details.items() if value},
            )


def _excess(store: Store, quota: Object, kind: str, new: Object, old: Object | None) -> str | None:
    limits, name = hard(quota), meta.name_of(quota)
    if kind == "/pods" and (missing := _unnamed(new["spec"], limits)):
        return f"failed quota: {name}: must specify {missing}"
    before = charges(kind, old) if old is not None else {}
    asked = {
        key: amount - before.get(key, Decimal(0))
        for key, amount in charges(kind, new).items()
        if key in limits and amount > before.get(key, Decimal(0))
    }
    if not asked:
        return None
    present = used(quota, kind, store.list(kind, meta.namespace_of(new)))
    beyond = sorted(key for key, amount in asked.items() if present.get(key, Decimal(0)) + amount > limits[key])
    if not beyond:
        return None

    def listed(amounts: Mapping[str, Decimal]) -> str:
        return ",".join(f"{key}={shown(key, amounts.get(key, Decimal(0)))}" for key in beyond)

    return f"exceeded quota: {name}, requested: {listed(asked)}, used: {listed(present)}, limited: {listed(limits)}"


def _unnamed(spec: Mapping[str, Any], limits: Mapping[str, Decimal]) -> str:
    """Which containers leave out what a quota counts: `limits.cpu for: a,b; limits.memory for: a`."""
    missing: dict[str, list[str]] = {}
    for wanted in sorted(_COMPUTE & limits.keys()):
        side, _, resource = wanted.rpartition(".")
        for container in spec.get("containers") or []:
            if resource not in ((container.get("resources") or {}).get(side or "requests") or {}):
                missing.setdefault(wanted, []).append(str(container["name"]))
    return "; ".join(f"{wanted} for: {','.join(sorted(names))}" for wanted, names in missing.items())
