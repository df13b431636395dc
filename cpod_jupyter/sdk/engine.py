"""The embedded engine, for the faces: up, down, and what runs."""

from __future__ import annotations

from dataclasses import dataclass

from cpod_jupyter import local
from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import INFERENCES, INFERENCESERVICES, PODS
from cpod_jupyter.client.client import Client
from cpod_jupyter.engine.imagemap import ImageMap, MappedImage
from cpod_jupyter.errors import CpodError, NotFound
from cpod_jupyter.local import Engine
from cpod_jupyter.sdk.finding import is_part
from cpod_jupyter.sdk.kinds import RUN_ONCE, word_of
from cpod_jupyter.sdk.states import State, status_of

__all__ = ["AtWork", "Engine", "ImageMap", "MappedImage", "at_work", "down", "images", "running", "up"]

_WORKS = (State.PREPARING, State.RUNNING, State.READY)


@dataclass(frozen=True)
class AtWork:
    """A job or a deployment that has something running now."""

    namespace: str
    kind: str
    name: str


def up(port: int | None = None, runtime: str | None = None, *, with_operator: bool = True) -> Engine:
    """Start the engine, or find the one that runs; `started_now` tells which. Raises EngineError.

    `runtime` is what pods are: `process`, or real images by `podman` or `docker`. Without its operator, one that
    runs by itself can act on it.
    """
    return local.start(port, runtime, with_operator=with_operator)


def down() -> str:
    """Stop it, and say what became of it and of its pods: they go on, and are found again.

    Raises EngineError.
    """
    found = local.find()
    if found is None:
        return "no engine runs"
    pods = _running_pods(found)
    local.stop()
    if not pods:
        return "stopped the engine"
    verb = "goes" if len(pods) == 1 else "go"
    return f"stopped the engine; without it {verb} on: {', '.join(pods)}"


def at_work() -> list[AtWork]:
    """What runs on the engine now, in all its namespaces: what one leaves to itself by stopping it. Starts no engine.

    Raises CpodError when a running engine cannot be asked.
    """
    found = local.find()
    if found is None:
        return []
    client = Client.from_kubeconfig(found.kubeconfig)
    works = []
    for resource in (*RUN_ONCE, INFERENCES, INFERENCESERVICES):
        try:
            objects = client.list(resource).items
        except NotFound:  # a kind that this engine does not serve
            continue
        works += [
            AtWork(meta.namespace_of(obj), word_of(resource), meta.name_of(obj))
            for obj in objects
            if not is_part(obj) and status_of(obj, resource).state in _WORKS
        ]
    client.close()
    return works


def _running_pods(found: Engine) -> list[str]:
    """Names of the pods that run; none when the engine cannot be asked: it is to be stopped all the same."""
    try:
        client = Client.from_kubeconfig(found.kubeconfig)
        pods = client.list(PODS).items
    except CpodError:
        return []
    client.close()
    return [meta.name_of(pod) for pod in pods if (pod.get("status") or {}).get("phase") == "Running"]


def images() -> ImageMap:
    """The images that stand for virtual environments of this machine; the engine need not run."""
    return ImageMap(local.home())


def running() -> Engine | None:
    """The engine, if it runs."""
    return local.find()
