"""What the server tells about itself, over HTTP: version, discovery, OpenAPI. Documents are made once for each state
of the kinds, and carry an ETag, so that clients that kept one need not read it again."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from aiohttp import web

from cpod_jupyter.engine.http import discovery, openapi
from cpod_jupyter.engine.kinds import Kinds
from cpod_jupyter.errors import MethodNotAllowed, NotAcceptable, NotFound

_JSON = "application/json"


class Documents:
    """Answers requests; the kinds may change between them."""

    def __init__(self, kinds: Kinds) -> None:
        self._kinds = kinds
        self._made: dict[str, tuple[int, str, str]] = {}
        """By name: the kinds' generation, the text and the content type."""

    def add_routes(self, app: web.Application) -> None:
        app.router.add_get("/version{slash:/?}", self._version)
        app.router.add_get("/openapi/v2{slash:/?}", self._version2)
        app.router.add_get("/openapi/v3{slash:/?}", self._index)
        app.router.add_get("/openapi/v3/{path:.+}", self._version3)

    async def discover(self, request: web.Request) -> web.Response:
        """`/api`, `/apis`, and the paths of a group or a group's version. Raises NotFound or MethodNotAllowed."""
        if request.method not in ("GET", "HEAD"):
            raise MethodNotAllowed("the server does not allow this method on the requested resource")
        parts = request.path.strip("/").split("/")
        kinds = self._kinds
        if len(parts) == 1 and (version := discovery.asked_version(request.headers.get("Accept", ""))):
            made = self._text(
                f"{parts[0]} {version}", lambda: discovery.aggregated(kinds, version, core=parts[0] == "api")
            )
            return _tagged(request, *made)
        if parts == ["api"]:
            return self._plain(request, discovery.api_versions())
        if parts == ["apis"]:
            return self._plain(request, discovery.group_list(kinds))
        if parts[0] == "apis" and len(parts) == 2:
            return self._plain(request, discovery.one_group(kinds, parts[1]))
        group, version = ("", parts[1]) if parts[0] == "api" else (parts[1], parts[2])
        return self._plain(request, discovery.resource_list(kinds, group, version))

    async def _version(self, request: web.Request) -> web.StreamResponse:
        return self._plain(request, discovery.VERSION)

    async def _index(self, request: web.Request) -> web.StreamResponse:
        return self._plain(request, openapi.index(self._kinds))

    async def _version3(self, request: web.Request) -> web.StreamResponse:
        path = request.match_info["path"].strip("/")
        match path.split("/"):
            case ["api", version]:
                group = ""
            case ["apis", group, version]:
                pass
            case _:
                raise NotFound("the server could not find the requested resource")
        return _tagged(request, *self._text(path, lambda: _json(openapi.version3(self._kinds, group, version))))

    async def _version2(self, request: web.Request) -> web.StreamResponse:
        accept = request.headers.get("Accept", _JSON)
        if _JSON not in accept and "*" not in accept:
            raise NotAcceptable("the OpenAPI document is to be had as application/json only")
        return _tagged(request, *self._text("openapi/v2", lambda: _json(openapi.version2(self._kinds))))

    def _text(self, name: str, make: Callable[[], tuple[str, str]]) -> tuple[str, str]:
        """The text and content type of a document; those of what is not served (an error) are not kept."""
        generation = self._kinds.generation
        kept = self._made.get(name)
        if kept is None or kept[0] != generation:
            self._made[name] = kept = (generation, *make())
        return kept[1:]

    @staticmethod
    def _plain(request: web.Request, document: Any) -> web.Response:
        return _tagged(request, *_json(document))


def _json(document: Any) -> tuple[str, str]:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False) + "\n", _JSON


def _tagged(request: web.Request, text: str, content_type: str) -> web.Response:
    tag = f'"{discovery.tag(text)}"'
    headers = {"Content-Type": content_type, "ETag": tag, "Cache-Control": "public", "Vary": "Accept"}
    if request.headers.get("If-None-Match") == tag:
        return web.Response(status=304, headers=headers)
    return web.Response(body=text.encode(), headers=headers)
