"""`cpod apply`: manifests are checked, tried out if that is wanted, and submitted."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cpod_jupyter.cli_output import AddCommand, print_data, session_of, shown_in_lines, upload_shown
from cpod_jupyter.errors import CpodError, ManifestError

if TYPE_CHECKING:
    from cpod_jupyter.sdk import Session


def add_commands(add: AddCommand, where: argparse.ArgumentParser, output: argparse.ArgumentParser) -> None:
    apply = add("apply", _apply, "submit manifests", where, output, example="cpod apply -f examples/finetune.yaml")
    apply.add_argument(
        "-f",
        "--file",
        metavar="FILE",
        action="append",
        required=True,
        help="a YAML file, a folder of them, or - for stdin",
    )
    apply.add_argument("--smoke", action="store_true", help="try what runs once in two steps on this machine first; "
                       "what passes is submitted unchanged")  # fmt: skip
    apply.add_argument("--new", action="store_true", help="delete runs of these names first, with their results")
    apply.add_argument("--dry-run", action="store_true", help="check, and submit nothing")


def _apply(options: argparse.Namespace) -> None:
    session = session_of(options)
    objects = _load(session, options)
    if options.dry_run:
        return _check(session, objects, options)
    if options.smoke and _tried(session, objects, options):
        return None
    outcomes = []
    for obj in objects:
        handle, outcome = session.submit(obj, new=options.new, tell=upload_shown)
        outcomes.append({"object": handle.title, "outcome": outcome})
        if not options.output:
            print(f"{handle.title} {outcome}", flush=True)
    print_data(options, outcomes)
    return None


def _check(session: Session, objects: Sequence[Any], options: argparse.Namespace) -> None:
    """Have the server check them, and say of each what is to be said before it is submitted."""
    from cpod_jupyter.api.resources import of_object
    from cpod_jupyter.sdk import attach
    from cpod_jupyter.sdk.preflight import PLANNED

    outcomes: list[dict[str, Any]] = []
    for given in objects:
        told: dict[str, Any] = {}
        if of_object(given) in PLANNED:
            obj, content = attach.taken(given)
            verdict = session.preflight(obj, content)
            if verdict.refusal is not None:
                raise verdict.refusal
            told = verdict.to_dict()
            if not options.output:
                print(*filter(None, (verdict, verdict.plan)), sep="\n")
        else:
            session.validate(given)
        outcomes.append({**told, "object": session.title(given), "outcome": "checked (nothing was submitted)"})
        if not options.output:
            print(f"{outcomes[-1]['object']} {outcomes[-1]['outcome']}")
    print_data(options, outcomes)


def _tried(session: Session, objects: Sequence[Any], options: argparse.Namespace) -> bool:
    """Smoke what runs once; whether that is all, because the session is the engine's. Told on standard error."""
    from cpod_jupyter.sdk.smoke import smoke_all

    def tell(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    tried = smoke_all(session, objects, new=options.new, show=shown_in_lines(tell), tell=tell)
    if session.engine is not None:
        print_data(options, [{"object": run.handle.title, "outcome": "smoked"} for run in tried])
    return session.engine is not None


def _load(session: Session, options: argparse.Namespace) -> list[Any]:
    """The objects of all files. Raises ManifestError with the faults of all of them."""
    objects: list[Any] = []
    problems: list[str] = []
    for file in _files(options.file):
        text, origin = _read(file)
        try:
            objects += session.load(text, origin=origin, namespace=options.namespace)
        except ManifestError as error:
            problems += [f"{origin.where}: {problem}" for problem in error.problems]
    if problems:
        raise ManifestError(problems)
    return objects


def _files(named: Sequence[str]) -> Iterator[str]:
    """The files that are meant: a folder stands for the manifests in it, in the order of their names."""
    for name in named:
        if name != "-" and Path(name).is_dir():
            yield from (str(path) for path in sorted(Path(name).iterdir()) if path.suffix in (".yaml", ".yml"))
        else:
            yield name


def _read(file: str) -> tuple[str, Any]:
    from cpod_jupyter.sdk.manifest import Origin

    if file == "-":
        return sys.stdin.read(), Origin("standard input", Path.cwd())
    try:
        return Path(file).read_text(encoding="utf-8"), Origin(file, Path(file).resolve().parent)
    except (OSError, UnicodeDecodeError) as error:
        raise CpodError(f"{file} cannot be read: {getattr(error, 'strerror', None) or error}") from error
