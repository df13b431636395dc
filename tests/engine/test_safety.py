"""What the API server refuses and withstands: strangers, large bodies, slow and half-open clients, odd names."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import urllib3
import yaml

from cpod_jupyter.api.resources import CONFIGMAPS, EVENTS, PODS
from cpod_jupyter.client.client import Client
from cpod_jupyter.control.controller import Manager
from cpod_jupyter.engine.controllers.events import event_controller
from cpod_jupyter.engine.local_api import LocalApi
from cpod_jupyter.errors import Invalid, NotFound

Ask = Callable[..., urllib3.BaseHTTPResponse]


@pytest.fixture
def address(kubeconfig: Path) -> tuple[str, int]:
    config = yaml.safe_load(kubeconfig.read_text())
    parts = urlsplit(config["clusters"][0]["cluster"]["server"])
    return str(parts.hostname), int(parts.port or 0)


@pytest.fixture
def token(kubeconfig: Path) -> str:
    return str(yaml.safe_load(kubeconfig.read_text())["users"][0]["user"]["token"])


@pytest.fixture
def context(kubeconfig: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=kubeconfig.parent / "pki" / "ca.crt")


@pytest.fixture
def ask(address: tuple[str, int], token: str, context: ssl.SSLContext) -> Iterator[Ask]:
    """`ask(method, path, **what urllib3 takes)` with the token, unless headers are given."""
    pool = urllib3.PoolManager(ssl_context=context, retries=False)

    def request(method: str, path: str, **options: Any) -> urllib3.BaseHTTPResponse:
        options.setdefault("headers", {"Authorization": f"Bearer {token}"})
        return pool.request(method, f"https://{address[0]}:{address[1]}{path}", **options)

    yield request
    pool.clear()


@pytest.mark.parametrize(
    "path",
    ["/", "/api", "/apis", "/version", "/openapi/v2", "/openapi/v3", "/api/v1/pods", "/metrics", "/nowhere",
     "/api/v1/namespaces/default/pods/x/log", "/api/v1/namespaces/default/services/x/proxy/"],
)  # fmt: skip
def test_without_the_token_only_health_answers(ask: Ask, path: str) -> None:
    assert ask("GET", path, headers={}).status == 401
    assert ask("GET", "/readyz", headers={}).data == b"ok"


def test_plain_http_gets_nothing(address: tuple[str, int]) -> None:
    with socket.create_connection(address, timeout=10) as plain:
        plain.sendall(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            assert b"200" not in plain.recv(100)


def test_a_body_over_the_limit_is_refused(ask: Ask, client: Client) -> None:
    body = b'{"metadata": {"name": "big"}, "data": {"x": "' + b"x" * (3 * 2**20) + b'"}}'
    answer = ask("POST", "/api/v1/namespaces/default/configmaps", body=body)
    assert answer.status == 413
    assert answer.json()["reason"] == "RequestEntityTooLarge"
    with pytest.raises(NotFound):
        client.get(CONFIGMAPS, "big", "default")


def test_slow_and_half_open_clients_do_not_hold_up_others(
    client: Client, address: tuple[str, int], context: ssl.SSLContext, token: str
) -> None:
    with contextlib.ExitStack() as held:
        for _ in range(20):  # no handshake, a handshake and no request, half a head, a head and half a body
            held.enter_context(socket.create_connection(address, timeout=10))
        for part in (
            b"",
            b"POST /api/v1/namespaces/default/configmaps HTTP/1.1\r\nHost: loc",
            b"POST /api/v1/namespaces/default/configmaps HTTP/1.1\r\nHost: localhost\r\n"
            b"Authorization: Bearer " + token.encode() + b"\r\nContent-Length: 1000\r\n\r\n{",
        ):
            for _ in range(10):
                plain = held.enter_context(socket.create_connection(address, timeout=10))
                secure = held.enter_context(context.wrap_socket(plain, server_hostname="localhost"))
                secure.sendall(part)
        assert client.create(CONFIGMAPS, {"metadata": {"name": "a", "namespace": "default"}})
        assert client.list(CONFIGMAPS).items


def test_a_watcher_that_reads_nothing_holds_up_nobody(
    client: Client, address: tuple[str, int], context: ssl.SSLContext, token: str
) -> None:
    with context.wrap_socket(socket.create_connection(address, timeout=30), server_hostname="localhost") as asleep:
        asleep.sendall(
            b"GET /api/v1/configmaps?watch=1 HTTP/1.1\r\nHost: localhost\r\n"
            b"Authorization: Bearer " + token.encode() + b"\r\n\r\n"
        )
        assert asleep.recv(15) == b"HTTP/1.1 200 OK"
        version = client.list(CONFIGMAPS).resource_version
        awake = client.watch(CONFIGMAPS, resource_version=version, timeout_seconds=60)
        for index in range(60):  # six megabytes, more than any buffer between
            metadata = {"name": f"big-{index}", "namespace": "default"}
            client.create(CONFIGMAPS, {"metadata": metadata, "data": {"x": "x" * 100_000}})
        seen = [next(awake).object["metadata"]["name"] for _ in range(60)]
        assert seen == [f"big-{index}" for index in range(60)]


@pytest.mark.parametrize("name", ["../up", "..", "a/b", "A", "a_b", "", "x" * 254, "a\n"])
def test_names_that_could_be_paths_are_refused(client: Client, name: str) -> None:
    with pytest.raises(Invalid):
        client.create(PODS, {"metadata": {"name": name, "namespace": "default"}, "spec": {"containers": []}})


@pytest.mark.parametrize("path", ["/api/v1/namespaces/default/pods/..%2F..%2Fetc", "/api/v1/../../etc/passwd", "//api"])
def test_paths_that_climb_lead_nowhere(ask: Ask, path: str) -> None:
    assert ask("GET", path).status in (400, 404)


def test_two_engines_on_one_home_refuse_each_other(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "cpod_jupyter.local", "--home", str(tmp_path), "--port", "0", "--ready-fd"]
    reading, writing = os.pipe()
    first = subprocess.Popen([*command, str(writing)], pass_fds=[writing], stderr=subprocess.DEVNULL)
    os.close(writing)
    with os.fdopen(reading) as ready:
        assert "url" in ready.readline()
    reading, writing = os.pipe()
    second = subprocess.run([*command, str(writing)], pass_fds=[writing], timeout=60, stderr=subprocess.DEVNULL)
    os.close(writing)
    with os.fdopen(reading) as said:
        assert f"an engine already runs on {tmp_path}" in said.readline()
    assert second.returncode == 1
    first.terminate()
    assert first.wait(30) == 0


def test_events_go_when_nobody_asks_for_them_any_more(api: LocalApi, eventually: Callable[..., object]) -> None:
    for name, age in (("old", dt.timedelta(hours=25)), ("new", dt.timedelta())):
        about = {"kind": "Pod", "name": "p", "namespace": "default"}
        seen = (dt.datetime.now(dt.UTC) - age).strftime("%Y-%m-%dT%H:%M:%SZ")
        metadata = {"name": name, "namespace": "default"}
        api.create(EVENTS, {"metadata": metadata, "involvedObject": about, "lastTimestamp": seen})
    manager = Manager(api, [event_controller(api)])
    manager.start()
    eventually(lambda: [item["metadata"]["name"] for item in api.list(EVENTS).items] == ["new"])
    manager.stop()
