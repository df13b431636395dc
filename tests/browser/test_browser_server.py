"""Jupyter's server extension over HTTP, in the server that the browser uses."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from http.cookiejar import CookieJar

import pytest
from lab import SECONDS, Lab
from pages import NoRedirect, address_of, asked, sentence
from tornado.web import RequestHandler

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import SECRETS
from cpod_jupyter.jupyter.server.handlers import handlers
from cpod_jupyter.sdk import Session

WRITES = "for number in range(3): print('line', number)"


VERBS = [
    (path, verb)
    for path, handler in handlers("/")
    for verb in ("GET", "POST")
    if getattr(handler, verb.lower()) is not getattr(RequestHandler, verb.lower())
]


@pytest.mark.parametrize(("path", "verb"), VERBS, ids=[f"{verb} {path}" for path, verb in VERBS])
def test_nothing_is_answered_without_login(lab: Lab, namespace: str, path: str, verb: str) -> None:
    """Not even to a page that has Jupyter's cookie against forged requests."""
    browser = urllib.request.build_opener(NoRedirect, urllib.request.HTTPCookieProcessor(jar := CookieJar()))
    browser.open(lab.url("login").split("?")[0], timeout=SECONDS).close()
    headers = {"X-XSRFToken": next(str(cookie.value) for cookie in jar if cookie.name == "_xsrf")}
    url = lab.url(path.lstrip("/")).split("?")[0] + "?" + urllib.parse.urlencode(address_of(namespace, "facts"))
    body = json.dumps(address_of(namespace, "facts")).encode() if verb == "POST" else None
    with pytest.raises(urllib.error.HTTPError) as refused:
        browser.open(urllib.request.Request(url, body, headers, method=verb), timeout=SECONDS)
    refused.value.close()
    assert refused.value.code == 403


def test_a_forged_request_of_somebody_who_is_logged_in_is_refused(lab: Lab, namespace: str) -> None:
    browser = urllib.request.build_opener(NoRedirect, urllib.request.HTTPCookieProcessor(jar := CookieJar()))
    browser.open(lab.url("lab"), timeout=SECONDS).close()
    url, body = lab.url("cpod/manifest").split("?")[0], json.dumps({"text": "%%cpod job a\nimage: b"}).encode()
    with pytest.raises(urllib.error.HTTPError) as refused:
        browser.open(urllib.request.Request(url, body), timeout=SECONDS)
    refused.value.close()
    assert refused.value.code == 403
    headers = {"X-XSRFToken": next(str(cookie.value) for cookie in jar if cookie.name == "_xsrf")}
    with browser.open(urllib.request.Request(url, body, headers), timeout=SECONDS) as answer:
        assert "kind: CPodJob" in json.load(answer)


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


def test_what_is_in_a_secret_is_not_shown(lab: Lab, namespace: str) -> None:
    secret = {"metadata": {"name": "key", "namespace": namespace}, "stringData": {"token": "swordfish"}}
    Session().client.create(SECRETS, secret)
    for path in ("yaml", "events", "logs"):
        status, text, _ = asked(lab, path, **address_of(namespace, "key", "secret"))
        assert (status, "Secret" in sentence(text)) == (422, True)


def test_a_job_is_run_again_and_deleted(lab: Lab, namespace: str) -> None:
    Session().job("facts", image="python", command=["python", "-c", WRITES]).wait(timeout=SECONDS)
    where = address_of(namespace, "facts")
    status, text, _ = asked(lab, "rerun", post=True, **where)
    assert (status, json.loads(text)) == (200, {**where, "name": "facts-2"})
    status, text, _ = asked(lab, "rerun", post=True, **where, **{"as": "other"})
    assert (status, json.loads(text)) == (200, {**where, "name": "other"})
    status, text, _ = asked(lab, "rerun", post=True, **where, **{"as": "../x"})
    assert (status, "not a name" in sentence(text)) == (422, True)
    Session().get("job", "other").wait(timeout=SECONDS)
    status, text, _ = asked(lab, "events", **where)
    events = json.loads(text)
    assert status == 200
    assert events == sorted(events, key=lambda event: event["time"])
    assert any(event["type"] == "Normal" and meta.parse_time(event["time"]) for event in events)
    status, text, _ = asked(lab, "delete", post=True, **where)
    assert (status, json.loads(text)) == (200, {})
    assert [handle.name for handle in Session().list("job")] == ["facts-2", "other"]
    status, text, _ = asked(lab, "delete", post=True, **where)
    assert (status, '"facts" not found' in sentence(text)) == (404, True)


def test_a_model_is_deployed(lab: Lab, namespace: str) -> None:
    Session().model("mine", modeltype="pypi", modelname="llm-nothing")
    where = address_of(namespace, "mine", "model")
    status, text, _ = asked(lab, "deploy", post=True, **where, **{"as": "served"})
    assert (status, json.loads(text)) == (200, {**where, "kind": "inference", "name": "served"})
    assert Session().get("inference", "served").object["spec"]["modelId"] == "mine"
    Session().job("plain", image="python", command=["true"])
    status, text, _ = asked(lab, "deploy", post=True, **address_of(namespace, "plain"))
    assert (status, "has no result" in sentence(text)) == (422, True)
    status, text, _ = asked(lab, "rerun", post=True, **where)
    assert (status, "is no job" in sentence(text)) == (422, True)
    for name in ("served", "mine"):
        Session().find(name).delete()


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"{", 422, "no JSON"),
        (b"[1]", 422, "no JSON object"),
        (b'{"text": 3}', 422, "text is missing"),
        (json.dumps({"text": "a" * 1_000_001}).encode(), 413, "longer than 1,000,000 bytes"),
        (b" " * 2_000_001, 413, "2,000,000 bytes"),
    ],
    ids=("syntax", "list", "number", "text", "body"),
)
def test_what_is_no_request_is_refused_early(lab: Lab, body: bytes, status: int, words: str) -> None:
    request = urllib.request.Request(lab.url("cpod/manifest"), body, {"Authorization": f"token {lab.token}"})
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=SECONDS)
    with refused.value as error:
        assert (error.code, words in sentence(error.read().decode())) == (status, True)
