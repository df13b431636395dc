"""What is done with one object: its manifest, its log, its events; to stop, delete, run again and deploy it."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from tornado.iostream import StreamClosedError

from cpod_jupyter.errors import CpodError
from cpod_jupyter.jupyter.server.address import Address
from cpod_jupyter.jupyter.server.base import Handler, answered, new_name_of

if TYPE_CHECKING:
    from cpod_jupyter.sdk import Handle, Job, Session

_LOG_BATCH = 2000
"""Lines of a log that are sent together."""
_DELETE_SECONDS = 180.0
_EVENTS = 500


class CancelHandler(Handler):
    """POST: stop a job."""

    @answered
    async def post(self) -> None:
        await self.on(self.body(), lambda handle: _job(handle).cancel(), _DELETE_SECONDS)
        self.give({})


class DeleteHandler(Handler):
    """POST: delete an object with all that was made for it; answered when it is gone."""

    @answered
    async def post(self) -> None:
        await self.on(self.body(), lambda handle: handle.delete(), _DELETE_SECONDS)
        self.give({})


class RerunHandler(Handler):
    """POST: run the same again beside it, under the name `as` or the next free one; the address of the new one."""

    @answered
    async def post(self) -> None:
        fields = self.body()
        name = new_name_of(fields)
        found = await self.on(fields, lambda handle: address_of(_job(handle).rerun(name)))
        self.give(found)


class DeployHandler(Handler):
    """POST: deploy a job's result, or a model, under the name `as` or its own; the address of the deployment."""

    @answered
    async def post(self) -> None:
        fields = self.body()
        new, address = new_name_of(fields), Address.of(fields)
        found = await self.at(fields, lambda session: address_of(_deployed(session, address.kind, address.name, new)))
        self.give(found)


class EventsHandler(Handler):
    """GET: the events about an object and all that was made for it, the oldest first."""

    @answered
    async def get(self) -> None:
        events = await self.on(self.query(), _events)
        self.give(events)


class YamlHandler(Handler):
    """GET: the manifest that makes an object again."""

    @answered
    async def get(self) -> None:
        text = await self.on(self.query(), lambda handle: handle.to_yaml())
        self.finish(text, set_content_type="text/plain; charset=utf-8")


class LogsHandler(Handler):
    """GET: an object's whole log as a file, sent as it is read: of the pod that speaks for it, of that at a `place`,
    or with `ranks=all` of all of them in the order of their times, each line behind its place."""

    @answered
    async def get(self) -> None:
        fields = self.query()
        place, every = self.get_query_argument("place", ""), self.get_query_argument("ranks", "") == "all"
        lines = await self.on(fields, lambda handle: handle.logs(pod=place, all_ranks=every))
        batch = await self.in_thread(lambda _: list(itertools.islice(lines, _LOG_BATCH)))
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.set_header("Content-Disposition", f'attachment; filename="{fields["name"]}.log"')
        try:
            while batch:
                self.write("".join(f"{line}\n" for line in batch))
                await self.flush()
                batch = await self.in_thread(lambda _: list(itertools.islice(lines, _LOG_BATCH)))
        except CpodError as error:
            self.write(f"(the log breaks off here: {error})\n")
        except StreamClosedError:
            return  # nobody reads on
        self.finish(set_content_type="text/plain; charset=utf-8")


def address_of(handle: Handle) -> dict[str, str]:
    """Where a handle's object is, as a page names it."""
    from cpod_jupyter.sdk.kinds import word_of

    return {
        "context": handle.context,
        "namespace": handle.namespace,
        "kind": word_of(handle.resource),
        "name": handle.name,
    }


def _job(handle: Handle) -> Job:
    from cpod_jupyter.sdk import Job

    if not isinstance(handle, Job):
        raise CpodError(f"{handle.title} is no job; to remove it: %cpod delete {handle.title}")
    return handle


def _deployed(session: Session, kind: str, name: str, new: str | None) -> Handle:
    return session.deploy(session.get(session.kind(kind), name), new)


def _events(handle: Handle) -> list[dict[str, str]]:
    from cpod_jupyter.sdk.listing import event_rows
    from cpod_jupyter.sdk.pods import event_time

    events = handle.events()[-_EVENTS:]
    return [
        {"time": event_time(event), "type": kind, "text": f"{reason} ({about}): {message}"}
        for event, (_, kind, reason, about, message) in zip(events, event_rows(events), strict=True)
    ]
