"""What is read of a followed object, folded into snapshots; and which of its pods' logs are read. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import Object, Resource
from cpod_jupyter.control.api import WatchEvent
from cpod_jupyter.sdk.diagnose import Facts, tell
from cpod_jupyter.sdk.history import History, LogLine
from cpod_jupyter.sdk.pods import Family, containers_of, ended, finished_at, has_started, place_of, rank, unscheduled
from cpod_jupyter.sdk.podstates import events_in_words, pod_states
from cpod_jupyter.sdk.snapshot import Snapshot
from cpod_jupyter.sdk.states import State, Status, result_of, status_of
from cpod_jupyter.sdk.usage import Use
from cpod_jupyter.sdk.words import IMAGE_REASONS, Words

RANKS = 8
"""Pods of a job whose logs a display follows: the one that speaks for the job, and then by rank."""
READ_AT_ONCE = 64
"""Logs that are read at a time at most, each over a connection of its own."""


@dataclass(frozen=True)
class Changed:
    """An object of a kind changed."""

    resource: Resource
    event: WatchEvent


@dataclass(frozen=True)
class Listed:
    """A kind was listed again: what is not in it is gone."""

    resource: Resource
    items: list[Object]


@dataclass(frozen=True)
class Lines:
    """A pod, told by its uid, wrote lines: as many as came at once, so that a busy log costs little for each.

    A text that begins with a carriage return goes on with the line before it (`logs.follow_log`).
    """

    pod: str
    texts: list[str]


@dataclass(frozen=True)
class LogEnded:
    """A pod's log has been read to its end."""

    pod: str


@dataclass(frozen=True)
class Connection:
    """The API server stopped answering, or answers again."""

    up: bool


News = Changed | Listed | Lines | LogEnded | Connection


Choice = Callable[[Family], list[Object]]
"""Which pods' logs are wanted, the most wanted first."""


def speakers(family: Family) -> list[Object]:
    """The pods that speak for the object: of those that one owner made, the ones of the lowest rank."""
    pods = family.pods()
    best: dict[str, tuple[int, int]] = {}
    for pod in pods:
        owner = _owner(pod)
        best[owner] = min(rank(pod), best.get(owner, rank(pod)))
    return [pod for pod in pods if rank(pod) == best[_owner(pod)]]


def first_ranks(family: Family, most: int = RANKS) -> list[Object]:
    """The pods that speak, then those of the other places by rank: of `most` places altogether.

    Of a job that has failed, the pod that failed first is among them.
    """
    found = speakers(family)
    names = {meta.uid_of(pod) for pod in found}
    places = {place_of(pod) for pod in found}
    for pod in family.pods():
        if meta.uid_of(pod) not in names and (place_of(pod) in places or len(places) < most):
            places.add(place_of(pod))
            found.append(pod)
    if status_of(family.root, family.resource).state is State.FAILED:
        culprit = family.culprit()
        if culprit is not None and culprit not in found:
            found.append(culprit)
    return found


def leader(family: Family) -> list[Object]:
    """The pod of the lowest rank of all, and those that took its place when it had ended; the oldest first."""
    pods = family.pods()
    lowest = min(map(rank, pods), default=None)
    found: list[Object] = []
    for pod in sorted((pod for pod in pods if rank(pod) == lowest), key=_created):
        if not found or (finished_at(found[-1]) and finished_at(found[-1]) <= _created(pod)):
            found.append(pod)
    return found


class Tracker:
    """Folds news into snapshots. No threads and no I/O, but for what it is given."""

    def __init__(
        self,
        family: Family,
        nodes: Callable[[], list[Object]] = list,
        use: Callable[[], Mapping[str, Use]] = dict,
        choose: Choice = first_ranks,
    ) -> None:
        self.family = family
        self.history = History()
        self.logs: dict[str, bool] = {}
        """By uid, each pod whose log is read, and whether it has been read to its end."""
        self.places: dict[str, str] = {}
        self._speak: set[str] = set()
        self._choose = choose
        self._nodes = nodes
        self._use = use
        self.gone = False
        """Whether the object was deleted."""
        self._connected = True

    def take(self, news: News) -> None:
        match news:
            case Changed(resource, event):
                self._changed(resource, event)
            case Listed(resource, items):
                self._listed(resource, items)
            case Lines(pod, texts):
                place, speaks = self.places.get(pod, ""), pod in self._speak or pod not in self.places
                for text in texts:
                    self.history.add(text, place, speaks=speaks, goes_on=text[:1] == "\r")
            case LogEnded(pod):
                self.logs[pod] = True
            case Connection(up):
                self._connected = up

    def placed(self, lines: Lines) -> list[LogLine]:
        """Lines with the place of their pod."""
        place = self.places.get(lines.pod, "")
        return [LogLine(place, text) for text in lines.texts]

    def pods_to_read(self) -> list[Object]:
        """Pods whose log is wanted and not read yet; they count as read from now on."""
        speaking = {meta.uid_of(pod) for pod in speakers(self.family)}
        room = READ_AT_ONCE - sum(not ended for ended in self.logs.values())
        found = [pod for pod in self._choose(self.family) if meta.uid_of(pod) not in self.logs and has_started(pod)]
        del found[max(room, 0) :]
        for pod in found:
            uid = meta.uid_of(pod)
            self.logs[uid] = False
            self.places[uid] = place_of(pod)
            if uid in speaking:
                self._speak.add(uid)
        return found

    @property
    def drained(self) -> bool:
        """Whether every log that is read has ended."""
        return all(self.logs.values())

    @property
    def awaiting(self) -> bool:
        """Whether a pod is not known to have started yet: of an object that has ended, its news are on their way."""
        return any(not has_started(pod) and not ended(pod) for pod in self.family.pods())

    @property
    def draining(self) -> bool:
        """Whether a log is still read whose pod has ended, so that it has an end too."""
        open_logs = [self.family.members.get(uid) for uid, over in self.logs.items() if not over]
        return any(pod is None or ended(pod) for pod in open_logs)

    def snapshot(self) -> Snapshot:
        family, root = self.family, self.family.root
        nodes = self._nodes() if any(map(_asks_of_nodes, family.pods())) else []
        words, found = tell(Facts(family, self._logs_by_pod(), nodes))
        if self.gone:
            words, found = Words(Status(State.DELETED, "Deleted"), "it was deleted"), None
        return Snapshot(
            resource=family.resource,
            name=meta.name_of(root),
            namespace=meta.namespace_of(root),
            status=words.status,
            reason=words.reason,
            advice=words.advice,
            evidence=words.evidence,
            fix=found.fix if found else "",
            diagnosis=found,
            progress=self.history.progress,
            metrics=tuple(self.history.metrics),
            log=self.history.text(),
            elapsed=_elapsed(family, words.status.state),
            result=result_of(root),
            url=str((root.get("status") or {}).get("url") or ""),
            pods=pod_states(family, self._use()),
            events=() if words.status.state.good else events_in_words(family),
            spec=root.get("spec") or {},
            connected=self._connected,
        )

    def _logs_by_pod(self) -> dict[str, list[str]]:
        """The lines that are kept of each pod that is read."""
        names = {place_of(pod): meta.name_of(pod) for pod in self.family.pods() if meta.uid_of(pod) in self.logs}
        found: dict[str, list[str]] = {name: [] for name in names.values()}
        for line in (*self.history.head, *self.history.tail):
            if line.place in names:
                found[names[line.place]].append(line.text)
        return found

    def _changed(self, resource: Resource, event: WatchEvent) -> None:
        if event.type == "DELETED":
            self.family.remove(resource, event.object)
            same = meta.uid_of(event.object) == meta.uid_of(self.family.root)
            self.gone = self.gone or (same and resource == self.family.resource)
        elif event.type in ("ADDED", "MODIFIED"):
            if self.gone and resource == self.family.resource:
                return  # another object of the same name: not the one that is followed
            self.family.add(resource, event.object)

    def _listed(self, resource: Resource, items: list[Object]) -> None:
        found = {meta.uid_of(item) for item in items}
        root = self.family.root
        if resource == self.family.resource:
            self.gone = self.gone or meta.uid_of(root) not in found
        for uid, obj in list(self.family.members.items()):
            if obj["kind"] == resource.kind and uid not in found:
                self.family.remove(resource, obj)
        for item in items:
            self._changed(resource, WatchEvent("MODIFIED", item))


def _created(pod: Object) -> str:
    return str(pod["metadata"].get("creationTimestamp") or "")


def _asks_of_nodes(pod: Object) -> bool:
    """Whether what ails a pod is told by what nodes have: room, or images."""
    waits = [((container.get("state") or {}).get("waiting") or {}).get("reason") for container in containers_of(pod)]
    return unscheduled(pod) or any(reason in IMAGE_REASONS for reason in waits)


def _owner(pod: Object) -> str:
    return str((meta.controller_of(pod) or {}).get("uid") or meta.uid_of(pod))


def _elapsed(family: Family, state: State) -> float | None:
    """Seconds from submission to the end, or until now."""
    start = family.root["metadata"].get("creationTimestamp")
    if not start:
        return None
    end = dt.datetime.now(dt.UTC)
    if state.final:
        ends = [
            container["state"]["terminated"]["finishedAt"]
            for pod in family.pods()
            for container in containers_of(pod)
            if ((container.get("state") or {}).get("terminated") or {}).get("finishedAt")
        ]
        done = (family.root.get("status") or {}).get("completionTime") or max(ends, default=None)
        if done is None:
            return None
        end = meta.parse_time(done)
    return max(0.0, (end - meta.parse_time(start)).total_seconds())
