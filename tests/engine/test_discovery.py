"""What the server tells of itself: discovery in its forms, OpenAPI, health."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import kubernetes
import pytest

from cpod_jupyter.api.resources import CRDS
from cpod_jupyter.client.client import Client

V2 = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
V2BETA1 = V2.replace("v=v2", "v=v2beta1")
PLAIN = "application/json"
CRD = {
    "metadata": {"name": "widgets.example.com"},
    "spec": {
        "group": "example.com",
        "scope": "Namespaced",
        "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "shortNames": ["wd"]},
        "versions": [
            {
                "name": name,
                "served": True,
                "storage": name == "v1beta1",
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {"type": "object", "properties": {"size": {"type": "integer"}}},
                            "status": {"type": "object", "properties": {"size": {"type": "integer"}}},
                        },
                    }
                },
                "subresources": {
                    "status": {},
                    "scale": {"specReplicasPath": ".spec.size", "statusReplicasPath": ".status.size"},
                },
            }
            for name in ("v1beta1", "v1")
        ],
    },
}


@pytest.fixture
def read(https: Any) -> Any:
    """`read(path, accept, …)` → the response."""
    return lambda path, accept=PLAIN, **headers: https("GET", path, **{"Accept": accept, **headers})


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        pytest.param(f"{V2},{V2BETA1},{PLAIN}", V2, id="as kubectl asks"),
        pytest.param(f"{V2BETA1},{PLAIN}", V2BETA1, id="beta"),
        pytest.param(f"{PLAIN},{V2}", PLAIN, id="plain first"),
        pytest.param(f"{V2.replace('v=v2', 'v=v3')},{PLAIN}", PLAIN, id="unknown version"),
        pytest.param("*/*", PLAIN, id="anything"),
    ],
)
def test_discovery_comes_in_the_form_asked_for_and_is_labelled_so(read: Any, accept: str, content_type: str) -> None:
    answer = read("/apis", accept)
    assert answer.headers["Content-Type"] == content_type
    assert answer.json()["kind"] == ("APIGroupList" if content_type == PLAIN else "APIGroupDiscoveryList")


def test_aggregated_discovery_says_what_the_plain_form_says(read: Any, client: Client) -> None:
    client.create(CRDS, CRD)
    found: dict[str, set[str]] = {}
    for path in ("/api", "/apis"):
        for group in read(path, V2).json()["items"]:
            for version in group["versions"]:
                name = f"{group['metadata']['name']}/{version['version']}" if group["metadata"] else version["version"]
                found[name] = {
                    entry["resource"] + (f"/{part['subresource']}" if part else "")
                    for entry in version["resources"]
                    for part in [None, *entry.get("subresources", [])]
                }
    assert found["example.com/v1"] == {"widgets", "widgets/status", "widgets/scale"}
    for name, resources in found.items():
        path = f"/apis/{name}" if "/" in name else f"/api/{name}"
        assert {entry["name"] for entry in read(path).json()["resources"]} == resources
    (group,) = [item for item in read("/apis").json()["groups"] if item["name"] == "example.com"]
    assert group["preferredVersion"]["version"] == "v1"


def test_a_document_that_a_client_has_is_not_sent_again_until_it_changes(read: Any, client: Client) -> None:
    tag = read("/apis", V2).headers["ETag"]
    assert read("/apis", V2, **{"If-None-Match": tag}).status == 304
    index = read("/openapi/v3").json()["paths"]
    client.create(CRDS, CRD)
    assert read("/apis", V2, **{"If-None-Match": tag}).status == 200
    after = read("/openapi/v3").json()["paths"]
    assert after["api/v1"] == index["api/v1"]
    assert after["apis/cpod.cpod/v1"] != index["apis/cpod.cpod/v1"]
    assert "apis/example.com/v1" in after


def references(document: Any) -> set[str]:
    if isinstance(document, list):
        return {name for item in document for name in references(item)}
    if isinstance(document, dict):
        own = {document["$ref"]} if isinstance(document.get("$ref"), str) else set()
        return own | {name for item in document.values() for name in references(item)}
    return set()


def test_openapi_refers_to_nothing_that_it_lacks(read: Any, client: Client) -> None:
    client.create(CRDS, CRD)
    swagger = read("/openapi/v2").json()
    assert references(swagger) <= {f"#/definitions/{name}" for name in swagger["definitions"]}
    assert "size" in swagger["definitions"]["com.example.v1.Widget"]["properties"]["spec"]["properties"]
    assert swagger["definitions"]["io.k8s.api.core.v1.PodList"]["properties"]["items"]["type"] == "array"
    for path in read("/openapi/v3").json()["paths"].values():
        document = read(path["serverRelativeURL"]).json()
        schemas = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
        assert references(document) <= schemas
    assert read("/openapi/v2", "application/com.github.proto-openapi.spec.v2@v1.0+protobuf").status == 406
    assert read("/openapi/v3/apis/nothing/v1").status == 404


def test_openapi_has_nothing_of_this_projects_own_in_its_schemas(read: Any) -> None:
    assert b"x-cpod-" not in read("/openapi/v3/api/v1").data
    assert b"x-cpod-" not in read("/openapi/v2").data


def test_health_is_told_without_a_token_and_check_by_check(read: Any) -> None:
    for endpoint in ("healthz", "livez", "readyz"):
        assert read(f"/{endpoint}", Authorization="").data == b"ok"
        assert read(f"/{endpoint}/ping", Authorization="").data == b"ok"
        told = read(f"/{endpoint}?verbose&exclude=ping").data.decode()
        assert told == f"[+]store ok\n{endpoint} check passed\n"
    assert read("/readyz/nothing").status == 404


def test_the_version_is_a_plain_one(read: Any) -> None:
    found = read("/version/").json()
    assert found["gitVersion"].startswith(f"v{found['major']}.{found['minor']}.")


# ---- the subresource that discovery names for other kinds to use


def test_scale_reads_and_sets_replicas_where_a_definition_keeps_them(kubeconfig: Path, client: Client) -> None:
    client.create(CRDS, CRD)
    api_client = kubernetes.config.new_client_from_config(str(kubeconfig))
    custom = kubernetes.client.CustomObjectsApi(api_client)
    place = ("example.com", "v1", "default", "widgets")
    widget = {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": {"size": 2}}
    custom.create_namespaced_custom_object(*place, widget)
    scale = custom.get_namespaced_custom_object_scale(*place, "w")
    assert scale["spec"] == {"replicas": 2}
    scale["spec"]["replicas"] = 3
    custom.replace_namespaced_custom_object_scale(*place, "w", scale)
    with pytest.raises(kubernetes.client.ApiException) as stale:
        custom.replace_namespaced_custom_object_scale(*place, "w", scale)
    assert stale.value.status == 409
    custom.patch_namespaced_custom_object_scale(*place, "w", {"spec": {"replicas": 5}})
    assert custom.get_namespaced_custom_object(*place, "w")["spec"] == {"size": 5}
    with pytest.raises(kubernetes.client.ApiException) as wrong:
        custom.patch_namespaced_custom_object_scale(*place, "w", {"spec": {"replicas": -1}})
    assert wrong.value.status == 422
    api_client.rest_client.close()
