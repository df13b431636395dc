"""The operator against Kubernetes' own API server, as the account that `cpod install` makes, with RBAC enforced.

There is no kubelet and no other controller: the test plays their part through the API.
"""

from __future__ import annotations

import copy
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from kube_apiserver import ApiServer

from cpod_jupyter.api import meta
from cpod_jupyter.api.crds import engine_crds
from cpod_jupyter.api.resources import (
    CPOD_KINDS,
    CPODJOBS,
    CRDS,
    DATASETSTORAGES,
    EVENTS,
    FINETUNES,
    INFERENCES,
    INFERENCESERVICES,
    JOBS,
    LEASES,
    MODELSTORAGES,
    MPIJOBS_V2BETA1,
    NAMESPACES,
    PVCS,
    PYTORCHJOBS,
    ROLEBINDINGS,
    TFJOBS,
    Object,
    Resource,
    of_object,
)
from cpod_jupyter.client.client import Client
from cpod_jupyter.control.certificates import issue
from cpod_jupyter.errors import AlreadyExists, ApiError, NotFound
from cpod_jupyter.operator.webhook import CERTIFICATE, KEY, WebhookServer
from cpod_jupyter.sdk import Session
from cpod_jupyter.sdk.doctor import Level, examine
from cpod_jupyter.sdk.install import Choices, install, manifests
from cpod_jupyter.sdk.install.webhooks import CONFIGURATIONS, configuration

pytestmark = pytest.mark.timeout(240)

UPSTREAM = Path(__file__).parents[3] / "shared" / "crds"
NOT_THESE = ("kubeflow.org_v1_mpijobs",)
"""mpi-operator's v2beta1 has the same name, and is the one that CPodJobs need."""
REVIEWS = Resource("authorization.k8s.io", "v1", "subjectaccessreviews", "SubjectAccessReview", namespaced=False)
NEEDS_CEL = (1, 25)
"""The first Kubernetes that knows CEL rules in definitions; an older one is given the definitions without them."""


def wait(condition: Callable[[], Any], wanted: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{wanted} did not come true"
        time.sleep(0.1)


@pytest.fixture(scope="module")
def admin(server: ApiServer) -> Iterator[Client]:
    client = Client.from_kubeconfig(server.admin)
    steps: list[str] = []
    version = client.ping().removeprefix("v").split(".")
    old = not version[0].isdigit() or (int(version[0]), int(version[1])) < NEEDS_CEL
    wanted = [_without_rules(obj) for obj in manifests(Choices())] if old else None
    install(client, Choices(), steps.append, wait=False, wanted=wanted)
    if not UPSTREAM.exists():
        pytest.skip(f"needs upstream's definitions in {UPSTREAM}")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    theirs = [yaml.load(path.read_bytes(), loader) for path in UPSTREAM.glob("*.yaml") if path.stem not in NOT_THESE]
    there = {meta.name_of(definition) for definition in [*theirs, *client.list(CRDS).items]}
    for definition in [*theirs, *(ours for ours in engine_crds() if meta.name_of(ours) not in there)]:
        client.create(CRDS, _without_rules(definition) if old else definition)
    for definition in client.list(CRDS).items:
        name = meta.name_of(definition)
        wait(lambda name=name: meta.is_true(client.get(CRDS, name), "Established"), f"{name} is served")
    yield client
    client.close()


def _without_rules(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _without_rules(value) for key, value in node.items() if key != "x-kubernetes-validations"}
    return [_without_rules(item) for item in node] if isinstance(node, list) else node


@pytest.fixture(scope="module")
def operator(admin: Client, server: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Its log."""
    log = tmp_path_factory.mktemp("operator") / "operator.log"
    command = [
        sys.executable,
        "-m",
        "cpod_jupyter.operator",
        "--kubeconfig",
        str(server.operator),
        "--health-port",
        "0",
    ]
    with log.open("wb") as file:
        process = subprocess.Popen([*command, "--health-port", "0"], stderr=file)
    try:
        wait(lambda: "leads now" in log.read_text(), "the operator leads")
        yield log
    finally:
        process.terminate()
        assert process.wait(30) == 0
    assert "orbidden" not in log.read_text()
    assert "Traceback" not in log.read_text()


def make(client: Client, resource: Resource, name: str, spec: Object) -> None:
    client.create(resource, {"metadata": {"name": name, "namespace": "default"}, "spec": spec})


def status(client: Client, resource: Resource, name: str) -> Object:
    return dict(client.get(resource, name, "default").get("status") or {})


def there(client: Client, resource: Resource, name: str) -> bool:
    try:
        client.get(resource, name, "default")
    except NotFound:
        return False
    return True


def end(client: Client, resource: Resource, name: str, kind: str) -> None:
    now = meta.now()
    condition = {"type": kind, "status": "True", "reason": kind, "message": "", "lastTransitionTime": now}
    if resource is not INFERENCESERVICES:
        condition["lastProbeTime" if resource is JOBS else "lastUpdateTime"] = now
    client.patch(resource, name, {"status": {"conditions": [condition]}}, "default", subresource="status")


def test_from_a_model_and_data_to_a_fine_tuned_model_that_is_served(admin: Client, operator: Path) -> None:
    """Every child passes the API server's validation, and every call its authorization: least privilege suffices."""
    make(admin, MODELSTORAGES, "base", {"modeltype": "huggingface", "modelname": "org/base"})
    make(admin, DATASETSTORAGES, "facts", {"datasettype": "huggingface", "datasetname": "org/facts"})
    for kind, resource, name in (("model", MODELSTORAGES, "base"), ("dataset", DATASETSTORAGES, "facts")):
        wait(lambda kind=kind, name=name: there(admin, JOBS, f"{kind}-{name}"), f"the download of {name} begins")
        end(admin, JOBS, f"{kind}-{name}", "Complete")
        wait(
            lambda resource=resource, name=name: status(admin, resource, name).get("phase") == "done", f"{name} is done"
        )
    assert there(admin, PVCS, "pvc-model-base")

    make(admin, FINETUNES, "tune", {"model": "base", "dataset": "facts", "hyperParameters": {"n_epochs": "1"}})
    wait(lambda: there(admin, CPODJOBS, "tune-cpodjob"), "the fine-tune's job is there")
    wait(lambda: _training(admin), "the training begins")
    training = _training(admin)[0]
    end(admin, training, "tune-cpodjob", "Complete" if training is JOBS else "Succeeded")
    wait(lambda: status(admin, FINETUNES, "tune").get("phase") == "Succeeded", "the fine-tune succeeds")
    result = status(admin, FINETUNES, "tune")["modelStorage"]
    assert status(admin, MODELSTORAGES, result)["phase"] == "done"

    make(admin, INFERENCES, "serve", {"modelId": result})
    wait(lambda: there(admin, INFERENCESERVICES, "serve-is"), "the InferenceService is there")
    end(admin, INFERENCESERVICES, "serve-is", "Ready")
    wait(lambda: status(admin, INFERENCES, "serve").get("conditions"), "the inference has a status")

    events = {(event["involvedObject"]["kind"], event["reason"]) for event in admin.list(EVENTS, "default").items}
    assert ("FineTune", "Succeeded") in events
    assert admin.get(LEASES, "cpod-operator", "cpod-system")["spec"]["holderIdentity"]


def _training(client: Client) -> list[Resource]:
    return [resource for resource in (PYTORCHJOBS, JOBS) if there(client, resource, "tune-cpodjob")]


@pytest.mark.parametrize("kind", ["pytorch", "mpi", "tensorFlow", "general"])
def test_each_type_of_job_passes_the_servers_validation(admin: Client, operator: Path, kind: str) -> None:
    spec: Object = {"jobType": kind, "image": "image", "command": ["true"]}
    if kind != "general":
        spec |= {"workerReplicas": 2, "gpuRequiredPerReplica": 2}
    name = f"job-{kind.lower()}"
    if kind == "tensorFlow":
        replica = {"replicas": 1, "template": {"spec": {"containers": [{"name": "tensorflow", "image": "image"}]}}}
        spec = {**copy.deepcopy(spec), "replicaSpecs": {"Chief": replica, "Worker": replica}}
    make(admin, CPODJOBS, name, spec)
    wait(lambda: status(admin, CPODJOBS, name).get("conditions"), "the job has a status")
    job = admin.get(CPODJOBS, name, "default")
    wait(
        lambda: meta.is_true(admin.get(CPODJOBS, name, "default"), "DataPreparing"), f"its job is made: {job['status']}"
    )


def test_who_may_edit_a_namespace_may_so_with_the_kinds(admin: Client, server: ApiServer) -> None:
    """Fault 18 (B32): nobody needs cluster-admin."""
    if not server.controllers:
        pytest.skip("needs kube-controller-manager, which fills aggregated roles")
    admin.create(NAMESPACES, {"metadata": {"name": "team"}})
    for user in ("edit", "view"):
        binding = {
            "metadata": {"name": user, "namespace": "team"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": user},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
        }
        admin.create(ROLEBINDINGS, binding)
    for resource in CPOD_KINDS:
        wait(
            lambda resource=resource: may(admin, "edit", "create", resource, "team"), f"edit creates {resource.plural}"
        )
        wait(lambda resource=resource: may(admin, "view", "watch", resource, "team"), f"view sees {resource.plural}")
        assert not may(admin, "view", "create", resource, "team")
        assert not may(admin, "edit", "create", resource, "default")


def may(client: Client, user: str, verb: str, resource: Resource, namespace: str) -> bool:
    attributes = {"verb": verb, "group": resource.group, "resource": resource.plural, "namespace": namespace}
    review = {"metadata": {}, "spec": {"user": user, "resourceAttributes": attributes}}
    return bool(client.create(REVIEWS, review)["status"]["allowed"])


def test_deleting_a_fine_tune_takes_its_children_with_it(admin: Client, operator: Path, server: ApiServer) -> None:
    if not server.controllers:
        pytest.skip("needs kube-controller-manager, which collects what nobody owns any more")
    make(admin, DATASETSTORAGES, "given", {"pvc": "given"})
    claim = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}}
    make(admin, PVCS, "given", claim)
    make(admin, MODELSTORAGES, "given", {"pvc": "given"})
    wait(lambda: status(admin, MODELSTORAGES, "given").get("phase") == "done", "the model is taken over")
    make(admin, FINETUNES, "short-lived", {"model": "given", "dataset": "given"})
    wait(lambda: there(admin, CPODJOBS, "short-lived-cpodjob"), "its job is there")
    admin.delete(FINETUNES, "short-lived", "default")
    wait(lambda: not there(admin, CPODJOBS, "short-lived-cpodjob"), "its job is gone")
    assert there(admin, MODELSTORAGES, "given")


EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.yaml"))
ENDS = {JOBS: "Complete", PYTORCHJOBS: "Succeeded", MPIJOBS_V2BETA1: "Succeeded", TFJOBS: "Succeeded",
        INFERENCESERVICES: "Ready"}  # fmt: skip
FINAL = {"done", "Done", "fail", "Failed", "Succeeded", "Pending"}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_children_of_an_example_pass_the_servers_validation(admin: Client, operator: Path, path: Path) -> None:
    documents = list(yaml.safe_load_all(path.read_text("utf-8")))
    ours = []
    for document in documents:
        resource = of_object(document)
        assert resource is not None
        if resource.namespaced:
            document["metadata"].setdefault("namespace", "default")
        try:
            admin.create(resource, document)
        except AlreadyExists:
            pass  # the model or the dataset that several have
        except NotFound:
            pytest.skip(f"{resource.qualified} {resource.version} is not installed in this test")
        if resource in CPOD_KINDS:
            ours.append((resource, meta.name_of(document)))
    wait(lambda: _played(admin, ours), "all of it comes to an end")
    reasons = {
        (event["reason"], event["message"])
        for event in admin.list(EVENTS, "default").items
        if event["type"] == "Warning"
    }
    assert [said for reason, said in reasons if "does not accept" in said or reason == "Rejected"] == []


def _played(client: Client, ours: list[tuple[Resource, str]]) -> bool:
    """Ends what runs, as a cluster would; whether everything of ours has come to its end."""
    for resource, kind in ENDS.items():
        for child in client.list(resource, "default").items:
            if not (child.get("status") or {}).get("conditions"):
                end(client, resource, meta.name_of(child), kind)
    return all(_has_ended(client.get(resource, name, "default")) for resource, name in ours)


def _has_ended(obj: Object) -> bool:
    status = obj.get("status") or {}
    if status.get("observedGeneration") != obj["metadata"]["generation"]:
        return False
    if obj["kind"] == INFERENCES.kind:
        return bool(status.get("dataReady") or status.get("failureMessage"))
    return status.get("phase") in FINAL or meta.is_true(obj, "Succeeded") or meta.is_true(obj, "Failed")


def test_the_doctor_examines_it(
    admin: Client, operator: Path, server: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CPOD_CONTEXT", raising=False)
    monkeypatch.setenv("KUBECONFIG", str(server.admin))
    found = {finding.about: finding for finding in examine(Session())}
    assert found["server"].message.startswith(f"Kubernetes {admin.ping()} at {server.url}, context k")
    assert found["operator"].message.endswith(" acts")
    assert all(
        found[kind].level is Level.OK for kind in ("PyTorchJob", "MPIJob", "TFJob", "InferenceService", "rights")
    )
    assert (found["storage"].level, found["storage"].message) == (
        Level.PROBLEM,
        "there is no default class: claims stay Pending",
    )
    monkeypatch.setenv("KUBECONFIG", str(server.operator))  # an account that may see little
    narrow = [finding.message for finding in examine(Session()) if finding.about in ("rights", "storage", "quota")]
    assert any("you may not: " in message for message in narrow)
    assert any(message.startswith("not looked at: ") and "forbidden" in message for message in narrow)


def test_the_webhook_refuses_what_cannot_work_and_nothing_when_it_is_away(admin: Client, tmp_path: Path) -> None:
    """The registration that `cpod install --webhooks` makes, but for its address: there is no Service here."""
    issued = issue("webhook", [], ["127.0.0.1"])
    (tmp_path / CERTIFICATE).write_bytes(issued.certificate)
    (tmp_path / KEY).write_bytes(issued.key)
    server = WebhookServer("127.0.0.1", 0, tmp_path)
    wanted = configuration("cpod-system", issued)
    called = wanted["webhooks"][0]["clientConfig"]
    del called["service"]
    called["url"] = f"https://127.0.0.1:{server.port}/validate"
    admin.create(CONFIGURATIONS, wanted)

    def create(name: str, epochs: str) -> str:
        spec = {"model": "m", "dataset": "d", "hyperParameters": {epochs: "1"}}
        try:
            admin.create(FINETUNES, {"metadata": {"name": name, "namespace": "default"}, "spec": spec})
        except ApiError as error:
            return str(error)
        admin.delete(FINETUNES, name, "default")
        return ""

    try:
        wait(lambda: "n_epochs" in create("judged", "n_epoch"), "the webhook is called")
        assert create("judged", "n_epochs") == ""
        server.close()
        assert create("judged", "n_epoch") == ""
    finally:
        admin.delete(CONFIGURATIONS, meta.name_of(wanted))
