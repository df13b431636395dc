"""The HTTP application: who may call, what a body is, and how an error is said."""

from __future__ import annotations

import functools
import hmac
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import yaml
from aiohttp import web

from cpod_jupyter.engine import notices
from cpod_jupyter.engine.http import discovery, protobuf
from cpod_jupyter.engine.http import reviews as reviewing
from cpod_jupyter.engine.http.bodies import decoded
from cpod_jupyter.engine.http.conversations import Conversations, PodSource
from cpod_jupyter.engine.http.documents import Documents
from cpod_jupyter.engine.http.health import ENDPOINTS, Health
from cpod_jupyter.engine.http.logs import pod_log
from cpod_jupyter.engine.http.paths import Target, parse
from cpod_jupyter.engine.http.proxy import ServiceProxy
from cpod_jupyter.engine.http.rbac import USER
from cpod_jupyter.engine.http.usage import UsageApi, is_asked
from cpod_jupyter.engine.http.verbs import Verbs
from cpod_jupyter.engine.objects import Objects
from cpod_jupyter.errors import (
    ApiError,
    Forbidden,
    MethodNotAllowed,
    NotAcceptable,
    ServerError,
    TooLarge,
    Unauthorized,
    UnsupportedMediaType,
)

log = logging.getLogger(__name__)

_YAML = "application/yaml"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

BODY_LIMIT = 3 * 2**20
"""Bytes of a request's body, as the API server's limit."""


class Api:
    """Builds the application over the engine's objects."""

    def __init__(self, objects: Objects, token: str, pods: PodSource | None = None) -> None:
        self._objects = objects
        self._token = token
        self._verbs = Verbs(objects)
        self._logs = pods
        self._conversations = Conversations(objects, pods)
        self._usage = UsageApi(objects, pods)
        self.proxy = ServiceProxy(objects)
        self._documents = Documents(objects.kinds)
        self._reviews = reviewing.Reviews(objects, token, functools.partial(discovery.serves, objects.kinds))
        store = objects.store
        self._health = Health({"ping": lambda: None, "store": lambda: store.changes("", store.revision)})

    def application(self) -> web.Application:
        app = web.Application(middlewares=[self._boundary], client_max_size=BODY_LIMIT)
        self._health.add_routes(app)
        self._documents.add_routes(app)
        app.router.add_route("*", "/{path:apis?(?:/.*)?}", self._api)
        app.on_shutdown.append(self._shutdown)
        return app

    async def _shutdown(self, app: web.Application) -> None:
        self._verbs.close()
        await self._conversations.close()
        await self.proxy.close()

    # ---- the boundary: every error becomes a Status

    @web.middleware
    async def _boundary(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            if request.path.strip("/").split("/")[0] not in ENDPOINTS:
                self._authenticate(request)
            return await handler(request)
        except ApiError as error:
            return answer(error.to_status(), error.code)
        except web.HTTPRequestEntityTooLarge:
            refusal = TooLarge(f"Request entity too large: limit is {BODY_LIMIT} bytes")
            return answer(refusal.to_status(), refusal.code)
        except web.HTTPException as error:
            body = {"message": error.reason, "code": error.status, "status": "Failure", "reason": ""}
            return answer({"kind": "Status", "apiVersion": "v1", "metadata": {}, **body}, error.status)
        except Exception as error:
            log.exception("%s %s failed", request.method, request.path)
            return answer(ServerError(f"Internal error occurred: {error!r}").to_status(), 500)

    def _authenticate(self, request: web.Request) -> None:
        """A bearer token, and nothing that a web page in a browser could send."""
        if request.headers.get("Origin", own := f"{request.scheme}://{request.host}") != own:
            raise Forbidden("requests from browsers' pages are refused")
        host = request.host.rsplit(":", 1)[0].strip("[]")
        if host not in ("127.0.0.1", "localhost", "::1"):
            raise Forbidden(f"the host {host!r} is not this server")
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(token.strip().encode(), self._token.encode()):
            raise Unauthorized("Unauthorized")

    # ---- objects

    async def _api(self, request: web.Request) -> web.StreamResponse:
        parts = request.path.strip("/").split("/")
        if len(parts) <= (2 if parts[0] == "api" else 3):
            return await self._documents.discover(request)
        if review := reviewing.review_of(request.path):
            who = reviewing.asker(request.headers, request.headers.getall("Impersonate-Group", []))
            return answer(self._reviews.answer(request.method, *review, await body(request), who), 201)
        if request.headers.get("Impersonate-User", USER.name) != USER.name:
            raise Forbidden("this engine has one user: one can ask what others may do, but not act as them")
        if is_asked(request.path):
            return answer(await self._usage.answer(request), as_yaml=_wants_yaml(request))
        target = parse(request.rel_url.raw_path, self._objects.kinds)
        if target.kind.key == "/pods" and target.subresource == "log" and target.name:
            return await pod_log(request, self._objects, target, self._logs)
        if target.kind.key in ("/services", "/pods") and target.subresource == "proxy" and target.name:
            return await self.proxy.forward(request, target)
        if self._conversations.serves(target):
            return await self._conversations.serve(request, target)
        finalizes = target.kind.key == "/namespaces" and target.subresource == "finalize" and request.method == "PUT"
        if target.subresource not in ("", "status", "scale") and not finalizes:
            raise MethodNotAllowed(f"{target.kind.resource.plural}/{target.subresource} is not served by this engine")
        with notices.collected(request.query.get("fieldValidation", "")) as found:
            if target.kind.deprecation:
                notices.warn(target.kind.deprecation)
            response = await self._verb(request, target)
        for line in found.headers():
            response.headers.add("Warning", line)
        return response

    async def _verb(self, request: web.Request, target: Target) -> web.StreamResponse:
        as_yaml = _wants_yaml(request)
        verbs, method = self._verbs, request.method
        if method == "GET":
            if request.query.get("watch", "").lower() in ("true", "1"):
                if as_yaml:
                    raise NotAcceptable("a watch is to be had as application/json only")
                return await verbs.watch(request, target)
            found, code = (verbs.get(request, target) if target.name else verbs.list(request, target)), 200
        elif method == "POST" and not target.name:
            found, code = verbs.create(request, target, await body(request)), 201
        elif method == "PUT" and target.name:
            found, code = verbs.update(request, target, await body(request)), 200
        elif method == "PATCH" and target.name:
            found, code = verbs.patch(request, target, await body(request, patch=True))
        elif method == "DELETE" and not target.subresource:
            options = await body(request) if request.can_read_body else {}
            found, code = verbs.delete(request, target, options), 200
        else:
            raise MethodNotAllowed("the server does not allow this method on the requested resource")
        return answer(found, code, as_yaml=as_yaml)


def _wants_yaml(request: web.Request) -> bool:
    """Whether YAML is the first form that a client takes and there is. Raises NotAcceptable where it takes none."""
    for choice in request.headers.get("Accept", "").split(","):
        kind = choice.split(";")[0].strip()
        if kind in ("application/json", "application/*", "*/*", ""):
            return False
        if kind == _YAML:
            return True
    raise NotAcceptable(f"only the following media types are accepted: application/json, {_YAML}")


async def body(request: web.Request, *, patch: bool = False) -> Any:
    """The request's body as JSON, from JSON or YAML; a missing content type is JSON."""
    kind = request.headers.get("Content-Type", "application/json").split(";")[0].strip().lower()
    text = await request.read()
    if not text:
        return {}
    if kind == protobuf.MEDIA_TYPE and not patch:
        return protobuf.decode(text)
    known = ("application/json", "application/yaml", "application/octet-stream", "")
    if not patch and kind not in known:
        raise UnsupportedMediaType(
            f"the body of the request was in an unknown format ({kind}) - "
            "accepted media types include: application/json, application/yaml, application/vnd.kubernetes.protobuf"
        )
    return decoded(text, as_yaml=kind.endswith("yaml"))


def answer(value: Any, code: int = 200, *, as_yaml: bool = False) -> web.Response:
    """Compact JSON; the header is exactly `application/json`, which some clients compare. Or YAML."""
    if as_yaml:
        text = yaml.safe_dump(value, sort_keys=False, allow_unicode=True)
        return web.Response(body=text.encode(), status=code, content_type=_YAML)
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False) + "\n"
    return web.Response(body=text.encode(), status=code, content_type="application/json")
