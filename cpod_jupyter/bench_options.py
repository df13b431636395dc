"""The options of `cpod bench` and `%cpod bench`, which are the same, and what they ask for."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cpod_jupyter.sdk import Bench, Session


def add(parser: argparse.ArgumentParser) -> None:
    """Add them to a parser."""
    parser.add_argument("name", metavar="NAME|URL", help="a deployment, or the address of a server")
    parser.add_argument(
        "--concurrency", metavar="N,…", type=_levels, default=[1, 2, 4, 8], help="how many ask at a time; 1,2,4,8"
    )
    parser.add_argument("--seconds", type=float, default=10.0, metavar="S", help="how long each is held; 10")
    parser.add_argument("--requests", type=int, metavar="N", help="how many each asks, instead of a time")
    parser.add_argument("--max-tokens", type=int, default=128, metavar="N", help="the longest answer; 128")
    parser.add_argument("--model", default="", help="which, where a server at a URL has several")
    parser.add_argument("--api-key-env", metavar="VAR", help="the environment variable with the key of a URL")


def measure(options: argparse.Namespace, session: Callable[[], Session], tell: Callable[[str], None]) -> Bench:
    """What is measured; a session is only made for the name of a deployment. Raises CpodError."""
    from cpod_jupyter.sdk.evaluate.up import answering

    target = answering(options.name, session, options.model, options.api_key_env)
    return target.bench(
        options.concurrency,
        max_tokens=options.max_tokens,
        seconds=options.seconds,
        requests=options.requests,
        tell=tell,
    )


def _levels(text: str) -> list[int]:
    try:
        return [int(each) for each in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no list of whole numbers, as 1,2,4,8") from None
