"""The kinds as people name them: `model`, `dataset`, `finetune`, `job`, `inference`."""

from __future__ import annotations

from cpod_jupyter.api import resources
from cpod_jupyter.api.resources import (
    CPODJOBS,
    DATASETSTORAGES,
    FINETUNES,
    INFERENCES,
    JOBS,
    KNOWN,
    MODELSTORAGES,
    PYTORCHJOBS,
    Resource,
)
from cpod_jupyter.api.schema import nearest
from cpod_jupyter.errors import CpodError

WORDS: dict[str, Resource] = {
    "model": MODELSTORAGES,
    "dataset": DATASETSTORAGES,
    "finetune": FINETUNES,
    "job": CPODJOBS,
    "inference": INFERENCES,
    "pytorchjob": PYTORCHJOBS,
}
"""The word of each kind on a magic line, in lists and in messages."""

STORAGES = (MODELSTORAGES, DATASETSTORAGES)
RUN_ONCE = (FINETUNES, CPODJOBS, PYTORCHJOBS, JOBS)
"""Kinds whose objects are one run: once submitted, another spec is another run."""

FOLLOWED = (*WORDS.values(), JOBS)
"""Kinds that have progress to follow."""

_WORD_OF = {resource: word for word, resource in WORDS.items()}


def word_of(resource: Resource) -> str:
    """The word for a kind, the singular where we have no own."""
    return _WORD_OF.get(resource, resource.singular)


def resource_of(word: str) -> Resource:
    """The kind a person means by a word, singular or plural, or by any name kubectl takes.

    Raises CpodError with the nearest right word.
    """
    lowered = word.lower()
    found = WORDS.get(lowered) or WORDS.get(lowered.removesuffix("s")) or resources.find(lowered)
    if found is None:
        known = [*WORDS, *(resource.singular for resource in KNOWN)]
        hint = nearest(word, known) or f"; there are {', '.join(WORDS)}"
        raise CpodError(f'unknown kind "{word}"{hint}')
    return found
