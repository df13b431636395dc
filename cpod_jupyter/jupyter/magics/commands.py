"""The magics themselves: parse, find the session, hand on to the command."""

from __future__ import annotations

import argparse
import re
from typing import Any

from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import Magics, line_cell_magic, magics_class
from traitlets import Unicode

from cpod_jupyter.jupyter.magics import cells, chat, evaluation, grammar, lines
from cpod_jupyter.sdk import Handle, Session
from cpod_jupyter.sdk.sessions import Sessions

_ASKED = re.compile(r"^\s*%%?cpod\s+([a-z][a-z-]*)\s*(\?+|--help|-h)\s*$")


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
        self._sessions = Sessions()
        self._told: Session | None = None
        self._shown: set[int] = set()
        self.conversations = chat.Conversations()

    @line_cell_magic
    def cpod(self, line: str, cell: str | None = None) -> Any:
        try:
            options = grammar.parse(line, cell=cell is not None)
        except grammar.HelpWanted as wanted:
            print(wanted)
            return None
        if cell is None:
            return lines.COMMANDS[options.command](self, options)
        other = {"chat": chat.run_chat, "eval": evaluation.run_eval}
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
        found = self._sessions.get(context, namespace)
        self.context, self.namespace = context, namespace
        self._told = found  # who asked for it says where it is
        return found

    def session(self, options: argparse.Namespace) -> Session:
        """The session of a line's context and namespace; an engine that went away is started again."""
        found = self._sessions.get(options.context or self.context, options.namespace or self.namespace)
        if found.engine is not None and found.engine.started_now and found is not self._told:
            self._told = found
            if options.command:  # %cpod alone shows it itself
                print(found.where())
        return found

    def session_at_hand(self, context: str, namespace: str) -> Session | None:
        """The same, but None rather than that an engine is started; for completion."""
        return self._sessions.at_hand(context or self.context, namespace or self.namespace)


def help_line(source: list[str]) -> list[str]:
    """`%cpod logs?`, which IPython would take for a question about Python's `logs`, as `%cpod help logs`; and
    `%%cpod finetune?`, which it would refuse as a cell without a body.

    An input transformer: the lines of a cell in, and out.
    """
    code = [number for number, line in enumerate(source) if line.strip()]
    asked = _ASKED.match(source[code[0]]) if len(code) == 1 else None
    return [f"%cpod help {asked[1]}\n"] if asked else source
