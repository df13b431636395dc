"""The magics themselves: parse, find the session, hand on to the command."""

from __future__ import annotations

import argparse
import re
from typing import Any

from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import Magics, line_cell_magic, magics_class
from traitlets import Unicode

from cpod_jupyter.jupyter.magics import cells, evaluation, grammar, lines
from cpod_jupyter.sdk import Handle, Session, config, engine
from cpod_jupyter.sdk.connect import means_engine

_ASKED = re.compile(r"^\s*%%?cpod\s+([a-z]+)\s*(\?+|--help|-h)\s*$")


@magics_class
class CpodMagics(Magics):
    """`%cpod` and `%%cpod`. `%config CpodMagics.namespace = "team"` sets the default."""

    namespace = Unicode("", help="The namespace when the line names none.").tag(config=True)
    context = Unicode("", help="The context when the line names none; engine for the one on this machine.").tag(
        config=True
    )

    def __init__(self, shell: InteractiveShell) -> None:
        super().__init__(shell)
        self.ip = shell
        self._sessions: dict[tuple[config.Choice, config.Choice], Session] = {}
        self._shown: set[int] = set()

    @line_cell_magic
    def cpod(self, line: str, cell: str | None = None) -> Any:
        try:
            options = grammar.parse(line, cell=cell is not None)
        except grammar.HelpWanted as wanted:
            print(wanted)
            return None
        if cell is None:
            return lines.COMMANDS[options.command](self, options)
        other = {"chat": cells.chat, "eval": evaluation.run_eval}
        return other.get(options.command, cells.submit)(self, options, cell)

    cpod.__doc__ = grammar.help_of(None)

    def bind(self, options: argparse.Namespace, value: Any) -> None:
        """Give the variable of `-o` its value, where one is named."""
        if getattr(options, "output", None):
            self.ip.user_ns[options.output] = value

    def mark_shown(self, handle: Handle) -> None:
        """Say that the cell that returns this handle has shown it already."""
        self._shown.add(id(handle))

    def is_shown(self, handle: Handle) -> bool:
        """Whether the cell that returns this handle has shown it already; true once."""
        shown = id(handle) in self._shown
        self._shown.discard(id(handle))
        return shown

    def connect(self, context: str, namespace: str) -> Session:
        """Take a context and a namespace for all lines that name none. Raises as Session does; nothing changes then."""
        found = Session(context or None, namespace or None)
        self.context, self.namespace = context, namespace
        self._sessions[_key(found.chosen)] = found
        return found

    def session(self, options: argparse.Namespace) -> Session:
        """The session of a line's context and namespace; an engine that went away is started again."""
        context, namespace = options.context or self.context, options.namespace or self.namespace
        key = _key(config.chosen(context, namespace))  # the environment, cpod.toml and the folder may have changed
        known = self._known(key)
        if known is None:
            known = self._sessions[key] = Session(context or None, namespace or None)
            if known.engine is not None and known.engine.started_now and options.command:
                print(known.where())
        return known

    def session_at_hand(self, context: str, namespace: str) -> Session | None:
        """The same, but None rather than that an engine is started; for completion."""
        context, namespace = context or self.context, namespace or self.namespace
        if means_engine(context or None) and engine.running() is None:
            return None
        return self._known(_key(config.chosen(context, namespace))) or Session(context or None, namespace or None)

    def _known(self, key: tuple[config.Choice, config.Choice]) -> Session | None:
        known = self._sessions.get(key)
        if known is not None and known.engine is not None:
            running = engine.running()
            if running is None or running.url != known.engine.url or running.pid != known.engine.pid:
                return None
        return known


def _key(chosen: config.Chosen) -> tuple[config.Choice, config.Choice]:
    return chosen.context, chosen.namespace


def help_line(source: list[str]) -> list[str]:
    """`%cpod logs?`, which IPython would take for a question about Python's `logs`, as `%cpod help logs`; and
    `%%cpod finetune?`, which it would refuse as a cell without a body.

    An input transformer: the lines of a cell in, and out.
    """
    code = [number for number, line in enumerate(source) if line.strip()]
    asked = _ASKED.match(source[code[0]]) if len(code) == 1 else None
    return [f"%cpod help {asked[1]}\n"] if asked else source
