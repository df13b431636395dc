"""What a line does: look at, change or remove what is there."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from cpod_jupyter import log_options
from cpod_jupyter.api.resources import CPODJOBS, FINETUNES
from cpod_jupyter.errors import CpodError
from cpod_jupyter.jupyter.magics import cells, evaluation, grammar, logview, uploads
from cpod_jupyter.jupyter.magics.live import Live, show
from cpod_jupyter.jupyter.magics.overview import Code, Events, Overview
from cpod_jupyter.sdk import Handle, Job, doctor, engine
from cpod_jupyter.sdk.contexts import contexts
from cpod_jupyter.sdk.kinds import word_of
from cpod_jupyter.sdk.listing import event_rows
from cpod_jupyter.sdk.models import SHOWN
from cpod_jupyter.sdk.scaling import deployment_of

if TYPE_CHECKING:
    from cpod_jupyter.jupyter.magics.commands import CpodMagics
    from cpod_jupyter.sdk.history import LogLine


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
    kind = "dataset" if options.command == "datasets" else options.kind
    listing = magics.session(options).ls(kind)
    show(listing)
    magics.bind(options, listing)


def _models(magics: CpodMagics, options: argparse.Namespace) -> None:
    found = magics.session(options).models(most=None if options.all else SHOWN)
    show(found)
    magics.bind(options, found)


def _status(magics: CpodMagics, options: argparse.Namespace) -> None:
    if options.name is None:
        return _overview(magics, options)
    handle = _found(magics, options)
    magics.bind(options, handle)
    return Live(magics.ip).snapshot(handle.snapshot(), handle.context)


def _follow(magics: CpodMagics, options: argparse.Namespace) -> Handle:
    handle = _found(magics, options)
    magics.bind(options, handle)
    return cells.follow(magics, handle, options.timeout)


def _logs(magics: CpodMagics, options: argparse.Namespace) -> None:
    handle = _found(magics, options)
    kernel = hasattr(magics.ip, "kernel")
    paint = log_options.Painter(options.all_ranks, coloured=True)
    plain = log_options.Painter(options.all_ranks, coloured=False)
    kept: list[str] = []

    def wanted() -> Iterator[list[LogLine]]:
        for lines in log_options.batches(handle, options, print):
            if options.output:
                kept.extend(map(plain, lines))
            yield lines

    if options.all or (options.follow and not kernel):
        logview.print_all(wanted(), paint)
    elif options.follow:
        logview.show_live(wanted(), paint, options.name)
    else:
        logview.print_bounded(wanted(), paint, options.name)
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


def _context(magics: CpodMagics, options: argparse.Namespace) -> None:
    if options.action == "use":
        if not options.target:
            raise grammar.MagicUsage("say which: %cpod context use NAME; %cpod context shows the names")
        options.output = None
        return _connect(magics, options)
    found = contexts(options.context or magics.context or None)
    show(found)
    return magics.bind(options, found)


def _gpus(magics: CpodMagics, options: argparse.Namespace) -> None:
    found = magics.session(options).gpus()
    show(found)
    magics.bind(options, found)


def _fix(magics: CpodMagics, options: argparse.Namespace) -> None:
    handle = _found(magics, options)
    diagnosis = handle.diagnose()
    if diagnosis is None:
        print(f"nothing is wrong with {handle.title}")
        return
    print(diagnosis.text(handle.title))
    if diagnosis.fix:
        magics.ip.set_next_input(diagnosis.fix)
        show(Code(diagnosis.fix.rstrip("\n"), "yaml"))


def _rerun(magics: CpodMagics, options: argparse.Namespace) -> Handle:
    handle = _found(magics, options)
    if not isinstance(handle, Job):
        raise CpodError(f"{handle.title} is no job; submit its manifest under another name: %cpod yaml {handle.name}")
    again = handle.rerun(options.new_name)
    magics.bind(options, again)
    return cells.follow(magics, again, options.timeout, wait=not options.detach)


def _scale(magics: CpodMagics, options: argparse.Namespace) -> Handle:
    deployment = deployment_of(_found(magics, options)).scale(options.replicas, most=options.most)
    magics.bind(options, deployment)
    live = Live(magics.ip)
    if not options.detach:
        deployment.wait_scaled(options.timeout, lambda now: live.show({"text/plain": f"{deployment.title}: {now}"}))
    return cells.follow(magics, deployment, options.timeout, wait=False)


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
    "context": _context,
    "up": _up,
    "down": _down,
    "ls": _ls,
    "models": _models,
    "datasets": _ls,
    "upload": uploads.run_upload,
    "gpus": _gpus,
    "status": _status,
    "follow": _follow,
    "logs": _logs,
    "events": _events,
    "yaml": _yaml,
    "fix": _fix,
    "cancel": _cancel,
    "resume": _resume,
    "rerun": _rerun,
    "scale": _scale,
    "delete": _delete,
    "compare": evaluation.run_compare,
    "accuracy": evaluation.run_accuracy,
    "bench": evaluation.run_bench,
    "lm-eval": evaluation.run_lm_eval,
    "doctor": _doctor,
    "help": _help,
}
"""What each line calls."""
