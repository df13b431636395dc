"""What is wrong with an object by itself, whatever else is there. Pure.

The reconcilers refuse by it, and so does the admission webhook, where there is one: the same sentences, sooner.
"""

from __future__ import annotations

from collections.abc import Callable

from cpod_jupyter.api import meta, names
from cpod_jupyter.api.cpodjob import CPodJobSpec
from cpod_jupyter.api.finetune import FineTuneSpec, finetune_type, hyper_parameter_problems
from cpod_jupyter.api.resources import CPODJOBS, DATASETSTORAGES, FINETUNES, INFERENCES, MODELSTORAGES, Object
from cpod_jupyter.api.sources import is_checksum, source_uri
from cpod_jupyter.api.trainer import config_problems
from cpod_jupyter.operator import inference_kserve, inference_ray
from cpod_jupyter.operator.builders import inference, jobs
from cpod_jupyter.operator.metadata import annotation
from cpod_jupyter.operator.objects import Refused
from cpod_jupyter.operator.storage_kinds import DATASET, MODEL, StorageKind


def check(obj: Object) -> None:
    """Raises Refused for an object of the project's kinds that cannot work. Other kinds pass."""
    found = _CHECKS.get(str(obj.get("kind")))
    if found is not None:
        found(obj)


def source_of(kind: StorageKind, storage: Object) -> str:
    """The URI that a storage is fetched from. Raises Refused where it names none that can be."""
    _check_length(storage)
    checksum = annotation(storage, names.ANNOTATION_CHECKSUM)
    if checksum and not is_checksum(checksum):
        raise Refused("BadChecksum", f"annotation {names.ANNOTATION_CHECKSUM}: not 64 hexadecimal digits")
    try:
        return source_uri(kind.type_of(storage), kind.name_of(storage))
    except ValueError as error:
        raise Refused("BadSource", str(error)) from error


def _check_length(obj: Object) -> None:
    if too_long := names.too_long(obj["kind"], meta.name_of(obj)):
        raise Refused("BadName", too_long)


def _check_finetune(finetune: Object) -> None:
    _check_length(finetune)
    spec = FineTuneSpec.model_validate(finetune["spec"])
    adapter = finetune_type(spec.finetune_type) != "full"
    problems = [*hyper_parameter_problems(spec.hyper_parameters), *config_problems(spec.config, adapter)]
    if problems:
        raise Refused("BadArgument", "; ".join(f"{problem.field}: {problem.message}" for problem in problems))


def _check_cpodjob(job: Object) -> None:
    if sentence := jobs.contradiction(CPodJobSpec.model_validate(job["spec"])):
        raise Refused("BadSpec", sentence)
    _check_length(job)


def _check_inference(obj: Object) -> None:
    backend = inference_ray if inference.is_ray(obj) else inference_kserve
    backend.check(obj)


def _check_storage(kind: StorageKind) -> Callable[[Object], None]:
    def check_one(storage: Object) -> None:
        is_copy = bool(annotation(storage, names.ANNOTATION_COPY_OF))  # its data are those of a public storage
        if not storage["spec"].get("pvc") and not is_copy:
            source_of(kind, storage)

    return check_one


_CHECKS: dict[str, Callable[[Object], None]] = {
    FINETUNES.kind: _check_finetune,
    CPODJOBS.kind: _check_cpodjob,
    INFERENCES.kind: _check_inference,
    MODELSTORAGES.kind: _check_storage(MODEL),
    DATASETSTORAGES.kind: _check_storage(DATASET),
}
