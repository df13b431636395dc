"""What a line does: look at, change or remove what is there."""

from __future__ import annotations

import argparse
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from cpod_jupyter.api.resources import CPODJOBS, FINETUNES, INFERENCES
from cpod_jupyter.errors import CpodError
from cpod_jupyter.jupyter.magics import cells, grammar
from cpod_jupyter.jupyter.magics.live import Live, show
from cpod_jupyter.jupyter.magics.overview import Code, Events, Overview
from cpod_jupyter.sdk import Deployment, Handle, Job, accuracy, doctor, engine
from cpod_jupyter.sdk.kinds import word_of
from cpod_jupyter.sdk.listing import event_rows

if TYPE_CHECKING:
    from cpod_jupyter.jupyter.magics.commands import CpodMagics

HEAD, TAIL = 400, 400
"""Lines of a long log that are shown: a saved notebook stays small."""
_LONGEST = 2000
"""Characters of a line that are shown."""


def bounded(lines: Iterable[str], name: str) -> Iterator[str]:
    """The first and the last lines of a log, cut where they are very long, and between them how many were left out."""
    last: deque[str] = deque(maxlen=TAIL)
    count = 0
    for line in lines:
        count += 1
        shown = line if len(line) <= _LONGEST else f"{line[:_LONGEST]} … ({len(line):,} characters)"
        if count <= HEAD:
            yield shown
        else:
            last.append(shown)
    if count > HEAD + TAIL:
        yield f"… {count - HEAD - TAIL:,} lines left out; %cpod logs {name} --all shows them …"
    yield from last


def _overview(magics: CpodMagics, options: argparse.Namespace) -> None:
    show(Overview(magics.session(options)))


def _help(magics: CpodMagics, options: argparse.Namespace) -> None:
    print(grammar.help_of(options.topic))


def _connect(magics: CpodMagics, options: argparse.Namespace) -> None:
    print(magics.connect(options.target or options.context or "", options.namespace or "").where())


def _up(magics: CpodMagics, options: argparse.Namespace) -> None:
    found = engine.up(options.port)
    print(f"{'started the engine' if found.started_now else 'the engine runs'} at {found.url}")


def _down(magics: CpodMagics, options: argparse.Namespace) -> None:
    print(engine.down())


def _doctor(magics: CpodMagics, options: argparse.Namespace) -> None:
    print(doctor.text(doctor.examine(magics.session(options))))


def _ls(magics: CpodMagics, options: argparse.Namespace) -> None:
    kind = {"models": "model", "datasets": "dataset"}.get(options.command) or options.kind
    listing = magics.session(options).ls(kind)
    show(listing)
    magics.bind(options, listing)


def _status(magics: CpodMagics, options: argparse.Namespace) -> None:
    if options.name is None:
        return _overview(magics, options)
    handle = _found(magics, options)
    magics.bind(options, handle)
    return Live(magics.ip).snapshot(handle.snapshot())


def _follow(magics: CpodMagics, options: argparse.Namespace) -> Handle:
    handle = _found(magics, options)
    magics.bind(options, handle)
    return cells.follow(magics, handle, options.timeout)


def _logs(magics: CpodMagics, options: argparse.Namespace) -> None:
    handle = _found(magics, options)
    kept: list[str] = []

    def wanted() -> Iterator[str]:
        for line in handle.logs(follow=options.follow, tail=options.tail, pod=options.pod):
            if options.grep is None or options.grep in line:
                if options.output:
                    kept.append(line)
                yield line

    for line in wanted() if options.all else bounded(wanted(), options.name):
        print(line, flush=options.follow)
    magics.bind(options, kept)


def _events(magics: CpodMagics, options: argparse.Namespace) -> None:
    handle = _found(magics, options)
    events = handle.events()
    show(Events(event_rows(events), handle.title))
    magics.bind(options, events)


def _yaml(magics: CpodMagics, options: argparse.Namespace) -> None:
    text = _found(magics, options).to_yaml()
    show(Code(text.rstrip("\n"), "yaml"))
    magics.bind(options, text)


def _accuracy(magics: CpodMagics, options: argparse.Namespace) -> None:
    session = magics.session(options)
    deployments = [found for name in options.name if isinstance(found := session.get(INFERENCES, name), Deployment)]
    live = Live(magics.ip)
    compared = accuracy(
        deployments,
        options.rows,
        max_tokens=options.max_tokens,
        tell=lambda done, total: live.show({"text/plain": f"{done} of {total} answers"}),
    )
    live.show(compared._repr_mimebundle_())
    magics.bind(options, compared)


def _cancel(magics: CpodMagics, options: argparse.Namespace) -> None:
    handle = _found(magics, options)
    if not isinstance(handle, Job):
        words = ", ".join(word_of(resource) for resource in (FINETUNES, CPODJOBS))
        raise CpodError(f"{handle.title} is no job ({words}, …); to remove it: %cpod delete {handle.title}")
    handle.cancel()
    print(f"{handle.title} cancelled")


def _resume(magics: CpodMagics, options: argparse.Namespace) -> None:
    handle = _found(magics, options)
    if not isinstance(handle, Job):
        raise CpodError(f"{handle.title} is no job")
    handle.resume()
    print(f"{handle.title} resumed")


def _delete(magics: CpodMagics, options: argparse.Namespace) -> None:
    for handle in magics.session(options).find_all(options.name):
        handle.delete()
        print(f"{handle.title} deleted")


def _found(magics: CpodMagics, options: argparse.Namespace) -> Handle:
    return magics.session(options).find(options.name)


COMMANDS: dict[str, Callable[[CpodMagics, argparse.Namespace], Any]] = {
    "": _overview,
    "connect": _connect,
    "up": _up,
    "down": _down,
    "ls": _ls,
    "models": _ls,
    "datasets": _ls,
    "status": _status,
    "follow": _follow,
    "logs": _logs,
    "events": _events,
    "yaml": _yaml,
    "cancel": _cancel,
    "resume": _resume,
    "delete": _delete,
    "accuracy": _accuracy,
    "doctor": _doctor,
    "help": _help,
}
"""What each line calls."""
