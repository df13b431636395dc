"""What is in the engine from the start: namespaces, the definitions of the project's and Kubeflow's kinds, and the
runtimes of TrainJobs and of models."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cpod_jupyter.api
from cpod_jupyter.api.crds import engine_crds
from cpod_jupyter.api.meta import name_of
from cpod_jupyter.api.resources import (
    BROUGHT,
    CLUSTERSERVINGRUNTIMES,
    CLUSTERTRAININGRUNTIMES,
    CRDS,
    GROUP,
    NAMESPACES,
    Object,
    Resource,
)
from cpod_jupyter.control.api import KubeApi
from cpod_jupyter.engine.controllers.trainer import shipped_runtimes
from cpod_jupyter.engine.servingruntimes import cluster_serving_runtimes
from cpod_jupyter.errors import NotFound

MADE_BY = "cpod.cpod/made-by"
"""On a definition or a runtime of ours: what it was made from, and the digest of its spec as it was stored."""
_NAMESPACES = ("default", "public", "kube-system", "kube-node-lease", "cpod-system")


def install(api: KubeApi) -> None:
    """The namespaces, definitions and runtimes that are there from the start, brought up to this version.

    A definition or runtime that a person has changed, or replaced by upstream's own, stays as they have it.
    """
    for name in _NAMESPACES:
        try:
            api.get(NAMESPACES, name)
        except NotFound:
            api.create(NAMESPACES, {"metadata": {"name": name}})
    _definitions(api)
    _runtimes(api, CLUSTERTRAININGRUNTIMES, shipped_runtimes())
    _runtimes(api, CLUSTERSERVINGRUNTIMES, cluster_serving_runtimes())


def _definitions(api: KubeApi) -> None:
    there = {name_of(definition): definition for definition in api.list(CRDS).items}
    wanted = {resource.qualified for resource in BROUGHT}
    source = _source()
    if wanted <= there.keys() and all(_is_settled(there[name], source) for name in wanted):
        return  # nothing has changed, and making the definitions takes half a second
    for definition in engine_crds():
        _bring(api, CRDS, definition, there.get(name_of(definition)), source)


def _runtimes(api: KubeApi, resource: Resource, shipped: Iterable[Object]) -> None:
    """The runtimes that the engine brings; one that is missing is made again."""
    there = {name_of(runtime): runtime for runtime in api.list(resource).items}
    for runtime in shipped:
        source = _digest(runtime)
        old = there.get(name_of(runtime))
        if old is None or _made_by(old)[0] != source:
            _bring(api, resource, runtime, old, source)


def _is_settled(definition: Object, source: str) -> bool:
    made_from, _ = _made_by(definition)
    return made_from == source or (not made_from and definition["spec"]["group"] != GROUP)


def _bring(api: KubeApi, resource: Resource, definition: Object, old: Object | None, source: str) -> None:
    """Store a definition, or what else is ours, marked as such; what a person has made of it stays."""
    mark: dict[str, Any] = {"annotations": {MADE_BY: f"{source} {_digest(definition)}"}}
    if old is None:
        marked = {**definition, "metadata": {**definition["metadata"], **mark}}
        stored = api.create(resource, marked)
    elif _made_by(old)[1] == _digest(old) or (old["spec"].get("group") == GROUP and not _made_by(old)[1]):
        stored = api.patch(resource, name_of(old), {"metadata": mark, "spec": definition["spec"]})
    else:
        return
    if _digest(stored) != _digest(definition):  # the API has filled in a default
        mark = {"annotations": {MADE_BY: f"{source} {_digest(stored)}"}}
        api.patch(resource, name_of(stored), {"metadata": mark})


def _made_by(definition: Object) -> tuple[str, str]:
    source, _, digest = str((definition["metadata"].get("annotations") or {}).get(MADE_BY, "")).partition(" ")
    return source, digest


def _digest(definition: Object) -> str:
    said = {name: value for name, value in definition["spec"].items() if name != "conversion"}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]


def _source() -> str:
    """What the definitions are made from: the kinds' modules, and the client that describes the built-in types."""
    found = hashlib.sha256(version("kubernetes").encode())
    for path in sorted(Path(cpod_jupyter.api.__path__[0]).iterdir()):
        if path.suffix in (".py", ".json", ".yaml"):
            found.update(path.read_bytes())
    return found.hexdigest()[:16]
