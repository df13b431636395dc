"""What pods use is known a moment later, and nobody waits for it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

from cpod_jupyter.api import meta
from cpod_jupyter.errors import Forbidden
from cpod_jupyter.sdk import Session
from cpod_jupyter.sdk.usage import Usage


def wait_for(condition: Callable[[], Any], seconds: float = 60) -> Any:
    until = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < until
        time.sleep(0.1)
    return found


def test_a_pods_use_of_cpu_and_memory_comes_from_the_engine(session: Session) -> None:
    busy = "kept = bytearray(100 * 2**20)\nwhile True: pass"
    job = session.job("busy", image="python:3.11", command=[sys.executable, "-c", busy])
    usage = Usage(session.client, session.namespace)

    def seen() -> bool:
        use = {name: found for pod in job.pods().values() if (found := usage.pods().get(name := meta.name_of(pod)))}
        return any(found.cpu > 0.1 and found.memory > 100e6 for found in use.values())

    wait_for(seen)
    job.delete()


def test_where_it_is_forbidden_nothing_is_shown_and_it_is_not_asked_again_soon() -> None:
    class Refusing:
        asked = 0

        def list(self, *_: object) -> None:
            self.asked += 1
            raise Forbidden("pods.metrics.k8s.io is forbidden")

    client = Refusing()
    usage = Usage(client, "default")  # type: ignore[arg-type]
    assert usage.pods() == {}
    wait_for(lambda: client.asked == 1)
    usage.refresh()
    assert [usage.pods() for _ in range(5)] == [{}] * 5
    assert client.asked == 2
