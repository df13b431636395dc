"""The magics themselves: parse, call the sdk, show."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import Magics, line_cell_magic, magics_class
from traitlets import Unicode

from cpod_jupyter.api.resources import CPODJOBS, FINETUNES, INFERENCES, Object
from cpod_jupyter.errors import CpodError
from cpod_jupyter.jupyter.magics import grammar, template
from cpod_jupyter.jupyter.magics.live import Live, show
from cpod_jupyter.jupyter.magics.overview import Events, Outcomes, Overview
from cpod_jupyter.sdk import Deployment, Handle, Job, Session, accuracy, doctor, engine
from cpod_jupyter.sdk.handles import to_yaml
from cpod_jupyter.sdk.kinds import WORDS, word_of
from cpod_jupyter.sdk.listing import event_rows
from cpod_jupyter.sdk.manifest import Origin

_CHAT_SECONDS = 0.1


@magics_class
class CpodMagics(Magics):
    """`%cpod` and `%%cpod`. `%config CpodMagics.namespace = "team"` sets the default."""

    namespace = Unicode("", help="The namespace when the line names none.").tag(config=True)
    context = Unicode("", help="The context when the line names none; engine for the one on this machine.").tag(
        config=True
    )

    def __init__(self, shell: InteractiveShell) -> None:
        super().__init__(shell)
        self._ip = shell
        self._sessions: dict[tuple[str, str], Session] = {}
        self._shown: set[int] = set()

    @line_cell_magic
    def cpod(self, line: str, cell: str | None = None) -> Any:
        try:
            options = grammar.parse(line, cell=cell is not None)
        except grammar.HelpWanted as wanted:
            print(wanted)
            return None
        if cell is not None:
            return self._chat(options, cell) if options.command == "chat" else self._submit(options, cell)
        command = options.command or "overview"
        return getattr(self, f"_{command}")(options)

    cpod.__doc__ = grammar.HELP

    @property
    def connected(self) -> bool:
        """Whether a session exists already, so that asking it starts nothing."""
        return bool(self._sessions)

    def is_shown(self, handle: Handle) -> bool:
        """Whether the cell that returns this handle has shown it already; true once."""
        shown = id(handle) in self._shown
        self._shown.discard(id(handle))
        return shown

    def session(self, options: argparse.Namespace) -> Session:
        """The session of a line's context and namespace; an engine that went away is started again."""
        key = (options.context or self.context, options.namespace or self.namespace)
        known = self._sessions.get(key)
        if known is not None and known.engine is not None:
            running = engine.running()
            if running is None or running.url != known.engine.url or running.pid != known.engine.pid:
                known = None
        if known is None:
            known = self._sessions[key] = Session(key[0] or None, key[1] or None)
            if known.engine is not None and known.engine.started_now and options.command:
                print(known.where())
        return known

    # ---- cells

    def _submit(self, options: argparse.Namespace, body: str) -> Any:
        rendered = template.render(body, self._ip.user_ns)
        session = self.session(options)
        origin = Origin("cell", Path.cwd(), rendered.locate)
        kind = session.kind(options.command) if options.command in WORDS else None
        objects = session.load(
            rendered.text, kind=kind, name=options.name, origin=origin, namespace=options.namespace or None
        )
        if options.dry_run:
            return self._dry_run(session, objects)
        submitted = [session.submit(obj, new=options.new) for obj in objects]
        handles = [handle for handle, _ in submitted]
        one = handles[0] if len(handles) == 1 else None
        if options.output:
            self._ip.user_ns[options.output] = one if one is not None else handles
        if kind is None or one is None:
            show(Outcomes([(handle.title, outcome) for handle, outcome in submitted]))
            return None
        if submitted[0][1] == "unchanged":
            print(f"{one.title} is as submitted before; following that one (--new runs it again)")
        return self._follow_handle(one, options.timeout, wait=not options.detach)

    def _dry_run(self, session: Session, objects: list[Object]) -> None:
        for obj in objects:
            session.validate(obj)
        print("---\n".join(to_yaml(obj) for obj in objects) + "# checked; nothing was submitted")

    def _follow_handle(self, handle: Handle, timeout: float | None, *, wait: bool = True) -> Handle:
        live = Live(self._ip)
        if wait:
            handle.wait(timeout, live.snapshot)
        else:
            live.snapshot(handle.snapshot())
        self._shown.add(id(handle))
        return handle

    def _chat(self, options: argparse.Namespace, body: str) -> None:
        question = body.strip()
        if not question:
            raise grammar.MagicUsage("the body of the cell is the question, and it is empty")
        deployment = self.session(options).get(INFERENCES, options.name)
        assert isinstance(deployment, Deployment)
        live, answer, due = Live(self._ip), "", 0.0
        pieces = deployment.stream(
            question, system=options.system, temperature=options.temperature, max_tokens=options.max_tokens
        )
        for piece in pieces:
            answer += piece
            if hasattr(self._ip, "kernel") and time.monotonic() >= due:
                due = time.monotonic() + _CHAT_SECONDS
                live.show({"text/plain": answer, "text/markdown": answer})
        live.show({"text/plain": answer or "(no answer)", "text/markdown": answer or "*(no answer)*"})
        if options.output:
            self._ip.user_ns[options.output] = answer

    # ---- lines

    def _overview(self, options: argparse.Namespace) -> None:
        show(Overview(self.session(options)))

    def _help(self, options: argparse.Namespace) -> None:
        print(grammar.help_of(options.topic))

    def _up(self, options: argparse.Namespace) -> None:
        found = engine.up(options.port)
        print(f"{'started the engine' if found.started_now else 'the engine runs'} at {found.url}")

    def _down(self, options: argparse.Namespace) -> None:
        print(engine.down())

    def _doctor(self, options: argparse.Namespace) -> None:
        print(doctor.text(doctor.examine(self.session(options))))

    def _ls(self, options: argparse.Namespace) -> None:
        show(self.session(options).ls(options.kind))

    def _models(self, options: argparse.Namespace) -> None:
        show(self.session(options).ls("model"))

    def _datasets(self, options: argparse.Namespace) -> None:
        show(self.session(options).ls("dataset"))

    def _status(self, options: argparse.Namespace) -> None:
        if options.name is None:
            return self._overview(options)
        return Live(self._ip).snapshot(self.session(options).find(options.name).snapshot())

    def _follow(self, options: argparse.Namespace) -> Handle:
        return self._follow_handle(self.session(options).find(options.name), options.timeout)

    def _logs(self, options: argparse.Namespace) -> None:
        handle = self.session(options).find(options.name)
        for line in handle.logs(follow=options.follow, tail=options.tail, pod=options.pod):
            if options.grep is None or options.grep in line:
                print(line, flush=True)

    def _events(self, options: argparse.Namespace) -> None:
        handle = self.session(options).find(options.name)
        show(Events(event_rows(handle.events()), handle.title))

    def _yaml(self, options: argparse.Namespace) -> None:
        print(self.session(options).find(options.name).to_yaml(), end="")

    def _accuracy(self, options: argparse.Namespace) -> None:
        session = self.session(options)
        deployments = [found for name in options.name if isinstance(found := session.get(INFERENCES, name), Deployment)]
        live = Live(self._ip)
        compared = accuracy(
            deployments,
            options.rows,
            max_tokens=options.max_tokens,
            tell=lambda done, total: live.show({"text/plain": f"{done} of {total} answers"}),
        )
        live.show(compared._repr_mimebundle_())
        if options.output:
            self._ip.user_ns[options.output] = compared

    def _cancel(self, options: argparse.Namespace) -> None:
        handle = self.session(options).find(options.name)
        if not isinstance(handle, Job):
            words = ", ".join(word_of(resource) for resource in (FINETUNES, CPODJOBS))
            raise CpodError(f"{handle.title} is no job ({words}, …); to remove it: %cpod delete {handle.title}")
        handle.cancel()
        print(f"{handle.title} cancelled")

    def _resume(self, options: argparse.Namespace) -> None:
        handle = self.session(options).find(options.name)
        if not isinstance(handle, Job):
            raise CpodError(f"{handle.title} is no job")
        handle.resume()
        print(f"{handle.title} resumed")

    def _delete(self, options: argparse.Namespace) -> None:
        session = self.session(options)
        handles = session.find_all(options.name)
        for handle in handles:
            handle.delete()
            print(f"{handle.title} deleted")
