"""What there is to work in and with: contexts, namespaces, GPUs, models, datasets, the engine; what is wrong."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from cpod_jupyter.errors import CpodError, Forbidden
from cpod_jupyter.jupyter.server.address import session_at, texts_of
from cpod_jupyter.jupyter.server.base import Handler, answered
from cpod_jupyter.version import VERSION

if TYPE_CHECKING:
    from cpod_jupyter.sdk import Session

_ENGINE_SECONDS = 180.0


class VersionHandler(Handler):
    """GET: the version of this extension, which a page's own may differ from."""

    @answered
    async def get(self) -> None:
        self.give({"version": VERSION})


class ContextsHandler(Handler):
    """GET: the contexts that one can work in, and whether the engine runs."""

    @answered
    async def get(self) -> None:
        found = await self.in_thread(lambda _: _contexts())
        self.give(found)


class NamespacesHandler(Handler):
    """GET: the names of a context's namespaces; the usual one alone where they may not be listed."""

    @answered
    async def get(self) -> None:
        [context] = texts_of(self.query(), "context")
        found = await self.in_thread(lambda hub: _namespaces(session_at(hub.sessions, context)))
        self.give(found)


class GpusHandler(Handler):
    """GET: the GPUs by node and type."""

    @answered
    async def get(self) -> None:
        rows = await self.at(self.query(), lambda session: session.gpus().to_dicts())
        self.give({"nodes": [{key: row[key] for key in ("node", "type", "total", "free")} for row in rows]})


class ModelsHandler(Handler):
    """GET: the models that a fine-tune may name: the namespace's own and the catalogue's."""

    @answered
    async def get(self) -> None:
        found = await self.at(self.query(), _models)
        self.give(found)


class DatasetsHandler(Handler):
    """GET: the datasets of a namespace."""

    @answered
    async def get(self) -> None:
        found = await self.at(self.query(), _datasets)
        self.give(found)


class DoctorHandler(Handler):
    """GET: what is good, what may be missed and what is wrong with a context."""

    @answered
    async def get(self) -> None:
        [context] = texts_of(self.query(), "context")
        found = await self.in_thread(lambda hub: _examined(session_at(hub.sessions, context)))
        self.give(found)


class EngineHandler(Handler):
    """GET: whether the engine on this machine runs, and what runs on it. POST: start (`up`) or stop (`down`) it; what
    came of it, in a sentence."""

    @answered
    async def get(self) -> None:
        found = await self.in_thread(lambda _: {**_running(), "atWork": _at_work()})
        self.give(found)

    @answered
    async def post(self) -> None:
        action = self.body().get("action")
        if action not in ("up", "down"):
            raise CpodError('action must be "up" or "down"')
        found = await self.in_thread(lambda _: _engine(up=action == "up"), _ENGINE_SECONDS)
        self.give(found)


def _contexts() -> dict[str, Any]:
    from cpod_jupyter.sdk.contexts import contexts

    return {"contexts": contexts().to_dicts(), "engine": _running()}


def _running() -> dict[str, Any]:
    from cpod_jupyter.sdk import engine

    found = engine.running()
    return {"running": found is not None, "url": found.url if found is not None else ""}


def _at_work() -> list[dict[str, str]]:
    from cpod_jupyter.sdk import engine

    return [asdict(each) for each in engine.at_work()]


def _namespaces(session: Session) -> list[str]:
    from cpod_jupyter.api import meta
    from cpod_jupyter.api.resources import NAMESPACES

    try:
        found = [meta.name_of(item) for item in session.client.list(NAMESPACES).items]
    except Forbidden:
        found = []
    return sorted({*found, session.namespace})


def _models(session: Session) -> list[dict[str, str]]:
    """Its parameters, size, licence and source stand in `detail`, where they are known."""
    rows = session.models(most=None).rows()
    return [{"name": name, "detail": ", ".join(filter(None, about)), "state": state} for name, state, *about in rows]


def _datasets(session: Session) -> list[dict[str, str]]:
    from cpod_jupyter.sdk.listing import about
    from cpod_jupyter.sdk.states import status_of

    found = [(handle.name, handle.object, handle.resource) for handle in session.list("dataset")]
    return [{"name": name, "detail": about(obj), "state": status_of(obj, kind).phase} for name, obj, kind in found]


def _examined(session: Session) -> list[dict[str, str]]:
    from cpod_jupyter.sdk.doctor import examine

    return [
        {"level": str(finding.level), "text": f"{finding.about}: {finding.message}", "advice": finding.advice}
        for finding in examine(session)
    ]


def _engine(*, up: bool) -> dict[str, Any]:
    from cpod_jupyter.sdk import engine

    if not up:
        return {"message": engine.down(), **_running()}
    found = engine.up()
    told = "started the engine" if found.started_now else "the engine runs"
    return {"message": f"{told} at {found.url}", **_running()}
