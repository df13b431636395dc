"""The options of `cpod lm-eval` and `%cpod lm-eval`, which are the same, and what they ask for."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cpod_jupyter.sdk import Session
    from cpod_jupyter.sdk.evaluate import LmEvalResult


def add(parser: argparse.ArgumentParser) -> None:
    """Add them to a parser."""
    parser.add_argument("name", metavar="NAME|URL", help="a deployment, or the address of a server")
    parser.add_argument("--tasks", metavar="TASK,…", type=_names, required=True, help="what it is asked")
    parser.add_argument("--include", metavar="FOLDER", help="with files of tasks (YAML), and their data beside them")
    parser.add_argument("--limit", metavar="N", type=_limit, help="so many rows of a task, or a part of them below 1")
    parser.add_argument("--num-fewshot", metavar="N", type=int, help="examples with their answers before each question")
    parser.add_argument("--kind", choices=("chat", "completions"), help="how it is asked; found out when left out")
    parser.add_argument("--tokenizer", metavar="FOLDER", help="of the model; likelihoods need it")
    parser.add_argument("--parallel", metavar="N", type=int, default=2, help="how many are asked at a time; 2")
    parser.add_argument("--folder", metavar="FOLDER", help="for results, samples and log; below the home folder else")
    parser.add_argument("--python", metavar="PYTHON", help="of an environment with lm-eval, where this has none")
    parser.add_argument("--online", action="store_true", help="let Hugging Face's libraries fetch what is not here")
    parser.add_argument("--timeout", metavar="S", type=float, help="seconds that it may take")
    parser.add_argument("--model", default="", help="which, where a server at a URL has several")
    parser.add_argument("--api-key-env", metavar="VAR", help="the environment variable with the key of a URL")


def evaluate(options: argparse.Namespace, session: Callable[[], Session], say: Callable[[str], None]) -> LmEvalResult:
    """What the harness found; a session is only made for the name of a deployment. `say` is told in a sentence how far
    it is. Raises CpodError, and Interrupted at Ctrl-C or ■."""
    from cpod_jupyter.sdk.evaluate import run_lm_eval
    from cpod_jupyter.sdk.evaluate.up import answering

    target = answering(options.name, session, options.model, options.api_key_env)
    say(f"{target.title}: lm-eval starts")
    return run_lm_eval(
        target,
        options.tasks,
        include_path=options.include,
        limit=options.limit,
        num_fewshot=options.num_fewshot,
        kind=options.kind,
        tokenizer=options.tokenizer,
        parallel=options.parallel,
        folder=options.folder,
        python=options.python,
        offline=not options.online,
        timeout=options.timeout,
        tell=lambda done, total: say(f"{target.title}: {done}{f' of {total}' if total else ''} answers"),
    )


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise argparse.ArgumentTypeError("name at least one task")
    return names


def _limit(text: str) -> int | float:
    """As the harness has it: whole rows, or a share of them. Raises argparse.ArgumentTypeError."""
    try:
        found = float(text)
    except ValueError:
        found = 0
    if found <= 0 or (found > 1 and found != int(found)):
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number of rows nor a part of them, as 100 or 0.1")
    return int(found) if found >= 1 else found
