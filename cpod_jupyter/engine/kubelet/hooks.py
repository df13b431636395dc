"""Lifecycle hooks as commands: `exec` as it is, `httpGet` and `sleep` by this very file.

    python -I hooks.py http://127.3.4.5:8080/stop Header value …

A hook is a child process, so that whoever runs it need only wait, or end it.
Kubernetes, "Container Lifecycle Hooks". Standard library only: it runs by itself.
"""

from __future__ import annotations

import ssl
import sys
import time
import urllib.error
import urllib.request

_TIMEOUT_SECONDS = 30.0
SLEEP = "sleep:"


def http_command(url: str, headers: list[tuple[str, str]]) -> list[str]:
    """The command that asks for a URL and fails when the answer is an error."""
    return [sys.executable, "-I", __file__, url, *(word for header in headers for word in header)]


def sleep_command(seconds: float) -> list[str]:
    return [sys.executable, "-I", __file__, f"{SLEEP}{seconds}"]


def main() -> int:
    what, *headers = sys.argv[1:]
    if what.startswith(SLEEP):
        time.sleep(float(what.removeprefix(SLEEP)))
        return 0
    request = urllib.request.Request(what, headers=dict(zip(headers[::2], headers[1::2], strict=True)))
    unverified = ssl.create_default_context()  # as the kubelet: the certificate is not checked
    unverified.check_hostname = False
    unverified.verify_mode = ssl.CERT_NONE
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=unverified)
    )
    try:
        opener.open(request, timeout=_TIMEOUT_SECONDS).close()
    except (urllib.error.URLError, OSError) as error:
        print(error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
