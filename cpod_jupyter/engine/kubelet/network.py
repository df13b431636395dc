"""An address for each pod, so that two pods on one machine may listen on the same port.

On Linux all of 127.0.0.0/8 is this machine; a pod gets 127.A.B.C. A and B are drawn once for an
engine's home, so that two engines of one machine do not meet. Elsewhere (macOS) only 127.0.0.1 can
be bound, and every pod has that.
"""

from __future__ import annotations

import functools
import ipaddress
import random
import socket
from collections.abc import Collection
from pathlib import Path

from cpod_jupyter.engine.kubelet.lookup import ConfigError

HOST_IP = "127.0.0.1"
ADDRESS_ANNOTATION = "cpod.cpod/pod-ip"
"""On a pod: the loopback address that it asks for, so that its peers can be told of it before it runs."""
_FIRST, _LAST = 2, 254


class PodNetwork:
    """Hands out addresses; which are in use, the caller knows."""

    def __init__(self, home: Path) -> None:
        kept = home / "pod-network"
        if not kept.exists():
            home.mkdir(parents=True, exist_ok=True)
            kept.write_text(f"127.{random.randint(64, 126)}.{random.randint(0, 255)}\n")
        self._prefix = kept.read_text().strip()
        self._own_addresses = pods_have_addresses()

    def address(self, used: Collection[str], asked: str = "") -> str:
        """The address asked for, else the lowest that is free; this machine's own when pods can't have one.

        Raises ConfigError when what is asked for is no loopback address: a pod can have no other.
        """
        if asked and not _is_loopback(asked):
            raise ConfigError(f"the annotation {ADDRESS_ANNOTATION} must be an address of 127.0.0.0/8, not {asked!r}")
        if self._own_addresses:
            if asked:
                return asked
            for last in range(_FIRST, _LAST + 1):
                if (address := f"{self._prefix}.{last}") not in used:
                    return address
        return HOST_IP


@functools.cache
def pods_have_addresses() -> bool:
    """Whether pods can have addresses of their own here: all of 127.0.0.0/8 is this machine's."""
    return _can_bind("127.64.0.2")


def _is_loopback(text: str) -> bool:
    try:
        return ipaddress.IPv4Address(text).is_loopback
    except ValueError:
        return False


def _can_bind(address: str) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True
