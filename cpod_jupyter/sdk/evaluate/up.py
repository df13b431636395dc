"""What is compared, brought up: deployments as they are, jobs and models deployed for as long as it takes."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import INFERENCES, MODELSTORAGES, Object
from cpod_jupyter.errors import CpodError, NotFound
from cpod_jupyter.sdk.deployment import Deployment
from cpod_jupyter.sdk.handles import Handle, Job, Storage
from cpod_jupyter.sdk.session import Session

_LONGEST = 40
"""Letters of a deployment's name, which others are made from."""


@dataclass
class Target:
    """One of the things compared. `identity` is the same when it is compared again, though deployed anew."""

    name: str
    deployment: Deployment
    identity: tuple[Any, ...]
    ours: bool
    """Whether the comparison put it up, and takes it down."""

    def take_down(self) -> None:
        """Raises CpodError when it cannot be deleted; one that is gone already is well."""
        with contextlib.suppress(NotFound):
            self.deployment.delete()


def found(wanted: str | Handle, session: Session) -> Handle:
    """A handle as it is; a name is that of a deployment, else of a model, else of a job."""
    if isinstance(wanted, Handle):
        return wanted
    if "/" not in wanted:
        for kind in (INFERENCES, MODELSTORAGES):
            try:
                return session.get(kind, wanted)
            except NotFound:
                continue
    return session.find(wanted)


def brought_up(handle: Handle, deploy: Mapping[str, Any]) -> Target:
    """A target that is there, though it may not answer yet. Raises CpodError for what cannot be deployed."""
    if isinstance(handle, Deployment):
        return Target(handle.name, handle, _identity(handle), False)
    client = handle._client
    if isinstance(handle, Job):
        model = client.get(MODELSTORAGES, handle.result, handle.namespace)
    elif isinstance(handle, Storage) and handle.resource == MODELSTORAGES:
        model = handle.refresh().object
    else:
        raise CpodError(f"{handle.title} cannot be compared: give a deployment, a job, or a model")
    identity = (meta.uid_of(model), str(sorted(deploy.items())))
    existing = None if deploy else _serving(handle, meta.name_of(model))
    if existing is not None:
        return Target(handle.name, existing, identity, False)
    return Target(handle.name, _deployed(handle, meta.name_of(model), deploy), identity, True)


def _identity(deployment: Deployment) -> tuple[Any, ...]:
    """The same for one that is deleted and made again of the same spec, with the same model."""
    client, spec = deployment._client, deployment.refresh().object.get("spec") or {}
    model = ""
    if spec.get("modelId"):
        with contextlib.suppress(NotFound):
            model = meta.uid_of(client.get(MODELSTORAGES, str(spec["modelId"]), deployment.namespace))
    return client.server, deployment.namespace, deployment.name, spec, model


def _serving(handle: Handle, model: str) -> Deployment | None:
    """A deployment of the model that someone has up."""
    for obj in handle._client.list(INFERENCES, handle.namespace).items:
        spec, metadata = obj.get("spec") or {}, obj["metadata"]
        if spec.get("modelId") == model and not spec.get("predictor") and not metadata.get("deletionTimestamp"):
            found = Deployment(handle._client, _whole(obj), INFERENCES)
            if found.ready:
                return found
    return None


def _whole(obj: Object) -> Object:
    return {"apiVersion": INFERENCES.api_version, "kind": INFERENCES.kind, **obj}


def _deployed(handle: Handle, model: str, deploy: Mapping[str, Any]) -> Deployment:
    """A new deployment of the model, of a name that nobody else's has."""
    unique = hashlib.sha256(f"{model} {meta.uid_of(handle.object)}".encode()).hexdigest()[:6]
    base = f"{model[:_LONGEST].rstrip('-.').replace('.', '-')}-compare-{unique}"
    for attempt in range(10):
        name = base if not attempt else f"{base}-{attempt}"
        try:
            handle._client.get(INFERENCES, name, handle.namespace)
        except NotFound:
            obj = {
                "apiVersion": INFERENCES.api_version,
                "kind": INFERENCES.kind,
                "metadata": {"name": name, "namespace": handle.namespace},
                "spec": {"modelId": model, **deploy},
            }
            return Deployment(handle._client, handle._client.create(INFERENCES, obj), INFERENCES)
    raise CpodError(f"there are ten deployments named {base} already; delete those that are left over")
