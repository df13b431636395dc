"""From what a person wrote to the object that tries it out in a few steps on this machine. Pure."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cpod_jupyter.api import names
from cpod_jupyter.api.finetune import finetune_type
from cpod_jupyter.api.resources import CPODJOBS, FINETUNES, Object, Resource
from cpod_jupyter.api.trainer import trainer_config
from cpod_jupyter.sdk.smoke import pods

STEPS = 2
"""Of training: the second shows that the first changed something."""
ROWS = 16
"""Of the dataset that a fine-tune trains on; all of them are checked."""

_LONGEST = 38
"""Characters of a name to which `-smoke` is added: the names derived from a FineTune's leave so many."""
_GPU_ONLY = ("fp16", "tf32", "deepspeed")
"""Arguments of the trainer that a CPU has no use for, or that want several processes."""
_GPU_OPTIMIZERS = ("8bit", "4bit", "paged", "fused", "bnb")


@dataclass(frozen=True)
class Here:
    """This machine, as its engine's node has it."""

    gpus: int = 0
    products: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Stand:
    """What a smoke run takes for a model or a dataset: one that is there, or `storage`, to be submitted first."""

    name: str
    storage: Object | None = None
    lora_target: str = ""
    """What the catalogue says of a model that has another name now."""
    differs: str = ""


@dataclass(frozen=True)
class Smoke:
    """The object that tries another out, the storages it takes, and how it differs, in sentences."""

    obj: Object
    storages: tuple[Object, ...] = ()
    differs: tuple[str, ...] = field(default=())


def written_name(obj: Object) -> str:
    """An object's name, or what the server is to make one from."""
    metadata = obj["metadata"]
    return str(metadata.get("name") or str(metadata.get("generateName") or obj["kind"].lower()).rstrip("-."))


def smoke_name(name: str) -> str:
    """`facts-smoke` of `facts`; of a long name the beginning, with a hash of the whole."""
    if len(name) > _LONGEST:
        digest = hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest()[:6]
        name = f"{name[: _LONGEST - 7].rstrip('-.')}-{digest}"
    return f"{name}-smoke"


def labelled(obj: Object, name: str, namespace: str, annotations: Mapping[str, str]) -> Object:
    """An object under another name, marked as made for a smoke run."""
    labels = {names.LABEL_SMOKE: "true"}
    metadata: dict[str, Any] = {"name": name, "namespace": namespace, "labels": labels}
    if annotations:
        metadata["annotations"] = dict(annotations)
    return {"apiVersion": obj["apiVersion"], "kind": obj["kind"], "metadata": metadata, "spec": obj["spec"]}


def is_smoke(obj: Object) -> bool:
    return (obj["metadata"].get("labels") or {}).get(names.LABEL_SMOKE) == "true"


def build(
    resource: Resource,
    obj: Object,
    here: Here,
    namespace: str,
    model: Stand | None = None,
    dataset: Stand | None = None,
) -> Smoke:
    """The smoke of an object of a kind that runs once, in a namespace of the engine."""
    spec = copy.deepcopy(obj.get("spec") or {})
    annotations: dict[str, str] = {}
    if resource == FINETUNES:
        differs = _finetune(spec, here, model, dataset)
        annotations[names.ANNOTATION_ROWS] = str(ROWS)
    else:
        if resource == CPODJOBS:
            _cpodjob_data(spec, model, dataset)
        differs = pods.shrink(resource, spec, STEPS)
    stands = [stand for stand in (model, dataset) if stand is not None]
    made = labelled({**obj, "spec": spec}, smoke_name(written_name(obj)), namespace, annotations)
    storages = tuple(stand.storage for stand in stands if stand.storage is not None)
    return Smoke(made, storages, (*differs, *(stand.differs for stand in stands if stand.differs)))


def _finetune(spec: dict[str, Any], here: Here, model: Stand | None, dataset: Stand | None) -> list[str]:
    """Two steps of the same fine-tune, told after each."""
    config = trainer_config(spec.get("config") or {})
    given = config.get("max_steps", "")
    steps = min(STEPS, int(given)) if given.isdecimal() and int(given) else STEPS
    differs = [f"{steps} steps on the first {ROWS} rows, all of which are checked"]
    config |= {"max_steps": str(steps), "logging_steps": "1"}
    if model is not None:
        spec["model"] = model.name
        if model.lora_target and finetune_type(spec.get("finetuneType") or "") != "full":
            config.setdefault("lora_target", model.lora_target)
    if dataset is not None:
        spec["dataset"] = dataset.name
        if dataset.storage is not None:
            spec["datasetIsPublic"] = False
    differs += _fitted(spec, config, here)
    spec["config"] = config
    if spec.get("upload"):
        spec["upload"] = False
        differs.append("nothing is uploaded")
    return differs


def _fitted(spec: dict[str, Any], config: dict[str, str], here: Here) -> list[str]:
    """The devices that there are instead of those asked for."""
    asked, product = int(spec.get("gpuCount") or 0), str(spec.get("gpuProduct") or "")
    differs = []
    if product and product not in here.products:
        spec["gpuProduct"] = ""
    if asked > here.gpus:
        spec["gpuCount"] = here.gpus
    if here.gpus:
        if asked > here.gpus or spec.get("gpuProduct", "") != product:
            kind = ", ".join(sorted(here.products)) or "GPUs of this machine"
            differs.append(f"on {min(asked, here.gpus) or 1} of {kind}, not {_gpus(asked, product)}")
        return differs
    if asked or product:
        differs.append(f"on the CPU, in one process, not on {_gpus(asked, product)}")
    if finetune_type(spec.get("finetuneType") or "") == "qlora":
        spec["finetuneType"] = "lora"
        differs.append("finetuneType lora, not qlora: 4 bits take a GPU")
    dropped = [name for name in _GPU_ONLY if name in config]
    if any(word in config.get("optim", "") for word in _GPU_OPTIMIZERS):
        dropped.append("optim")
    for name in dropped:
        del config[name]
    if dropped:
        differs.append(f"without {', '.join(f'config.{name}' for name in dropped)}, which take GPUs")
    return differs


def _gpus(count: int, product: str) -> str:
    return f"{count or 1} GPU{'s' if count > 1 else ''}{f' of type {product}' if product else ''}"


def _cpodjob_data(spec: dict[str, Any], model: Stand | None, dataset: Stand | None) -> None:
    for stand, prefix in ((model, "pretrainModel"), (dataset, "dataset")):
        if stand is not None:
            spec[f"{prefix}Name"] = stand.name
            if stand.storage is not None:
                spec[f"{prefix}IsPublic"] = False
