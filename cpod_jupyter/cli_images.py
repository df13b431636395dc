"""`cpod images`: which images stand for virtual environments of this machine."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cpod_jupyter.cli_output import AddCommand, print_data

if TYPE_CHECKING:
    from cpod_jupyter.sdk.engine import MappedImage


def add_commands(add: AddCommand, where: argparse.ArgumentParser, output: argparse.ArgumentParser) -> None:
    """Add `cpod images` to the parser of `cpod`, by its own function for a command."""
    images = add("images", _images, "show and change which images stand for virtual environments of this machine",
                 output, example="cpod images map ghcr.io/team/server ~/venvs/server")  # fmt: skip
    images.set_defaults(action="list")
    actions = images.add_subparsers(title="actions", metavar="ACTION")
    mapping = actions.add_parser("map", help="have an image, whatever its tag, stand for an environment")
    mapping.add_argument("image", metavar="IMAGE")
    mapping.add_argument("path", metavar="PATH", type=Path, help="the environment's folder, which has bin/python")
    unmapping = actions.add_parser("unmap", help="forget it again")
    unmapping.add_argument("image", metavar="IMAGE")
    actions.add_parser("list", help="show what is mapped", parents=[output])
    for action, parser_of in (("map", mapping), ("unmap", unmapping)):
        parser_of.set_defaults(action=action)


def _images(options: argparse.Namespace) -> None:
    from cpod_jupyter.sdk import engine

    images = engine.images()
    if options.action == "map":
        entry = images.add(options.image, options.path)
        print(
            f"{entry.image} is {entry.path} (Python {entry.python}) for pods made from now on; "
            "their containers must name their command"
        )
    elif options.action == "unmap":
        print(f"{options.image} is {images.remove(options.image)} no more; pods that run go on")
    else:
        entries = images.entries()
        rows = [{"image": item.image, "path": str(item.path), "python": item.python or None} for item in entries]
        if not print_data(options, rows):
            _print_images(entries)


def _print_images(entries: Sequence[MappedImage]) -> None:
    from cpod_jupyter.sdk.view import table

    shown = [(item.image, item.python or "none", str(item.path)) for item in entries]
    print(table.text(("IMAGE", "PYTHON", "PATH"), shown) if shown else "no image is mapped; cpod images map IMAGE PATH")
    for item in entries:
        if item.problem:
            print(f"{item.image}: {item.problem}", file=sys.stderr)
