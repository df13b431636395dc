"""Jupyter's server extension over HTTP, in the server that the browser uses."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from http.client import HTTPResponse

import pytest
from lab import SECONDS, Lab

from cpod_jupyter.sdk import Session

WRITES = "for number in range(3): print('line', number)"


def asked(
    lab: Lab, path: str, *, token: bool = True, post: bool = False, **address: str
) -> tuple[int, str, HTTPResponse]:
    """Status, body and answer of a route of ours for an object."""
    url = lab.url(f"cpod/{path}") if token else lab.url(f"cpod/{path}").split("?")[0] + "?"
    if post:
        body = json.dumps(address).encode()
        request = urllib.request.Request(url, body, {"Authorization": f"token {lab.token}"} if token else {})
    else:
        request = urllib.request.Request(f"{url}&{urllib.parse.urlencode(address)}")
    opener = urllib.request.build_opener(_NoRedirect)
    try:
        with opener.open(request, timeout=SECONDS) as answer:
            return answer.status, answer.read().decode(), answer
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode(), error  # type: ignore[return-value]


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


def address_of(namespace: str, name: str, kind: str = "job") -> dict[str, str]:
    return {"context": "engine", "namespace": namespace, "kind": kind, "name": name}


@pytest.mark.parametrize(("path", "post"), [("yaml", False), ("logs", False), ("stream", False), ("cancel", True)])
def test_nothing_is_answered_without_login(lab: Lab, namespace: str, path: str, post: bool) -> None:
    status, _, _ = asked(lab, path, token=False, post=post, **address_of(namespace, "facts"))
    assert status in (302, 403)


def test_manifest_and_log_of_a_job(lab: Lab, namespace: str) -> None:
    Session().job("facts", image="python", command=["python", "-c", WRITES]).wait(timeout=SECONDS)
    where = address_of(namespace, "facts")
    status, text, _ = asked(lab, "yaml", **where)
    assert (status, "kind: CPodJob" in text) == (200, True)
    status, text, answer = asked(lab, "logs", **where)
    assert (status, text) == (200, "line 0\nline 1\nline 2\n")
    assert answer.headers["Content-Disposition"] == 'attachment; filename="facts.log"'
    status, text, _ = asked(lab, "cancel", post=True, **where)
    assert status == 422
    assert "is over already" in json.loads(text)["message"]


@pytest.mark.parametrize(
    ("changes", "status", "words"),
    [
        ({"name": "missing"}, 404, '"missing" not found'),
        ({"name": "../x"}, 422, "not a name that Kubernetes takes"),
        ({"kind": "jub"}, 422, "jub"),
        ({"context": ""}, 422, "context is missing"),
        ({"context": "nowhere"}, 422, "nowhere"),
    ],
)
def test_what_cannot_be_answered_is_said_in_a_sentence(
    lab: Lab, namespace: str, changes: dict[str, str], status: int, words: str
) -> None:
    found, text, _ = asked(lab, "yaml", **{**address_of(namespace, "facts"), **changes})
    assert found == status
    assert words in json.loads(text)["message"]
