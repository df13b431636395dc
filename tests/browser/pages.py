"""What a page's one socket hears of the server extension, without a browser."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from typing import Any

import websocket
from lab import SECONDS, Lab

Message = dict[str, Any]


class PageSocket:
    """A page that looks at lists. A context manager; `slow` has a small window, so that little waits in the network."""

    def __init__(self, lab: Lab, *, slow: bool = False) -> None:
        options = [(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)] if slow else []
        self._socket = websocket.create_connection(
            lab.url("cpod/stream").replace("http", "ws", 1), timeout=SECONDS, sockopt=options
        )

    def __enter__(self) -> PageSocket:
        return self

    def __exit__(self, *raised: object) -> None:
        self._socket.close()

    def send(self, message: Message) -> None:
        self._socket.send(json.dumps(message))

    def look_at(self, namespace: str, kind: str, topic: str = "list", context: str = "engine") -> None:
        self.send({"subscribe": topic, "list": {"context": context, "namespace": namespace, "kind": kind}})

    def hear(self) -> Message:
        """The next message."""
        found: Message = json.loads(self._socket.recv())
        return found

    def until(self, true: Callable[[dict[str, Message]], bool], known: dict[str, Message]) -> list[Message]:
        """Take messages of one list into `known` (its lines by their names) until something is true of it; those
        messages."""
        heard, until = [], time.monotonic() + SECONDS
        while not true(known):
            assert time.monotonic() < until, f"it did not come true of {known}"
            heard.append(self.hear())
            take(heard[-1], known)
        return heard


def take(message: Message, known: dict[str, Message]) -> None:
    """As a page does."""
    if "rows" in message:
        known.clear()
    for row in [*message.get("rows", []), *message.get("changed", [])]:
        known[f"{row['kind']}/{row['name']}"] = row
    for key in message.get("gone", []):
        known.pop(key, None)
