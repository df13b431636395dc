"""What the conformance tests speak: the Kubernetes API over plain HTTPS, with a kubeconfig's credentials.

Nothing here knows the engine. The official client's loader reads the kubeconfig, since it knows every
way of signing in (tokens, client certificates, exec plugins); requests are urllib3's own.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode

import kubernetes
import pytest
import urllib3

T = TypeVar("T")
Json = dict[str, Any]

IMAGE = "docker.io/library/busybox:1.37"
PYTHON_IMAGE = "docker.io/library/python:3.12-slim"
JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"


@dataclass(frozen=True)
class Answer:
    """A response, read to its end."""

    status: int
    headers: Any
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def start(self) -> str:
        """As much of the body as fits into a message."""
        return self.body[:600].decode(errors="replace")

    @property
    def value(self) -> Json:
        """The object of an answer that went well."""
        self.done()
        found = self.json()
        assert isinstance(found, dict)
        return found

    def done(self) -> None:
        """Nothing, of an answer that went well."""
        assert 200 <= self.status < 300, f"{self.status}: {self.start}"

    def refused(self, code: int, reason: str) -> Json:
        """The Status of an answer that had to fail with that code and reason."""
        assert self.status == code, f"{self.status} instead of {code}: {self.start}"
        status = self.json()
        assert (status["kind"], status["apiVersion"], status["status"]) == ("Status", "v1", "Failure"), status
        assert (status["code"], status["reason"]) == (code, reason), status
        assert status["message"], status
        assert isinstance(status, dict)
        return status


class Stream:
    """A response that is read as it comes: events of a watch, or lines of a log."""

    def __init__(self, response: urllib3.BaseHTTPResponse) -> None:
        self.status = response.status
        self.headers = response.headers
        self._response = response
        self._chunks = response.stream(2**16)
        self._rest = b""

    def line(self) -> bytes | None:
        """The next line with its end; None when the stream has ended."""
        while b"\n" not in self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                last, self._rest = self._rest, b""
                return last or None
            self._rest += chunk
        line, _, self._rest = self._rest.partition(b"\n")
        return line + b"\n"

    def event(self, *types: str) -> Json:
        """The next event, which must be of one of the types, where some are given."""
        line = self.line()
        assert line is not None, "the stream ended where an event was expected"
        event = json.loads(line)
        assert isinstance(event, dict)
        assert not types or event["type"] in types, event
        return event

    def names(self, count: int) -> list[tuple[str, str]]:
        """(type, name) of the next events."""
        events = [self.event() for _ in range(count)]
        return [(event["type"], event["object"]["metadata"]["name"]) for event in events]

    def until(self, wanted: Callable[[Json], bool]) -> Json:
        """The first event for which `wanted` holds; those before are passed over."""
        while not wanted(event := self.event()):
            pass
        return event

    def rest(self) -> list[Json]:
        """The events up to the stream's end."""
        return [json.loads(line) for line in iter(self.line, None)]

    def close(self) -> None:
        self._response.close()


class Api:
    """One connection pool to one API server."""

    def __init__(self, kubeconfig: Path, context: str | None) -> None:
        found = kubernetes.client.Configuration()
        kubernetes.config.load_kube_config(str(kubeconfig), context=context, client_configuration=found)
        self.server = str(found.host).rstrip("/")
        self._authorization = str(found.auth_settings().get("BearerToken", {}).get("value") or "").strip()
        self.pool = urllib3.PoolManager(
            ca_certs=found.ssl_ca_cert,
            cert_reqs="CERT_REQUIRED" if found.verify_ssl else "CERT_NONE",
            cert_file=found.cert_file,
            key_file=found.key_file,
            server_hostname=found.tls_server_name,
            timeout=urllib3.Timeout(connect=10, read=60),
            retries=False,
        )

    def close(self) -> None:
        self.pool.clear()

    def _send(self, method: str, path: str, body: bytes | None, query: Json, headers: Json, stream: bool) -> Any:
        text = {name: str(value).lower() if isinstance(value, bool) else value for name, value in query.items()}
        url = self.server + path + (("&" if "?" in path else "?") + urlencode(text) if text else "")
        asked = {"Authorization": self._authorization, "Accept": "application/json", **headers}
        asked = {name: value for name, value in asked.items() if value}
        return self.pool.request(method, url, body=body, headers=asked, preload_content=not stream, redirect=False)

    def send(
        self, method: str, path: str, body: Any = None, *, headers: dict[str, str] | None = None, **query: Any
    ) -> Answer:
        """One request. A body that is not bytes is sent as JSON; `headers` take precedence, empty ones are left out."""
        asked = dict(headers or {})
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            asked.setdefault("Content-Type", "application/json")
        response = self._send(method, path, body, query, asked, False)
        return Answer(response.status, response.headers, response.data)

    def get(self, path: str, *, accept: str = "application/json", **query: Any) -> Answer:
        return self.send("GET", path, headers={"Accept": accept}, **query)

    def post(self, path: str, body: Any, **query: Any) -> Answer:
        return self.send("POST", path, body, **query)

    def put(self, path: str, body: Any, **query: Any) -> Answer:
        return self.send("PUT", path, body, **query)

    def patch(self, path: str, body: Any, kind: str = MERGE_PATCH, **query: Any) -> Answer:
        return self.send("PATCH", path, body, headers={"Content-Type": kind}, **query)

    def apply(self, path: str, body: Json, manager: str, **query: Any) -> Answer:
        return self.patch(path, body, APPLY_PATCH, fieldManager=manager, **query)

    def delete(self, path: str, options: Json | None = None, **query: Any) -> Answer:
        return self.send("DELETE", path, options, **query)

    @contextmanager
    def stream(self, path: str, *, accept: str = "application/json", **query: Any) -> Iterator[Stream]:
        """A response whose headers are there and whose body is still to come."""
        response = self._send("GET", path, None, query, {"Accept": accept}, True)
        stream = Stream(response)
        try:
            yield stream
        finally:
            stream.close()

    @contextmanager
    def watch(self, path: str, *, accept: str = "application/json", **query: Any) -> Iterator[Stream]:
        """The events of a collection. Ends by itself after a minute, unless `timeoutSeconds` says otherwise."""
        asked = {"timeoutSeconds": 60, **query, "watch": True}
        with self.stream(path, accept=accept, **asked) as stream:
            assert stream.status == 200, stream.line()
            yield stream

    def gone(self, path: str) -> bool:
        return self.get(path).status == 404

    def wait_gone(self, path: str, seconds: float = 30) -> None:
        wait(lambda: self.gone(path), f"{path} is gone", seconds)


def wait(condition: Callable[[], T], wanted: str, seconds: float = 30) -> T:
    """The condition's value, once it is true."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            pytest.fail(f"not within {seconds:g} s: {wanted}")
        time.sleep(0.05)
    return value


def path(plural: str, name: str = "", sub: str = "", *, group: str = "", version: str = "v1", space: str = "") -> str:
    """The URL path of a collection, an object or a subresource."""
    parts = [f"/apis/{group}/{version}" if group else f"/api/{version}"]
    parts += [f"namespaces/{space}"] if space else []
    return "/".join([*parts, plural, *([name] if name else []), *([sub] if sub else [])])


@dataclass(frozen=True)
class Space:
    """A namespace of one test's own."""

    api: Api
    name: str

    def path(self, plural: str, name: str = "", sub: str = "", *, group: str = "", version: str = "v1") -> str:
        return path(plural, name, sub, group=group, version=version, space=self.name)

    @property
    def configmaps(self) -> str:
        return self.path("configmaps")

    def configmap(self, name: str, data: dict[str, str] | None = None, **metadata: Any) -> Json:
        """Create one."""
        return self.api.post(self.configmaps, configmap(name, data, **metadata)).value

    def pod(self, name: str, script: str, *, container: Json | None = None, **spec: Any) -> Json:
        """Create a pod of one container `main` that runs a shell script."""
        return self.api.post(self.path("pods"), pod(name, script, container=container, **spec)).value

    def wait_phase(self, name: str, *phases: str) -> Json:
        """The pod, once it is in one of the phases."""
        where = self.path("pods", name)

        def found() -> Json | None:
            pod = self.api.get(where).value
            return pod if pod["status"].get("phase") in phases else None

        pod = wait(found, f"{name} is {' or '.join(phases)}", 60)
        assert pod is not None
        return pod

    def log(self, name: str, **query: Any) -> str:
        answer = self.api.get(self.path("pods", name, "log"), accept="*/*", **query)
        assert answer.status == 200, answer.body
        return answer.text


def configmap(name: str, data: dict[str, str] | None = None, **metadata: Any) -> Json:
    named = {"name": name} if name else {}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {**named, **metadata}, "data": data or {}}


def pod(name: str, script: str, *, container: Json | None = None, **spec: Any) -> Json:
    """A pod that would run on any cluster: a small image and a shell script."""
    main = {"name": "main", "image": IMAGE, "command": ["sh", "-c", script], **(container or {})}
    whole = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 3, "containers": [main], **spec}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": whole}


def condition(obj: Json, kind: str) -> str:
    """The status of a condition; empty when it is not there."""
    found = [entry["status"] for entry in obj.get("status", {}).get("conditions", []) if entry["type"] == kind]
    return str(found[0]) if found else ""


@dataclass
class Definition:
    """A custom kind of one test's own: a group that nobody else has, with the kind `Widget` in it."""

    api: Api
    group: str
    versions: list[Json]
    scope: str = "Namespaced"
    extra: Json = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"widgets.{self.group}"

    @property
    def where(self) -> str:
        return path("customresourcedefinitions", self.name, group="apiextensions.k8s.io")

    def manifest(self) -> Json:
        names = {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"}
        names.update(self.extra)
        spec = {"group": self.group, "scope": self.scope, "names": names, "versions": self.versions}
        metadata = {"name": self.name}
        return {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": metadata,
            "spec": spec,
        }

    def create(self) -> Answer:
        return self.api.post(path("customresourcedefinitions", group="apiextensions.k8s.io"), self.manifest())

    def install(self) -> Definition:
        """Create it and wait until its objects are served."""
        assert self.create().status == 201, self.create().body
        wait(lambda: condition(self.api.get(self.where).value, "Established") == "True", f"{self.name} is established")
        for version in self.versions:
            if version["served"]:
                wait(lambda v=version["name"]: self.api.get(self.path("", version=v)).status == 200, "it is served")
        return self

    def path(self, space: str, name: str = "", sub: str = "", *, version: str = "") -> str:
        version = version or self.versions[0]["name"]
        return path("widgets", name, sub, group=self.group, version=version, space=space)

    def widget(self, name: str, *, version: str = "", **fields: Any) -> Json:
        metadata = {"name": name, **fields.pop("metadata", {})}
        version = version or self.versions[0]["name"]
        return {"apiVersion": f"{self.group}/{version}", "kind": "Widget", "metadata": metadata, **fields}


def version(name: str, properties: Json | None = None, *, storage: bool = True, **more: Any) -> Json:
    """A version of a definition. `properties` are those of `spec`; without them anything goes."""
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    spec = {"type": "object", "properties": properties, **more.pop("spec", {})} if properties is not None else anything
    schema = {"type": "object", "properties": {"spec": spec, "status": anything, **more.pop("top", {})}}
    return {"name": name, "served": True, "storage": storage, "schema": {"openAPIV3Schema": schema}, **more}
