"""Reads what a diagnosis is made from: the object with its pods, the last lines of each pod, the nodes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import NODES, PODS, Object, Resource
from cpod_jupyter.errors import ApiError, ApiUnreachable
from cpod_jupyter.sdk.diagnose.facts import Diagnosis, Facts
from cpod_jupyter.sdk.diagnose.rules import tell
from cpod_jupyter.sdk.logs import log_of
from cpod_jupyter.sdk.pods import Family
from cpod_jupyter.sdk.states import State, status_of
from cpod_jupyter.sdk.words import Words

if TYPE_CHECKING:
    from cpod_jupyter.client.client import Client

_LINES = 400
"""Lines of each pod's log that a diagnosis looks at."""

_AT_ONCE = 8
"""Logs that are read at the same time."""


def look(
    client: Client, resource: Resource, name: str, namespace: str, asked: Object | None = None
) -> tuple[Words, Diagnosis | None]:
    """What is happening to an object now, and why it failed or is stuck, None when nothing is wrong with it.

    `asked` is what a person wrote, where the object was made from that: the cell that mends is for it.
    Raises NotFound when it is gone, and the other kinds of ApiError, or ApiUnreachable, when it cannot be read.
    """
    family = Family.read(client, resource, name, namespace)
    if status_of(family.root, resource).state in (State.SUCCEEDED, State.DELETED):
        return tell(Facts(family, {}))
    return tell(Facts(family, _logs(client, family.pods()), _nodes(client), asked=asked))


def _logs(client: Client, pods: list[Object]) -> dict[str, tuple[str, ...]]:
    """The last lines of each pod whose log can be read, by its name."""

    def read(pod: Object) -> tuple[str, ...] | None:
        try:
            return log_of(client, Family(PODS, pod), tail=_LINES)
        except (ApiError, ApiUnreachable):
            return None

    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="cpod-diagnose") as readers:
        found = zip(map(meta.name_of, pods), readers.map(read, pods), strict=True)
        return {name: lines for name, lines in found if lines is not None}


def _nodes(client: Client) -> list[Object]:
    """None where one may not see them."""
    try:
        return client.list(NODES).items
    except (ApiError, ApiUnreachable):
        return []
