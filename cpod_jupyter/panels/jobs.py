"""What is there in a namespace, live, and what can be done with each."""

from __future__ import annotations

from typing import Any

import ipywidgets as widgets

from cpod_jupyter.errors import CpodError
from cpod_jupyter.panels import rows
from cpod_jupyter.panels.base import Panel
from cpod_jupyter.panels.chat import ChatPanel
from cpod_jupyter.panels.job import JobPanel
from cpod_jupyter.panels.launcher import LauncherPanel
from cpod_jupyter.sdk import Handle, Job, Session
from cpod_jupyter.sdk.livelist import GROUPS, LiveList
from cpod_jupyter.sdk.view import table
from cpod_jupyter.sdk.view.listrow import Row

_FIRST_SECONDS = 10.0
"""For so long what there is is waited for before the panel is shown."""
_CLOCK_SECONDS = 10.0
"""After which ages are shown anew."""
_SHOWN = 200
"""Lines of the table."""


class JobsPanel(Panel):
    """A table that keeps itself up to date, and below it the object that was opened. Closed, it reads nothing."""

    opened: Panel | None = None

    def __init__(self, session: Session, kind: str = "jobs") -> None:
        self.session = session
        self._live = LiveList(session, kind)
        self.kind = widgets.Dropdown(description="Show", options=list(dict.fromkeys((*GROUPS, kind))), value=kind)
        self.filter = widgets.Text(description="Filter", placeholder="words of a name, kind, phase or reason")
        self.order = widgets.Dropdown(description="Order", options=rows.ORDERS)
        self._table = widgets.HTML()
        self.chosen = widgets.Dropdown(description="Object", options=[])
        self._tools: dict[str, widgets.Widget] = {
            "Open": self.button("Open", self._open),
            "Logs": self.button("Logs", lambda: self._open(logs=True)),
            "Chat": self.button("Chat", self._chat),
            "Cancel": self.asked_first("Cancel", "Cancel it", self._cancel),
            "Run again": self.button("Run again", self._rerun, hint="The same beside it, under the next free name"),
            "Clone": self.button("Clone into the form", self._clone),
            "Deploy": self.button("Deploy", lambda: self._put(JobPanel(session.deploy(self._handle()), session))),
            "Delete": self.asked_first("Delete", "Delete it with all that was made for it", self._delete),
        }
        self._place = widgets.VBox()
        head = widgets.HBox([self.kind, self.filter, self.order])
        tools = widgets.HBox([self.chosen, *self._tools.values()], layout=widgets.Layout(flex_flow="row wrap"))
        super().__init__([head, self._table, tools, self._place])
        self.kind.observe(self._turn, "value")
        for control in (self.filter, self.order):
            control.observe(lambda _: self._show(), "value")
        self.chosen.observe(lambda _: self._offer(), "value")
        self._live.wait(_FIRST_SECONDS)
        self._show()
        self.begin(self._watch)

    def text(self) -> str:
        found, notes = self._found()
        lines = [table.text(rows.COLUMNS, [rows.cells_of(row) for row in found])] if found else []
        return "\n".join([*lines, *notes])

    def html(self) -> str:
        found, notes = self._found()
        shown = table.html(rows.COLUMNS, [rows.cells_of(row) for row in found], pills=(2,)) if found else ""
        return shown + "".join(map(table.note, notes))

    def close(self) -> None:
        if "_live" in self.__dict__:  # also called of one that could not be made
            self._live.close()
        if self.opened is not None:
            self.opened.close()
        super().close()

    def _found(self) -> tuple[list[Row], list[str]]:
        """The lines that are shown, and what is to be said below them."""
        everything = self._live.rows()
        fitting = rows.ordered(rows.filtered(everything, self.filter.value), self.order.value)
        notes = []
        if not everything:
            notes.append(f"nothing in namespace {self.session.namespace} yet: no {self.kind.value}")
        elif not fitting:
            notes.append(f"none of {len(everything)} has all these words in it")
        elif len(fitting) > _SHOWN:
            notes.append(f"and {len(fitting) - _SHOWN} more; filter them")
        return fitting[:_SHOWN], [*notes, *filter(None, [self._live.trouble])]

    def _watch(self) -> None:
        live = self._live
        for _ in live.changes(_CLOCK_SECONDS):
            if live is self._live:
                self._show()

    def _turn(self, _: Any) -> None:
        """To another group."""
        self._live.close()
        self._live = LiveList(self.session, self.kind.value)
        self.begin(self._watch)

    def _show(self) -> None:
        self._table.value = self.html()
        options = [rows.title_of(row) for row in self._found()[0]]
        if list(self.chosen.options) != options:
            before = self.chosen.value
            self.chosen.options = options
            if before in options:
                self.chosen.value = before
        self._offer()

    def _offer(self) -> None:
        """Show what can be done with what is chosen."""
        row = next((row for row in self._live.rows() if rows.title_of(row) == self.chosen.value), None)
        possible = rows.actions_for(row) if row is not None else []
        for action, tool in self._tools.items():
            tool.layout.display = "" if action in possible else "none"

    def _handle(self) -> Handle:
        if not self.chosen.value:
            raise CpodError("there is nothing to choose yet")
        return self.session.find(self.chosen.value)

    def _put(self, panel: Panel) -> None:
        before, self.opened = self.opened, panel
        self._place.children = (panel,)
        if before is not None:
            before.close()

    def _open(self, *, logs: bool = False) -> None:
        self._put(JobPanel(self._handle(), self.session, logs=logs))

    def _chat(self) -> None:
        self._put(ChatPanel(self.session, self._handle().name))

    def _clone(self) -> None:
        self._put(LauncherPanel(self.session, self._handle()))

    def _cancel(self) -> None:
        self._job().cancel()

    def _rerun(self) -> None:
        self._put(JobPanel(self._job().rerun(), self.session))

    def _delete(self) -> None:
        self._handle().delete()

    def _job(self) -> Job:
        handle = self._handle()
        if not isinstance(handle, Job):
            raise CpodError(f"{handle.title} is no job; it can be deleted")
        return handle
