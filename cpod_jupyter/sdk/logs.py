"""The log of a container, line by line, none of them twice, over lost connections and restarts."""

from __future__ import annotations

import datetime as dt
import itertools
import re
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import PODS, Object
from cpod_jupyter.errors import ApiError, ApiUnreachable, BadRequest, CpodError, NotFound, ServerError
from cpod_jupyter.sdk.pods import Family, ended, has_started, place_of

if TYPE_CHECKING:
    from cpod_jupyter.client.client import Client

_STAMP = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?(Z|[+-]\d\d:\d\d) ?")
_LONGEST_PAUSE = 5.0
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


class Deduplicator:
    """Lets each line of a time-stamped log through once, whatever a new connection repeats.

    A log asked for from a time on begins with that whole second (PodLogOptions, `sinceTime`), so
    lines that came before are dropped by their time, and of equal times by their number.
    """

    def __init__(self) -> None:
        self.since: str | None = None
        self._newest = ""
        self._seen = 0
        self._skip = 0

    def reconnected(self) -> None:
        """What comes next is a new answer, from `since` on."""
        self._skip = self._seen

    def new(self, line: str) -> str | None:
        """The line without its stamp, or None when it was let through before."""
        found = _STAMP.match(line)
        if found is None:
            return line
        text = line[found.end() :]
        moment = f"{found[1]}.{(found[2] or '').ljust(9, '0')}"
        if moment < self._newest:
            return None
        if moment == self._newest and self._skip:
            self._skip -= 1
            return None
        if moment > self._newest:
            self._newest, self._seen, self._skip = moment, 0, 0
            self.since = f"{found[1]}{found[3]}"
        self._seen += 1
        return text


def follow_log(
    client: Client, pod: Object, stopped: threading.Event | None = None, *, returns: bool = False
) -> Iterator[str]:
    """Every line that a pod's main container writes, from the first, until the pod has ended.

    With `returns` also the states of progress bars before their line ends (`Client.logs`). A lost connection is
    taken up again. Ends early when the pod is deleted, or once `stopped` is set.
    """
    from cpod_jupyter.client.client import is_waiting

    stopped = stopped or threading.Event()
    name, namespace = meta.name_of(pod), meta.namespace_of(pod)
    once = Deduplicator()
    pause = 0.2
    while not stopped.is_set():
        once.reconnected()
        over = False
        try:
            over = ended(client.get(PODS, name, namespace))  # asked first: the log is then whole
            lines = client.logs(
                name,
                namespace,
                container=main_container(pod),
                follow=True,
                since_time=once.since,
                timestamps=True,
                returns=returns,
            )
            for line in lines:
                text = once.new(line)
                if text is not None:
                    pause = 0.2
                    yield text
                if stopped.is_set():
                    return
        except NotFound:
            return
        except BadRequest as error:
            if not is_waiting(error):
                raise
        except (ApiUnreachable, ServerError):
            over = False
        if over:
            return
        stopped.wait(pause)
        pause = min(pause * 2, _LONGEST_PAUSE)


def moment_of(since: str | float) -> str:
    """The moment (RFC 3339) that lies a length of time back, `90`, `10m`, `2h`, or the moment itself.

    Raises CpodError for what is neither.
    """
    text = str(since).strip()
    if _STAMP.match(text):
        return text
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhd]?)", text)
    if found is None:
        raise CpodError(f'since "{text}" is neither a length of time (90, 30s, 10m, 2h, 1d) nor a moment (RFC 3339)')
    back = dt.timedelta(seconds=float(found[1]) * _SECONDS[found[2]])
    return (dt.datetime.now(dt.UTC) - back).strftime("%Y-%m-%dT%H:%M:%SZ")


def log_of(client: Client, family: Family, tail: int | None = 50, first: Object | None = None) -> tuple[str, ...]:
    """The last lines of the pod that speaks for an object, or of `first`, as far as it has written any."""
    return tuple(log_lines(client, family, tail=tail, first=first)[1])


def log_lines(
    client: Client,
    family: Family,
    *,
    tail: int | None = None,
    first: Object | None = None,
    since_time: str | None = None,
    previous: bool = False,
) -> tuple[str, Iterator[str]]:
    """The same line by line as they are read, so that a long log is never held as a whole; and the pod's place.

    `previous` means the container's run before the present one. The lines raise ApiUnreachable when the connection
    breaks.
    """
    for pod in [first, *family.pods()] if first is not None else family.pods():
        if not has_started(pod):
            continue
        name, container = meta.name_of(pod), main_container(pod)
        lines = client.logs(
            name,
            meta.namespace_of(pod),
            container=container,
            tail_lines=tail,
            since_time=since_time,
            previous=previous,
        )
        try:
            line = next(lines, None)
        except (ApiError, ApiUnreachable):
            continue  # the next one may be readable
        return place_of(pod), itertools.chain([] if line is None else [line], lines)
    return "", iter(())


def main_container(pod: Object) -> str:
    """The container that does the work, by kubectl's annotation or by being the first."""
    chosen = (pod["metadata"].get("annotations") or {}).get("kubectl.kubernetes.io/default-container")
    return str(chosen or pod["spec"]["containers"][0]["name"])
