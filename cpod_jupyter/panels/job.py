"""One object, followed: its block, log with a filter, manifest, and what can be done with it."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import ipywidgets as widgets

from cpod_jupyter.api.resources import FINETUNES, MODELSTORAGES
from cpod_jupyter.errors import ApiError, CpodError
from cpod_jupyter.panels.base import Panel
from cpod_jupyter.panels.chat import ChatPanel
from cpod_jupyter.sdk import Deployment, Handle, Job, Session, Snapshot
from cpod_jupyter.sdk.history import LogLine, Metrics
from cpod_jupyter.sdk.listing import EVENT_COLUMNS, event_rows
from cpod_jupyter.sdk.view import card, curve, table, theme

_LINES = 300
_MODELS = (FINETUNES, MODELSTORAGES)
"""What is a model, or makes one."""
_COLOURS = ("#2b7de0", "#d9730d", "#2e8b57", "#a347ba", "#c2342b", "#0f8a8a", "#8a6d00", "#6b6bd6")
"""Of the ranks, in turn; readable on light and on dark ground."""


class JobPanel(Panel):
    """`text()` and `html()` are those of the block as it was last."""

    def __init__(self, handle: Handle, session: Session, *, logs: bool = False) -> None:
        """With `logs` its log is open."""
        self.handle = handle
        self.session = session
        self._snapshots = handle.follow()
        self.snapshot: Snapshot = next(self._snapshots)
        self._other: Sequence[Metrics] = ()
        self._block = widgets.HTML()
        self._log = widgets.HTML()
        self._yaml = widgets.HTML()
        self._events = widgets.HTML()
        self._logs_shown = widgets.ToggleButton(logs, description="Logs", layout=widgets.Layout(width="auto"))
        self._filter = widgets.Text(placeholder="Filter the log", continuous_update=True)
        self._rank = widgets.Dropdown(options=[("all ranks", "")], layout=widgets.Layout(width="auto"))
        self._drawer = widgets.VBox([widgets.HBox([self._filter, self._rank]), self._log])
        self.beside = widgets.Combobox(
            options=self._others(), placeholder="another run", description="Beside", continuous_update=False
        )
        self._compared = widgets.HTML()
        self._curves = widgets.VBox([self.beside, self._compared])
        tools = [
            self._logs_shown,
            self.button("Events", self._toggle_events),
            self.button("YAML", self._toggle_yaml),
        ]
        if isinstance(handle, Job):
            tools.append(self.asked_first("Cancel", f"Cancel {handle.name}", handle.cancel))
            tools.append(self.button("Run again", self._rerun, hint="The same beside it, under the next free name"))
        if handle.resource in _MODELS:
            tools.append(self.button("Deploy", self._deploy))
        if isinstance(handle, Deployment):
            tools.append(self.button("Chat", self._chat))
        tools.append(self.asked_first("Delete", f"Delete {handle.name} with all that was made for it", handle.delete))
        row = widgets.HBox(tools, layout=widgets.Layout(flex_flow="row wrap"))
        self._below = widgets.VBox()
        super().__init__([self._block, row, self._curves, self._drawer, self._events, self._yaml, self._below])
        for control in (self._logs_shown, self._filter, self._rank):
            control.observe(lambda _: self._show(), "value")
        self.beside.observe(lambda _: self.begin(self._put_beside), "value")
        self._show()
        self.follower = self.begin(self._follow)

    def text(self) -> str:
        return card.text(self.snapshot)

    def html(self) -> str:
        return card.html(self.snapshot)

    def _follow(self) -> None:
        for snapshot in self._snapshots:
            if self.stopped.is_set():
                return
            self.snapshot = snapshot
            self._show()

    def close(self) -> None:
        for panel in getattr(self, "_below", widgets.VBox()).children:
            panel.close()
        super().close()

    def _others(self) -> list[str]:
        """The other runs of its kind; none where one may not list them."""
        try:
            found = self.session.list(self.handle.resource) if isinstance(self.handle, Job) else []
        except ApiError:
            return []
        return [other.name for other in found if other.name != self.handle.name]

    def _put_beside(self) -> None:
        """The losses of this run and of another over each other."""
        name = self.beside.value.strip()
        self._other = self.session.get(self.handle.resource, name).snapshot().metrics if name else ()
        if name and len(curve.points_of(self._other)) < 2:
            raise CpodError(f"{name} has no loss to compare with")
        self._show()

    def _show(self) -> None:
        self._block.value = card.html(self.snapshot)
        comparable = self.beside.options and curve.label(self.snapshot.metrics)
        self._curves.layout.display = "" if comparable else "none"
        runs = {self.handle.name: self.snapshot.metrics, self.beside.value.strip(): self._other}
        drawn = curve.compared(runs) if self._other else ""
        words = "; ".join(f"{name}: {curve.label(metrics)}" for name, metrics in runs.items())
        self._compared.value = theme.block(curve.image(drawn, words)) if drawn else ""
        self._drawer.layout.display = "" if self._logs_shown.value else "none"
        places = [pod.place for pod in self.snapshot.pods]
        options = [("all ranks", ""), *((f"rank {rank}: {place}", place) for rank, place in enumerate(places))]
        if list(self._rank.options) != options:
            chosen = self._rank.value
            self._rank.options = options
            self._rank.value = chosen if chosen in places else ""
        if self._logs_shown.value:
            self._log.value = log_html(self.snapshot.log, places, self._filter.value, self._rank.value)

    def _toggle_yaml(self) -> None:
        shown = "" if self._yaml.value else f'<pre class="cpod-log">{escape(self.handle.to_yaml())}</pre>'
        self._yaml.value = theme.block(shown) if shown else ""

    def _toggle_events(self) -> None:
        events = event_rows(self.handle.events()) if not self._events.value else []
        empty = "" if self._events.value else table.note("nothing has been said about it")
        self._events.value = table.html(EVENT_COLUMNS, events) if events else empty

    def _rerun(self) -> None:
        assert isinstance(self.handle, Job)
        again = self.handle.rerun()
        self.say(f'{again.title} runs; panels.job("{again.name}") shows it', "good")

    def _deploy(self) -> None:
        made = self.session.deploy(self.handle)
        self.say(f'{made.title} is being deployed; panels.job("{made.name}") shows it', "good")

    def _chat(self) -> None:
        if not self._below.children:
            self._below.children = (ChatPanel(self.session, self.handle.name),)


def log_html(lines: Any, places: list[str], text: str = "", place: str = "") -> str:
    """The last lines of log of a rank, or of all, that have a text in them, coloured by rank."""
    wanted = text.lower()
    chosen = [line for line in lines if (not place or line.place in (place, "")) and wanted in line.text.lower()]
    body = "\n".join(_line(line, places) for line in chosen[-_LINES:])
    return theme.block(f'<pre class="cpod-log" role="log" aria-label="log">{body}</pre>')


def _line(line: LogLine, places: list[str]) -> str:
    if len(places) < 2 or line.place not in places:
        return escape(line.text)
    colour = _COLOURS[places.index(line.place) % len(_COLOURS)]
    return f'<b style="color:{colour}">{escape(line.place)}</b> {escape(line.text)}'
