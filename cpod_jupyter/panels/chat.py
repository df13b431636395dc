"""A conversation with a deployment, and the same question to two."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from html import escape
from typing import Any

import ipywidgets as widgets

from cpod_jupyter.api.resources import INFERENCES
from cpod_jupyter.errors import CpodError
from cpod_jupyter.panels.base import Panel
from cpod_jupyter.sdk import Deployment, Session
from cpod_jupyter.sdk.view import theme

_UPDATE_SECONDS = 0.1
_TURNS = 100
"""Messages that a conversation keeps."""


class Conversation:
    """What was said to one deployment and what it said. `widget` shows it, the newest last."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        self.messages: list[dict[str, str]] = []
        self.widget = widgets.HTML()
        self._show()

    def ask(self, question: str, options: Mapping[str, Any], stopped: Callable[[], bool]) -> None:
        """Ask, showing the answer as it is written, until it ends or `stopped`. Raises CpodError; the question is then
        taken back."""
        self.messages.append({"role": "user", "content": question})
        said = {"role": "assistant", "content": ""}
        due = 0.0
        try:
            for piece in self.deployment.stream(list(self.messages), **options):
                said["content"] += piece
                if stopped():
                    break
                if time.monotonic() >= due:
                    due = time.monotonic() + _UPDATE_SECONDS
                    self._show(said)
        except CpodError:
            self.messages.pop()
            raise
        finally:
            self._show()
        self.messages = [*self.messages, said][-_TURNS:]
        self._show()

    def clear(self) -> None:
        self.messages = []
        self._show()

    def text(self) -> str:
        lines = [f"{message['role']}: {message['content']}" for message in self.messages]
        return "\n".join([self.deployment.title, *lines])

    def html(self, writing: Mapping[str, str] | None = None) -> str:
        said = [*self.messages, writing] if writing else self.messages
        turns = "".join(
            f'<p style="white-space:pre-wrap;margin:4px 0"><b class="cpod-dim">{escape(message["role"])}</b> '
            f"{escape(message['content'])}</p>"
            for message in said
        )
        head = f'<div class="cpod-head"><span class="cpod-name">{escape(self.deployment.name)}</span></div>'
        return theme.block(f'{head}<div role="log" aria-live="polite">{turns}</div>', "cpod-card")

    def _show(self, writing: Mapping[str, str] | None = None) -> None:
        self.widget.value = self.html(writing)


class _Asking(Panel):
    """A question and its parameters, for one conversation or several."""

    def __init__(self, conversations: list[Conversation]) -> None:
        self.conversations = conversations
        self._halt = threading.Event()
        self.question = widgets.Textarea(placeholder="A question", rows=2, layout=widgets.Layout(width="100%"))
        self.system = widgets.Text(description="System", placeholder="the system message, if any")
        # A slider has no name for a screen reader.
        self.temperature = widgets.BoundedFloatText(0.0, min=0.0, max=2.0, step=0.1, description="Temperature")
        self.max_tokens = widgets.BoundedIntText(256, min=1, max=131_072, description="Tokens")
        self.send = self.button("Ask", self._ask)
        stop = widgets.Button(description="Stop", layout=widgets.Layout(width="auto"))
        stop.on_click(lambda _: self._halt.set())
        clear = widgets.Button(description="Begin anew", layout=widgets.Layout(width="auto"))
        clear.on_click(self._begin_anew)
        columns = widgets.HBox([conversation.widget for conversation in conversations])
        parameters = widgets.HBox([self.temperature, self.max_tokens])
        super().__init__([columns, self.question, widgets.HBox([self.send, stop, clear]), self.system, parameters])

    def text(self) -> str:
        return "\n\n".join(conversation.text() for conversation in self.conversations)

    def html(self) -> str:
        return "".join(conversation.html() for conversation in self.conversations)

    def _ask(self) -> None:
        question = self.question.value.strip()
        if not question:
            raise CpodError("write a question first")
        self._halt.clear()
        options = {"temperature": self.temperature.value, "max_tokens": self.max_tokens.value}
        if self.system.value.strip():
            options["system"] = self.system.value.strip()
        threads = [
            self.begin(lambda each=each: each.ask(question, options, self._over))  # type: ignore[misc]
            for each in self.conversations
        ]
        for thread in threads:
            thread.join()
        self.question.value = ""

    def _begin_anew(self, _: Any) -> None:
        for conversation in self.conversations:
            conversation.clear()

    def _over(self) -> bool:
        return self._halt.is_set() or self.stopped.is_set()


class ChatPanel(_Asking):
    """A conversation with one deployment."""

    def __init__(self, session: Session, name: str) -> None:
        super().__init__([Conversation(deployment_of(session, name))])


class ComparePanel(_Asking):
    """The same questions to two deployments, side by side, at the same time."""

    def __init__(self, session: Session, first: str, second: str) -> None:
        super().__init__([Conversation(deployment_of(session, name)) for name in (first, second)])


def deployment_of(session: Session, name: str) -> Deployment:
    """The deployment of a name. Raises NotFound."""
    found = session.get(INFERENCES, name)
    assert isinstance(found, Deployment), "an Inference is a deployment"
    return found
