"""What a preflight found, for a person, a page and a program."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from cpod_jupyter.errors import ApiError, PreflightFailed
from cpod_jupyter.sdk.view import table

if TYPE_CHECKING:
    from cpod_jupyter.sdk.preflight.planned import Planned

Level = Literal["error", "warning", "note"]

_COLUMNS = ("level", "about", "finding")


@dataclass(frozen=True)
class Finding:
    """An error will keep the work from going well, a warning may or makes it wait, a note only tells."""

    level: Level
    about: str
    message: str
    advice: str = ""

    @property
    def sentence(self) -> str:
        return f"{self.message.rstrip('.')}. {self.advice}" if self.advice else self.message


@dataclass(frozen=True)
class Verdict:
    """All findings about one object, errors first."""

    title: str
    findings: tuple[Finding, ...]
    plan: Planned | None = None
    """What the operator will make of it, where it takes it."""
    refusal: ApiError | None = None
    """The error that the server answered to a dry run."""

    @property
    def ok(self) -> bool:
        return not self.errors

    @property
    def errors(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.level == "error")

    def check(self) -> Verdict:
        """The verdict itself. Raises PreflightFailed with every error."""
        if self.errors:
            raise PreflightFailed(self.title, [f"{error.about}: {error.sentence}" for error in self.errors])
        return self

    def to_dict(self) -> dict[str, Any]:
        findings = [dataclasses.asdict(finding) for finding in self.findings]
        plan = {"plan": self.plan.to_dicts()} if self.plan is not None else {}
        return {"object": self.title, "ok": self.ok, "findings": findings, **plan}

    def __repr__(self) -> str:
        head = f"preflight of {self.title}: {self._summary()}"
        width = max((len(finding.about) for finding in self.findings), default=0)
        lines = [f"{item.level:<7}  {item.about:<{width}}  {item.sentence}" for item in self.findings]
        return "\n".join([head, *lines])

    def _summary(self) -> str:
        if self.errors:
            return "it cannot work as it is"
        return "it may go, with warnings" if any(item.level == "warning" for item in self.findings) else "it may go"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        rows = [(item.level, item.about, item.sentence) for item in self.findings]
        head = table.note(f"preflight of {self.title}: {self._summary()}")
        found = table.html(_COLUMNS, rows, pills=(0,)) if rows else ""
        return {"text/plain": repr(self), "text/html": head + found}
