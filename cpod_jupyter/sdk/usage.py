"""What pods use of CPU and memory now, where the cluster tells (metrics.k8s.io); nothing where it doesn't."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cpod_jupyter.api import meta
from cpod_jupyter.api.quantity import parse_quantity
from cpod_jupyter.api.resources import Object
from cpod_jupyter.api.usage import POD_METRICS
from cpod_jupyter.errors import ApiError, ApiUnreachable

if TYPE_CHECKING:
    from cpod_jupyter.client.client import Client

_SECONDS = 3.0
_REFUSED_SECONDS = 60.0


@dataclass(frozen=True)
class Use:
    """`cpu` in cores, `memory` in bytes."""

    cpu: float
    memory: int


class Usage:
    """The pods of a namespace; asked at most every few seconds, in a thread, so that no display waits for it.

    usage = Usage(client, "default")
    usage.pods().get("train-master-0")     # Use(cpu=1.9, memory=812345678), once it has come
    """

    def __init__(self, client: Client, namespace: str) -> None:
        self._client = client
        self._namespace = namespace
        self._found: dict[str, Use] = {}
        self._due = float("-inf")
        self._lock = threading.Lock()

    def pods(self) -> dict[str, Use]:
        """By pod name, as last told; at once."""
        with self._lock:
            if time.monotonic() >= self._due:
                self._due = float("inf")
                threading.Thread(target=self.refresh, name="cpod-usage", daemon=True).start()
            return self._found

    def refresh(self) -> None:
        """Ask now. A cluster without metrics, or one that forbids them, is asked again a minute later."""
        pause, found = _SECONDS, {}
        try:
            for item in self._client.list(POD_METRICS, self._namespace).items:
                found[meta.name_of(item)] = _use(item)
        except (ApiError, ApiUnreachable, ValueError):
            pause = _REFUSED_SECONDS
        with self._lock:
            self._found, self._due = found, time.monotonic() + pause


def _use(item: Object) -> Use:
    uses = [container.get("usage") or {} for container in item.get("containers") or []]
    cpu = sum(float(parse_quantity(use.get("cpu", "0"))) for use in uses)
    return Use(cpu, sum(int(parse_quantity(use.get("memory", "0"))) for use in uses))
