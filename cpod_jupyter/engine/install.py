"""What is in the engine from the start: namespaces, and the definitions of the project's and Kubeflow's kinds."""

from __future__ import annotations

from cpod_jupyter.api.crds import engine_crds
from cpod_jupyter.api.meta import name_of
from cpod_jupyter.api.resources import CRDS, NAMESPACES
from cpod_jupyter.control.api import KubeApi
from cpod_jupyter.errors import NotFound

_NAMESPACES = ("default", "public", "kube-system")


def install(api: KubeApi) -> None:
    """The namespaces and definitions that are there from the start, brought up to this version."""
    for name in _NAMESPACES:
        try:
            api.get(NAMESPACES, name)
        except NotFound:
            api.create(NAMESPACES, {"metadata": {"name": name}})
    for definition in engine_crds():
        try:
            api.patch(CRDS, name_of(definition), {"spec": definition["spec"]})
        except NotFound:
            api.create(CRDS, definition)
