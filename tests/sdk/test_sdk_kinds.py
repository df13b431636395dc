"""The kinds of the training operators in the sdk: recognised, followed, listed and cancelled like the project's own."""

from __future__ import annotations

import shutil
import sys
from typing import Any

import pytest

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import (
    CONFIGMAPS,
    ELASTICDLJOBS,
    ELASTICDLJOBS_OLD,
    INFERENCESERVICES,
    JAXJOBS,
    MARSJOBS,
    MARSJOBS_OLD,
    MPIJOBS,
    MPIJOBS_V2BETA1,
    PADDLEJOBS,
    PYTORCHJOBS,
    TFJOBS,
    TRAINJOBS,
    XGBOOSTJOBS,
    Object,
    Resource,
)
from cpod_jupyter.api.schema import problems
from cpod_jupyter.errors import CpodError, Forbidden, ManifestError, NotFound, WorkFailed
from cpod_jupyter.sdk import AlreadyRun, Job, Session, State, manifest, shortforms
from cpod_jupyter.sdk.kinds import TRAININGS, forms_of
from cpod_jupyter.sdk.listing import about
from cpod_jupyter.sdk.pods import place_of, rank
from cpod_jupyter.sdk.states import status_of

FORMS = [form for kind in TRAININGS.values() for form in forms_of(kind)]
KUBEFLOW, JOBSET = "training.kubeflow.org", "jobset.sigs.k8s.io"
by_form = pytest.mark.parametrize("resource", FORMS, ids=lambda found: f"{found.singular}.{found.api_version}")


# ---- without a server


LABELS = {
    "launcher": {f"{KUBEFLOW}/job-role": "launcher"},
    "master-0": {f"{KUBEFLOW}/replica-type": "master", f"{KUBEFLOW}/replica-index": "0"},
    "chief-0": {f"{KUBEFLOW}/replica-type": "Chief", f"{KUBEFLOW}/replica-index": "0"},
    "scheduler-0": {"replica-type": "scheduler", "replica-index": "0"},
    "node-0": {f"{JOBSET}/replicatedjob-name": "node", "batch.kubernetes.io/job-completion-index": "0"},
    "worker-1": {f"{KUBEFLOW}/replica-type": "worker", f"{KUBEFLOW}/replica-index": "1"},
    "ps-0": {f"{KUBEFLOW}/replica-type": "ps", f"{KUBEFLOW}/replica-index": "0"},
    "webservice-0": {"replica-type": "webservice", "replica-index": "0"},
    "dataset-initializer-0": {f"{JOBSET}/replicatedjob-name": "dataset-initializer"},
}


def test_pods_have_their_place_by_every_operators_labels_and_leaders_come_first() -> None:
    pods = [{"kind": "Pod", "metadata": {"name": name, "labels": labels}} for name, labels in LABELS.items()]
    shuffled = pods[::-1]
    assert [place_of(pod).removesuffix("-0") for pod in pods] == [name.removesuffix("-0") for name in LABELS]
    assert [pod["metadata"]["name"] for pod in sorted(shuffled, key=rank)][-3:] == [*LABELS][-3:]
    assert {rank(pod)[0] for pod in pods[:4]} == {0}


def condition(kind: str, status: str = "True", message: str = "") -> dict[str, str]:
    return {"type": kind, "status": status, "message": message}


STATES: dict[str, tuple[Resource, dict[str, Any], State, str]] = {
    "created": (PYTORCHJOBS, {"conditions": [condition("Created")]}, State.PENDING, "Created"),
    "runs": (TFJOBS, {"conditions": [condition("Created"), condition("Running")]}, State.RUNNING, "Running"),
    "restarts": (JAXJOBS, {"conditions": [condition("Restarting", message="x")]}, State.RUNNING, "Restarting: x"),
    "queues": (MARSJOBS, {"conditions": [condition("Queuing")]}, State.PENDING, "Queuing"),
    "is over": (
        XGBOOSTJOBS, {"conditions": [condition("Running", "False"), condition("Succeeded")]}, State.SUCCEEDED,
        "Succeeded",
    ),
    "failed": (MPIJOBS_V2BETA1, {"conditions": [condition("Failed", message="why")]}, State.FAILED, "Failed: why"),
    "suspended": (
        PADDLEJOBS, {"conditions": [condition("Suspended")]}, State.PENDING,
        "Suspended: suspended; it runs on when runPolicy.suspend is false",
    ),
    "fetches": (
        TRAINJOBS, {"jobsStatus": [{"name": "model-initializer", "active": 1}]}, State.PREPARING,
        "Initializing: model-initializer at work",
    ),
    "trains": (TRAINJOBS, {"jobsStatus": [{"name": "node", "active": 1}]}, State.RUNNING, "Running"),
    "waits": (TRAINJOBS, {"conditions": [condition("Waiting", message="no x")]}, State.PENDING, "Waiting: no x"),
    "is complete": (TRAINJOBS, {"conditions": [condition("Complete")]}, State.SUCCEEDED, "Succeeded"),
    "trained in vain": (TRAINJOBS, {"conditions": [condition("Failed", message="b")]}, State.FAILED, "Failed: b"),
    "serves": (INFERENCESERVICES, {"conditions": [condition("Ready")]}, State.READY, "Ready"),
    "does not serve yet": (
        INFERENCESERVICES, {"conditions": [condition("Ready", "False", "no pod")]}, State.RUNNING, "Starting: no pod",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("resource", "status", "state", "words"), STATES.values(), ids=STATES)
def test_the_conditions_of_every_kind_are_one_vocabulary(
    resource: Resource, status: dict[str, Any], state: State, words: str
) -> None:
    found = status_of({"kind": resource.kind, "metadata": {"name": "j"}, "spec": {}, "status": status}, resource)
    assert (found.state, str(found)) == (state, words)


def short(resource: Resource) -> dict[str, Any]:
    workers = {} if resource.kind == "ElasticDLJob" else {"workers": 3}
    return {"image": "team/x:v1", "command": ["python", "t.py"], "gpus": 2, **workers}


@by_form
def test_a_short_form_becomes_a_spec_that_the_kind_takes(resource: Resource) -> None:
    if resource.kind == "MarsJob":
        assert not shortforms.is_short(resource, short(resource)), "three roles with programs of their own"
        return
    assert problems(shortforms.schema_of(resource), short(resource), unknown=True) == []
    spec = shortforms.expanded(resource, short(resource))
    whole = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": {"name": "j"}, "spec": spec}
    assert manifest.check(whole) == whole


ABOUT = {
    "pytorchjob": "1 master, 2 workers, team/x:v1",
    "tfjob": "3 workers, team/x:v1",
    "mpijob": "1 launcher, 3 workers, team/x:v1",
    "elasticdljob": "1 master, team/x:v1",
    "trainjob": "torch-distributed, 3 nodes, team/x:v1",
}


@pytest.mark.parametrize("word", ABOUT)
def test_a_job_is_listed_with_its_replicas_and_image(word: str) -> None:
    resource = TRAININGS[word]
    spec = shortforms.expanded(resource, short(resource))
    assert about({"kind": resource.kind, "metadata": {"name": "j"}, "spec": spec}) == ABOUT[word]


@by_form
def test_what_is_misspelt_is_told_with_its_place_and_the_nearest_name(resource: Resource) -> None:
    """Fault B11: what a kind requires and allows stands in its definition."""
    field = next(iter(manifest.known_schema(resource)["properties"]["spec"]["required"]))
    identity = f"apiVersion: {resource.api_version}\nkind: {resource.kind}\nmetadata: {{name: j}}\n"
    text = f"{identity}spec:\n  {field}s: {{}}\n"
    with pytest.raises(ManifestError) as caught:
        manifest.load(text)
    said = "\n".join(caught.value.problems)
    assert f'line 5, column 3: spec.{field}s: unknown field; did you mean "{field}"' in said
    assert f"spec.{field}: is required" in said or "required" in said


def test_faults_of_a_short_form_have_their_places() -> None:
    with pytest.raises(ManifestError) as caught:
        manifest.load("image: x\nworker: 2\ngpus: -1\n", kind=PYTORCHJOBS, name="j")
    assert caught.value.problems == [
        'line 2, column 1: worker: unknown field; did you mean "workers"?',
        "line 3, column 7: gpus: must be at least 0, not -1",
    ]


# ---- on an engine


def program(text: str, image: str = "python:3.11") -> dict[str, Any]:
    return {"image": image, "command": [sys.executable, "-c", text]}


def replicas(container: str, roles: dict[str, str]) -> dict[str, Any]:
    """Replica specs of one pod a role, each with its program."""
    return {
        role: {
            "restartPolicy": "Never",
            "template": {
                "spec": {
                    "containers": [{"name": container, **program(text)}],
                    "terminationGracePeriodSeconds": 1,
                }
            },
        }
        for role, text in roles.items()
    }


SLEEP = "import time; time.sleep(300)"
SIMPLE = ("pytorchjob", "tfjob", "xgboostjob", "paddlejob", "jaxjob", "trainjob", "elasticdljob")


@pytest.mark.timeout(180)
def test_every_kind_is_submitted_followed_listed_and_run_once(session: Session) -> None:
    for word in SIMPLE:
        session.training(word, f"my-{word}", **program(f"print('hello from {word}')"))
    mars = replicas("mars", {"Scheduler": "print('hello from marsjob')"})
    session.training("marsjob", "my-marsjob", marsReplicaSpecs=mars)
    for word in (*SIMPLE, "marsjob"):
        handle = session.find(f"my-{word}")
        assert isinstance(handle, Job)
        handle.wait(120)
        assert list(handle.logs()) == [f"hello from {word}"]
        assert any(event["reason"] for event in handle.events())
        assert session.get(word, f"my-{word}").title == f"{word}/my-{word}"
    listed = {row[0]: row for row in session.ls().rows()}
    assert {row[2] for row in listed.values()} == {"Succeeded"}
    assert set(listed) == {*SIMPLE, "marsjob"}, "their pods and Jobs are parts, not listed for themselves"
    for word in SIMPLE:
        with pytest.raises(AlreadyRun, match=rf"{word}/my-{word} has run \(Succeeded\).*--new"):
            session.training(word, f"my-{word}", **program("print('another')"))


@pytest.mark.timeout(120)
def test_both_versions_of_mpijob_and_the_older_groups_are_told_apart(session: Session) -> None:
    mpi = replicas("mpi", {"Launcher": SLEEP})
    for resource, name, field, specs in (
        (MPIJOBS, "first", "mpiReplicaSpecs", mpi),
        (MPIJOBS_V2BETA1, "second", "mpiReplicaSpecs", mpi),
        (ELASTICDLJOBS, "dl", "elasticdlReplicaSpecs", replicas("elasticdl", {"Master": SLEEP})),
        (ELASTICDLJOBS_OLD, "dl-old", "elasticdlReplicaSpecs", replicas("elasticdl", {"Master": SLEEP})),
        (MARSJOBS_OLD, "mars-old", "marsReplicaSpecs", replicas("mars", {"Scheduler": SLEEP})),
    ):
        identity = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": {"name": name}}
        session.apply({**identity, "spec": {field: specs}})
        assert session.find(name).resource == resource
    assert sorted(row[:2] for row in session.ls("mpijobs").rows()) == [("mpijob", "first"), ("mpijob", "second")]
    assert sorted(row[1] for row in session.ls().rows()) == ["dl", "dl-old", "first", "mars-old", "second"]
    cancelled = session.get("mpijob", "first")
    assert isinstance(cancelled, Job)
    cancelled.cancel()
    stored = session.client.get(MPIJOBS, "first", session.namespace)
    assert "mpiImplementation" not in stored["spec"], "it is still training-operator's"
    for name in ("dl-old", "mars-old"):
        old = session.find(name)
        assert isinstance(old, Job)
        old.cancel()
        with pytest.raises(NotFound):
            session.find(name)


def test_the_pod_that_failed_first_tells_why_and_has_its_log(session: Session) -> None:
    bad = "import sys; print('shard 3 is empty', flush=True); sys.exit(3)"
    specs = replicas("pytorch", {"Master": SLEEP, "Worker": bad})
    job = session.training("pytorchjob", "torn", pytorchReplicaSpecs=specs, runPolicy={"cleanPodPolicy": "Running"})
    with pytest.raises(WorkFailed) as caught:
        job.wait(60)
    assert "worker-0: it failed (exit code 3)" in str(caught.value)
    assert "%cpod logs torn --pod worker-0" in str(caught.value)
    assert "| shard 3 is empty" in str(caught.value)
    assert list(job.logs(pod="worker-0")) == ["shard 3 is empty"]
    with pytest.raises(NotFound, match='no pod "worker-9"'):
        list(job.logs(pod="worker-9"))


@pytest.mark.parametrize("word", ["pytorchjob", "trainjob"])
def test_a_cancelled_job_stays_and_can_be_resumed(session: Session, word: str) -> None:
    job = session.training(word, "held", **program(SLEEP))
    for snapshot in job.follow(60):
        if snapshot.state is State.RUNNING:
            break
    assert [place.rpartition("-")[2] for place in job.pods()] == ["0"]
    job.cancel()
    for snapshot in job.follow(60):
        if snapshot.status.phase == "Suspended" and not job.pods():
            break
    job.resume()
    for snapshot in job.follow(60):
        if snapshot.state is State.RUNNING:
            break
    with pytest.raises(CpodError, match="is not suspended"):
        job.resume()
    job.cancel()
    job.resume()  # at once, before its controller has seen to it
    job.delete()


@pytest.mark.skipif(shutil.which("mpirun") is None, reason="mpirun is not installed (Debian: openmpi-bin)")
def test_an_mpijob_in_the_short_form_runs_mpirun(session: Session) -> None:
    command = ["mpirun", "-np", "2", sys.executable, "-c", "print('rank')"]
    job = session.training("mpijob", "ranks", image="mpi", command=command, workers=2)
    assert job.resource == MPIJOBS_V2BETA1
    job.wait(90)
    assert "".join(job.logs()).count("rank") == 2, "mpirun may mix the lines of its ranks"


def test_a_kind_that_cannot_be_listed_does_not_hide_the_others(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    session.apply(
        {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": "mine"},
            "spec": {
                "suspend": True,
                "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "busybox"}]}},
            },
        }
    )
    real = session.client.list

    def refusing(resource: Resource, *arguments: Any, **more: Any) -> Any:
        if resource == PYTORCHJOBS:
            raise Forbidden("pytorchjobs.kubeflow.org is forbidden")
        if resource == TRAINJOBS:
            raise NotFound("the server could not find the requested resource")
        return real(resource, *arguments, **more)

    monkeypatch.setattr(session.client, "list", refusing)
    listing = session.ls()
    assert [row[:3] for row in listing.rows()] == [("batchjob", "mine", "Suspended")]
    assert repr(listing).splitlines()[-1] == "not listed: pytorchjob: pytorchjobs.kubeflow.org is forbidden"


def made_for(owner: Object, resource: Resource, name: str) -> Object:
    metadata = {"name": name, "namespace": "default", "ownerReferences": [meta.owner_reference(owner)]}
    return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata}


SERVER = """
import http.server, os
print("it serves", flush=True)
http.server.HTTPServer((os.environ["POD_IP"], 8080), http.server.SimpleHTTPRequestHandler).serve_forever()
"""


def test_an_inferenceservice_of_a_persons_own_is_followed_and_one_of_an_inference_not_listed(session: Session) -> None:
    address = {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}
    container = {"name": "kserve-container", "env": [address], **program(SERVER)}
    spec = {"predictor": {"containers": [container]}}
    identity = {"apiVersion": INFERENCESERVICES.api_version, "kind": INFERENCESERVICES.kind}
    session.apply({**identity, "metadata": {"name": "own"}, "spec": spec})
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "o", "namespace": session.namespace}}
    owner = session.client.create(CONFIGMAPS, owner)
    part = {**made_for(owner, INFERENCESERVICES, "part"), "spec": spec}
    part["metadata"]["namespace"] = session.namespace
    session.client.create(INFERENCESERVICES, part)
    assert [row[:2] for row in session.ls().rows()] == [("inferenceservice", "own")]
    service = session.find("inferenceservice/own").wait(60)
    assert service.status.state is State.READY
    assert next(service.logs()) == "it serves"
    assert str(service.object["status"]["url"]).startswith("http://")
