"""The engine's own definitions of the training kinds know what the published ones know."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from cpod_jupyter.api.crds import engine_crds

CRDS = Path(__file__).parents[2].parent / "shared" / "crds"
NAMES = [
    "kubeflow.org_v1_pytorchjobs",
    "kubeflow.org_v1_tfjobs",
    "kubeflow.org_v1_xgboostjobs",
    "kubeflow.org_v1_paddlejobs",
    "kubeflow.org_v1_jaxjobs",
    "kubeflow.org_v1_mpijobs",
    "kubeflow.org_v2beta1_mpijobs",
    "elasticdl.org_elasticdljobs",
    "kubedl.io_marsjobs",
    "training.kubedl.io_elasticdljobs",
    "training.kubedl.io_marsjobs",
    "trainer.kubeflow.org_trainjobs",
    "trainer.kubeflow.org_trainingruntimes",
    "trainer.kubeflow.org_clustertrainingruntimes",
]
pytestmark = pytest.mark.skipif(not CRDS.exists(), reason="the published definitions are not beside the repository")

Schema = dict[str, Any]


def differences(theirs: Schema, ours: Schema, path: str) -> Iterator[str]:
    """Where ours lacks a property, or has another type, default or enum than theirs; pod templates apart."""
    for key in ("type", "x-kubernetes-int-or-string", "default"):
        if key in theirs and theirs[key] != ours.get(key):
            yield f"{path}: {key} is {ours.get(key)!r}, not {theirs[key]!r}"
    if "enum" in theirs and set(theirs["enum"]) != set(ours.get("enum") or []):
        yield f"{path}: enum is {ours.get('enum')}, not {theirs['enum']}"
    if path.endswith((".template", ".valueFrom")) and path != "spec.template":  # described by Kubernetes, not by them
        return
    known = ours.get("properties") or {}
    for name, child in (theirs.get("properties") or {}).items():
        if name in known:
            yield from differences(child, known[name], f"{path}.{name}")
        elif not ours.get("x-kubernetes-preserve-unknown-fields"):
            yield f"{path}.{name} is not known"
    for part in ("items", "additionalProperties"):
        if isinstance(theirs.get(part), dict):
            yield from differences(theirs[part], ours.get(part) or {}, f"{path}[]")


@pytest.fixture(scope="module")
def own_crds() -> dict[str, Schema]:
    return {crd["metadata"]["name"]: crd for crd in engine_crds()}


@pytest.mark.parametrize("name", NAMES)
def test_every_published_field_is_known_with_its_type(own_crds: dict[str, Schema], name: str) -> None:
    theirs = yaml.safe_load((CRDS / f"{name}.yaml").read_text())
    ours = own_crds[theirs["metadata"]["name"]]
    assert ours["spec"]["names"]["plural"] == theirs["spec"]["names"]["plural"]
    for version in theirs["spec"]["versions"]:
        own = {found["name"]: found for found in ours["spec"]["versions"]}[version["name"]]
        theirs_schema = version["schema"]["openAPIV3Schema"]["properties"]
        own_schema = own["schema"]["openAPIV3Schema"]["properties"]
        for part in {"spec", "status"} & theirs_schema.keys():
            assert list(differences(theirs_schema[part], own_schema[part], part)) == []
        assert own.get("subresources") == version.get("subresources")
