"""What a cell does: its body is submitted and followed."""

from __future__ import annotations

import argparse
import contextlib
import functools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import Object, of_object
from cpod_jupyter.jupyter.magics import grammar, template, uploads, written
from cpod_jupyter.jupyter.magics.bodies import top_level
from cpod_jupyter.jupyter.magics.live import Live, show
from cpod_jupyter.jupyter.magics.overview import Code, Outcomes
from cpod_jupyter.sdk import Handle, Session, Snapshot, State, Status, config
from cpod_jupyter.sdk.connect import ENGINE
from cpod_jupyter.sdk.content import Content
from cpod_jupyter.sdk.export import export
from cpod_jupyter.sdk.handles import to_yaml
from cpod_jupyter.sdk.kinds import RUN_ONCE, WORDS
from cpod_jupyter.sdk.manifest import Origin
from cpod_jupyter.sdk.preflight import PLANNED
from cpod_jupyter.sdk.smoke import prepared, smoke_all

if TYPE_CHECKING:
    from cpod_jupyter.jupyter.magics.commands import CpodMagics

_LANGUAGES = {"yaml": "yaml", "python": "python", "cli": "bash"}
"""What each form of an export is highlighted as."""


def submit(magics: CpodMagics, options: argparse.Namespace, body: str) -> Handle | None:
    """Submit what the body describes, and follow it where it is one object of the cell's kind."""
    rendered = template.render(body, magics.ip.user_ns)
    session = magics.session(options)
    origin = Origin("cell", Path.cwd(), rendered.locate)
    kind = session.kind(options.command) if options.command in WORDS else None
    whole = bool(top_level(rendered.text.split("\n"), "apiVersion"))
    named = options.name or kind is None or whole
    name = options.name if named else options.command
    objects = session.load(rendered.text, kind=kind, name=name, origin=origin, namespace=options.namespace or None)
    if kind is not None and not whole:
        defaults = config.load()
        objects = [config.with_defaults(obj, defaults) for obj in objects]
    objects, data = uploads.taken(objects, rendered.data)
    if not named:
        objects = [written.named_by_content(obj, options.command) for obj in objects]
    judged = options.command in grammar.JUDGED
    if options.export:
        text = export(options.export, objects, context=options.context or "", namespace=options.namespace or "")
        show(Code(text.rstrip("\n"), _LANGUAGES[options.export]))
        uploads.tell_needed(data)
        return None
    smoke = getattr(options, "smoke", False)
    if options.dry_run:
        if smoke:
            _show_smokes(session, objects, data)
        for obj, content in zip(objects, data, strict=True):
            _rehearse(session, obj, content)
        uploads.tell_planned(session, objects, data)
        show(Code("---\n".join(map(to_yaml, objects)) + "# checked; nothing was submitted", "yaml"))
        return None
    live = Live(magics.ip)
    if judged and not options.force and not (smoke and session.engine is not None):
        for obj, content in zip(objects, data, strict=True):
            with _being_checked(live, obj):
                _preflight(session, obj, options.new, content)
    if smoke:
        tried = smoke_all(
            session, objects, data, new=options.new, show=functools.partial(live.snapshot, context=ENGINE)
        )
        if session.engine is not None:
            return _bound(magics, options, [run.handle for run in tried])
    submitted = [
        session.submit(obj, new=options.new, data=content, tell=uploads.teller(Live(magics.ip)))
        for obj, content in zip(objects, data, strict=True)
    ]
    handles = [handle for handle, _ in submitted]
    one = handles[0] if len(handles) == 1 else None
    magics.bind(options, one if one is not None else handles)
    if kind is None or one is None:
        show(Outcomes([(handle.title, outcome) for handle, outcome in submitted]))
        return None
    if submitted[0][1] == "unchanged":
        print(f"{one.title} is as submitted before; following that one (--new runs it again)")
    return follow(magics, one, options.timeout, wait=not options.detach, live=live)


def _rehearse(session: Session, obj: Object, content: Content | None) -> None:
    """What is to be said of an object before it is submitted, the server being asked once. Raises what it answers."""
    if of_object(obj) not in PLANNED:
        return session.validate(obj)
    verdict = session.preflight(obj, content)
    if verdict.refusal is not None:
        raise verdict.refusal
    show(verdict)
    if verdict.plan is not None:
        show(verdict.plan)


def _bound(magics: CpodMagics, options: argparse.Namespace, handles: Sequence[Handle]) -> Handle | None:
    """The handles of smoke runs, which are all that came of a cell, and are shown."""
    one = handles[0] if len(handles) == 1 else None
    magics.bind(options, one if one is not None else list(handles))
    if one is not None:
        magics.mark_shown(one)
    return one


def _show_smokes(session: Session, objects: Sequence[Object], data: Sequence[Content | None]) -> None:
    """What a smoke run would submit to this machine's engine first, and how that differs."""
    for obj, content in zip(objects, data, strict=True):
        if of_object(obj) in RUN_ONCE:
            made = prepared(session, obj, objects, content)[1]
            head = [
                f"# the smoke run of {session.title(obj)}",
                *(f"# unlike the real run: {told}" for told in made.differs),
            ]
            show(Code("\n".join([*head, "---\n".join(map(to_yaml, (*made.storages, made.obj)))]), "yaml"))


@contextlib.contextmanager
def _being_checked(live: Live, obj: Object) -> Iterator[None]:
    """Show at once that an object is being checked, where it will be shown, or why it was not submitted."""
    resource = of_object(obj)
    assert resource is not None, "its kind is one that cells are for"
    told = Snapshot(
        resource,
        meta.name_of(obj),
        meta.namespace_of(obj),
        Status(State.PENDING, "Checking"),
        "names, data, memory and GPUs are checked before it is submitted",
    )
    live.snapshot(told, "")  # of no context yet: there is nothing to follow there
    try:
        yield
    except BaseException:  # an interrupt too: nothing of it is there
        live.snapshot(replace(told, status=Status(State.DELETED, "Not submitted"), reason=""), "")
        raise


def _preflight(session: Session, obj: Object, new: bool, content: Content | None) -> None:
    """Judge what is about to be submitted, unless it runs already. Shows warnings. Raises PreflightFailed."""
    if not new and session.has(obj):
        return
    verdict = session.preflight(obj, content)
    if any(finding.level != "note" for finding in verdict.findings):
        show(verdict)
    if not verdict.ok:
        print("nothing was submitted; --force submits it all the same")
    verdict.check()


def follow(
    magics: CpodMagics, handle: Handle, timeout: float | None, *, wait: bool = True, live: Live | None = None
) -> Handle:
    """Show an object in one place to its end, or as it is now; `live` is a place that has shown something already.

    Raises as `Handle.wait` does.
    """
    live = live or Live(magics.ip)
    if wait:
        handle.wait(timeout, functools.partial(live.snapshot, context=handle.context))
    else:
        live.snapshot(handle.snapshot(), handle.context)
    magics.mark_shown(handle)
    return handle
