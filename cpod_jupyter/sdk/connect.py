"""Which Kubernetes API is meant: a cluster that is configured, or else the embedded engine."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cpod_jupyter.errors import CpodError
from cpod_jupyter.sdk import config

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
    `context`, CPOD_CONTEXT or cpod.toml (`sdk.config`) chooses one, and `engine` the embedded engine.
    Raises CpodError when there is no such context, ApiUnreachable when the server is silent.
    """
    from cpod_jupyter.client.client import Client

    choice = config.chosen(context).context
    if means_engine(choice.value or None):
        from cpod_jupyter import local

        engine = local.ensure()
        return Connection(Client.from_kubeconfig(engine.kubeconfig, ENGINE), engine)
    try:
        return Connection(Client.connect(choice.value or None), None)
    except CpodError as error:
        named = f" (the context {choice.value} is from {choice.source})" if choice.value and not context else ""
        raise CpodError(f"{error}{named}") from error


def means_engine(context: str | None) -> bool:
    """Whether a context, or none, means the embedded engine; KUBECONFIG may name it too."""
    from cpod_jupyter import local
    from cpod_jupyter.client.connection import is_configured

    if context := config.chosen(context).context.value:
        return context == ENGINE
    named = os.environ.get("KUBECONFIG")
    return not is_configured() or (named is not None and Path(named) == local.home() / "kubeconfig")
