"""`cpod`: the command line. Thin over `cpod_jupyter.sdk`; what a magic does, a command does too.

Exit codes: 0 done; 1 an error, said in one message on standard error; 2 wrong usage; 130 interrupted.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from cpod_jupyter import cli_apply, cli_cluster, cli_data, cli_images, cli_more, log_options
from cpod_jupyter.cli_output import AddCommand, handle_of, print_data, session_of
from cpod_jupyter.errors import CpodError
from cpod_jupyter.version import VERSION

if TYPE_CHECKING:
    from rich.console import Console

    from cpod_jupyter.sdk.listing import Listing

_EXAMPLES = """examples:
  cpod up                                  start the engine on this machine
  cpod apply -f model.yaml -f tune.yaml    submit manifests
  cpod ls                                  what there is
  cpod status facts                        what is happening to it, and why it waits
  cpod logs facts -f                       its log, as it is written
  export KUBECONFIG=$(cpod kubeconfig)     then kubectl, or any other client, works too
"""
_STYLES = {"good": "green", "bad": "red", "wait": "yellow", "busy": "blue"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code."""
    options = _parser().parse_args(arguments)
    run: Callable[[argparse.Namespace], int | None] = options.run
    try:
        return run(options) or 0
    except CpodError as error:
        print(f"cpod: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as interrupt:  # ours say what goes on without us, and what doesn't
        if str(interrupt):
            print(str(interrupt).replace("%cpod", "cpod"), file=sys.stderr)
        return 130
    except BrokenPipeError:
        sys.stderr.close()  # whoever read our output has had enough, as `| head` has
        return 0


# ---- grammar


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cpod",
        description="Fine-tune, deploy and question language models on a Kubernetes API: "
        "the configured cluster's, or else the engine's on this machine.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    where = argparse.ArgumentParser(add_help=False)
    where.add_argument("-n", "--namespace", help="the namespace, instead of the context's")
    where.add_argument("--context", help="a context of the kubeconfig, or engine for the one on this machine")
    output = argparse.ArgumentParser(add_help=False)
    output.add_argument("-o", "--output", choices=("json", "yaml"), help="for programs, instead of for people")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def add(name: str, run: Callable[[argparse.Namespace], int | None], words: str, *parents: argparse.ArgumentParser,
            example: str = "") -> argparse.ArgumentParser:  # fmt: skip
        made = commands.add_parser(
            name,
            help=words,
            description=words[0].upper() + words[1:] + ".",
            parents=list(parents),
            epilog=f"example:\n  {example or f'cpod {name}'}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        made.set_defaults(run=run)
        return made

    for commands_of in (
        _add_engine,
        cli_apply.add_commands,
        _add_reading,
        _add_changing,
        cli_images.add_commands,
        cli_more.add_commands,
        cli_data.add_commands,
        cli_cluster.add_commands,
    ):
        commands_of(add, where, output)
    topic = add("help", lambda options: _help(parser, options.topic), "show every command, or the options of one",
                example="cpod help logs")  # fmt: skip
    topic.add_argument("topic", metavar="COMMAND", nargs="?")
    add("version", _version, "print the version")
    return parser


def _add_engine(add: AddCommand, where: argparse.ArgumentParser, output: argparse.ArgumentParser) -> None:
    up = add("up", _up, "start the engine on this machine", output, example="cpod up --port 6443")
    up.add_argument("--port", type=int, help="a port of 127.0.0.1; a free one when left out")
    up.add_argument("--runtime", choices=("process", "podman", "docker"), help="what pods are: processes of this "
                    "machine (the default, or CPOD_RUNTIME's), or containers of real images")  # fmt: skip
    up.add_argument("--no-operator", action="store_true", help="the engine alone, for an operator that is run by hand: "
                    "python -m cpod_jupyter.operator --kubeconfig $(cpod kubeconfig)")  # fmt: skip
    add("down", _down, "stop the engine; its pods go on until they end")
    status = add("status", _status, "say what is happening, why it waits and what to do", where, output,
                 example="cpod status facts")  # fmt: skip
    status.add_argument("name", metavar="NAME", nargs="?", help="a name, or KIND/NAME; all when left out")
    add("kubeconfig", _kubeconfig, "print the path of the engine's kubeconfig",
        example="export KUBECONFIG=$(cpod kubeconfig)")  # fmt: skip


def _add_reading(add: AddCommand, where: argparse.ArgumentParser, output: argparse.ArgumentParser) -> None:
    add("datasets", _ls, "show the datasets there are", where, output).set_defaults(kind="datasets")
    ls = add("ls", _ls, "show what there is", where, output, example="cpod ls models")
    ls.add_argument("kind", metavar="KIND", nargs="?", help="models, datasets, finetunes, jobs, inferences, "
                    "pytorchjobs, trainjobs, pods, …")  # fmt: skip
    logs = add("logs", _logs, "print the log of an object's pod", where, example="cpod logs facts -f")
    logs.add_argument("name", metavar="NAME")
    log_options.add(logs)


def _add_changing(add: AddCommand, where: argparse.ArgumentParser, output: argparse.ArgumentParser) -> None:
    events = add("events", _events, "show what happened to an object", where, output, example="cpod events facts")
    events.add_argument("name", metavar="NAME")
    delete = add("delete", _delete, "delete objects with all that was made for them", where,
                 example="cpod delete inference tuned base")  # fmt: skip
    delete.add_argument("name", metavar="[KIND] NAME", nargs="+", help="names, KIND/NAME, or a kind and names")
    cancel = add("cancel", _cancel, "stop a job", where, example="cpod cancel facts")
    cancel.add_argument("name", metavar="NAME")
    resume = add("resume", _resume, "let a suspended job run on", where, example="cpod resume ddp")
    resume.add_argument("name", metavar="NAME")
    manifest = add("yaml", _yaml, "print the manifest that makes an object again", where, example="cpod yaml facts")
    manifest.add_argument("name", metavar="NAME")


def _console() -> Console:
    from rich.console import Console

    return Console(highlight=False, soft_wrap=True)


# ---- the engine


def _up(options: argparse.Namespace) -> None:
    from cpod_jupyter.sdk import engine

    found = engine.up(options.port, options.runtime, with_operator=not options.no_operator)
    if not print_data(
        options, {"url": found.url, "pid": found.pid, "kubeconfig": str(found.kubeconfig), "runtime": found.runtime}
    ):
        print(f"{'started the engine' if found.started_now else 'the engine runs'} at {found.url}")


def _down(options: argparse.Namespace) -> None:
    from cpod_jupyter.sdk import engine

    print(engine.down())


def _kubeconfig(options: argparse.Namespace) -> None:
    from cpod_jupyter.sdk import engine

    found = engine.running()
    if found is None:
        raise CpodError("no engine runs; cpod up starts it")
    print(found.kubeconfig)


def _help(parser: argparse.ArgumentParser, topic: str | None) -> None:
    parser.parse_args([topic, "--help"] if topic else ["--help"])  # which leaves, as --help does


def _version(options: argparse.Namespace) -> None:
    print(f"cpod {VERSION}")


# ---- objects


def _status(options: argparse.Namespace) -> int:
    if options.name is None:
        return _where_and_what(options)
    from cpod_jupyter.sdk.view import card

    snapshot = session_of(options).find(options.name).snapshot()
    value = {
        "name": snapshot.title,
        "namespace": snapshot.namespace,
        "state": str(snapshot.state),
        "phase": snapshot.status.phase,
        "reason": snapshot.reason,
        "advice": snapshot.advice,
        "result": snapshot.result,
        "url": snapshot.url,
    }
    if not print_data(options, value):
        print(card.text(snapshot))
    return 0


def _where_and_what(options: argparse.Namespace) -> int:
    """The engine and what runs, without starting an engine only to say that nothing does."""
    from cpod_jupyter.sdk import connect, engine

    if connect.means_engine(options.context) and engine.running() is None:
        if not print_data(options, {"engine": None, "objects": []}):
            print("no engine runs; cpod up starts it")
        return 0
    session = session_of(options)
    listing = session.ls()
    found = session.engine
    about = {"url": found.url, "pid": found.pid, "home": str(found.home)} if found else None
    if not print_data(options, {"engine": about, "server": session.client.server, "objects": list(listing)}):
        print(session.where())
        if session.chosen.words:
            print(session.chosen.words)
        print(session.gpus_in_words())
        _table(listing)
    return 0


def _ls(options: argparse.Namespace) -> None:
    listing = session_of(options).ls(options.kind)
    if not print_data(options, list(listing)):
        _table(listing)


def _table(listing: Listing) -> None:
    """A table with coloured phases on a terminal; else the plain one, which programs can cut."""
    console, rows = _console(), listing.rows()
    if not console.is_terminal or not rows:
        print(repr(listing))
        return
    from rich.table import Table
    from rich.text import Text

    from cpod_jupyter.sdk.listing import COLUMNS
    from cpod_jupyter.sdk.view.theme import tone_of_word

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in COLUMNS:
        table.add_column(column, overflow="fold")
    for row in rows:
        phase = Text(row[2], style=_STYLES[tone_of_word(row[2])])
        table.add_row(*(phase if at == 2 else Text(cell) for at, cell in enumerate(row)))
    console.print(table)
    for note in listing.notes():
        console.print(note)


def _logs(options: argparse.Namespace) -> None:
    """Lines as they come; why there are none yet goes to standard error."""
    from cpod_jupyter.sdk.reading import to_standard_error

    coloured = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    paint = log_options.Painter(options.all_ranks, coloured=coloured)
    for lines in log_options.batches(handle_of(options), options, to_standard_error):
        sys.stdout.writelines(f"{paint(line)}\n" for line in lines)
        if options.follow:
            sys.stdout.flush()


def _events(options: argparse.Namespace) -> None:
    from cpod_jupyter.sdk.listing import EVENT_COLUMNS, event_rows
    from cpod_jupyter.sdk.view import table

    handle = handle_of(options)
    events = handle.events()
    if not print_data(options, events):
        print(table.text(EVENT_COLUMNS, event_rows(events)) if events else f"no events about {handle.title}")


def _delete(options: argparse.Namespace) -> None:
    for handle in session_of(options).find_all(options.name):
        handle.delete()
        print(f"{handle.title} deleted", flush=True)


def _cancel(options: argparse.Namespace) -> None:
    from cpod_jupyter.sdk import Job

    handle = handle_of(options)
    if not isinstance(handle, Job):
        raise CpodError(f"{handle.title} is no job; to remove it: cpod delete {handle.title}")
    handle.cancel()
    print(f"{handle.title} cancelled")


def _resume(options: argparse.Namespace) -> None:
    from cpod_jupyter.sdk import Job

    handle = handle_of(options)
    if not isinstance(handle, Job):
        raise CpodError(f"{handle.title} is no job")
    handle.resume()
    print(f"{handle.title} resumed")


def _yaml(options: argparse.Namespace) -> None:
    print(handle_of(options).to_yaml(), end="")


if __name__ == "__main__":
    sys.exit(main())
