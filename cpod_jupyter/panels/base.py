"""What all panels share: a box that ends its threads, says what it shows as text and HTML, and reports its faults."""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections.abc import Callable, Sequence
from html import escape
from typing import Any

import ipywidgets as widgets

from cpod_jupyter.errors import CpodError
from cpod_jupyter.sdk.view import theme

WIDTH = "760px"


class Panel(widgets.VBox):  # type: ignore[misc]
    """A box of widgets. What it does takes place in threads of its own, so that a cell may run meanwhile."""

    def __init__(self, children: Sequence[Any]) -> None:
        self._note = widgets.HTML()
        super().__init__([*children, self._note], layout=widgets.Layout(max_width=WIDTH))
        self.stopped = threading.Event()

    @abstractmethod
    def text(self) -> str:
        """What it shows, for a terminal or a notebook without a kernel."""

    @abstractmethod
    def html(self) -> str:
        """The same as HTML."""

    def say(self, words: str, tone: str = "wait") -> None:
        """One line below the panel; an empty one takes it away."""
        self._note.value = theme.block(f'<span class="cpod-{tone}">{escape(words)}</span>') if words else ""

    def begin(self, work: Callable[[], None]) -> threading.Thread:
        """Do something in a thread; what goes wrong is said below the panel."""

        def run() -> None:
            try:
                work()
            except CpodError as error:
                self.say(str(error), "bad")

        thread = threading.Thread(target=run, name=f"cpod-{type(self).__name__}", daemon=True)
        thread.start()
        return thread

    def button(self, words: str, work: Callable[[], None], *, danger: bool = False, hint: str = "") -> widgets.Button:
        """A button that does something in a thread, and cannot be pressed again meanwhile."""
        found = widgets.Button(
            description=words,
            tooltip=hint or words,
            button_style="danger" if danger else "",
            layout=widgets.Layout(width="auto"),
        )

        def pressed(_: Any) -> None:
            def once() -> None:
                try:
                    work()
                finally:
                    found.disabled = False

            found.disabled = True
            self.say("")
            self.begin(once)

        found.on_click(pressed)
        return found

    def asked_first(self, words: str, question: str, work: Callable[[], None]) -> widgets.HBox:
        """A button that asks before it does something that cannot be taken back."""
        row = widgets.HBox()

        def show(asks: bool) -> None:
            row.children = (sure, no) if asks else (first,)

        def done() -> None:
            show(False)
            work()

        first = self.button(words, lambda: show(True))
        sure = self.button(question, done, danger=True)
        no = self.button("No", lambda: show(False))
        show(False)
        return row

    def close(self) -> None:
        """End its threads, and take it from the page."""
        if "stopped" in self.__dict__:  # also called of one that could not be made
            self.stopped.set()
        super().close()

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any]:
        found: dict[str, Any] = super()._repr_mimebundle_(**options) or {}
        return {**found, "text/plain": self.text(), "text/html": self.html()}
