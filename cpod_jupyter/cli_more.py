"""Further commands of `cpod` with the words of the magics: what there is to work with, and what to do with a run."""

from __future__ import annotations

import argparse
import dataclasses
import sys

from cpod_jupyter.cli_output import AddCommand, handle_of, print_data, session_of, shown_in_lines
from cpod_jupyter.errors import CpodError


def add_commands(add: AddCommand, where: argparse.ArgumentParser, output: argparse.ArgumentParser) -> None:
    """Add them to the parser of `cpod`, by its own function for a command."""
    add("gpus", _gpus, "show the GPUs by node and type: total, free, who holds them", where, output)
    add("context", _context, "show the contexts one can work in", where, output)
    follow = add("follow", _follow, "follow an object to its end; Ctrl-C leaves it running", where,
                 example="cpod follow facts")  # fmt: skip
    follow.add_argument("name", metavar="NAME")
    follow.add_argument("--timeout", type=float, metavar="S", help="seconds to follow at most; it goes on after them")
    rerun = add("rerun", _rerun, "run the same again beside it, as NAME-2", where, example="cpod rerun facts")
    rerun.add_argument("name", metavar="NAME")
    rerun.add_argument("--as", dest="new_name", metavar="NEW", help="its name, instead of the next free one")
    fix = add("fix", _fix, "say why an object failed, and print the cell that mends it", where, output,
              example="cpod fix facts")  # fmt: skip
    fix.add_argument("name", metavar="NAME")
    compare = add("compare", _compare, "put questions to deployments, jobs' results or models, and compare", where,
                  output, example="cpod compare tuned base --rows heldout.jsonl")  # fmt: skip
    compare.add_argument("name", metavar="NAME", nargs="+", help="deployments, jobs or models")
    compare.add_argument("--rows", metavar="FILE", required=True, help="JSONL: messages (the question) and answer")
    compare.add_argument("--scorer", choices=("contains", "exact"), default="contains", help="what is a right answer")
    compare.add_argument("--max-tokens", type=int, default=64, help="the longest answer")


def _gpus(options: argparse.Namespace) -> None:
    found = session_of(options).gpus()
    if not print_data(options, found.to_dicts()):
        print(found)


def _context(options: argparse.Namespace) -> None:
    from cpod_jupyter.sdk.contexts import contexts

    found = contexts(options.context)
    if not print_data(options, found.to_dicts()):
        print(found)


def _follow(options: argparse.Namespace) -> int:
    """The block redrawn in place on a terminal; else a few lines when something changes."""
    from cpod_jupyter.sdk import Detached
    from cpod_jupyter.sdk.view import card

    handle = handle_of(options)
    try:
        if not sys.stdout.isatty():
            handle.wait(options.timeout, shown_in_lines(lambda text: print(text, flush=True)))
            return 0
        from rich.live import Live
        from rich.text import Text

        with Live(refresh_per_second=8) as live:
            handle.wait(options.timeout, lambda snapshot: live.update(Text(card.text(snapshot))))
    except Detached as detached:
        print(str(detached).replace("%cpod", "cpod").replace("   (or run the cell again)", ""), file=sys.stderr)
        return 130
    return 0


def _rerun(options: argparse.Namespace) -> None:
    from cpod_jupyter.sdk import Job

    handle = handle_of(options)
    if not isinstance(handle, Job):
        raise CpodError(f"{handle.title} is no job; submit its manifest under another name: cpod yaml {handle.name}")
    print(f"{handle.rerun(options.new_name).title} created")


def _fix(options: argparse.Namespace) -> None:
    handle = handle_of(options)
    found = handle.diagnose()
    if print_data(options, dataclasses.asdict(found) if found else None):
        return
    if found is None:
        print(f"nothing is wrong with {handle.title}")
        return
    print(found.text(handle.title))
    if found.fix:
        print(f"\n{found.fix}")


def _compare(options: argparse.Namespace) -> None:
    from cpod_jupyter.sdk.evaluate import compare

    found = compare(
        options.name,
        options.rows,
        options.scorer,
        session=session_of(options),
        max_tokens=options.max_tokens,
        tell=lambda done, total: print(f"\r{done} of {total} answers", end="", file=sys.stderr, flush=True),
    )
    print(file=sys.stderr)
    if not print_data(options, {"scores": found.scores, "rows": found.to_df().to_dict("records")}):
        print(found)
