"""The definitions that Kubeflow, KServe and KubeDL publish install as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import urllib3
import yaml

FILES = sorted((Path(__file__).parents[3] / "shared" / "crds").glob("*.yaml"))
pytestmark = pytest.mark.skipif(not FILES, reason="the published definitions are not beside the repository")


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


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_published_definition_installs_unchanged(raw: Any, file: Path) -> None:
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    text = file.read_bytes()
    answer = raw("POST", f"{path}?fieldValidation=Strict", text)
    if answer.status == 409:  # the engine brings a smaller one of its own
        name = answer.json()["details"]["name"]
        answer = raw("PUT", f"{path}/{name}?fieldValidation=Strict", text)
    found = answer.json()
    assert answer.status in (200, 201), found
    conditions = {item["type"]: item["status"] for item in found["status"]["conditions"]}
    assert conditions["Established"] == "True"
    spec = found["spec"]
    for version in spec["versions"]:
        listed = raw("GET", f"/apis/{spec['group']}/{version['name']}/{spec['names']['plural']}").json()
        assert listed["kind"] == spec["names"]["kind"] + "List"
