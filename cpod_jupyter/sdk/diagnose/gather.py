"""Reads what a diagnosis is made from: the object with its pods, the last lines of each pod, the nodes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import NODES, PODS, Object, Resource
from cpod_jupyter.errors import ApiError, ApiUnreachable, NotFound
from cpod_jupyter.sdk.diagnose.facts import Diagnosis, Facts
from cpod_jupyter.sdk.diagnose.rules import diagnose
from cpod_jupyter.sdk.logs import log_of
from cpod_jupyter.sdk.pods import Family
from cpod_jupyter.sdk.states import State
from cpod_jupyter.sdk.words import explain

if TYPE_CHECKING:
    from cpod_jupyter.client.client import Client

_LINES = 400
"""Lines of each pod's log that a diagnosis looks at."""

_AT_ONCE = 8
"""Logs that are read at the same time."""


def look(
    client: Client, resource: Resource, name: str, namespace: str, asked: Object | None = None
) -> Diagnosis | None:
    """Why an object failed or is stuck; None when nothing is wrong with it, or it is gone.

    `asked` is what a person wrote, where the object was made from that: the cell that mends is for it.

    Raises ApiError and ApiUnreachable when the object cannot be read.
    """
    try:
        family = Family.read(client, resource, name, namespace)
    except NotFound:
        return None
    words = explain(family)
    if words.status.state in (State.SUCCEEDED, State.DELETED):
        return None
    if asked is not None:
        metadata = {**family.root["metadata"], "name": meta.name_of(asked)}
        family.root = {**family.root, "metadata": metadata, "spec": asked.get("spec") or {}}
    return diagnose(Facts(family, _logs(client, family.pods()), _nodes(client)), words)


def _logs(client: Client, pods: list[Object]) -> dict[str, tuple[str, ...]]:
    """The last lines of each pod, by its name; none of a pod whose log cannot be read."""

    def read(pod: Object) -> tuple[str, ...]:
        try:
            return log_of(client, Family(PODS, pod), tail=_LINES)
        except (ApiError, ApiUnreachable):
            return ()

    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="cpod-diagnose") as readers:
        return dict(zip(map(meta.name_of, pods), readers.map(read, pods), strict=True))


def _nodes(client: Client) -> list[Object]:
    """None where one may not see them."""
    try:
        return client.list(NODES).items
    except (ApiError, ApiUnreachable):
        return []
