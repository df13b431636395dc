"""What a diagnosis is made from, and what it says. No I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import Object
from cpod_jupyter.sdk.pods import Family, containers_of, place_of

EVIDENCE = 3
"""Lines that show a cause, at most."""

WIDTH = 400
"""Characters of such a line that are kept."""


@dataclass(frozen=True)
class Diagnosis:
    """`cause` in one line, the lines that show it, what to do, and `fix`: a whole cell, "" where none is certain."""

    cause: str
    evidence: tuple[str, ...] = ()
    advice: str = ""
    fix: str = ""
    rule: str = ""

    def text(self, title: str) -> str:
        """Cause, evidence and advice in lines; `title` says of what."""
        lines = [f"{title}: {self.cause}", *(f"  | {line}" for line in self.evidence)]
        return "\n".join([*lines, f"  what to do: {self.advice}"] if self.advice else lines)


@dataclass(frozen=True)
class Facts:
    """An object with its pods, the last lines of each pod by its name, and the nodes; `only` names the pods that are
    looked at, where not all are."""

    family: Family
    logs: Mapping[str, Sequence[str]]
    nodes: Sequence[Object] = ()
    only: tuple[str, ...] = ()
    asked: Object | None = None
    """What a person wrote, where the object was made from that."""

    @property
    def spec(self) -> dict[str, Any]:
        return (self.asked or self.family.root).get("spec") or {}

    def pods(self) -> list[Object]:
        """The pod that failed first before the others, which may be its victims."""
        pods, culprit = self.family.pods(), self.family.culprit()
        if culprit is not None:
            pods = [culprit, *(pod for pod in pods if pod is not culprit)]
        return [pod for pod in pods if meta.name_of(pod) in self.only] if self.only else pods

    def containers(self) -> Iterator[tuple[Object, dict[str, Any]]]:
        """Each container's status with its pod, in the order of `pods`."""
        for pod in self.pods():
            for container in containers_of(pod):
                yield pod, container

    def lines(self) -> Iterator[tuple[str, Sequence[str]]]:
        """Each pod's place, empty where there is but one, and its last lines."""
        pods = self.pods()
        for pod in pods:
            yield (place_of(pod) if len(pods) > 1 else ""), self.logs.get(meta.name_of(pod), ())


def ending(container: Mapping[str, Any]) -> dict[str, Any]:
    """How a container's run ended, this one's or the one's before; empty when neither has."""
    for field in ("state", "lastState"):
        if over := (container.get(field) or {}).get("terminated"):
            return dict(over)
    return {}


_LIBRARIES = ("/site-packages/", "/dist-packages/", "/lib/python", "<frozen ")


def traceback_lines(lines: Sequence[str]) -> tuple[str, ...]:
    """Of the last Python traceback: the innermost frame that is the person's own, and the exception."""
    starts = [number for number, line in enumerate(lines) if line.strip().startswith("Traceback (most recent")]
    if not starts:
        return ()
    own, exception = "", ""
    for line in lines[starts[-1] + 1 :]:
        if line.strip().startswith('File "'):
            own = own if any(part in line for part in _LIBRARIES) else line.strip()
        elif line[:1].strip() and not exception:
            exception = line.strip()
    return tuple(line[:WIDTH] for line in (own, exception) if line)
