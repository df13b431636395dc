"""Jupyter's server extension: what a page asks for that no kernel need answer. Enabled by installing the package.

Everything is done as the person whose Jupyter this is, over `sdk`; no token and no Secret's value goes to a page.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jupyter_server.serverapp import ServerApp


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "cpod_jupyter.jupyter.server"}]


def _load_jupyter_server_extension(app: ServerApp) -> None:
    """Called by Jupyter when it starts."""
    from cpod_jupyter.jupyter.server.handlers import handlers

    app.web_app.add_handlers(".*$", handlers(app.web_app.settings["base_url"]))  # type: ignore[no-untyped-call]
