"""uploadModel: the result of a CPodJob in an object store; its success stands, whatever becomes of the upload."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from operator_cluster import Cluster, terminated, unschedulable
from s3_server import s3_server
from whole_engine import whole_engine

from cpod_jupyter.api import meta
from cpod_jupyter.api.names import ANNOTATION_UPLOAD_TO, LABEL_JOB
from cpod_jupyter.api.resources import CPODJOBS, JOBS, MODELSTORAGES, PODS, PVCS, SECRETS, Object
from cpod_jupyter.client.client import Client
from cpod_jupyter.control.controller import Key
from cpod_jupyter.engine.local_api import LocalApi
from cpod_jupyter.engine.objects import Objects
from cpod_jupyter.operator.settings import Settings

SAVING = {"image": "me/train", "modelSavePath": "/save", "uploadModel": True}
BUCKET = "s3://bucket/cpod"


@pytest.fixture
def cluster(api: LocalApi, objects: Objects) -> Cluster:
    """A cluster whose operator knows where to upload to."""
    return Cluster(api, objects.store, Settings(upload_destination=BUCKET, upload_retries=2))


def conditions(cluster: Cluster, name: str = "t") -> dict[str, tuple[str, str]]:
    listed = cluster.status(CPODJOBS, name)["conditions"]
    return {entry["type"]: (entry["status"], entry["reason"]) for entry in listed}


def said(cluster: Cluster, kind: str, name: str = "t") -> str:
    return str((meta.condition(cluster.get(CPODJOBS, name), kind) or {}).get("message"))


def succeed(cluster: Cluster, outcome: dict[str, Any] | None = None, name: str = "t") -> None:
    """Run the Job under a CPodJob to its good end."""
    cluster.pod(cluster.get(JOBS, name), LABEL_JOB, terminated(json.dumps(outcome or {"size": 7}), 0))
    cluster.end(JOBS, name, "Complete")


def uploading(cluster: Cluster, **more: Any) -> Object:
    """A CPodJob `t` that has succeeded; its upload Job."""
    cluster.apply(CPODJOBS, "t", {**SAVING, **more})
    assert not cluster.exists(JOBS, "t-upload")
    succeed(cluster)
    return cluster.get(JOBS, "t-upload")


def test_a_job_that_succeeded_is_uploaded_and_says_where_to(cluster: Cluster) -> None:
    job = uploading(cluster)
    assert conditions(cluster)["Succeeded"] == ("True", "JobSucceeded")
    assert conditions(cluster)["ModelUploading"] == ("True", "UploadingModel")
    assert "ModelUploaded" not in conditions(cluster)
    ended_at = cluster.status(CPODJOBS, "t")["completionTime"]

    cluster.pod(job, LABEL_JOB, terminated('{"files": 1}', 0))
    cluster.end(JOBS, "t-upload", "Complete")
    assert conditions(cluster)["ModelUploaded"] == ("True", "UploadModelSucceed")
    assert conditions(cluster)["ModelUploading"] == ("False", "UploadModelSucceed")
    assert said(cluster, "ModelUploaded") == "the model is at s3://bucket/cpod/models/default/t"
    assert cluster.status(CPODJOBS, "t")["completionTime"] == ended_at
    told = [reason for _, reason, _ in cluster.events("t")]
    assert {"UploadingModel", "UploadModelSucceed"} <= set(told)

    cluster.api.delete(JOBS, "t-upload", "default")
    cluster.settle()
    assert not cluster.exists(JOBS, "t-upload"), "what is done is not done again"


def test_keys_come_from_the_secret_and_stand_in_no_argument(cluster: Cluster) -> None:
    """Fault 9 (B32)."""
    spec = uploading(cluster)["spec"]
    (container,) = spec["template"]["spec"]["containers"]
    assert container["name"] == "uploadjob"
    assert container["args"] == [
        "upload", "--source", "/cpod/model", "--destination", "s3://bucket/cpod/models/default/t",
    ]  # fmt: skip
    assert container["envFrom"] == [{"secretRef": {"name": "object-store", "optional": True}}]
    assert "env" not in container
    assert spec["template"]["spec"]["volumes"] == [
        {"name": "modelsave", "persistentVolumeClaim": {"claimName": "t-modelsave-pvc"}}
    ]
    assert spec["backoffLimit"] == 2
    assert spec["activeDeadlineSeconds"] == 24 * 3600


@pytest.mark.parametrize(
    ("adapter", "annotations", "destination"),
    [
        pytest.param(True, {}, "s3://bucket/cpod/adapters/default/t", id="an adapter"),
        pytest.param(
            False,
            {"cpod.cpod/modelstorageName": "My model: 2026-01-01 10:00/v 2"},
            "s3://bucket/cpod/models/default/My-model-2026-01-01-10-00/v-2",
            id="a readable name",
        ),
        pytest.param(False, {"cpod.cpod/modelstorageName": "../.."}, "s3://bucket/cpod/models/default/t", id="dots"),
        pytest.param(True, {ANNOTATION_UPLOAD_TO: "oss://mine/here/"}, "oss://mine/here", id="the job's own"),
    ],
)
def test_a_model_has_its_place_in_the_store(
    cluster: Cluster, adapter: bool, annotations: dict[str, str], destination: str
) -> None:
    """Fault 17 (B4, B6): names come from the object, never from the time, and adapters are told by what they are."""
    cluster.apply(CPODJOBS, "t", SAVING, annotations)
    succeed(cluster, {"size": 1, "adapter": adapter})
    args = cluster.get(JOBS, "t-upload")["spec"]["template"]["spec"]["containers"][0]["args"]
    assert args[-1] == destination


def test_an_upload_that_fails_for_good_leaves_the_job_succeeded(cluster: Cluster) -> None:
    """Faults 13 and B26: retried so often and no more, reported as what it is, and the job is over."""
    job = uploading(cluster)
    cluster.pod(job, LABEL_JOB, terminated("ACCESS_DENIED", 1))
    assert "not done yet: ACCESS_DENIED" in said(cluster, "ModelUploading")
    cluster.end(JOBS, "t-upload", "Failed", "Job has reached the specified backoff limit", "BackoffLimitExceeded")

    assert conditions(cluster)["Succeeded"][0] == "True"
    assert conditions(cluster)["ModelUploaded"] == ("False", "UploadModelFailed")
    assert conditions(cluster)["ModelUploading"][0] == "False"
    assert "failed: ACCESS_DENIED; to try again" in said(cluster, "ModelUploaded")
    assert [kind for kind, reason, _ in cluster.events("t") if reason == "UploadModelFailed"] == ["Warning"]
    assert cluster.status(CPODJOBS, "t")["modelStorage"] == "t-modelsavestorage"
    before = cluster.get(CPODJOBS, "t")["metadata"]["resourceVersion"]
    cluster.settle()
    assert cluster.get(CPODJOBS, "t")["metadata"]["resourceVersion"] == before


def fail(cluster: Cluster) -> None:
    uploading(cluster)
    cluster.end(JOBS, "t-upload", "Failed", "no")
    assert conditions(cluster)["ModelUploaded"][0] == "False"


def test_deleting_the_failed_upload_tries_again(cluster: Cluster) -> None:
    fail(cluster)
    cluster.api.delete(JOBS, "t-upload", "default")
    cluster.until(lambda: "ModelUploaded" not in conditions(cluster))
    cluster.end(JOBS, "t-upload", "Complete")
    assert conditions(cluster)["ModelUploaded"][0] == "True"


def test_another_destination_tries_again_there(cluster: Cluster) -> None:
    fail(cluster)
    annotations = {ANNOTATION_UPLOAD_TO: "s3://other/place"}
    cluster.api.patch(CPODJOBS, "t", {"metadata": {"annotations": annotations}}, "default")
    cluster.until(lambda: "s3://other/place" in said(cluster, "ModelUploading"))
    assert "ModelUploaded" not in conditions(cluster)


def test_an_upload_that_cannot_start_says_why(cluster: Cluster) -> None:
    cluster.pod(uploading(cluster), LABEL_JOB, unschedulable("0/1 nodes are available"))
    assert said(cluster, "ModelUploading").endswith("not done yet: 0/1 nodes are available")


def test_a_failed_job_uploads_nothing(cluster: Cluster) -> None:
    """Fault 13 (B7)."""
    cluster.apply(CPODJOBS, "t", SAVING)
    cluster.end(JOBS, "t", "Failed", "no")
    assert cluster.names(JOBS) == ["t"]
    assert cluster.names(MODELSTORAGES) == []
    assert "ModelUploading" not in conditions(cluster)


@pytest.mark.parametrize(
    ("annotation", "reason", "words"),
    [
        pytest.param("", "NoUploadDestination", "set uploadDestination in the operator's settings", id="nowhere"),
        pytest.param("ftp://host/dir", "BadUploadDestination", "s3://, oss://, gs://", id="no store"),
        pytest.param("s3://KEY:SECRET@bucket/x", "BadUploadDestination", "keys in a Secret", id="keys in it"),
        pytest.param("file:///srv/models", "BadUploadDestination", "gone with the pod", id="a pod's own files"),
    ],
)
def test_an_upload_that_could_go_nowhere_is_refused_before_anything_is_trained(
    api: LocalApi, objects: Objects, annotation: str, reason: str, words: str
) -> None:
    cluster = Cluster(api, objects.store, Settings())
    cluster.apply(CPODJOBS, "t", SAVING, {ANNOTATION_UPLOAD_TO: annotation} if annotation else None)
    assert conditions(cluster)["Failed"] == ("True", reason)
    assert words in said(cluster, "Failed")
    assert cluster.names(JOBS) == cluster.names(PVCS) == []


def test_a_result_that_is_gone_is_not_uploaded_as_nothing(cluster: Cluster) -> None:
    cluster.apply(CPODJOBS, "t", SAVING)
    cluster.pod(cluster.get(JOBS, "t"), LABEL_JOB, terminated("{}", 0))
    job = cluster.get(JOBS, "t")
    done = {"type": "Complete", "status": "True", "reason": "", "message": ""}
    cluster.api.patch(JOBS, "t", {"status": {"conditions": [done]}}, "default", subresource="status")
    controller = next(found for found in cluster.controllers if found.name == CPODJOBS.plural)
    controller.reconcile(Key("default", meta.name_of(job)))
    cluster.api.delete(MODELSTORAGES, "t-modelsavestorage", "default")
    cluster.settle()
    assert conditions(cluster)["ModelUploaded"] == ("False", "ResultLost")
    assert not cluster.exists(JOBS, "t-upload")


# ---- on the engine, to a server


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    home = tmp_path_factory.mktemp("home")
    (home / "operator.yaml").write_text("uploadDestination: s3://bucket/cpod\nuploadRetries: 2\n")
    with whole_engine(home) as engine:
        found = Client.from_kubeconfig(engine.kubeconfig)
        yield found
        found.close()


SAVE = "from pathlib import Path; Path('/save/config.json').write_text('{}'); Path('/save/w.bin').write_bytes(b'7' * 9)"


def secret(client: Client, name: str, content: dict[str, str]) -> None:
    metadata = {"name": name, "namespace": "default"}
    client.create(SECRETS, {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": content})


def upload(client: Client, name: str, annotations: dict[str, str]) -> Object:
    """Run a CPodJob that saves a model, until it is uploaded or not."""
    metadata = {"name": name, "namespace": "default", "annotations": annotations}
    spec = {**SAVING, "image": "python", "command": [sys.executable, "-c", SAVE], "backoffLimit": 0}
    client.create(CPODJOBS, {"metadata": metadata, "spec": spec})
    until = time.monotonic() + 150
    while not meta.condition(job := client.get(CPODJOBS, name, "default"), "ModelUploaded"):
        assert not meta.is_true(job, "Failed"), job["status"]
        assert time.monotonic() < until, job.get("status")
        time.sleep(0.1)
    return job


@pytest.mark.timeout(240)
def test_a_model_reaches_a_server_that_fails_at_first(client: Client) -> None:
    """The first pod gives up and says that another try may go well; the second sends what is missing."""
    pytest.importorskip("pyarrow")
    with s3_server() as bucket:
        secret(client, "object-store", bucket.environment)
        bucket.failures = 15  # more than one pod's tries, with those of the client in it
        job = upload(client, "kept", {})
        assert meta.is_true(job, "ModelUploaded"), job["status"]
        assert bucket.objects["cpod/models/default/kept/w.bin"] == b"7" * 9
        assert "cpod/models/default/kept/cpod-manifest.json" in bucket.objects
        assert len(client.list(PODS, "default", label_selector="cpod.cpod/upload=kept").items) > 1


@pytest.mark.timeout(120)
def test_a_server_that_refuses_is_reported_at_once(client: Client) -> None:
    pytest.importorskip("pyarrow")
    with s3_server() as bucket:
        bucket.refuses = True
        secret(client, "other-store", bucket.environment)
        job = upload(client, "refused", {"cpod.cpod/secret": "other-store"})
    assert meta.is_true(job, "Succeeded")
    entry = meta.condition(job, "ModelUploaded") or {}
    assert (entry["status"], entry["reason"]) == ("False", "UploadModelFailed")
    assert "ACCESS_DENIED" in entry["message"]
    assert "test-secret" not in json.dumps(job)


def test_a_directory_of_the_machine_will_do_on_the_engine(client: Client, tmp_path: Path) -> None:
    job = upload(client, "here", {ANNOTATION_UPLOAD_TO: (tmp_path / "models").as_uri()})
    assert meta.is_true(job, "ModelUploaded"), job["status"]
    assert (tmp_path / "models" / "w.bin").read_bytes() == b"7" * 9
