"""Further commands of `cpod` with the words of the magics: what there is to work with, and what to do with a run."""

from __future__ import annotations

import argparse
import dataclasses
import functools
import sys

from cpod_jupyter import bench_options, lm_eval_options
from cpod_jupyter.cli_output import AddCommand, handle_of, print_data, session_of, shown_in_lines
from cpod_jupyter.errors import CpodError


def add_commands(add: AddCommand, where: argparse.ArgumentParser, output: argparse.ArgumentParser) -> None:
    """Add them to the parser of `cpod`, by its own function for a command."""
    add("gpus", _gpus, "show the GPUs by node and type: total, free, who holds them", where, output)
    context = add("context", _context, "show the contexts one can work in; use NAME is connect", where, output)
    context.add_argument("action", metavar="use", nargs="?", choices=("use",), help="work in another from now on")
    context.add_argument("target", metavar="CONTEXT", nargs="?", help="which")
    connect = add("connect", _connect, "work somewhere from now on: it is written into the project's cpod.toml",
                  where, example="cpod connect engine -n team")  # fmt: skip
    connect.add_argument("target", metavar="CONTEXT", nargs="?", help="where one is, is told when left out")
    follow = add("follow", _follow, "follow an object to its end; Ctrl-C leaves it running", where,
                 example="cpod follow facts")  # fmt: skip
    follow.add_argument("name", metavar="NAME")
    follow.add_argument("--timeout", type=float, metavar="S", help="seconds to follow at most; it goes on after them")
    rerun = add("rerun", _rerun, "run the same again beside it, as NAME-2", where, example="cpod rerun facts")
    rerun.add_argument("name", metavar="NAME")
    rerun.add_argument("--as", dest="new_name", metavar="NEW", help="its name, instead of the next free one")
    scale = add("scale", _scale, "have another number of replicas of a deployment", where,
                example="cpod scale tuned 2")  # fmt: skip
    scale.add_argument("name", metavar="NAME")
    scale.add_argument("replicas", metavar="N", type=int, help="how many; 0 for none while nobody asks")
    scale.add_argument("--max", dest="most", type=int, metavar="M", help="up to so many by load")
    fix = add("fix", _fix, "say why an object failed, and print the cell that mends it", where, output,
              example="cpod fix facts")  # fmt: skip
    fix.add_argument("name", metavar="NAME")
    compare = add("compare", _compare, "put questions to deployments, jobs' results or models, and compare", where,
                  output, example="cpod compare tuned base --rows heldout.jsonl")  # fmt: skip
    compare.add_argument("name", metavar="NAME", nargs="+", help="deployments, jobs or models")
    compare.add_argument("--scorer", metavar="NAME", action="append",
                         help="what is right, again for several; options as YAML: 'rouge: {kind: rouge1}'")  # fmt: skip
    accuracy = add("accuracy", _accuracy, "put held-out questions to deployments, and compare", where, output,
                   example="cpod accuracy tuned base --rows heldout.jsonl")  # fmt: skip
    accuracy.add_argument("name", metavar="NAME", nargs="+", help="deployments, or URLs of servers")
    bench = add("bench", _bench, "measure how fast a deployment answers when several ask at a time", where, output,
                example="cpod bench tuned --concurrency 1,4,16")  # fmt: skip
    bench_options.add(bench)
    harness = add("lm-eval", _lm_eval, "put tasks of EleutherAI's lm-eval to a deployment", where, output,
                  example="cpod lm-eval tuned --tasks capitals --include examples/lm-eval --limit 100")  # fmt: skip
    lm_eval_options.add(harness)
    for command in (compare, accuracy):
        command.add_argument("--rows", metavar="FILE", required=True, help="JSONL: messages (the question) and answer")
        command.add_argument("--max-tokens", type=int, default=64, help="the longest answer")


def _gpus(options: argparse.Namespace) -> None:
    found = session_of(options).gpus()
    if not print_data(options, found.to_dicts()):
        print(found)


def _context(options: argparse.Namespace) -> None:
    from cpod_jupyter.sdk.contexts import contexts

    if options.action == "use":
        if not options.target:
            raise CpodError("say which: cpod context use NAME; cpod context shows the names")
        return _connect(options)
    found = contexts(options.context)
    if not print_data(options, found.to_dicts()):
        print(found)
    return None


def _connect(options: argparse.Namespace) -> None:
    """Nothing is written for a context that there is not; without a name it only says where one is."""
    from cpod_jupyter.sdk import Session
    from cpod_jupyter.sdk.choose import choose
    from cpod_jupyter.sdk.config import chosen

    target = options.target or options.context or ""
    session = Session(target or None, options.namespace)
    if target or options.namespace:
        path = choose(target or chosen().context.value, options.namespace or "")
        print(f"from now on, in {path.parent} and below: {Session(target or None, options.namespace).where()}")
        counts = chosen()
        if counts.context.value != (target or counts.context.value) or counts.config.path != path:
            print(f"but {counts.context.source} says {counts.context.value}, and comes before it", file=sys.stderr)
        return
    print(session.where())


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


def _scale(options: argparse.Namespace) -> None:
    from cpod_jupyter.sdk.scaling import bounds_of, deployment_of

    deployment = deployment_of(handle_of(options)).scale(options.replicas, most=options.most)
    low, high = bounds_of(deployment.object["spec"])
    print(f"{deployment.title} has {low}{f' to {high}' if high and high != low else ''} replicas from now on")


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
    from cpod_jupyter.sdk.evaluate import compare, written

    found = compare(
        options.name,
        options.rows,
        [written(text) for text in options.scorer or ["contains"]],
        session=session_of(options),
        max_tokens=options.max_tokens,
        tell=_tell_answers,
    )
    print(file=sys.stderr)
    summary = found.summary().to_dict("records")
    if not print_data(options, {"scores": found.scores, "summary": summary, "rows": found.to_df().to_dict("records")}):
        print(found)


def _accuracy(options: argparse.Namespace) -> None:
    from cpod_jupyter.sdk.evaluate import accuracy
    from cpod_jupyter.sdk.evaluate.up import answering

    session = functools.cache(lambda: session_of(options))
    deployments = [answering(name, session) for name in options.name]
    found = accuracy(deployments, options.rows, max_tokens=options.max_tokens, tell=_tell_answers)
    print(file=sys.stderr)
    if not print_data(options, {"scores": found.scores, "rows": found.to_df().to_dict("records")}):
        print(found)


def _bench(options: argparse.Namespace) -> None:
    found = bench_options.measure(
        options, lambda: session_of(options), lambda words: print(words, file=sys.stderr, flush=True)
    )
    if not print_data(options, found.to_dicts()):
        print(found)


def _lm_eval(options: argparse.Namespace) -> None:
    found = lm_eval_options.evaluate(
        options, lambda: session_of(options), lambda words: print(words, file=sys.stderr, flush=True)
    )
    if not print_data(options, {"rows": found.rows(), "folder": str(found.folder)}):
        print(found)
        print(found.file, file=sys.stderr)


def _tell_answers(done: int, total: int) -> None:
    print(f"\r{done} of {total} answers", end="", file=sys.stderr, flush=True)
