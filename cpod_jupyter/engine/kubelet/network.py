"""An address for each pod, so that two pods on one machine may listen on the same port.

On Linux all of 127.0.0.0/8 is this machine; a pod gets 127.A.B.C. A and B are drawn once for an
engine's home, so that two engines of one machine do not meet. Elsewhere (macOS) only 127.0.0.1 can
be bound, and every pod has that.
"""

from __future__ import annotations

import random
import socket
from collections.abc import Collection
from pathlib import Path

HOST_IP = "127.0.0.1"
_FIRST, _LAST = 2, 254


class PodNetwork:
    """Hands out addresses; which are in use, the caller knows."""

    def __init__(self, home: Path) -> None:
        kept = home / "pod-network"
        if not kept.exists():
            home.mkdir(parents=True, exist_ok=True)
            kept.write_text(f"127.{random.randint(64, 126)}.{random.randint(0, 255)}\n")
        self._prefix = kept.read_text().strip()
        self._own_addresses = _can_bind(f"{self._prefix}.{_FIRST}")

    def address(self, used: Collection[str]) -> str:
        """The lowest address that is free; this machine's own when pods can't have one."""
        if self._own_addresses:
            for last in range(_FIRST, _LAST + 1):
                if (address := f"{self._prefix}.{last}") not in used:
                    return address
        return HOST_IP


def _can_bind(address: str) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True
