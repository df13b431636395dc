"""What is asked of an object's logs, and the lines that answer it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cpod_jupyter.api.resources import Object, Resource
from cpod_jupyter.api.schema import nearest
from cpod_jupyter.errors import CpodError, NotFound
from cpod_jupyter.sdk.follow import Follower
from cpod_jupyter.sdk.history import LogLine, readable
from cpod_jupyter.sdk.kinds import word_of
from cpod_jupyter.sdk.logs import log_lines, merged, moment_of
from cpod_jupyter.sdk.pods import Family, is_at, place_of
from cpod_jupyter.sdk.snapshot import Snapshot
from cpod_jupyter.sdk.tracker import READ_AT_ONCE, Choice, first_ranks, leader

if TYPE_CHECKING:
    from cpod_jupyter.client.client import Client

Tell = Callable[[str], None]
"""Called with a sentence about why there are no lines yet."""


@dataclass(frozen=True)
class LogQuery:
    """Which lines: by default those of the pod that speaks for the object, or of `pod` (`worker-1`, or a name), of the
    pod of a `rank` (0 speaks for the others), or of all ranks; with `follow`, on to the end, over lost connections.

    `since` is a length of time (`10m`, or seconds) or a moment (RFC 3339); `previous` means the container's run before
    its last restart. Records of progress and metrics are put in words, unless `raw`.
    """

    follow: bool = False
    tail: int | None = None
    raw: bool = False
    pod: str = ""
    rank: int | None = None
    all_ranks: bool = False
    since: str | float = ""
    previous: bool = False

    def check(self) -> None:
        """Raises CpodError for options that exclude each other."""
        if self.follow and (self.since or self.previous or self.tail is not None):
            raise CpodError("a log that is followed comes whole: leave out tail, since and previous")
        if bool(self.pod) + (self.rank is not None) + self.all_ranks > 1:
            raise CpodError("say either pod or rank, or all ranks")

    def shown(self, lines: list[LogLine]) -> list[LogLine]:
        """The lines as they are wanted: records in words, or left out where there is nothing to say."""
        if self.raw:
            return lines
        said = [LogLine(line.place, readable(line.text)) for line in lines]
        return [shown for shown, line in zip(said, lines, strict=True) if shown.text or not line.text]


def to_standard_error(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


class LogReader:
    """Reads the logs of one object's pods."""

    def __init__(self, client: Client, resource: Resource, name: str, namespace: str) -> None:
        self._client = client
        self._resource = resource
        self._name = name
        self._namespace = namespace

    @property
    def _title(self) -> str:
        return f"{word_of(self._resource)}/{self._name}"

    def batches(self, query: LogQuery, tell: Tell = to_standard_error) -> Iterator[list[LogLine]]:
        """The lines in batches, as many as came at once; while a log is followed, an empty one for each pause.

        `tell` hears why there are no lines yet, while the pods of a followed object are pending. Raises NotFound for a
        pod that there is not, CpodError for options that exclude each other.
        """
        query.check()
        for lines in self._followed(query, tell) if query.follow else self._present(query):
            if not lines:
                yield lines
            elif shown := query.shown(lines):
                yield shown

    def _present(self, query: LogQuery) -> Iterator[list[LogLine]]:
        family = Family.read(self._client, self._resource, self._name, self._namespace)
        moment = moment_of(query.since) if query.since else None
        if query.all_ranks:
            pods = first_ranks(family, READ_AT_ONCE)
            newest = {place_of(pod): pod for pod in reversed(pods)}
            found = merged(
                self._client,
                reversed(newest.values()),
                tail=query.tail,
                since_time=moment,
                previous=query.previous,
            )
            for line in found:
                yield [line]
            return
        first = self._pod(family, query)
        if query.previous and first is None:
            first = next(iter(family.pods()), None)
        place, lines = log_lines(
            self._client, family, only=first, tail=query.tail, since_time=moment, previous=query.previous
        )
        for text in lines:
            yield [LogLine(place, text)]

    def _followed(self, query: LogQuery, tell: Tell) -> Iterator[list[LogLine]]:
        told = ""

        def say(snapshot: Snapshot) -> None:
            nonlocal told
            sentence = f"{snapshot.title}: {snapshot.reason}" if snapshot.reason else told
            if not snapshot.connected:
                sentence = f"{snapshot.title}: the API server does not answer; trying again"
            if sentence != told:
                told = sentence
                tell(sentence)

        follower = Follower(self._client, self._resource, self._name, self._namespace)
        came = False
        for lines in follower.lines(self._choice(query), say):
            came = came or bool(lines)
            yield lines
        if not came and (query.pod or query.rank is not None):
            self._pod(Family.read(self._client, self._resource, self._name, self._namespace), query)

    def _choice(self, query: LogQuery) -> Choice:
        """Which pods' logs are followed."""
        if query.all_ranks:
            return lambda family: first_ranks(family, READ_AT_ONCE)
        if query.pod:
            return lambda family: [pod for pod in family.pods() if is_at(pod, query.pod)]
        if query.rank is None:
            return leader
        rank = query.rank

        def of_rank(family: Family) -> list[Object]:
            places = _places(family)
            return [pod for pod in family.pods() if place_of(pod) in places[rank : rank + 1]]

        return of_rank

    def _pod(self, family: Family, query: LogQuery) -> Object | None:
        """The pod that is asked for; None where any will do. Raises NotFound with those there are."""
        places = _places(family)
        if query.rank is not None:
            if not 0 <= query.rank < len(places):
                there = f"ranks 0 to {len(places) - 1}" if places else "no pods"
                raise NotFound(f"{self._title} has no rank {query.rank}; it has {there}")
            return next(pod for pod in family.pods() if place_of(pod) == places[query.rank])
        if not query.pod:
            return None
        for pod in family.pods():
            if is_at(pod, query.pod):
                return pod
        listed = f"; there are {', '.join(places)}" if places else "; it has none"
        hint = nearest(query.pod, places) or listed
        raise NotFound(f'{self._title} has no pod "{query.pod}"{hint}')


def _places(family: Family) -> list[str]:
    """The places of the pods, by rank."""
    return list(dict.fromkeys(map(place_of, family.pods())))
