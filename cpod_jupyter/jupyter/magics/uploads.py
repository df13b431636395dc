"""`%cpod upload`: what a variable or a path holds becomes a dataset or a model."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cpod_jupyter.api.schema import nearest
from cpod_jupyter.errors import CpodError
from cpod_jupyter.jupyter.magics import cells
from cpod_jupyter.jupyter.magics.live import Live
from cpod_jupyter.sdk import Handle
from cpod_jupyter.sdk.content import is_data
from cpod_jupyter.sdk.upload import content_of, upload, words_of
from cpod_jupyter.sdk.words import amount

if TYPE_CHECKING:
    from cpod_jupyter.jupyter.magics.commands import CpodMagics


def run_upload(magics: CpodMagics, options: argparse.Namespace) -> Handle:
    """Check what is meant, send it unless it is there, and follow the storage until it is done."""
    what, name = words_of(options.words, options.new_name)
    content = content_of(_meant(magics, what), model=options.model)
    handle, outcome = upload(
        magics.session(options), content, name, tell=teller(Live(magics.ip)), image=options.image or ""
    )
    print(f"{handle.title} {outcome}: {content.summary} from {content.called}")
    magics.bind(options, handle)
    return cells.follow(magics, handle, options.timeout, wait=not options.detach)


def teller(live: Live) -> Any:
    """Shows how far an upload is, in one place."""

    def tell(doing: str, done: int, total: int) -> None:
        share = f": {amount(done)} of {amount(total)} ({100 * done // total}%)" if total else ""
        live.show({"text/plain": f"{doing}{share}"})

    return tell


def _meant(magics: CpodMagics, what: str) -> Any:
    """The value of a variable, or a path. Raises CpodError."""
    names = magics.ip.user_ns
    if what in names:
        return names[what]
    if Path(what).expanduser().exists():
        return what
    holding = [name for name, value in names.items() if not name.startswith("_") and is_data(value)]
    raise CpodError(f'"{what}" is neither a variable nor a path that is there{nearest(what, holding)}')
