"""The kinds as people name them: `model`, `dataset`, `finetune`, `job`, `inference`, and the training kinds."""

from __future__ import annotations

from cpod_jupyter.api import resources
from cpod_jupyter.api.resources import (
    CPODJOBS,
    DATASETSTORAGES,
    ELASTICDLJOBS,
    ELASTICDLJOBS_OLD,
    FINETUNES,
    INFERENCES,
    INFERENCESERVICES,
    JAXJOBS,
    JOBS,
    KNOWN,
    MARSJOBS,
    MARSJOBS_OLD,
    MODELSTORAGES,
    MPIJOBS,
    MPIJOBS_V2BETA1,
    PADDLEJOBS,
    PYTORCHJOBS,
    TFJOBS,
    TRAINING_KINDS,
    TRAINJOBS,
    XGBOOSTJOBS,
    Object,
    Resource,
)
from cpod_jupyter.api.schema import nearest
from cpod_jupyter.errors import CpodError

TRAININGS: dict[str, Resource] = {
    "pytorchjob": PYTORCHJOBS,
    "mpijob": MPIJOBS_V2BETA1,
    "tfjob": TFJOBS,
    "xgboostjob": XGBOOSTJOBS,
    "paddlejob": PADDLEJOBS,
    "jaxjob": JAXJOBS,
    "trainjob": TRAINJOBS,
    "elasticdljob": ELASTICDLJOBS,
    "marsjob": MARSJOBS,
}
"""The words of the kinds that training operators bring, which people submit as they are."""

WORDS: dict[str, Resource] = {
    "model": MODELSTORAGES,
    "dataset": DATASETSTORAGES,
    "finetune": FINETUNES,
    "job": CPODJOBS,
    "inference": INFERENCES,
    **TRAININGS,
    "inferenceservice": INFERENCESERVICES,
    "batchjob": JOBS,
}
"""The word of each kind on a magic line, in lists and in messages."""

_OTHERS = {
    MPIJOBS_V2BETA1: (MPIJOBS,),
    ELASTICDLJOBS: (ELASTICDLJOBS_OLD,),
    MARSJOBS: (MARSJOBS_OLD,),
}
"""Further groups and versions in which a kind is served; a cluster has some of them."""

STORAGES = (MODELSTORAGES, DATASETSTORAGES)
RUN_ONCE = (FINETUNES, CPODJOBS, *TRAINING_KINDS, TRAINJOBS, JOBS)
"""Kinds whose objects are one run: once submitted, another spec is another run."""
PARTS = frozenset(resource.kind for resource in (CPODJOBS, *TRAINING_KINDS, TRAINJOBS, JOBS, INFERENCESERVICES))
"""Kinds whose objects are either submitted by a person, or made as a part of something else."""

_WORD_OF = {form: word for word, resource in WORDS.items() for form in (resource, *_OTHERS.get(resource, ()))}


def word_of(resource: Resource) -> str:
    """The word for a kind, the singular where we have no own."""
    return _WORD_OF.get(resource, resource.singular)


def forms_of(resource: Resource) -> tuple[Resource, ...]:
    """The kind in all groups and versions that it is known in, the one to submit to first."""
    return (resource, *_OTHERS.get(resource, ()))


def claims(resource: Resource, obj: Object) -> bool:
    """Whether an object, as this version of its kind shows it, is surely this version's, where another serves it too.

    Of an MPIJob, v2beta1 alone has the field `mpiImplementation`, with a default: what lacks it, seen in v1, was made
    in v1. An object must be changed in its own version: the other's defaults would make it the other operator's.
    """
    return resource == MPIJOBS and "mpiImplementation" not in (obj.get("spec") or {})


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
