"""What is there in a namespace, live, and what can be done with each."""

from __future__ import annotations

import ipywidgets as widgets

from cpod_jupyter.errors import ApiUnreachable, CpodError
from cpod_jupyter.panels.base import Panel
from cpod_jupyter.panels.job import JobPanel
from cpod_jupyter.sdk import Handle, Job, Session
from cpod_jupyter.sdk.listing import Listing

_SECONDS = 2.0
"""Between looks at what is there."""


class JobsPanel(Panel):
    """A table that keeps itself up to date, and below it the object that was opened."""

    opened: JobPanel | None = None

    def __init__(self, session: Session) -> None:
        self.session = session
        self.listing: Listing = session.ls()
        self._table = widgets.HTML()
        self.chosen = widgets.Dropdown(description="Object", options=[])
        self.filter = widgets.Text(description="Filter", placeholder="part of a name, kind or phase")
        self._place = widgets.VBox()
        tools = [
            self.chosen,
            self.button("Open", self._open),
            self.asked_first("Cancel", "Cancel it", self._cancel),
            self.asked_first("Delete", "Delete it with all that was made for it", lambda: self._handle().delete()),
        ]
        super().__init__([self.filter, self._table, widgets.HBox(tools), self._place])
        self.filter.observe(lambda _: self._show(), "value")
        self._show()
        self.begin(self._watch)

    def text(self) -> str:
        return repr(self._filtered())

    def html(self) -> str:
        return str(self._filtered()._repr_mimebundle_()["text/html"])

    def close(self) -> None:
        if self.opened is not None:
            self.opened.close()
        super().close()

    def _filtered(self) -> Listing:
        wanted = self.filter.value.lower()
        rows = zip(self.listing, self.listing.rows(), strict=True)
        found = [obj for obj, row in rows if wanted in " ".join(row).lower()]
        return Listing(found, self.listing.namespace, self.listing.unread)

    def _watch(self) -> None:
        while not self.stopped.wait(_SECONDS):
            try:
                self.listing = self.session.ls()
            except ApiUnreachable as error:
                self.say(f"{error}; trying again")
                continue
            self._show()

    def _show(self) -> None:
        self._table.value = self.html()
        options = [f"{row[0]}/{row[1]}" for row in self._filtered().rows()]
        if list(self.chosen.options) != options:
            before = self.chosen.value
            self.chosen.options = options
            if before in options:
                self.chosen.value = before

    def _handle(self) -> Handle:
        if not self.chosen.value:
            raise CpodError("there is nothing to choose yet")
        return self.session.find(self.chosen.value)

    def _open(self) -> None:
        panel = JobPanel(self._handle())
        if self.opened is not None:
            self.opened.close()
        self.opened = panel
        self._place.children = (panel,)

    def _cancel(self) -> None:
        handle = self._handle()
        if not isinstance(handle, Job):
            raise CpodError(f"{handle.title} is no job; it can be deleted")
        handle.cancel()
