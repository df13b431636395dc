"""Where the pods of a job listen: an address and a free port for each, drawn before any pod exists.

A cluster gives every replica a name that resolves; a machine's programs see no such names. So the
controller draws loopback addresses itself, keeps them on the job, and asks the kubelet for them:
every pod can be told of all others at once, and one that is replaced comes back at its address.
Ports are unique on the machine, because many servers bind all addresses rather than their own.
"""

from __future__ import annotations

import json
import random
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cpod_jupyter.engine.kubelet.network import HOST_IP, pods_have_addresses

ENDPOINTS_ANNOTATION = "cpod.cpod/endpoints"
"""On a job: the address and port of each replica, as JSON: `{"Worker-0": "127.130.7.2:21034"}`."""

_PORTS = range(20000, 32000)
"""Below the ports that the kernel hands out to clients (from 32768), which could take one meanwhile."""
_TRIES = 200
_HOSTS = 252
"""Addresses of one subnet: .2 to .253."""


@dataclass(frozen=True)
class Endpoint:
    address: str
    port: int

    def __str__(self) -> str:
        return f"{self.address}:{self.port}"


Endpoints = Mapping[str, Endpoint]
"""By replica (`Worker-0`)."""


def parse(text: str | None) -> dict[str, Endpoint]:
    """The endpoints that a job keeps; none of an annotation that is missing or was broken by hand."""
    try:
        kept = json.loads(text or "{}")
        pairs = {key: entry.rsplit(":", 1) for key, entry in kept.items()}
        return {key: Endpoint(address, int(port)) for key, (address, port) in pairs.items()}
    except (ValueError, AttributeError):
        return {}


def render(endpoints: Endpoints) -> str:
    return json.dumps({key: str(place) for key, place in endpoints.items()})


def extended(kept: Endpoints, replicas: Sequence[str]) -> dict[str, Endpoint]:
    """The endpoints with one for each replica that has none yet."""
    found = dict(kept)
    first = next(iter(found.values()), None)
    subnet = _subnet_of(first.address) if first else _draw_subnet()
    taken = {place.port for place in found.values()}
    for key in replicas:
        if key not in found:
            place = Endpoint(_host(subnet, len(found)), _free_port(taken))
            taken.add(place.port)
            found[key] = place
    return found


def _draw_subnet() -> tuple[int, int] | None:
    """Two octets of 127.A.B.x, apart from those of the kubelet; None where pods share one address."""
    return (random.randint(128, 253), random.randint(0, 255)) if pods_have_addresses() else None


def _subnet_of(address: str) -> tuple[int, int] | None:
    octets = [int(part) for part in address.split(".")]
    return None if address == HOST_IP else (octets[1], octets[2])


def _host(subnet: tuple[int, int] | None, number: int) -> str:
    if subnet is None:
        return HOST_IP
    return f"127.{subnet[0]}.{(subnet[1] + number // _HOSTS) % 256}.{2 + number % _HOSTS}"


def _free_port(taken: set[int]) -> int:
    """A port that nothing listens on, on any address. Raises OSError when there seems to be none."""
    for _ in range(_TRIES):
        port = random.choice(_PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("", port))
            except OSError:
                continue
        if port not in taken:
            return port
    raise OSError(f"no free port between {_PORTS.start} and {_PORTS.stop} was found for a job's pod")
