"""The log of a container, line by line, none of them twice, over lost connections and restarts."""

from __future__ import annotations

import contextlib
import datetime as dt
import heapq
import itertools
import operator
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import PODS, Object
from cpod_jupyter.client.stream import LineStream, Stop
from cpod_jupyter.errors import ApiError, ApiUnreachable, BadRequest, CpodError, NotFound, ServerError
from cpod_jupyter.sdk.history import LogLine
from cpod_jupyter.sdk.pods import Family, ended, has_started, main_container, place_of, restarts

if TYPE_CHECKING:
    from cpod_jupyter.client.client import Client

_STAMP = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?(Z|[+-]\d\d:\d\d) ?")
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 5.0
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


class Deduplicator:
    """Lets each line of a time-stamped log through once, whatever a new connection repeats.

    A log asked for from a time on begins with that whole second (PodLogOptions, `sinceTime`), so lines that came before
    are dropped by their time, and of equal times by their number. Of the last one, which may have gone on since (a
    progress bar), what is new of it is let through. Text without a stamp goes on with the line before it.
    """

    def __init__(self) -> None:
        self._newest = ""
        self._zone = "Z"
        self._seen = 0
        """Lines of the newest time that were let through."""
        self._skip = 0
        """Of them, those that the present connection is still to repeat."""
        self._told = 0
        """Characters of the newest line that were let through."""
        self._come = 0
        """Characters of it that the present connection has brought."""
        self.goes_on = False
        """Whether the text that was let through last goes on with the line before it."""
        self._inside: bool | None = None
        """Whether the line at hand is let through; None before the first one of a connection."""

    @property
    def since(self) -> str | None:
        """The second of the newest line, to go on from; None before there is one."""
        return f"{self._newest[:19]}{self._zone}" if self._newest else None

    def reconnected(self) -> None:
        """What comes next is a new answer, from `since` on."""
        self._skip, self._inside = self._seen, None

    def new(self, line: str) -> str | None:
        """The line without its stamp, what is new of it, or None when it was let through before."""
        if line[10:11] == "T" and line[19:20] == "." and line[29:31] == "Z ":  # as nearly every node writes it
            moment, text = line[:29], line[31:]
        elif found := _STAMP.match(line):
            moment, text = f"{found[1]}.{(found[2] or '').ljust(9, '0')}", line[found.end() :]
            self._zone = found[3]
        else:
            return line if self._inside is None else self._further(line) if self._inside else None
        self._come, self._inside, self.goes_on = 0, True, False
        if moment > self._newest:
            self._newest, self._seen, self._skip = moment, 0, 0
        elif moment < self._newest:
            self._inside = False
            return None
        if self._skip:
            self._skip -= 1
            self._inside = self._skip == 0  # the last one may have gone on
            return self._further(text) if self._inside else None
        self._seen, self._told = self._seen + 1, 0
        return self._part(text)

    def _further(self, text: str) -> str | None:
        self.goes_on = True
        return self._part(text) or None

    def _part(self, text: str) -> str:
        """What of a further part of the newest line was not let through yet."""
        repeated = max(0, self._told - self._come)
        self._come += len(text)
        self._told = max(self._told, self._come)
        return text[repeated:]


def follow_log(client: Client, pod: Object, stop: Stop | None = None, *, returns: bool = False) -> Iterator[list[str]]:
    """Every line that a pod's main container writes, from the first, until the pod has ended; in batches.

    With `returns` also the states of progress bars before their line ends: a text that begins with a carriage return
    goes on with the line before it. A lost connection is taken up again. When the container is restarted the rest of
    its run comes first, then the next run's lines; of runs before the reading began, the last one, for a node keeps no
    more. Ends early when the pod is deleted, or once `stop` is set.
    """
    stop = stop or Stop()
    name, namespace, container = meta.name_of(pod), meta.namespace_of(pod), main_container(pod)
    once = Deduplicator()
    last, whole = -1, True  # the run that was read last, and whether to its end
    pause = _FIRST_PAUSE
    while not stop.is_set():
        over = False
        try:
            now = client.get(PODS, name, namespace)
            over, run = ended(now), restarts(now, container)  # asked first: the log is then whole
            if run > (last + 1 if whole else last):
                yield from _run_before(client, pod, once, stop)
            once.reconnected()
            stream = client.log_stream(
                name,
                namespace,
                container=container,
                follow=True,
                since_time=once.since,
                timestamps=True,
                returns=returns,
                stop=stop,
            )
            last, whole = run, False
            for batch in stream:
                if stream.unfinished and not over:
                    break  # the next connection has it whole
                if texts := _new(once, batch, returns):
                    pause = _FIRST_PAUSE
                    yield texts
            whole = not stream.unfinished
        except NotFound:
            return
        except BadRequest as error:
            if not is_waiting(error):
                raise
        except (ApiUnreachable, ServerError):
            over = False
        if over:
            return
        stop.wait(pause)
        pause = min(pause * 2, _LONGEST_PAUSE)


def _run_before(client: Client, pod: Object, once: Deduplicator, stop: Stop) -> Iterator[list[str]]:
    """What was not read yet of the container's run before the present one; nothing where the node has it no more."""
    once.reconnected()
    try:
        stream = client.log_stream(
            meta.name_of(pod),
            meta.namespace_of(pod),
            container=main_container(pod),
            since_time=once.since,
            timestamps=True,
            previous=True,
            stop=stop,
        )
    except (BadRequest, NotFound):
        return
    for batch in stream:
        if texts := _new(once, batch):
            yield texts


def _new(once: Deduplicator, batch: list[str], returns: bool = False) -> list[str]:
    """What of a batch was not let through yet. With `returns` only what goes on with a line begins with such a one."""
    texts = []
    for line in batch:
        text = once.new(line)
        if text is not None:
            if returns and text[:1] == "\r" and not once.goes_on:
                text = text.lstrip("\r")
            texts.append(text)
    return texts


def merged(
    client: Client,
    pods: Iterable[Object],
    *,
    tail: int | None = None,
    since_time: str | None = None,
    previous: bool = False,
) -> Iterator[LogLine]:
    """The lines of several pods in the order of their times, read as they are wanted; none of a pod whose log cannot
    be read. Raises ApiUnreachable when a connection breaks."""

    def stamped(place: str, stream: LineStream) -> Iterator[tuple[str, LogLine]]:
        for batch in stream:
            for line in batch:
                stamp, _, text = line.partition(" ")
                yield stamp, LogLine(place, text)

    with contextlib.ExitStack() as opened:
        found = []
        for pod in pods:
            if not has_started(pod):
                continue
            try:
                stream = client.log_stream(
                    meta.name_of(pod),
                    meta.namespace_of(pod),
                    container=main_container(pod),
                    tail_lines=tail,
                    since_time=since_time,
                    timestamps=True,
                    previous=previous,
                )
            except ApiError:
                continue
            opened.callback(stream.close)
            found.append(stamped(place_of(pod), stream))
        for _, line in heapq.merge(*found, key=operator.itemgetter(0)):
            yield line


def is_waiting(error: BadRequest) -> bool:
    """Whether a log could not be read because its container has not started yet."""
    return "is waiting to start" in error.message or "not found in pod" in error.message


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
    only: Object | None = None,
    since_time: str | None = None,
    previous: bool = False,
) -> tuple[str, Iterator[str]]:
    """The same line by line as they are read, so that a long log is never held as a whole; and the pod's place.

    `only` means that pod and no other, `previous` the container's run before the present one. The lines raise
    ApiUnreachable when the connection breaks.
    """
    for pod in [only] if only is not None else [*([first] if first is not None else []), *family.pods()]:
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
