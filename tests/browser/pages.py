"""What a page asks of the server extension, and what its one socket hears, without a browser."""

from __future__ import annotations

import json
import socket
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from http.client import HTTPResponse
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

    def until(
        self,
        true: Callable[[dict[str, Message]], bool],
        known: dict[str, Message],
        heard: list[Message] | None = None,
    ) -> None:
        """Take messages of one list into `known` (its lines by their names), and to the end of `heard`, until
        something is true of it."""
        heard, until = [] if heard is None else heard, time.monotonic() + SECONDS
        while not true(known):
            assert time.monotonic() < until, f"it did not come true of {known}"
            heard.append(self.hear())
            take(heard[-1], known)


def take(message: Message, known: dict[str, Message]) -> None:
    """As a page does."""
    if "rows" in message:
        known.clear()
    for row in [*message.get("rows", []), *message.get("changed", [])]:
        known[f"{row['kind']}/{row['name']}"] = row
    for key in message.get("gone", []):
        known.pop(key, None)


def asked(
    lab: Lab, path: str, *, token: bool = True, post: bool = False, **address: Any
) -> tuple[int, str, HTTPResponse]:
    """Status, body and answer of a route of ours for an object, or what else `address` says."""
    url = lab.url(f"cpod/{path}") if token else lab.url(f"cpod/{path}").split("?")[0] + "?"
    if post:
        body = json.dumps(address).encode()
        request = urllib.request.Request(url, body, {"Authorization": f"token {lab.token}"} if token else {})
    else:
        request = urllib.request.Request(f"{url}&{urllib.parse.urlencode(address)}")
    opener = urllib.request.build_opener(NoRedirect)
    try:
        with opener.open(request, timeout=SECONDS) as answer:
            return answer.status, answer.read().decode(), answer
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode(), error  # type: ignore[return-value]


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


def address_of(namespace: str, name: str, kind: str = "job") -> dict[str, str]:
    return {"context": "engine", "namespace": namespace, "kind": kind, "name": name}


def sentence(text: str) -> str:
    """What an error says."""
    return str(json.loads(text)["message"])
