"""The I/O of `cpod doctor`: looks at everything once, and goes on where one may not look."""

from __future__ import annotations

import datetime as dt
import importlib.util
import shutil
from collections.abc import Callable
from typing import Any, TypeVar

import psutil

from cpod_jupyter import local
from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import (
    CLUSTERSERVINGRUNTIMES,
    CRDS,
    LEASES,
    NODES,
    RESOURCEQUOTAS,
    SECRETS,
    Object,
    Resource,
)
from cpod_jupyter.client.client import Client
from cpod_jupyter.errors import ApiError, NotFound
from cpod_jupyter.operator.running import LEASE_NAME, SYSTEM_NAMESPACE
from cpod_jupyter.operator.settings import Settings
from cpod_jupyter.operator.settings_file import settings_of_home
from cpod_jupyter.sdk.doctor.facts import FORMER_LEASE, RIGHTS, STORAGE_CLASSES, Facts, Machine, Right
from cpod_jupyter.sdk.doctor.findings import Finding, findings
from cpod_jupyter.sdk.session import Session

_ACCESS_REVIEWS = Resource(
    "authorization.k8s.io", "v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview", namespaced=False
)
_WHO_AM_I = Resource("authentication.k8s.io", "v1", "selfsubjectreviews", "SelfSubjectReview", namespaced=False)
_MODULES = ("torch", "transformers", "trl")
_PROGRAMS = ("mpirun", "podman", "git")

T = TypeVar("T")


def examine(session: Session) -> list[Finding]:
    """Everything about the API that the session uses, and its namespace. Raises ApiUnreachable where it is silent."""
    return findings(facts_of(session))


def facts_of(session: Session) -> Facts:
    client, hidden = session.client, dict[str, str]()

    def look(about: str, read: Callable[[], T]) -> T | None:
        try:
            return read()
        except NotFound:
            return None
        except ApiError as error:
            hidden[about] = str(error)
            return None

    version = client.ping()
    machine = _machine(session.engine) if session.engine else None
    settings = settings_of_home(session.engine.home) if session.engine else Settings()
    lease = look("operator", lambda: client.get(LEASES, LEASE_NAME, SYSTEM_NAMESPACE))
    former = look("cpodoperator", lambda: _former_lease(client))
    definitions = look("kinds", lambda: {meta.name_of(item): item for item in client.list(CRDS).items})
    runtimes = look("ClusterServingRuntimes", lambda: client.list(CLUSTERSERVINGRUNTIMES).items)
    return Facts(
        server=client.server,
        context=session.context,
        namespace=session.namespace,
        version=version,
        chosen=session.chosen.words,
        user=look("user", lambda: _user(client)) or "",
        machine=machine,
        definitions=definitions,
        lease=lease,
        lease_age=_age(lease),
        former_age=_age(former),
        serving_runtimes=None if runtimes is None else len(runtimes),
        storage_classes=look("storage", lambda: client.list(STORAGE_CLASSES).items),
        nodes=look("GPUs", lambda: client.list(NODES).items),
        quotas=look("quota", lambda: client.list(RESOURCEQUOTAS, session.namespace).items),
        secrets=look("secrets", lambda: _secrets(client, settings, session.namespace)) or {},
        refused=look("rights", lambda: _refused(client, session.namespace)) or (),
        settings=settings,
        hidden=hidden,
    )


def _user(client: Client) -> str:
    review = client.create(_WHO_AM_I, {"metadata": {}})
    return str(((review.get("status") or {}).get("userInfo") or {}).get("username") or "")


def _age(lease: Object | None) -> float | None:
    renewed = ((lease or {}).get("spec") or {}).get("renewTime")
    if not renewed:
        return None
    return max(0.0, (dt.datetime.now(dt.UTC) - meta.parse_time(str(renewed))).total_seconds())


def _former_lease(client: Client) -> Object | None:
    found = [item for item in client.list(LEASES).items if meta.name_of(item) == FORMER_LEASE]
    held = [item for item in found if (item.get("spec") or {}).get("holderIdentity")]
    return min(held, key=lambda item: _age(item) or 0.0, default=None)


def _secrets(client: Client, settings: Settings, namespace: str) -> dict[str, bool]:
    """Whether they are there, by their metadata alone."""
    names = [settings.hub_token_secret, settings.object_store_secret]
    return {name: client.has(SECRETS, name, namespace) for name in names if name}


def _refused(client: Client, namespace: str) -> list[Right]:
    return [right for right in RIGHTS if not _may(client, right, namespace)]


def _may(client: Client, right: Right, namespace: str) -> bool:
    verb, resource, subresource = right
    attributes: dict[str, Any] = {
        "verb": verb,
        "group": resource.group,
        "version": resource.version,
        "resource": resource.plural,
        "subresource": subresource,
        "namespace": namespace,
    }
    review = client.create(_ACCESS_REVIEWS, {"metadata": {}, "spec": {"resourceAttributes": attributes}})
    return bool((review.get("status") or {}).get("allowed"))


def _machine(engine: local.Engine) -> Machine:
    return Machine(
        home=str(engine.home),
        disk_free=shutil.disk_usage(engine.home).free,
        memory=int(psutil.virtual_memory().total),
        runtime={"process": "processes"}.get(engine.runtime, f"containers of {engine.runtime}"),
        programs={name: shutil.which(name) is not None for name in _PROGRAMS},
        modules={name: importlib.util.find_spec(name) is not None for name in _MODULES},
    )
