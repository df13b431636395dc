"""The contexts that one can work in: those of the kubeconfig, and the engine on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cpod_jupyter import local
from cpod_jupyter.client.connection import configured_contexts
from cpod_jupyter.sdk import config
from cpod_jupyter.sdk.connect import ENGINE, means_engine
from cpod_jupyter.sdk.view.rows import Rows


@dataclass(frozen=True)
class ContextInfo:
    """A context by its name; `current` is the one that is meant when none is named."""

    name: str
    server: str
    namespace: str
    current: bool = False


class Contexts(Rows[ContextInfo]):
    """All contexts, shown as a table."""

    columns = ("", "context", "server", "namespace")

    def rows(self) -> list[tuple[str, ...]]:
        return [("*" if row.current else "", row.name, row.server, row.namespace) for row in self]

    def to_dicts(self) -> list[dict[str, Any]]:
        """The same for programs."""
        return [
            {"name": row.name, "server": row.server, "namespace": row.namespace, "current": row.current} for row in self
        ]


def contexts(chosen: str | None = None) -> Contexts:
    """The engine and the kubeconfig's contexts. `chosen` is the one that is worked in; left out, the one that a
    session without a context takes. Starts no engine."""
    running, chosen = local.find(), config.chosen(chosen).context.value
    is_engine = means_engine(chosen)
    rows = [ContextInfo(ENGINE, running.url if running else "(not running)", "default", is_engine)]
    for name, server, namespace, current in configured_contexts():
        marked = not is_engine and (name == chosen if chosen else current)
        rows.append(ContextInfo(name, server, namespace, marked))
    return Contexts(rows)
