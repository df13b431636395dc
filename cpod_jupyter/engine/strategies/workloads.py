"""Deployments and ReplicaSets (apps/v1 defaults and validation)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from cpod_jupyter.api.resources import Object
from cpod_jupyter.api.schema import Problem
from cpod_jupyter.engine.strategies import faults
from cpod_jupyter.engine.strategies.pods import spec_defaults, template_faults

_STRATEGIES = ("Recreate", "RollingUpdate")


def replicaset_defaults(replicaset: Object) -> None:
    spec = replicaset.setdefault("spec", {})
    spec.setdefault("replicas", 1)
    spec_defaults(spec.setdefault("template", {}).setdefault("spec", {}))


def deployment_defaults(deployment: Object) -> None:
    replicaset_defaults(deployment)
    spec = deployment["spec"]
    strategy = spec.setdefault("strategy", {})
    strategy.setdefault("type", "RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxUnavailable", "25%")
        rolling.setdefault("maxSurge", "25%")
    spec.setdefault("revisionHistoryLimit", 10)
    spec.setdefault("progressDeadlineSeconds", 600)


def replicaset_faults(replicaset: Object) -> Iterator[Problem]:
    spec = replicaset["spec"]
    yield from faults.selector_and_template(spec, "replicaset")
    yield from _common(spec)


def deployment_faults(deployment: Object) -> Iterator[Problem]:
    spec = deployment["spec"]
    yield from faults.selector_and_template(spec, "deployment")
    yield from _common(spec)
    yield from _strategy(spec["strategy"])
    yield from faults.not_negative(("spec", "revisionHistoryLimit"), spec.get("revisionHistoryLimit"))
    deadline = spec.get("progressDeadlineSeconds")
    yield from faults.not_negative(("spec", "progressDeadlineSeconds"), deadline)
    if deadline is not None and deadline <= (spec.get("minReadySeconds") or 0):
        yield faults.invalid(("spec", "progressDeadlineSeconds"), deadline, "must be greater than minReadySeconds")


def _common(spec: Mapping[str, Any]) -> Iterator[Problem]:
    yield from faults.not_negative(("spec", "replicas"), spec.get("replicas"))
    yield from faults.not_negative(("spec", "minReadySeconds"), spec.get("minReadySeconds"))
    yield from template_faults(spec["template"], ("spec", "template"))
    pod = spec["template"]["spec"]
    yield from faults.one_of(("spec", "template", "spec", "restartPolicy"), pod.get("restartPolicy"), ("Always",))
    if pod.get("activeDeadlineSeconds") is not None:
        place = ("spec", "template", "spec", "activeDeadlineSeconds")
        yield faults.forbidden(place, "activeDeadlineSeconds in ReplicaSet is not Supported")


def _strategy(strategy: Mapping[str, Any]) -> Iterator[Problem]:
    here = ("spec", "strategy")
    yield from faults.one_of((*here, "type"), strategy["type"], _STRATEGIES)
    rolling = strategy.get("rollingUpdate")
    if rolling is None:
        return
    if strategy["type"] == "Recreate":
        text = "may not be specified when strategy `type` is 'Recreate'"
        yield faults.forbidden((*here, "rollingUpdate"), text)
        return
    for name in ("maxUnavailable", "maxSurge"):
        yield from faults.int_or_percent((*here, "rollingUpdate", name), rolling.get(name))
    if rolling.get("maxUnavailable") in (0, "0%") and rolling.get("maxSurge") in (0, "0%"):
        text = "may not be 0 when `maxSurge` is 0"
        yield faults.invalid((*here, "rollingUpdate", "maxUnavailable"), rolling["maxUnavailable"], text)
    unavailable = rolling.get("maxUnavailable")
    if isinstance(unavailable, str) and unavailable.rstrip("%").isdigit() and int(unavailable.rstrip("%")) > 100:
        yield faults.invalid((*here, "rollingUpdate", "maxUnavailable"), unavailable, "must not be greater than 100%")


def selector_change(old: Object, new: Object) -> Iterator[Problem]:
    """A workload's selector is fixed."""
    if old["spec"].get("selector") != new["spec"].get("selector"):
        yield faults.immutable(("spec", "selector"), new["spec"].get("selector"))
