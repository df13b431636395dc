"""What the commands of `cpod` share: how a session is found, and how data are printed for programs."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cpod_jupyter.sdk import Session, Snapshot
    from cpod_jupyter.sdk.handles import Handle

AddCommand = Callable[..., argparse.ArgumentParser]
"""Adds a command: its name, what runs it, a sentence about it, parsers of shared options, and `example`."""


def session_of(options: argparse.Namespace) -> Session:
    """The session of a command line; an engine that had to be started is told of on standard error."""
    from cpod_jupyter.sdk import Session

    session = Session(options.context, options.namespace)
    if session.engine is not None and session.engine.started_now:
        print(f"started the engine at {session.engine.url}", file=sys.stderr)
    return session


def handle_of(options: argparse.Namespace) -> Handle:
    """What the command line names. Raises NotFound."""
    return session_of(options).find(options.name)


def shown_in_lines(tell: Callable[[str], None]) -> Callable[[Snapshot], None]:
    """Tells a snapshot in a few lines when something has changed, and at the end."""
    from cpod_jupyter.sdk.view import card

    told = ""

    def show(snapshot: Snapshot) -> None:
        nonlocal told
        now = f"{snapshot.title} {snapshot.status.phase} {snapshot.reason}"
        if now != told or snapshot.state.final:
            told = now
            tell(card.text(snapshot))

    return show


def upload_shown(doing: str, done: int, total: int) -> None:
    """How far an upload is, on standard error: in place on a terminal, else what begins and what ends."""
    from cpod_jupyter.sdk.words import amount

    share = f": {amount(done)} of {amount(total)}" if total else ""
    under_way = total > 0 and done < total
    if sys.stderr.isatty():
        print(f"\r{doing}{share}", end="" if under_way else "\n", file=sys.stderr, flush=True)
    elif not under_way:
        print(f"{doing}{share}", file=sys.stderr, flush=True)


def print_data(options: argparse.Namespace, value: Any) -> bool:
    """Print for programs, if that was asked for; whether it was."""
    if options.output == "json":
        print(json.dumps(value, indent=2, ensure_ascii=False))
    elif options.output == "yaml":
        import yaml

        print(yaml.safe_dump(value, sort_keys=False, allow_unicode=True), end="")
    return bool(options.output)
