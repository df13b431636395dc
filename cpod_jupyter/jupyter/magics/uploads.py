"""`%cpod upload`: what a variable or a path holds becomes a dataset or a model."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import DATASETSTORAGES, Object
from cpod_jupyter.api.schema import nearest
from cpod_jupyter.errors import CpodError
from cpod_jupyter.jupyter.magics.live import Live
from cpod_jupyter.sdk import Handle, Session
from cpod_jupyter.sdk.attach import attached, require_used
from cpod_jupyter.sdk.content import Content, is_data
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
    from cpod_jupyter.jupyter.magics import cells  # cells attach data by this module

    return cells.follow(magics, handle, options.timeout, wait=not options.detach)


def teller(live: Live) -> Any:
    """Shows how far an upload is, in one place."""

    def tell(doing: str, done: int, total: int) -> None:
        share = f": {amount(done)} of {amount(total)} ({100 * done // total}%)" if total else ""
        live.show({"text/plain": f"{doing}{share}"})

    return tell


def taken(objects: Sequence[Object], known: dict[str, Content]) -> tuple[list[Object], list[Content | None]]:
    """A cell's objects with names in the place of data, and of each the data that are to be uploaded for it.

    Raises PreflightFailed that names the bad rows, ManifestError for data in a wrong place.
    """
    found = [attached(obj, known) for obj in objects]
    require_used(known, found)
    return [each.obj for each in found], [each.content for each in found]


def tell_needed(data: Sequence[Content | None]) -> None:
    """What must be uploaded before an exported form is of use elsewhere."""
    for content in filter(None, data):
        print(f"it needs the dataset {content.name}: %cpod upload the data ({content.called}) under that name")


def tell_planned(session: Session, objects: Sequence[Object], data: Sequence[Content | None]) -> None:
    """What a dry run would have uploaded."""
    for obj, content in zip(objects, data, strict=True):
        if content is not None:
            there = session.client.has(DATASETSTORAGES, content.name, meta.namespace_of(obj))
            what = "is there already" if there else "would be uploaded"
            print(f"dataset/{content.name} {what}: {content.summary} from {content.called}")


def _meant(magics: CpodMagics, what: str) -> Any:
    """The value of a variable, or a path. Raises CpodError."""
    names = magics.ip.user_ns
    if what in names:
        return names[what]
    if Path(what).expanduser().exists():
        return what
    holding = [name for name, value in names.items() if not name.startswith("_") and is_data(value)]
    raise CpodError(f'"{what}" is neither a variable nor a path that is there{nearest(what, holding)}')
