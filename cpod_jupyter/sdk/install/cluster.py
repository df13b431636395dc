"""Bringing the manifests to a cluster: applied in order, waited for, and told as it goes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import CRDS, DEPLOYMENTS, PODS, Object, Resource, of_object
from cpod_jupyter.client.client import Client
from cpod_jupyter.errors import CpodError, Forbidden, NotFound, WaitTimeout
from cpod_jupyter.operator import pods as words
from cpod_jupyter.sdk.install.manifests import DISRUPTION_BUDGETS, PRIORITY_CLASSES, Choices, manifests
from cpod_jupyter.sdk.install.roles import NAME
from cpod_jupyter.sdk.install.webhooks import CONFIGURATIONS

FIELD_MANAGER = "cpod-install"

_ESTABLISHED_SECONDS = 60.0
_AVAILABLE_SECONDS = 180.0
_POLL_SECONDS = 0.5

_OTHERS = (DISRUPTION_BUDGETS, PRIORITY_CLASSES, CONFIGURATIONS)
_DISPENSABLE = (DISRUPTION_BUDGETS,)
"""Left out where the cluster does not serve it (policy/v1 is there from Kubernetes 1.21 on)."""


@dataclass
class Installation:
    """What has been applied, and what had to be left out."""

    applied: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def install(
    client: Client,
    choices: Choices,
    tell: Callable[[str], None],
    *,
    wait: bool = True,
    wanted: list[Object] | None = None,
) -> Installation:
    """Apply the manifests (or those given) by server-side apply, and wait until the operator is available.

    `tell` hears each step. Raises CpodError where the user may not, or the cluster does not take an object;
    WaitTimeout, with what the pods say, where the operator does not come up.
    """
    done = Installation()
    for obj in wanted if wanted is not None else manifests(choices):
        resource = _resource(obj)
        title = f"{resource.singular}/{meta.name_of(obj)}"
        try:
            client.apply(resource, obj, manager=FIELD_MANAGER)
        except NotFound as error:
            if resource not in _DISPENSABLE:
                raise CpodError(f"{title} cannot be applied: {error}") from error
            done.left_out.append(title)
            tell(f"{title} left out: this cluster does not serve {resource.api_version}")
            continue
        except Forbidden as error:
            raise CpodError(
                f"{title} may not be applied: {error}. Installing needs cluster-admin; without it, have somebody who "
                "is one apply what `cpod install --print` writes"
            ) from error
        done.applied.append(title)
        tell(f"{title} applied")
    if wait:
        _wait_for(client, choices, tell)
    return done


def _resource(obj: Object) -> Resource:
    found = of_object(obj)
    if found is None:
        found = next(resource for resource in _OTHERS if resource.kind == obj["kind"])
    return found


def _wait_for(client: Client, choices: Choices, tell: Callable[[str], None]) -> None:
    for definition in manifests(choices):
        if definition["kind"] == CRDS.kind:
            _wait_until_served(client, meta.name_of(definition))
    tell("the definitions are served")
    _until(
        lambda: _is_available(client.get(DEPLOYMENTS, NAME, choices.namespace)),
        _AVAILABLE_SECONDS,
        lambda: f"the operator is not available: {_why(client, choices.namespace)}",
    )
    tell(f"deployment/{NAME} is available")


def _wait_until_served(client: Client, name: str) -> None:
    _until(
        lambda: meta.is_true(client.get(CRDS, name), "Established"),
        _ESTABLISHED_SECONDS,
        lambda: f"the definition {name} is not served yet",
    )


def _is_available(deployment: Object) -> bool:
    status = deployment.get("status") or {}
    seen = int(status.get("observedGeneration") or 0) >= int(deployment["metadata"].get("generation") or 0)
    enough = int(status.get("updatedReplicas") or 0) >= int(deployment["spec"].get("replicas") or 0)
    return seen and enough and meta.is_true(deployment, "Available")


def _why(client: Client, namespace: str) -> str:
    found = client.list(PODS, namespace, label_selector=f"app.kubernetes.io/name={NAME}").items
    if not found:
        return f"it has no pods; see `kubectl -n {namespace} describe deployment {NAME}`"
    said = words.unschedulable(found) or words.held_up(found) or words.failure(found)
    return said or f"see `kubectl -n {namespace} logs deployment/{NAME}`"


def _until(condition: Callable[[], bool], seconds: float, otherwise: Callable[[], str]) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise WaitTimeout(f"{otherwise()} (after {seconds:.0f} s)")
        time.sleep(_POLL_SECONDS)
