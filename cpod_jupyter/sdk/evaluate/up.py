"""What is compared, brought up: deployments as they are, jobs and models deployed for as long as it takes."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import INFERENCES, MODELSTORAGES, Object
from cpod_jupyter.errors import CpodError, NotFound
from cpod_jupyter.sdk.deployment import Deployment
from cpod_jupyter.sdk.handles import Handle, Job, Storage
from cpod_jupyter.sdk.questions import Endpoint
from cpod_jupyter.sdk.session import Session

_LONGEST = 40
"""Letters of a deployment's name, which others are made from."""


@dataclass
class Target:
    """One of the things compared."""

    name: str
    deployment: Deployment | Endpoint
    ours: bool
    """Whether the comparison put it up, and takes it down."""

    def take_down(self) -> None:
        """Raises CpodError when it cannot be deleted; one that is gone already is well."""
        if isinstance(self.deployment, Deployment):
            with contextlib.suppress(NotFound):
                self.deployment.delete()


def is_name(wanted: object) -> bool:
    """Whether it is to be looked up in a session; a URL is not."""
    return isinstance(wanted, str) and "://" not in wanted


def answering(
    wanted: str, session: Callable[[], Session], model: str = "", api_key_env: str | None = None
) -> Deployment | Endpoint:
    """A deployment by its name, or what answers at a URL; a session is only made for a name. Raises NotFound."""
    if not is_name(wanted):
        return Endpoint(wanted, model, api_key_env=api_key_env)
    deployment = session().get(INFERENCES, wanted.removeprefix("inference/"))
    assert isinstance(deployment, Deployment), "an Inference is a deployment"
    return deployment


def found(wanted: str, session: Session | None) -> Handle | Endpoint:
    """What a name or a URL means: a name is that of a deployment, else of a model, else of a job."""
    if not is_name(wanted):
        return Endpoint(wanted)
    assert session is not None, "a name is looked up in a session"
    if "/" not in wanted:
        for kind in (INFERENCES, MODELSTORAGES):
            try:
                return session.get(kind, wanted)
            except NotFound:
                continue
    return session.find(wanted)


def brought_up(handle: Handle | Endpoint, deploy: Mapping[str, Any]) -> Target:
    """A target that is there, though it may not answer yet. Raises CpodError for what cannot be deployed."""
    if isinstance(handle, (Deployment, Endpoint)):
        return Target(handle.name, handle, False)
    client = handle._client
    if isinstance(handle, Job):
        model = client.get(MODELSTORAGES, handle.result, handle.namespace)
    elif isinstance(handle, Storage) and handle.resource == MODELSTORAGES:
        model = handle.refresh().object
    else:
        raise CpodError(f"{handle.title} cannot be compared: give a deployment, a job, or a model")
    existing = None if deploy else _serving(handle, meta.name_of(model))
    if existing is not None:
        return Target(handle.name, existing, False)
    return Target(handle.name, _deployed(handle, meta.name_of(model), deploy), True)


def _serving(handle: Handle, model: str) -> Deployment | None:
    """A deployment of the model that someone has up."""
    for obj in handle._client.list(INFERENCES, handle.namespace).items:
        spec = obj.get("spec") or {}
        if spec.get("modelId") == model and not spec.get("predictor") and not meta.is_going(obj):
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
