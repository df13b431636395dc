"""What the pods of an MPIJob find at /etc/mpi, and the keys that mpi-operator gives them: pure but for the keys.

Source: training-operator v1.9 (package mpi) and mpi-operator v0.7 (newConfigMap, newSSHAuthSecret).
"""

from __future__ import annotations

import base64
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from cpod_jupyter.api.resources import Object

_IMPORT_PATH = Path(__file__).resolve().parents[4]

KEY_ITEMS = [
    {"key": "ssh-privatekey", "path": "id_rsa"},
    {"key": "ssh-publickey", "path": "id_rsa.pub"},
    {"key": "ssh-publickey", "path": "authorized_keys"},
]
"""Where the keys of the Secret lie in a pod."""
HOSTFILE, KUBEXEC, DISCOVER = "hostfile", "kubexec.sh", "discover_hosts.sh"


def hostfile(hosts: Sequence[str], slots: int, *, colons: bool) -> str:
    """One host a line: `HOST slots=N`; with `colons`, `HOST:N`, as Intel MPI and MPICH want it."""
    return "".join(f"{host}:{slots}\n" if colons else f"{host} slots={slots}\n" for host in hosts)


def kubexec(pods: Path, namespace: str, container: str) -> str:
    """The program that mpirun starts its daemons with, in place of ssh or `kubectl exec`."""
    agent = [sys.executable, "-m", "cpod_jupyter.engine.kubelet.rsh", "--pods", str(pods), "--namespace", namespace]
    chosen = ["--container", container] if container else []
    path = shlex.quote(str(_IMPORT_PATH))
    return f'#!/bin/sh\nPYTHONPATH={path} exec {shlex.join([*agent, *chosen])} -- "$@"\n'


def discover_hosts(hosts: Sequence[str], slots: int | None) -> str:
    """A script that prints the hosts that run now, for Elastic Horovod: `HOST:N`, or HOST without slots."""
    return "#!/bin/sh\n" + "".join(f"echo {host}:{slots}\n" if slots else f"echo {host}\n" for host in hosts)


def ssh_keys(name: str) -> Object:
    """A Secret with a new key pair; no sshd runs here, but images may look for the files."""
    private = ec.generate_private_key(ec.SECP521R1())
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    public = private.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    data = {"ssh-privatekey": pem, "ssh-publickey": public + b"\n"}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name},
        "type": "kubernetes.io/ssh-auth",
        "data": {key: base64.b64encode(content).decode() for key, content in data.items()},
    }
