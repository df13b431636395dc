"""A small HTTP server beside the operator's work: in threads of its own, until it is closed."""

from __future__ import annotations

import threading
from http.server import ThreadingHTTPServer

IDLE_SECONDS = 10.0
"""How long a connection may be silent, and how long closing waits."""

_POLL_SECONDS = 0.1
"""How soon closing is noticed."""


class Serving:
    """Serves from the moment it is made."""

    def __init__(self, server: ThreadingHTTPServer, name: str) -> None:
        self._server = server
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=server.serve_forever, kwargs={"poll_interval": _POLL_SECONDS}, name=name, daemon=True
        )
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(IDLE_SECONDS)
