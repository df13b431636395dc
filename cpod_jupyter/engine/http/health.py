"""/healthz, /livez and /readyz, with `?verbose`, `?exclude=CHECK` and one check alone under its name
(Kubernetes, "Kubernetes API health endpoints")."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

ENDPOINTS = ("healthz", "livez", "readyz")


class Health:
    """The endpoints; a check is a name and what raises OSError, RuntimeError or the store's error when it fails."""

    def __init__(self, checks: dict[str, Callable[[], object]]) -> None:
        self._checks = checks

    def add_routes(self, app: web.Application) -> None:
        for endpoint in ENDPOINTS:
            app.router.add_get(f"/{endpoint}{{check:(?:/[a-z-]*)?}}", self._answer)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        endpoint = request.path.strip("/").split("/")[0]
        chosen = request.match_info["check"].strip("/")
        if chosen and chosen not in self._checks:
            return web.Response(status=404, text=f"there is no check {chosen!r}: {', '.join(self._checks)}\n")
        excluded = set(request.query.getall("exclude", []))
        lines, failed = [], False
        for name, check in self._checks.items():
            if name in excluded or (chosen and name != chosen):
                continue
            fault = _fault(check)
            failed = failed or bool(fault)
            lines.append(f"[-]{name} failed: {fault}" if fault else f"[+]{name} ok")
        if failed:
            return web.Response(status=500, text="\n".join([*lines, f"{endpoint} check failed", ""]))
        if "verbose" in request.query and not chosen:
            return web.Response(text="\n".join([*lines, f"{endpoint} check passed", ""]))
        return web.Response(text="ok")


def _fault(check: Callable[[], object]) -> str:
    try:
        check()
    except Exception as error:  # a boundary: whatever is wrong is what the check reports
        return f"{type(error).__name__}: {error}"
    return ""
