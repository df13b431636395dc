"""The admission webhook over HTTPS, as an API server calls it."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3

from cpod_jupyter.control.certificates import Issued, issue
from cpod_jupyter.errors import CpodError
from cpod_jupyter.operator.webhook import CERTIFICATE, KEY, PATH, WebhookServer

V1, V1BETA1 = "cpod.cpod/v1", "cpod.cpod/v1beta1"


def put(folder: Path, issued: Issued) -> None:
    (folder / CERTIFICATE).write_bytes(issued.certificate)
    (folder / KEY).write_bytes(issued.key)


@pytest.fixture
def issued() -> Issued:
    return issue("webhook", [], ["127.0.0.1"])


@pytest.fixture
def server(issued: Issued, tmp_path: Path) -> Iterator[WebhookServer]:
    put(tmp_path, issued)
    found = WebhookServer("127.0.0.1", 0, tmp_path)
    yield found
    found.close()


def post(server: WebhookServer, issued: Issued, body: bytes, path: str = PATH) -> tuple[int, dict[str, Any]]:
    trusted = ssl.create_default_context(cadata=issued.ca.decode())
    with urllib3.PoolManager(ssl_context=trusted) as pool:
        answer = pool.request("POST", f"https://127.0.0.1:{server.port}{path}", body=body, retries=False, timeout=10)
        return answer.status, answer.json()


def judged(server: WebhookServer, issued: Issued, request: dict[str, Any]) -> dict[str, Any]:
    review = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {"uid": "u-1", **request}}
    status, answer = post(server, issued, json.dumps(review).encode())
    assert (status, answer["kind"], answer["response"]["uid"]) == (200, "AdmissionReview", "u-1")
    return dict(answer["response"])


def obj(kind: str, version: str, spec: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": "x", "namespace": "d", **metadata}, "spec": spec}


TUNE = {"model": "m", "dataset": "d"}

BAD = {
    "a hyperparameter": (obj("FineTune", V1BETA1, {**TUNE, "hyperParameters": {"n_epoch": "1"}}), "n_epochs"),
    "a trainer's argument": (obj("FineTune", V1BETA1, {**TUNE, "config": {"lora_rnk": "8"}}), "lora_rank"),
    "a name": (obj("FineTune", V1BETA1, TUNE, name="n" * 60), "at most"),
    "replicaSpecs": (
        obj("CPodJob", V1BETA1, {"image": "i", "jobType": "general", "replicaSpecs": {"Worker": {}}}), "replica types",
    ),
    "params": (obj("Inference", V1BETA1, {"modelId": "m", "params": "[1]"}), "params"),
    "a source": (obj("ModelStorage", V1, {"modelname": "ftp://x/y"}), "scheme"),
    "a checksum": (
        obj("DataSetStorage", V1, {"datasetname": "https://x/y.jsonl"}, annotations={"cpod.cpod/sha256": "12"}),
        "hexadecimal",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_work_is_refused_in_the_operators_words(server: WebhookServer, issued: Issued, case: str) -> None:
    new, words = BAD[case]
    answer = judged(server, issued, {"operation": "CREATE", "object": new})
    assert (answer["allowed"], answer["status"]["code"], answer["status"]["reason"]) == (False, 422, "Invalid")
    assert words in answer["status"]["message"]


PASSING = {
    "a good one": {"operation": "CREATE", "object": obj("FineTune", V1BETA1, TUNE)},
    "a name that the server makes": {
        "operation": "CREATE", "object": obj("FineTune", V1BETA1, TUNE, name="", generateName="tune-"),
    },
    "a claim by hand": {"operation": "CREATE", "object": obj("ModelStorage", V1, {"pvc": "mine"})},
    "a copy of a public storage": {
        "operation": "CREATE",
        "object": obj("ModelStorage", V1, {"modeltype": "trained"}, annotations={"cpod.cpod/copy-of-uid": "u"}),
    },
    "one of a wrong form": {
        "operation": "CREATE",
        "object": obj("CPodJob", V1BETA1, {
            "image": "i", "jobType": "pytorch", "ckptPath": "/c",
            "replicaSpecs": {"Worker": {"template": {"spec": {"containers": [{}]}}}},
        }),
    },
    "another version": {"operation": "CREATE", "object": obj("ModelStorage", V1BETA1, {"name": "x"})},
    "another kind": {"operation": "CREATE", "object": obj("Pod", "v1", {})},
    "a label on a bad one": {
        "operation": "UPDATE", "object": BAD["a source"][0], "oldObject": BAD["a source"][0],
    },
    "a status": {"operation": "UPDATE", "subResource": "status", "object": BAD["a source"][0]},
    "one on its way out": {
        "operation": "UPDATE",
        "object": obj("ModelStorage", V1, {"modelname": "ftp://x"}, deletionTimestamp="2026-01-01T00:00:00Z"),
    },
    "a deletion": {"operation": "DELETE", "oldObject": BAD["a source"][0]},
}  # fmt: skip


@pytest.mark.parametrize("case", PASSING)
def test_what_may_work_and_what_is_not_its_affair_passes(server: WebhookServer, issued: Issued, case: str) -> None:
    assert judged(server, issued, PASSING[case])["allowed"] is True


def test_what_is_no_review_is_an_error_in_words(server: WebhookServer, issued: Issued) -> None:
    assert post(server, issued, b"not json")[0] == 400
    assert post(server, issued, b'{"kind": "AdmissionReview"}')[0] == 400
    assert post(server, issued, b"[]")[0] == 400
    assert post(server, issued, b"{}", "/elsewhere")[0] == 404


def test_a_body_that_is_too_large_is_not_even_read(server: WebhookServer, issued: Issued) -> None:
    trusted = ssl.create_default_context(cadata=issued.ca.decode())
    connection = http.client.HTTPSConnection("127.0.0.1", server.port, context=trusted, timeout=10)
    connection.putrequest("POST", PATH)
    connection.putheader("Content-Length", str((8 << 20) + 1))
    connection.endheaders()
    assert connection.getresponse().status == 413
    connection.close()


def test_a_renewed_certificate_serves_the_next_connection(
    server: WebhookServer, issued: Issued, tmp_path: Path
) -> None:
    renewed = issue("webhook", [], ["127.0.0.1"])
    put(tmp_path, renewed)
    assert post(server, renewed, b"{}")[0] == 400
    with pytest.raises(urllib3.exceptions.SSLError):
        post(server, issued, b"{}")


def test_without_a_certificate_it_does_not_begin(tmp_path: Path) -> None:
    with pytest.raises(CpodError, match="cannot serve"):
        WebhookServer("127.0.0.1", 0, tmp_path)
