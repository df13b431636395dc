"""One object, followed: its block, log with a filter, manifest, and what can be done with it."""

from __future__ import annotations

from html import escape
from typing import Any

import ipywidgets as widgets

from cpod_jupyter.panels.base import Panel
from cpod_jupyter.sdk import Handle, Job, Snapshot
from cpod_jupyter.sdk.history import LogLine
from cpod_jupyter.sdk.view import card, theme

_LINES = 300
_COLOURS = ("#2b7de0", "#d9730d", "#2e8b57", "#a347ba", "#c2342b", "#0f8a8a", "#8a6d00", "#6b6bd6")
"""Of the ranks, in turn; readable on light and on dark ground."""


class JobPanel(Panel):
    """`text()` and `html()` are those of the block as it was last."""

    def __init__(self, handle: Handle) -> None:
        self.handle = handle
        self._snapshots = handle.follow()
        self.snapshot: Snapshot = next(self._snapshots)
        self._block = widgets.HTML()
        self._log = widgets.HTML()
        self._yaml = widgets.HTML()
        self._logs_shown = widgets.ToggleButton(description="Logs", layout=widgets.Layout(width="auto"))
        self._filter = widgets.Text(placeholder="Filter the log", continuous_update=True)
        self._rank = widgets.Dropdown(options=[("all ranks", "")], layout=widgets.Layout(width="auto"))
        self._drawer = widgets.VBox([widgets.HBox([self._filter, self._rank]), self._log])
        tools = [self._logs_shown, self.button("YAML", self._toggle_yaml)]
        if isinstance(handle, Job):
            tools.append(self.asked_first("Cancel", f"Cancel {handle.name}", handle.cancel))
            tools.append(self.button("Run again", self._rerun, hint="The same beside it, under the next free name"))
        super().__init__([self._block, widgets.HBox(tools), self._drawer, self._yaml])
        for control in (self._logs_shown, self._filter, self._rank):
            control.observe(lambda _: self._show(), "value")
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

    def _show(self) -> None:
        self._block.value = card.html(self.snapshot)
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

    def _rerun(self) -> None:
        assert isinstance(self.handle, Job)
        again = self.handle.rerun()
        self.say(f'{again.title} runs; panels.job("{again.name}") shows it', "good")


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
