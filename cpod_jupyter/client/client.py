"""`Client`: `control.api.KubeApi` over HTTP, with logs, schemas and the service proxy besides."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlencode

import urllib3
from kubernetes import client as kubernetes_client

from cpod_jupyter.api import meta
from cpod_jupyter.api.model import built_in_schema
from cpod_jupyter.api.resources import BUILT_IN, CRDS, Object, Resource
from cpod_jupyter.client.commands import run_fed
from cpod_jupyter.client.connection import Connection, connect
from cpod_jupyter.client.stream import LONGEST_LINE, LineStream, Stop, be_patient
from cpod_jupyter.control.api import ObjectList, Propagation, WatchEvent
from cpod_jupyter.errors import ApiUnreachable, NotFound, api_error

_CONNECT_SECONDS = 10.0
_READ_SECONDS = 60.0
_WATCH_SILENCE_SECONDS = 75.0
"""A watch with bookmarks is never silent for longer: past it the connection is dead."""
_PAGE = 500
_METADATA_ALONE = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"


class Client:
    """One API server as one user. Safe from several threads: connections come from one pool."""

    def __init__(self, connection: Connection, *, patience: float = _READ_SECONDS) -> None:
        """`patience` is how long an answer may take, s; what is followed or watched has times of its own."""
        self._connection = connection
        self._patience = patience
        self._http = kubernetes_client.ApiClient(connection.configuration).rest_client.pool_manager
        self._schemas: dict[Resource, dict[str, Any]] = {}

    @classmethod
    def connect(cls, context: str | None = None) -> Client:
        """By the user's kubeconfig, or from inside a pod. Raises CpodError."""
        return cls(connect(context=context))

    @classmethod
    def from_kubeconfig(cls, path: Path, context: str = "") -> Client:
        """By a file's current context, which goes by the name of `context` where one is given."""
        found = connect(kubeconfig=path)
        return cls(replace(found, context=context) if context else found)

    @property
    def namespace(self) -> str:
        """The namespace of the context."""
        return self._connection.namespace

    @property
    def server(self) -> str:
        return self._connection.server

    @property
    def context(self) -> str:
        return self._connection.context

    def close(self) -> None:
        self._http.clear()

    # ---- requests

    def _open(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        *,
        content_type: str = "application/json",
        accept: str = "application/json",
        read_seconds: float | None = _READ_SECONDS,
    ) -> urllib3.BaseHTTPResponse:
        """A response whose body is still to be read; the caller releases it. Raises ApiError, ApiUnreachable."""
        url = self.server + path
        if query and (chosen := {key: value for key, value in query.items() if value not in (None, "", False)}):
            url += "?" + urlencode({key: "true" if value is True else value for key, value in chosen.items()})
        headers = {"Accept": accept, **self._connection.headers()}
        data = None
        if body is not None:
            headers["Content-Type"] = content_type
            data = json.dumps(body).encode()
        timeout = urllib3.Timeout(connect=min(_CONNECT_SECONDS, self._patience), read=read_seconds)
        try:
            response = self._http.request(
                method, url, body=data, headers=headers, timeout=timeout, preload_content=False, retries=False
            )
            if response.status >= 400:
                text = response.read().decode(errors="replace")
                response.release_conn()
                raise api_error(response.status, _status(text))
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise ApiUnreachable(f"the API server at {self.server} does not answer: {error}") from error
        return response

    def _json(self, method: str, path: str, query: Mapping[str, Any] | None = None, body: Any = None,
              *, content_type: str = "application/json") -> dict[str, Any]:  # fmt: skip
        response = self._open(method, path, query, body, content_type=content_type, read_seconds=self._patience)
        try:
            return cast(dict[str, Any], json.loads(response.read()))
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise ApiUnreachable(f"the answer of {self.server} broke off: {error}") from error
        except ValueError as error:
            raise ApiUnreachable(f"{self.server} does not answer as a Kubernetes API does: {error}") from error
        finally:
            response.release_conn()

    # ---- KubeApi

    def get(self, resource: Resource, name: str, namespace: str | None = None) -> Object:
        return self._json("GET", resource.path(namespace, name))

    def list(
        self, resource: Resource, namespace: str | None = None, *, label_selector: str = "", field_selector: str = ""
    ) -> ObjectList:
        items: list[Object] = []
        query = {"labelSelector": label_selector, "fieldSelector": field_selector, "limit": _PAGE, "continue": ""}
        while True:
            page = self._json("GET", resource.path(namespace), query)
            for item in page.get("items") or []:
                items.append({"apiVersion": resource.api_version, "kind": resource.kind, **item})
            query["continue"] = page["metadata"].get("continue") or ""
            if not query["continue"]:
                return ObjectList(items, str(page["metadata"].get("resourceVersion") or ""))  # metrics have none

    def create(self, resource: Resource, obj: Object, *, dry_run: bool = False) -> Object:
        namespace = meta.namespace_of(obj) if resource.namespaced else None
        query = {"fieldValidation": "Strict", "dryRun": "All" if dry_run else ""}
        return self._json("POST", resource.path(namespace), query, _typed(resource, obj))

    def replace(self, resource: Resource, obj: Object, *, subresource: str = "") -> Object:
        path = resource.path(meta.namespace_of(obj) or None, meta.name_of(obj), subresource)
        return self._json("PUT", path, None, _typed(resource, obj))

    def patch(
        self,
        resource: Resource,
        name: str,
        patch: dict[str, Any],
        namespace: str | None = None,
        *,
        subresource: str = "",
        dry_run: bool = False,
    ) -> Object:
        return self._json(
            "PATCH",
            resource.path(namespace, name, subresource),
            {"dryRun": "All" if dry_run else ""},
            patch,
            content_type="application/merge-patch+json",
        )

    def has(self, resource: Resource, name: str, namespace: str | None = None) -> bool:
        """Whether there is such an object, asked without having its contents sent."""
        try:
            response = self._open("GET", resource.path(namespace, name), accept=_METADATA_ALONE)
        except NotFound:
            return False
        response.read()
        response.release_conn()
        return True

    def apply(self, resource: Resource, obj: Object, *, manager: str) -> Object:
        """Server-side apply: create the object, or bring it to this, taking over fields that others own."""
        path = resource.path(meta.namespace_of(obj) or None, meta.name_of(obj))
        query = {"fieldManager": manager, "force": True}
        return self._json("PATCH", path, query, _typed(resource, obj), content_type="application/apply-patch+yaml")

    def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str | None = None,
        *,
        propagation: Propagation = "Background",
        grace_seconds: int | None = None,
        uid: str | None = None,
    ) -> None:
        options: dict[str, Any] = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": propagation}
        if grace_seconds is not None:
            options["gracePeriodSeconds"] = grace_seconds
        if uid is not None:
            options["preconditions"] = {"uid": uid}
        self._json("DELETE", resource.path(namespace, name), None, options)

    def watch(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        resource_version: str,
        label_selector: str = "",
        field_selector: str = "",
        timeout_seconds: int = 300,
        stop: Stop | None = None,
    ) -> Iterator[WatchEvent]:
        query = {
            "watch": True,
            "resourceVersion": resource_version,
            "allowWatchBookmarks": True,
            "timeoutSeconds": timeout_seconds,
            "labelSelector": label_selector,
            "fieldSelector": field_selector,
        }
        response = self._open("GET", resource.path(namespace), query, read_seconds=_WATCH_SILENCE_SECONDS)
        for batch in LineStream(response, self.server, stop=stop):
            for event in map(json.loads, batch):
                if event["type"] == "ERROR":
                    raise api_error(int(event["object"].get("code") or 500), event["object"])
                yield WatchEvent(event["type"], event["object"])

    def log_tail(self, pod: str, namespace: str, lines: int) -> tuple[str, ...]:
        return tuple(self.logs(pod, namespace, tail_lines=lines))

    # ---- beyond

    def logs(
        self,
        name: str,
        namespace: str,
        *,
        container: str | None = None,
        follow: bool = False,
        since_time: str | None = None,
        tail_lines: int | None = None,
        timestamps: bool = False,
        previous: bool = False,
    ) -> Iterator[str]:
        """The lines of a pod's log, without their ends; bytes that are no UTF-8 are replaced.

        With `follow` they go on until the container ends. Raises BadRequest while it has not started, and
        ApiUnreachable when the connection breaks: go on from the last line's time.
        """
        stream = self.log_stream(
            name,
            namespace,
            container=container,
            follow=follow,
            since_time=since_time,
            tail_lines=tail_lines,
            timestamps=timestamps,
            previous=previous,
        )
        for batch in stream:
            yield from batch

    def log_stream(
        self,
        name: str,
        namespace: str,
        *,
        container: str | None = None,
        follow: bool = False,
        since_time: str | None = None,
        tail_lines: int | None = None,
        timestamps: bool = False,
        previous: bool = False,
        returns: bool = False,
        stop: Stop | None = None,
    ) -> LineStream:
        """The same in batches, once the server has begun to answer. Raises at once what `logs` raises.

        `stop` ends it from another thread; `returns` also gives the states of progress bars (`LineStream`).
        """
        path = f"/api/v1/namespaces/{namespace}/pods/{name}/log"
        query = {
            "container": container,
            "follow": follow,
            "sinceTime": since_time,
            "tailLines": tail_lines,
            "timestamps": timestamps,
            "previous": previous,
        }
        response = self._open("GET", path, query)
        if follow:
            be_patient(response)
        return LineStream(response, self.server, returns=returns, longest=LONGEST_LINE, stop=stop)

    def feed(self, name: str, namespace: str, command: Sequence[str], stdin: Iterable[bytes]) -> None:
        """Run a command in a pod's container with this as its input, whose end it must know by itself.

        Raises WorkFailed with what it said when it ends badly, ApiError, ApiUnreachable.
        """
        run_fed(self._connection, name, namespace, command, stdin)

    def proxy(self, namespace: str, service: str, port: int | str) -> tuple[str, dict[str, str], ssl.SSLContext | bool]:
        """Base URL of a Service through the API server, the headers, and the TLS settings to reach it."""
        base = f"{self.server}/api/v1/namespaces/{namespace}/services/{service}:{port}/proxy"
        return base, self._connection.headers(), self._connection.ssl_context()

    def schema(self, resource: Resource) -> dict[str, Any]:
        """The structural schema that the server validates a kind by. Raises NotFound when it is not served."""
        if resource in BUILT_IN:
            return built_in_schema(resource.kind)
        if resource not in self._schemas:
            definition = self.get(CRDS, resource.qualified)
            for version in definition["spec"]["versions"]:
                if version["name"] == resource.version and version.get("served", True):
                    self._schemas[resource] = version["schema"]["openAPIV3Schema"]
            if resource not in self._schemas:
                raise NotFound(f"{resource.qualified} is not served as {resource.version}")
        return self._schemas[resource]

    def ping(self) -> str:
        """The server's version. Raises ApiUnreachable, Unauthorized."""
        return str(self._json("GET", "/version").get("gitVersion", ""))


def _typed(resource: Resource, obj: Object) -> Object:
    return {"apiVersion": resource.api_version, "kind": resource.kind, **obj}


def _status(text: str) -> dict[str, Any] | str:
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, dict) else text
