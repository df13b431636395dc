"""A command in a container, fed from here: the `exec` subresource over WebSockets.

Kubernetes' remote command protocol, `v4.channel.k8s.io` or `v5.channel.k8s.io`: each message begins with the number of
its channel, and the last one on the error channel is a Status.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from urllib.parse import urlencode

from cpod_jupyter.client.connection import Connection
from cpod_jupyter.errors import ApiUnreachable, WorkFailed, api_error

_SILENCE_SECONDS = 60.0
"""How long the server may take no byte of what it is sent."""
_ENDING_SECONDS = 120.0
"""How long a command may go on after its last byte."""
_CHUNK = 1 << 16
_SHOWN = 2000


def run_fed(connection: Connection, pod: str, namespace: str, command: Sequence[str], stdin: Iterable[bytes]) -> None:
    """Run a command in a pod's container with this as its input; it must know by itself when that has ended, for v4
    of the protocol cannot tell it. Raises WorkFailed when it ends badly, ApiError, ApiUnreachable."""
    from kubernetes.stream.ws_client import WSClient
    from websocket import WebSocketBadStatusException, WebSocketException

    query = [*(("command", word) for word in command), *((name, "true") for name in ("stdin", "stdout", "stderr"))]
    path = f"/api/v1/namespaces/{namespace}/pods/{pod}/exec?{urlencode(query)}"
    url = connection.server.replace("http", "ws", 1) + path
    headers = {name.lower(): value for name, value in connection.headers().items()}
    try:
        talk = WSClient(connection.configuration, url, headers, capture_all=True, binary=True)
    except WebSocketBadStatusException as error:
        raise api_error(int(error.status_code or 500), f"no command can be run in pod {pod}: {error}") from error
    except (WebSocketException, OSError) as error:
        raise ApiUnreachable(f"no command can be run in pod {pod}: {error}") from error
    try:
        talk.sock.settimeout(_SILENCE_SECONDS)
        for chunk in stdin:
            for at in range(0, len(chunk), _CHUNK):
                talk.write_stdin(bytes(chunk[at : at + _CHUNK]))
            talk.update(timeout=0)
            if not talk.is_open():
                break
        until = time.monotonic() + _ENDING_SECONDS
        while talk.is_open() and time.monotonic() < until:
            talk.update(timeout=1)
    except (WebSocketException, OSError) as error:
        raise ApiUnreachable(f"the connection to pod {pod} broke off: {error}") from error
    finally:
        talk.close()
    _judge(talk.read_channel(3), talk.read_all(), pod, command)


def _judge(status: bytes, said: bytes, pod: str, command: Sequence[str]) -> None:
    """Raise WorkFailed unless the Status of the command's end is a success."""
    try:
        ended = json.loads(status)
    except ValueError:
        ended = {"message": "its end was not heard of"}
    if ended.get("status") == "Success":
        return
    told = said.decode(errors="replace").strip()[-_SHOWN:]
    why = ": ".join(filter(None, (str(ended.get("message") or ""), told)))
    raise WorkFailed(f"{command[0]} failed in pod {pod}: {why}")
