"""Discovery and OpenAPI: what a client can learn of a server that it meets for the first time."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from conformance_api import Api, Definition, Json, path, version, wait

Define = Callable[..., Definition]
AGGREGATED = (
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,"
    "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json"
)


def entries(api: Api, where: str) -> dict[str, Json]:
    return {entry["name"]: entry for entry in api.get(where).value["resources"]}


def test_the_version_is_one_that_clients_can_parse(api: Api) -> None:
    found = api.get("/version").value
    assert re.fullmatch(r"v1\.\d+\.\d+.*", found["gitVersion"])
    assert found["major"] == "1"
    assert found["minor"].rstrip("+").isdigit()


def test_the_core_group_has_one_version(api: Api) -> None:
    found = api.get("/api").value
    assert (found["kind"], found["versions"]) == ("APIVersions", ["v1"])


def test_every_group_names_its_versions_and_the_preferred_one(api: Api) -> None:
    found = api.get("/apis").value
    assert found["kind"] == "APIGroupList"
    groups = {group["name"]: group for group in found["groups"]}
    assert {"apps", "batch", "apiextensions.k8s.io", "coordination.k8s.io", "authorization.k8s.io"} <= set(groups)
    for name, group in groups.items():
        assert group["preferredVersion"] in group["versions"], name
        assert api.get(f"/apis/{name}").value["versions"] == group["versions"]


def test_every_version_lists_its_resources(api: Api) -> None:
    for group in api.get("/apis").value["groups"]:
        for listed in group["versions"]:
            found = api.get(f"/apis/{listed['groupVersion']}").value
            assert (found["kind"], found["groupVersion"]) == ("APIResourceList", listed["groupVersion"])
            for entry in found["resources"]:
                assert entry["kind"], entry
                assert entry["verbs"], entry
                assert "namespaced" in entry, entry


def test_the_core_resources_are_those_that_kubectl_looks_for(api: Api) -> None:
    found = api.get("/api/v1").value
    assert found["groupVersion"] == "v1"
    pods = entries(api, "/api/v1")["pods"]
    assert (pods["singularName"], pods["kind"], pods["namespaced"], pods["shortNames"]) == ("pod", "Pod", True, ["po"])
    assert "all" in pods["categories"]
    assert {"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"} <= set(pods["verbs"])


@pytest.mark.parametrize(
    ("where", "names"),
    [
        pytest.param(
            "/api/v1",
            "configmaps endpoints events namespaces nodes persistentvolumeclaims persistentvolumes pods pods/log "
            "pods/exec pods/status resourcequotas secrets serviceaccounts services services/proxy",
            id="core",
        ),
        pytest.param("/apis/apps/v1", "deployments deployments/scale deployments/status replicasets", id="apps"),
        pytest.param("/apis/batch/v1", "jobs jobs/status", id="batch"),
        pytest.param("/apis/events.k8s.io/v1", "events", id="events"),
        pytest.param("/apis/coordination.k8s.io/v1", "leases", id="coordination"),
        pytest.param("/apis/rbac.authorization.k8s.io/v1", "roles rolebindings clusterroles", id="rbac"),
        pytest.param("/apis/authorization.k8s.io/v1", "selfsubjectaccessreviews", id="authorization"),
        pytest.param("/apis/authentication.k8s.io/v1", "selfsubjectreviews tokenreviews", id="authentication"),
        pytest.param(
            "/apis/apiextensions.k8s.io/v1",
            "customresourcedefinitions customresourcedefinitions/status",
            id="apiextensions",
        ),
    ],
)
def test_the_built_in_kinds_are_there(api: Api, where: str, names: str) -> None:
    assert set(names.split()) - set(entries(api, where)) == set()


def test_review_kinds_can_be_created_and_nothing_else(api: Api) -> None:
    assert entries(api, "/apis/authorization.k8s.io/v1")["selfsubjectaccessreviews"]["verbs"] == ["create"]


@pytest.mark.parametrize("where", ["/api", "/apis"])
def test_aggregated_discovery_is_labelled_as_such(api: Api, where: str) -> None:
    answer = api.get(where, accept=AGGREGATED)
    kind = answer.headers["Content-Type"].replace(" ", "")
    assert kind.startswith("application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList")
    assert answer.value["kind"] == "APIGroupDiscoveryList"


def test_aggregated_discovery_tells_the_same_as_the_plain_one(api: Api) -> None:
    told: dict[str, Any] = {}
    for where in ("/api", "/apis"):
        for item in api.get(where, accept=AGGREGATED).value["items"]:
            for listed in item["versions"]:
                prefix = f"/apis/{item['metadata']['name']}" if where == "/apis" else "/api"
                names = {entry["resource"] for entry in listed["resources"]}
                names |= {
                    f"{entry['resource']}/{sub['subresource']}"
                    for entry in listed["resources"]
                    for sub in entry.get("subresources") or []
                }
                told[f"{prefix}/{listed['version']}"] = names
    assert "pods/log" in told["/api/v1"]
    for where in ("/api/v1", "/apis/apps/v1", "/apis/batch/v1", "/apis/apiextensions.k8s.io/v1"):
        assert told[where] == set(entries(api, where)), where


def test_a_custom_kind_appears_in_discovery_and_goes_with_its_definition(api: Api, define: Define) -> None:
    found = define(version("v1", subresources={"status": {}}), shortNames=["wg"], categories=["all"])
    where = f"/apis/{found.group}/v1"
    wait(lambda: api.get(where).status == 200, "the group is discovered")
    entry = entries(api, where)["widgets"]
    assert (entry["kind"], entry["singularName"], entry["namespaced"]) == ("Widget", "widget", True)
    assert (entry["shortNames"], entry["categories"]) == (["wg"], ["all"])
    assert "widgets/status" in entries(api, where)
    api.delete(found.where)
    api.wait_gone(where)


def test_the_openapi_index_names_a_document_for_each_version(api: Api) -> None:
    paths = api.get("/openapi/v3").value["paths"]
    assert {"api/v1", "apis/apps/v1", "apis/batch/v1"} <= set(paths)
    where = paths["api/v1"]["serverRelativeURL"]
    assert re.fullmatch(r"/openapi/v3/api/v1\?hash=\w+", where)
    assert api.get(where).value["openapi"].startswith("3.")


def test_the_openapi_document_says_what_kubectl_needs_to_validate(api: Api) -> None:
    paths = api.get("/openapi/v3/api/v1").value["paths"]
    for where, methods in {
        "/api/v1/namespaces/{namespace}/pods": ["get", "post"],
        "/api/v1/namespaces/{namespace}/pods/{name}": ["get", "put", "patch", "delete"],
    }.items():
        for method in methods:
            operation = paths[where][method]
            kind = operation["x-kubernetes-group-version-kind"]
            assert kind == {"group": "", "version": "v1", "kind": "Pod"}, (where, method)
            if method in ("post", "put", "patch"):
                assert "fieldValidation" in {entry.get("name") for entry in operation["parameters"]}, (where, method)


def test_the_openapi_schemas_describe_the_fields_of_a_pod(api: Api) -> None:
    document = api.get("/openapi/v3/api/v1").value
    schemas = document["components"]["schemas"]
    pods = [
        schema
        for schema in schemas.values()
        if {"group": "", "version": "v1", "kind": "Pod"} in schema.get("x-kubernetes-group-version-kind", [])
    ]
    assert len(pods) == 1

    def field(schema: Json, name: str) -> Json:
        found = schema["properties"][name]
        while reference := found.get("$ref") or ((found.get("allOf") or [{}])[0].get("$ref")):
            found = schemas[reference.removeprefix("#/components/schemas/")]
        assert isinstance(found, dict)
        return found

    containers = field(field(pods[0], "spec"), "containers")
    assert containers["type"] == "array"
    assert containers["x-kubernetes-patch-merge-key"] == "name"


def test_the_openapi_of_a_custom_kind_has_its_schema_and_changes_with_it(api: Api, define: Define) -> None:
    found = define(version("v1", {"size": {"type": "integer", "description": "How large it is."}}))
    key = f"apis/{found.group}/v1"

    def index() -> str:
        return str(api.get("/openapi/v3").value["paths"].get(key, {}).get("serverRelativeURL", ""))

    before = wait(index, "the kind is in the index")
    assert "How large it is." in api.get(before).text
    changed = api.get(found.where).value
    schema = changed["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    schema["properties"]["spec"]["properties"]["size"]["description"] = "How wide it is."
    api.put(found.where, changed).done()
    wait(lambda: index() not in ("", before), "the hash changes")
    assert "How wide it is." in api.get(index()).text


def test_openapi_v2_is_served_as_json(api: Api) -> None:
    found = api.get("/openapi/v2").value
    assert found["swagger"] == "2.0"
    assert found["definitions"]


def test_access_reviews_are_answered_and_not_kept(api: Api) -> None:
    where = path("selfsubjectaccessreviews", group="authorization.k8s.io")
    body = {"spec": {"resourceAttributes": {"verb": "create", "resource": "pods", "namespace": "default"}}}
    answer = api.post(where, body)
    assert answer.status == 201
    assert answer.value["status"]["allowed"] is True
    assert api.get(where).status in (404, 405)


def test_a_caller_learns_its_own_name(api: Api) -> None:
    answer = api.post(path("selfsubjectreviews", group="authentication.k8s.io"), {})
    assert answer.status == 201
    assert answer.value["status"]["userInfo"]["username"]
