"""What the operator makes is what Kubeflow and KServe take: nothing of it is refused or pruned by their definitions.

The definitions are upstream's own, laid beside the repository; where they are not, the tests are skipped. Every
manifest in examples/ is tried, so new ones come in by themselves, and a table of what no example has.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from operator_cluster import Cluster

from cpod_jupyter.api import meta
from cpod_jupyter.api.crds import engine_crds
from cpod_jupyter.api.resources import (
    CPODJOBS,
    CRDS,
    INFERENCES,
    INFERENCESERVICES,
    JOBS,
    MODELSTORAGES,
    MPIJOBS,
    MPIJOBS_V2BETA1,
    NAMESPACES,
    PVCS,
    PYTORCHJOBS,
    TFJOBS,
    Object,
    Resource,
    of_object,
)
from cpod_jupyter.control.passing import PassingApi
from cpod_jupyter.engine.kinds import Kinds
from cpod_jupyter.engine.local_api import LocalApi
from cpod_jupyter.engine.objects import Objects
from cpod_jupyter.engine.store import Store
from cpod_jupyter.errors import AlreadyExists, Conflict, CpodError, NotFound
from cpod_jupyter.operator.manager import controllers
from cpod_jupyter.operator.settings import Settings

ROOT = Path(__file__).parents[2]
UPSTREAM = ROOT.parent / "shared" / "crds"
NOT_THESE = {"kubeflow.org_v1_mpijobs"}
"""mpi-operator's v2beta1 has the same name, and is the one that CPodJobs need."""
ENDS = {JOBS: "Complete", PYTORCHJOBS: "Succeeded", MPIJOBS_V2BETA1: "Succeeded", TFJOBS: "Succeeded",
        INFERENCESERVICES: "Ready"}  # fmt: skip
_KEY = re.compile(r"KEY|SECRET|TOKEN|PASSWORD")
NODE = {"cpu": "64", "memory": "512Gi", "nvidia.com/gpu": "8", "rdma/rdma_shared_device_a": "4"}
LABELS = {"nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB", "nvidia.com/gpu.memory": "81920"}

pytestmark = [
    pytest.mark.skipif(not UPSTREAM.exists(), reason=f"needs upstream's definitions in {UPSTREAM}"),
    pytest.mark.xdist_group("upstream"),
]


class StrictApi(PassingApi):
    """As with fieldValidation=Strict: notes what is refused, and what is not stored as it was given.

    Keys written out are noted too: faults 9 and 18 (B32).
    """

    def __init__(self, api: LocalApi) -> None:
        super().__init__(api)
        self.made: list[tuple[Resource, str]] = []
        self.faults: list[str] = []

    def create(self, resource: Resource, obj: Object) -> Object:
        return self._checked(resource, obj, super().create)

    def replace(self, resource: Resource, obj: Object, *, subresource: str = "") -> Object:
        if subresource:
            return super().replace(resource, obj, subresource=subresource)
        return self._checked(resource, obj, super().replace)

    def _checked(self, resource: Resource, obj: Object, send: Any) -> Object:
        title = f"{resource.kind} {meta.name_of(obj)}"
        try:
            stored: Object = send(resource, obj)
        except (AlreadyExists, Conflict, NotFound):
            raise
        except CpodError as error:
            self.faults.append(f"{title}: {error}")
            raise
        self.made.append((resource, meta.name_of(obj)))
        self.faults += [f"{title}: {path} is pruned" for path in _lost(obj.get("spec"), stored.get("spec"), "spec")]
        self.faults += [f"{title}: the value of {name} is written out" for name in _keys_written_out(obj)]
        return stored


def _keys_written_out(node: Any) -> Iterator[str]:
    """Names of environment variables that hold a key, and have it as a value instead of from a Secret."""
    if isinstance(node, dict):
        if _KEY.search(str(node.get("name", ""))) and isinstance(node.get("value"), str) and node["value"]:
            yield str(node["name"])
        for value in node.values():
            yield from _keys_written_out(value)
    elif isinstance(node, list):
        for item in node:
            yield from _keys_written_out(item)


def _lost(given: Any, stored: Any, path: str) -> Iterator[str]:
    """What was given and is not there any more; empty values need not be."""
    if isinstance(given, dict):
        for key, value in given.items():
            if isinstance(stored, dict) and key in stored:
                yield from _lost(value, stored[key], f"{path}.{key}")
            elif value not in (None, {}, []):
                yield f"{path}.{key}"
    elif isinstance(given, list) and isinstance(stored, list):
        for number, (old, new) in enumerate(zip(given, stored, strict=False)):
            yield from _lost(old, new, f"{path}[{number}]")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster with upstream's definitions, eight A100s and RDMA, and the operator over a strict API."""
    store = Store(tmp_path_factory.mktemp("upstream") / "objects.db")
    api = LocalApi(Objects(store, Kinds()))
    for name in ("default", "public"):
        api.create(NAMESPACES, {"metadata": {"name": name}})
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    theirs = [yaml.load(path.read_bytes(), loader) for path in UPSTREAM.glob("*.yaml") if path.stem not in NOT_THESE]
    names = {meta.name_of(definition) for definition in theirs}
    for definition in [*theirs, *(ours for ours in engine_crds() if meta.name_of(ours) not in names)]:
        api.create(CRDS, definition)
    found = Cluster(api, store, Settings(runtime_image="runtime:test"))
    strict = StrictApi(api)
    found.controllers = controllers(strict, found.settings)
    found.strict = strict  # type: ignore[attr-defined]
    for name in ("one", "two"):
        found.node(name, NODE, LABELS)
    found.apply(MODELSTORAGES, "base", {"modeltype": "huggingface", "modelname": "org/base"})
    _end_all(found)
    yield found
    store.close()


def _end_all(cluster: Cluster) -> None:
    """Every child comes to its end, until no new ones appear."""
    for _ in range(6):
        open_ones = [
            (resource, name)
            for resource in ENDS
            for name in cluster.names(resource)
            if not cluster.status(resource, name).get("conditions")
        ]
        if not open_ones:
            return
        for resource, name in open_ones:
            cluster.end(resource, name, ENDS[resource])


def _faults(cluster: Cluster) -> list[str]:
    strict: StrictApi = cluster.strict  # type: ignore[attr-defined]
    found, strict.faults = strict.faults, []
    return found


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_children_of_an_example_are_what_upstream_takes(cluster: Cluster, path: Path) -> None:
    strict: StrictApi = cluster.strict  # type: ignore[attr-defined]
    for document in yaml.safe_load_all(path.read_text("utf-8")):
        resource = of_object(document)
        assert resource is not None, document
        if resource is MPIJOBS:
            pytest.skip("mpi-operator's definition is installed, which has the name of training-operator's")
        document["metadata"].setdefault("namespace", "default") if resource.namespaced else None
        try:
            strict.create(resource, document)
        except AlreadyExists:
            continue  # the model or the dataset that several have
        cluster.settle()
    _end_all(cluster)
    assert _faults(cluster) == []


TWO = {"workerReplicas": 2, "gpuRequiredPerReplica": 4, "gpuType": "NVIDIA-A100-SXM4-80GB"}
PATHS = {"modelSavePath": "/save", "modelSaveVolumeSize": 1024, "ckptPath": "/ckpt", "ckptVolumeSize": 1024,
         "pretrainModelName": "base", "pretrainModelPath": "/model"}  # fmt: skip
GIT = {"gitRepo": {"repository": "https://example.com/code.git", "revision": "main"}, "codePath": "/code"}
COMMON = {"image": "image:1", "command": ["python", "train.py"], "env": [{"name": "A", "value": "b"}]}


def _replica(container: str) -> Object:
    spec = {"containers": [{"name": container, "image": "image:1", "resources": {"limits": {"nvidia.com/gpu": 1}}}]}
    return {"replicas": 1, "restartPolicy": "Never", "template": {"spec": spec}}


CPODJOB_CASES: dict[str, tuple[Resource, Object]] = {
    "general": (JOBS, {"jobType": "general", **COMMON, **PATHS, "duration": 10, "backoffLimit": 1}),
    "general-git": (JOBS, {"jobType": "general", **COMMON, **GIT}),
    "pytorch-one": (PYTORCHJOBS, {"jobType": "pytorch", **COMMON, **PATHS, "gpuRequiredPerReplica": 1}),
    "pytorch-rdma": (PYTORCHJOBS, {"jobType": "pytorch", **COMMON, **PATHS, **TWO, **GIT, "duration": 10}),
    "pytorch-given": (
        PYTORCHJOBS,
        {
            "jobType": "pytorch",
            **COMMON,
            "replicaSpecs": {"Master": _replica("pytorch"), "Worker": _replica("pytorch")},
        },
    ),
    "mpi": (MPIJOBS_V2BETA1, {"jobType": "mpi", **COMMON, **PATHS, **TWO}),
    "mpi-given": (
        MPIJOBS_V2BETA1,
        {"jobType": "mpi", **COMMON, "replicaSpecs": {"Launcher": _replica("mpi"), "Worker": _replica("mpi")}},
    ),
    "tf-workers": (TFJOBS, {"jobType": "tensorFlow", **COMMON, **PATHS, **TWO}),
    "tf-given": (
        TFJOBS,
        {
            "jobType": "tensorFlow",
            **COMMON,
            "replicaSpecs": {"Chief": _replica("tensorflow"), "PS": _replica("tensorflow")},
        },
    ),
}


@pytest.mark.parametrize("name", CPODJOB_CASES)
def test_the_children_of_a_cpodjob_are_what_upstream_takes(cluster: Cluster, name: str) -> None:
    resource, spec = CPODJOB_CASES[name]
    name = f"case-{name}"
    cluster.apply(CPODJOBS, name, spec)
    assert _faults(cluster) == []
    assert cluster.exists(resource, name), cluster.status(CPODJOBS, name)
    _end_all(cluster)
    assert _faults(cluster) == []
    assert meta.is_true(cluster.get(CPODJOBS, name), "Succeeded")
    assert not spec.get("ckptPath") or cluster.exists(PVCS, f"{name}-ckpt")


MODEL = {"modelFormat": {"name": "huggingface"}, "storageUri": "modelstorage://base"}
INFERENCE_CASES: dict[str, Object] = {
    "short": {"modelId": "base"},
    "short-gpu": {"modelId": "base", "gpuCount": 2, "autoscalerOptions": {"minReplicas": 1, "maxReplicas": 3}},
    "model": {"predictor": {"model": {**MODEL, "args": ["--max-length=512"]}, "minReplicas": 1}},
    "container": {
        "modelId": "base",
        "predictor": {
            "containers": [
                {
                    "name": "kserve-container",
                    "image": "image:1",
                    "env": [{"name": "STORAGE_URI", "value": "modelstorage://base"}],
                    "resources": {"limits": {"nvidia.com/gpu": "1"}},
                }
            ]
        },
    },
}


@pytest.mark.parametrize("name", INFERENCE_CASES)
def test_the_children_of_an_inference_are_what_upstream_takes(cluster: Cluster, name: str) -> None:
    inference = f"case-{name}"
    cluster.apply(INFERENCES, inference, INFERENCE_CASES[name])
    assert _faults(cluster) == []
    assert cluster.exists(INFERENCESERVICES, f"{inference}-is"), cluster.status(INFERENCES, inference)
    cluster.edit(INFERENCES, inference, {"autoscalerOptions": {"minReplicas": 2, "maxReplicas": 4}})
    assert _faults(cluster) == []


def test_a_field_that_upstream_does_not_know_would_be_found(cluster: Cluster) -> None:
    strict: StrictApi = cluster.strict  # type: ignore[attr-defined]
    spec = {"pytorchReplicaSpecs": {"Worker": {**_replica("pytorch"), "unknown": 1}}}
    strict.create(PYTORCHJOBS, {"metadata": {"name": "odd", "namespace": "default"}, "spec": spec})
    assert _faults(cluster) == ["PyTorchJob odd: spec.pytorchReplicaSpecs.Worker.unknown is pruned"]
