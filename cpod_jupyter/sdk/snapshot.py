"""A moment of an object that is followed: immutable, and all that a display needs."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from cpod_jupyter.api.resources import Resource
from cpod_jupyter.sdk.diagnose.facts import Diagnosis
from cpod_jupyter.sdk.history import LogLine, Metrics, Progress
from cpod_jupyter.sdk.kinds import word_of
from cpod_jupyter.sdk.podstates import PodState
from cpod_jupyter.sdk.states import State, Status
from cpod_jupyter.sdk.view import curve
from cpod_jupyter.sdk.words import Words


@dataclass(frozen=True)
class Snapshot:
    """What is known of an object at a moment. `elapsed` in seconds; `log` is bounded, its records taken out.

    Where something is wrong, `diagnosis` says it, `reason`, `evidence` and `advice` are its own, and `fix` is the text
    of the cell that would mend it, "" where none is certain. The last snapshot of a failure knows all pods' logs.
    """

    resource: Resource
    name: str
    namespace: str
    status: Status
    reason: str = ""
    advice: str = ""
    evidence: tuple[str, ...] = ()
    fix: str = ""
    diagnosis: Diagnosis | None = field(default=None, repr=False)
    progress: Progress | None = None
    metrics: tuple[Metrics, ...] = field(default=(), repr=False)
    log: tuple[LogLine, ...] = field(default=(), repr=False)
    elapsed: float | None = None
    result: str = ""
    url: str = ""
    pods: tuple[PodState, ...] = ()
    events: tuple[str, ...] = ()
    spec: dict[str, Any] = field(default_factory=dict, repr=False)
    connected: bool = True

    @property
    def state(self) -> State:
        return self.status.state

    @property
    def title(self) -> str:
        """`finetune/facts`."""
        return f"{word_of(self.resource)}/{self.name}"

    def told(self, words: Words, found: Diagnosis | None) -> Snapshot:
        """The same with what a closer look has found; as it is, where that saw another state."""
        if words.status.state is not self.state:
            return self
        return replace(
            self,
            reason=words.reason,
            evidence=words.evidence,
            advice=words.advice,
            fix=found.fix if found else "",
            diagnosis=found,
        )

    @cached_property
    def curve(self) -> str:
        """The losses and the learning rate as SVG, drawn once for all who show it; empty with fewer than two points."""
        return curve.svg(self.metrics, self.progress.total if self.progress else None)

    @property
    def loss(self) -> float | None:
        """The latest training loss."""
        for record in reversed(self.metrics):
            if isinstance(record.get("loss"), (int, float)):
                return float(record["loss"])
        return None
