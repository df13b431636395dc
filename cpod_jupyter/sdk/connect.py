"""Which Kubernetes API is meant: a cluster that is configured, or else the embedded engine."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cpod_jupyter.client.client import Client
    from cpod_jupyter.local import Engine

ENGINE = "engine"
"""The context that means the embedded engine, whatever else is configured."""


@dataclass(frozen=True)
class Connection:
    """A client, and the engine behind it when it is the embedded one."""

    client: Client
    engine: Engine | None


def connect(context: str | None = None) -> Connection:
    """A connection to the API of a context, of the configured cluster, or of the engine.

    The engine is started when nothing else is configured and it doesn't run yet. A cluster is
    configured by KUBECONFIG, by running inside one, or by a current context in ~/.kube/config;
    `context`, or CPOD_CONTEXT, chooses one, and `engine` the embedded engine.
    Raises CpodError when there is no such context, ApiUnreachable when the server is silent.
    """
    from cpod_jupyter.client.client import Client

    context = context or os.environ.get("CPOD_CONTEXT") or None
    if means_engine(context):
        from cpod_jupyter import local

        engine = local.ensure()
        return Connection(Client.from_kubeconfig(engine.kubeconfig), engine)
    return Connection(Client.connect(context), None)


def means_engine(context: str | None) -> bool:
    """Whether a context, or none, means the embedded engine; KUBECONFIG may name it too."""
    from cpod_jupyter import local
    from cpod_jupyter.client.connection import is_configured

    context = context or os.environ.get("CPOD_CONTEXT") or None
    if context is not None:
        return context == ENGINE
    named = os.environ.get("KUBECONFIG")
    return not is_configured() or (named is not None and Path(named) == local.home() / "kubeconfig")
