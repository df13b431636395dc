"""The options of `logs`, the same in a cell and on the command line; and its lines as they are printed."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cpod_jupyter.sdk.handles import Handle
    from cpod_jupyter.sdk.history import LogLine
    from cpod_jupyter.sdk.reading import Tell

_COLOURS = (36, 33, 35, 32, 34, 96, 93, 95, 92, 94)
"""Of the ranks' names, one after the other (ECMA-48, "Select graphic rendition"); red is for what is wrong."""


def add(parser: argparse.ArgumentParser) -> None:
    """Give a parser the options that say which lines of a log are wanted."""
    parser.add_argument("-f", "--follow", action="store_true", help="go on until it ends")
    parser.add_argument("--tail", type=int, metavar="N", help="only the last lines")
    parser.add_argument("--grep", metavar="TEXT", help="only lines with this text")
    parser.add_argument("--pod", metavar="POD", default="", help="of this pod: master-0, worker-1, or its name")
    parser.add_argument("--rank", type=int, metavar="N", help="of the pod of this rank; 0 speaks for the job")
    parser.add_argument("--all-ranks", action="store_true", help="of all pods, each line with the pod it is from")
    parser.add_argument("--since", metavar="T", default="", help="from so long ago on: 30s, 10m, 2h, or a moment")
    parser.add_argument("--previous", action="store_true", help="of the run before the container's last restart")


def batches(handle: Handle, options: argparse.Namespace, tell: Tell) -> Iterator[list[LogLine]]:
    """The lines that the options ask for, in batches; an empty one for each pause of a log that is followed."""
    from cpod_jupyter.sdk.reading import LogQuery

    query = LogQuery(
        follow=options.follow,
        tail=options.tail,
        pod=options.pod,
        rank=options.rank,
        all_ranks=options.all_ranks,
        since=options.since,
        previous=options.previous,
    )
    wanted = options.grep
    for lines in handle.log_batches(query, tell):
        if wanted is None or not lines:
            yield lines
        elif found := [line for line in lines if wanted in line.text]:
            yield found


class Painter:
    """Puts the pod's name before each line, where all ranks are shown; with colours, one for each."""

    def __init__(self, prefixed: bool, *, coloured: bool) -> None:
        self._prefixed = prefixed
        self._coloured = coloured
        self._prefixes: dict[str, str] = {}

    def __call__(self, line: LogLine) -> str:
        if not self._prefixed:
            return line.text
        prefix = self._prefixes.get(line.place)
        if prefix is None:
            prefix = f"{line.place} | "
            if self._coloured:
                prefix = f"\x1b[{_COLOURS[len(self._prefixes) % len(_COLOURS)]}m{prefix}\x1b[0m"
            self._prefixes[line.place] = prefix
        return prefix + line.text
