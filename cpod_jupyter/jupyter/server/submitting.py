"""From a form to an object: the schema of a kind, what is wrong with a text, the verdict on it, and its submission."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cpod_jupyter.errors import CpodError, ManifestError
from cpod_jupyter.jupyter.server.address import Place, session_at, texts_of
from cpod_jupyter.jupyter.server.base import Handler, answered, text_of
from cpod_jupyter.jupyter.server.objects import address_of

if TYPE_CHECKING:
    from cpod_jupyter.sdk import Session

_SUBMIT_SECONDS = 900.0
"""Data in the place of a dataset are uploaded first."""
_JUDGE_SECONDS = 120.0


class SchemaHandler(Handler):
    """GET: the schema of the spec of a kind, as the context's server has it."""

    @answered
    async def get(self) -> None:
        context, kind = texts_of(self.query(), "context", "kind")
        found = await self.in_thread(lambda hub: _spec(session_at(hub.sessions, context), kind))
        self.give(found)


class CheckHandler(Handler):
    """POST: what is wrong with a text of manifests, by line and column. Nothing is stored."""

    @answered
    async def post(self) -> None:
        fields = self.body()
        text = text_of(fields)
        faults = await self.at(fields, lambda session: _faults(session, text))
        self.give({"faults": faults})


class JudgeHandler(Handler):
    """POST: the preflight's verdict on what a text describes, and the operator's plan for it. Nothing is stored."""

    @answered
    async def post(self) -> None:
        fields = self.body()
        text = text_of(fields)
        verdict = await self.at(fields, lambda session: _judged(session, text), _JUDGE_SECONDS)
        self.give(verdict)


class SubmitHandler(Handler):
    """POST: submit what a text describes; `fresh` runs again what has run before. The address and outcome of each."""

    @answered
    async def post(self) -> None:
        fields = self.body()
        text, fresh = text_of(fields), fields.get("fresh") is True
        done = await self.at(fields, lambda session: _submitted(session, text, fresh), _SUBMIT_SECONDS)
        self.give(done)


class CellHandler(Handler):
    """POST: the `%%cpod` cell that submits what a text describes."""

    @answered
    async def post(self) -> None:
        fields = self.body()
        text, place = text_of(fields), Place.of(fields)
        cell = await self.at(fields, lambda session: _cell(session, place, text))
        self.give(cell)


class ManifestHandler(Handler):
    """POST: the manifests that a `%%cpod` cell would submit."""

    @answered
    async def post(self) -> None:
        text = text_of(self.body())
        found = await self.in_thread(lambda _: _manifest(text))
        self.give(found)


def _spec(session: Session, kind: str) -> Any:
    return (session.schema(kind).get("properties") or {}).get("spec") or {}


def _faults(session: Session, text: str) -> list[dict[str, Any]]:
    from cpod_jupyter.sdk.checking import faults_of

    return [
        {"line": fault.place[0], "column": fault.place[1], "path": fault.field, "message": fault.message}
        for fault in faults_of(session, text)
    ]


def _judged(session: Session, text: str) -> dict[str, Any]:
    """One verdict on all that the text describes; the plan is of the first object that has one."""
    from cpod_jupyter.sdk.preflight import Verdict

    try:
        objects = session.load(text)
    except ManifestError as error:
        found = [{"level": "error", "about": "manifest", "text": problem} for problem in error.problems]
        return {"ok": False, "findings": found, "plan": None}
    verdicts: list[Verdict] = [session.preflight(obj) for obj in objects]
    several = len(verdicts) > 1
    findings = [
        {
            "level": finding.level,
            "about": f"{verdict.title}: {finding.about}" if several else finding.about,
            "text": finding.sentence,
        }
        for verdict in verdicts
        for finding in verdict.findings
    ]
    plan = next((verdict.plan for verdict in verdicts if verdict.plan is not None), None)
    return {
        "ok": all(verdict.ok for verdict in verdicts),
        "findings": findings,
        "plan": None if plan is None else {"title": plan.title, "rows": [list(row) for row in plan.rows()]},
    }


def _submitted(session: Session, text: str, fresh: bool) -> list[dict[str, Any]]:
    done: list[dict[str, Any]] = []
    for obj in session.load(text):
        try:
            handle, outcome = session.submit(obj, new=fresh)
        except CpodError as error:
            if not done:
                raise
            before = ", ".join(f"{each['address']['kind']}/{each['address']['name']}" for each in done)
            raise CpodError(f"{session.title(obj)}: {error}; submitted before it: {before}") from error
        done.append({"address": address_of(handle), "outcome": str(outcome)})
    return done


def _cell(session: Session, place: Place, text: str) -> str:
    from cpod_jupyter.api import meta
    from cpod_jupyter.jupyter.magics.written import cell_of
    from cpod_jupyter.sdk import config
    from cpod_jupyter.sdk.contexts import contexts

    objects = session.load(text)
    namespace = meta.namespace_of(objects[0])
    usual = next((row for row in contexts() if row.current), None)
    at_home = usual is not None and usual.name == place.context
    there = config.chosen().namespace.value or (usual.namespace if usual is not None else "")
    return cell_of(
        objects,
        context="" if at_home else place.context,
        namespace="" if at_home and namespace == there else namespace,
    )


def _manifest(cell: str) -> str:
    from cpod_jupyter.jupyter.magics.written import manifest_of

    return manifest_of(cell)
