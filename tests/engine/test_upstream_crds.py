"""The definitions that Kubeflow, KServe and KubeDL publish: they install as they are, and hold objects to them.

They are taken from beside the repository where they are there, all 16 of them; else parts of four, which
the repository has.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3
import yaml

from cpod_jupyter.api.resources import CRDS, Resource
from cpod_jupyter.engine.kinds import Kinds
from cpod_jupyter.engine.objects import Objects
from cpod_jupyter.engine.store import Store
from cpod_jupyter.errors import Invalid

_ROOT = Path(__file__).parents[2]
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
FILES = sorted((_ROOT.parent / "shared" / "crds").glob("*.yaml")) or sorted((_ROOT / "tests/data/crds").glob("*.yaml"))
PATH = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"

CONTAINER = {"name": "main", "image": "busybox"}
REPLICAS = {"replicas": 1, "template": {"spec": {"containers": [CONTAINER]}}}
TRAINJOB = {"runtimeRef": {"name": "torch-distributed"}, "trainer": {"numNodes": 2}}
RUNTIME = {"mlPolicy": {"numNodes": 1, "torch": {}}}
PREDICTOR = {"predictor": {"model": {"modelFormat": {"name": "huggingface"}, "storageUri": "hf://org/model"}}}

VALID: dict[str, dict[str, Any]] = {
    "elasticdl.org_elasticdljobs": {"elasticdlReplicaSpecs": {"Master": REPLICAS}},
    "kubedl.io_marsjobs": {"marsReplicaSpecs": {"Scheduler": REPLICAS, "Worker": REPLICAS}},
    "kubeflow.org_v1_jaxjobs": {"jaxReplicaSpecs": {"Worker": REPLICAS}},
    "kubeflow.org_v1_mpijobs": {"mpiReplicaSpecs": {"Launcher": REPLICAS, "Worker": REPLICAS}, "slotsPerWorker": 2},
    "kubeflow.org_v1_paddlejobs": {"paddleReplicaSpecs": {"Worker": REPLICAS}},
    "kubeflow.org_v1_pytorchjobs": {"pytorchReplicaSpecs": {"Master": REPLICAS}, "nprocPerNode": "auto"},
    "kubeflow.org_v1_tfjobs": {"tfReplicaSpecs": {"Worker": REPLICAS}},
    "kubeflow.org_v1_xgboostjobs": {"xgbReplicaSpecs": {"Master": REPLICAS}},
    "kubeflow.org_v2beta1_mpijobs": {"mpiReplicaSpecs": {"Launcher": REPLICAS}},
    "serving.kserve.io_clusterservingruntimes": {"containers": [CONTAINER]},
    "serving.kserve.io_inferenceservices": PREDICTOR,
    "trainer.kubeflow.org_clustertrainingruntimes": RUNTIME,
    "trainer.kubeflow.org_trainingruntimes": RUNTIME,
    "trainer.kubeflow.org_trainjobs": TRAINJOB,
    "training.kubedl.io_elasticdljobs": {"elasticdlReplicaSpecs": {"Master": {"replicas": 1}}},
    "training.kubedl.io_marsjobs": {"marsReplicaSpecs": {"Worker": {"replicas": 1}}},
}


@functools.cache
def definitions() -> dict[str, Any]:
    """By file; read when a test wants them, for it takes seconds."""
    return {file.stem: yaml.load(file.read_bytes(), _LOADER) for file in FILES}


def changed(spec: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """The spec with another value at a dotted path; None takes the field away."""
    result: Any = copy.deepcopy(spec)
    *parents, last = path.split(".")
    place = result
    for part in parents:
        place = place[int(part)] if part.isdigit() else place.setdefault(part, {})
    if value is None:
        del place[last]
    else:
        place[last] = value
    return dict(result)


def _bad(kind: str, path: str, value: Any, field: str, text: str) -> Any:
    return pytest.param(kind, path, value, field, text, id=f"{kind.split('_')[-1]}-{path}")


PYTORCH, ISVC = "kubeflow.org_v1_pytorchjobs", "serving.kserve.io_inferenceservices"
JOBS, RUNTIMES = "trainer.kubeflow.org_trainjobs", "trainer.kubeflow.org_trainingruntimes"
_MASTER = "pytorchReplicaSpecs.Master"
_PODSPEC = f"{_MASTER}.template.spec"
_FIRST = f"spec.{_PODSPEC}.containers[0]"
INVALID = [
    *(
        _bad(kind, field, None, f"spec.{field}", "Required value")
        for kind, field in [(kind, next(iter(spec))) for kind, spec in VALID.items()]
        if "mlPolicy" not in field
    ),
    _bad(
        PYTORCH, f"{_MASTER}.replicas", "two", f"spec.{_MASTER}.replicas",
        f'Invalid value: "string": spec.{_MASTER}.replicas in body must be of type integer: "string"',
    ),
    _bad(PYTORCH, f"{_PODSPEC}.containers", None, f"spec.{_PODSPEC}.containers", "Required value"),
    _bad(
        PYTORCH, f"{_PODSPEC}.containers.0.env", [{"name": "A"}, {"name": "A"}], f"{_FIRST}.env[1]",
        'Duplicate value: {"name": "A"}',
    ),
    _bad(
        PYTORCH, f"{_PODSPEC}.containers.0.resources.limits", {"memory": "much"}, f"{_FIRST}.resources.limits.memory",
        "in body should match '^(",
    ),
    _bad(
        PYTORCH, f"{_PODSPEC}.containers.0.ports", [{"containerPort": 2**31}], f"{_FIRST}.ports[0].containerPort",
        "Checked value must be of type integer with format int32",
    ),
    _bad(
        ISVC, "predictor.minReplicas", "many", "spec.predictor.minReplicas", "must be of type integer",
    ),
    _bad(ISVC, "predictor.model.modelFormat.name", None, "spec.predictor.model.modelFormat.name", "Required value"),
    _bad(
        ISVC, "predictor.scaleMetric", "requests", "spec.predictor.scaleMetric",
        'Unsupported value: "requests": supported values: "cpu", "memory", "concurrency", "rps"',
    ),
    _bad(
        JOBS, "trainer.numProcPerNode", 0, "spec.trainer.numProcPerNode",
        'Invalid value: "integer": numProcPerNode must be greater than or equal to 1',
    ),
    _bad(JOBS, "trainer.image", "x" * 501, "spec.trainer.image", "Too long: may not be more than 500 bytes"),
    _bad(
        JOBS, "managedBy", "me", "spec.managedBy",
        'Invalid value: "string": ManagedBy must be trainer.kubeflow.org/trainjob-controller or '
        "kueue.x-k8s.io/multikueue if set",
    ),
    _bad(
        JOBS, "initializer", {"dataset": {"storageUri": "nowhere"}}, "spec.initializer.dataset.storageUri",
        'Invalid value: "string": storageUri may be empty, or it must be a valid URI (scheme://...)',
    ),
    _bad(
        RUNTIMES, "mlPolicy.jax", {}, "spec.mlPolicy",
        'Invalid value: "object": Only one of the policy can be configured',
    ),
]  # fmt: skip


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, tuple[Objects, Resource]]]:
    """Objects with a definition installed, by file: two files may define the same kind."""
    found, stores = {}, []
    for stem, definition in definitions().items():
        if stem not in VALID:
            continue
        store = Store(tmp_path_factory.mktemp("crd") / "objects.db")
        stores.append(store)
        objects = Objects(store, Kinds())
        objects.create(objects.kinds.of(CRDS), "", definition)
        objects.create(objects.kinds.find("", "v1", "namespaces"), "", {"metadata": {"name": "default"}})
        spec = definition["spec"]
        kind = objects.kinds.find(spec["group"], spec["versions"][0]["name"], spec["names"]["plural"])
        found[stem] = (objects, kind.resource)
    yield found
    for store in stores:
        store.close()


def make(installed: dict[str, tuple[Objects, Resource]], stem: str, spec: dict[str, Any], name: str = "x") -> Any:
    if stem not in installed:
        pytest.skip("this published definition is not beside the repository")
    objects, resource = installed[stem]
    namespace = "default" if resource.namespaced else ""
    return objects.create(
        objects.kinds.of(resource), namespace, {"metadata": {"name": name}, "spec": spec}, dry_run=True, strict=True
    )


@pytest.fixture
def raw(kubeconfig: Path) -> Any:
    """A plain HTTPS client: `raw(method, path, body, content_type)` → the response."""
    config = yaml.safe_load(kubeconfig.read_text())
    pool = urllib3.PoolManager(ca_certs=str(kubeconfig.parent / "pki" / "ca.crt"))
    server, token = config["clusters"][0]["cluster"]["server"], config["users"][0]["user"]["token"]

    def request(method: str, path: str, body: bytes = b"", kind: str = "application/yaml") -> Any:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": kind}
        return pool.request(method, server + path, body=body or None, headers=headers)

    yield request
    pool.clear()


@pytest.mark.skipif("shared" not in str(FILES[0]), reason="the published definitions are not beside the repository")
def test_the_published_definitions_install_unchanged(raw: Any, eventually: Any) -> None:
    for file in FILES:
        text, name = file.read_bytes(), definitions()[file.stem]["metadata"]["name"]
        answer = raw("POST", f"{PATH}?fieldValidation=Strict", text)
        if answer.status == 409:  # the engine brings a smaller one of its own
            answer = raw("PUT", f"{PATH}/{name}?fieldValidation=Strict", text)
        if answer.status == 422 and "storedVersions" in answer.json()["message"]:
            assert raw("DELETE", f"{PATH}/{name}").status == 200  # the other API version of the same kind
            eventually(lambda name=name: raw("GET", f"{PATH}/{name}").status == 404, "the definition is gone")
            answer = raw("POST", PATH, text)
        found = answer.json()
        assert answer.status in (200, 201), (file.stem, found)
        conditions = {item["type"]: item["status"] for item in found["status"]["conditions"]}
        assert conditions == {"NamesAccepted": "True", "Established": "True"}, file.stem
        spec = found["spec"]
        listed = raw("GET", f"/apis/{spec['group']}/{spec['versions'][0]['name']}/{spec['names']['plural']}").json()
        assert listed["kind"] == spec["names"]["listKind"]


@pytest.mark.parametrize("stem", VALID)
def test_a_valid_object_is_taken(installed: dict[str, tuple[Objects, Resource]], stem: str) -> None:
    assert make(installed, stem, VALID[stem])["spec"]


@pytest.mark.parametrize(("stem", "path", "value", "field", "text"), INVALID)
def test_an_object_that_breaks_its_definition_is_refused_with_the_field(
    installed: dict[str, tuple[Objects, Resource]], stem: str, path: str, value: Any, field: str, text: str
) -> None:
    with pytest.raises(Invalid) as caught:
        make(installed, stem, changed(VALID[stem], path, value))
    causes = {cause["field"]: cause["message"] for cause in caught.value.details["causes"]}
    assert text in causes.get(field, ""), causes


def test_a_name_is_held_to_the_rules_of_the_definition(installed: dict[str, tuple[Objects, Resource]]) -> None:
    with pytest.raises(Invalid, match=r"metadata\.name must match RFC 1035 DNS label format"):
        make(installed, JOBS, TRAINJOB, name="1-job")
    with pytest.raises(Invalid, match="must be no more than 63 characters"):
        make(installed, JOBS, TRAINJOB, name="j" * 64)


def test_defaults_are_filled_in_as_published(installed: dict[str, tuple[Objects, Resource]]) -> None:
    job = make(installed, JOBS, TRAINJOB)
    assert job["spec"]["managedBy"] == "trainer.kubeflow.org/trainjob-controller"
    assert job["spec"]["runtimeRef"]["kind"] == "ClusterTrainingRuntime"
    ports = changed(VALID[PYTORCH], f"{_PODSPEC}.containers.0.ports", [{"containerPort": 80}])
    made = make(installed, PYTORCH, ports)
    assert made["spec"]["pytorchReplicaSpecs"]["Master"]["template"]["spec"]["containers"][0]["ports"] == [
        {"containerPort": 80, "protocol": "TCP"}
    ]


def test_an_immutable_field_cannot_change(installed: dict[str, tuple[Objects, Resource]]) -> None:
    objects, resource = installed[JOBS]
    kind = objects.kinds.of(resource)
    objects.create(kind, "default", {"metadata": {"name": "fixed"}, "spec": TRAINJOB})
    patch = {"spec": {"trainer": {"numNodes": 3}}}
    with pytest.raises(Invalid, match=r'spec\.trainer: Invalid value: "object": field is immutable'):
        objects.patch(kind, "default", "fixed", "application/merge-patch+json", patch)
    done = objects.patch(kind, "default", "fixed", "application/merge-patch+json", {"spec": {"suspend": True}})
    assert done["spec"]["suspend"] is True
