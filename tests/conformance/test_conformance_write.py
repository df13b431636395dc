"""The write path: names, what the server sets, concurrency, no-op writes, dry runs, strict fields."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from conformance_api import MERGE_PATCH, Api, Definition, Json, Space, configmap, pod, version

Define = Callable[..., Definition]


def causes(status: Json) -> list[tuple[str, str]]:
    return [(cause["reason"], cause["field"]) for cause in status["details"]["causes"]]


def meta(obj: Json) -> Json:
    """Metadata without the ledger of server-side apply, which tests of other things do not mind."""
    return {name: value for name, value in obj["metadata"].items() if name != "managedFields"}


# ---- create


def test_a_created_object_has_what_only_the_server_sets(api: Api, space: Space) -> None:
    answer = api.post(
        space.configmaps,
        configmap(
            "a", uid="mine", creationTimestamp="2001-01-01T00:00:00Z", deletionTimestamp="2001-01-01T00:00:00Z",
            selfLink="/x", generation=7,
        ),
    )  # fmt: skip
    assert answer.status == 201
    found = answer.value["metadata"]
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", found["uid"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", found["creationTimestamp"])
    assert not found["creationTimestamp"].startswith("2001")
    assert found["resourceVersion"].isdigit()
    assert found["namespace"] == space.name
    assert not {"deletionTimestamp", "selfLink"} & set(found)


def test_a_second_object_of_the_same_name_is_refused(api: Api, space: Space) -> None:
    space.configmap("a")
    status = api.post(space.configmaps, configmap("a")).refused(409, "AlreadyExists")
    assert status["message"] == 'configmaps "a" already exists'
    assert status["details"] == {"name": "a", "kind": "configmaps"}


def test_a_generated_name_is_the_prefix_and_five_characters(api: Api, space: Space) -> None:
    names = {api.post(space.configmaps, configmap("", generateName="job-")).value["metadata"]["name"] for _ in range(5)}
    assert len(names) == 5
    assert all(re.fullmatch(r"job-[a-z0-9]{5}", name) for name in names)


def test_an_object_without_a_name_is_refused_with_the_field(api: Api, space: Space) -> None:
    status = api.post(space.configmaps, configmap("")).refused(422, "Invalid")
    assert causes(status) == [("FieldValueRequired", "metadata.name")]


@pytest.mark.parametrize("name", ["Upper", "under_score", "-dash", "dot.", "a" * 254, "a/b", "ü"])
def test_a_name_that_is_no_dns_name_is_refused_with_the_field(api: Api, space: Space, name: str) -> None:
    status = api.post(space.configmaps, configmap(name)).refused(422, "Invalid")
    assert ("FieldValueInvalid", "metadata.name") in causes(status)


def test_a_namespaces_name_is_a_label(api: Api) -> None:
    answer = api.post("/api/v1/namespaces", {"metadata": {"name": "with.dots"}})
    assert ("FieldValueInvalid", "metadata.name") in causes(answer.refused(422, "Invalid"))


@pytest.mark.parametrize(
    "labels",
    [{"bad key": "x"}, {"a": "bad value"}, {"a": "x" * 64}, {"/a": "x"}],
    ids=["key", "value", "long", "no-prefix"],
)
def test_labels_that_no_selector_could_name_are_refused(api: Api, space: Space, labels: dict[str, str]) -> None:
    status = api.post(space.configmaps, configmap("a", labels=labels)).refused(422, "Invalid")
    ((reason, field),) = causes(status)[:1]
    assert (reason, field.split("[")[0]) == ("FieldValueInvalid", "metadata.labels")


def test_annotations_beyond_a_quarter_of_a_megabyte_are_refused(api: Api, space: Space) -> None:
    status = api.post(space.configmaps, configmap("a", annotations={"a": "x" * 2**18})).refused(422, "Invalid")
    assert causes(status) == [("FieldValueTooLong", "metadata.annotations")]


def test_a_new_object_may_not_have_a_version(api: Api, space: Space) -> None:
    api.post(space.configmaps, configmap("a", resourceVersion="1")).refused(400, "BadRequest")


def test_the_body_may_not_name_another_namespace(api: Api, space: Space) -> None:
    api.post(space.configmaps, configmap("a", namespace="elsewhere")).refused(400, "BadRequest")


def test_the_body_may_not_be_of_another_kind(api: Api, space: Space) -> None:
    api.post(space.configmaps, {**configmap("a"), "kind": "Secret"}).refused(400, "BadRequest")
    api.post(space.configmaps, {**configmap("a"), "apiVersion": "v2"}).refused(400, "BadRequest")


def test_empty_strings_that_go_writes_mean_nothing(api: Api, space: Space) -> None:
    empty = {"namespace": "", "resourceVersion": "", "uid": "", "selfLink": "", "creationTimestamp": None}
    found = api.post(space.configmaps, configmap("a", **empty)).value["metadata"]
    assert (found["namespace"], bool(found["uid"])) == (space.name, True)


def test_nothing_is_created_in_a_namespace_that_is_not_there(api: Api) -> None:
    status = api.post("/api/v1/namespaces/nowhere/configmaps", configmap("a")).refused(404, "NotFound")
    assert status["message"] == 'namespaces "nowhere" not found'


def test_a_status_sent_with_a_new_object_is_dropped(api: Api, space: Space, define: Define) -> None:
    found = define(version("v1", subresources={"status": {}}))
    created = api.post(found.path(space.name), found.widget("a", spec={}, status={"phase": "Done"})).value
    assert not created.get("status")


def test_defaults_are_filled_in(api: Api, space: Space) -> None:
    created = space.pod("p", "exit 0", restartPolicy=None)
    assert created["spec"]["restartPolicy"] == "Always"
    assert created["spec"]["containers"][0]["imagePullPolicy"] == "IfNotPresent"
    secret = api.post(space.path("secrets"), {"metadata": {"name": "s"}, "stringData": {"a": "b"}}).value
    assert (secret["type"], secret["data"], "stringData" in secret) == ("Opaque", {"a": "Yg=="}, False)


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        pytest.param({"containers": []}, ("FieldValueRequired", "spec.containers"), id="containers"),
        pytest.param({"restartPolicy": "Now"}, ("FieldValueNotSupported", "spec.restartPolicy"), id="enum"),
        pytest.param(
            {"containers": [{"name": "a", "image": "x"}, {"name": "a", "image": "x"}]},
            ("FieldValueDuplicate", "spec.containers[1].name"),
            id="duplicate",
        ),
        pytest.param(
            {"containers": [{"name": "a", "image": "x", "volumeMounts": [{"name": "v", "mountPath": "/v"}]}]},
            ("FieldValueNotFound", "spec.containers[0].volumeMounts[0].name"),
            id="volume",
        ),
        pytest.param({"activeDeadlineSeconds": 0}, ("FieldValueInvalid", "spec.activeDeadlineSeconds"), id="number"),
    ],
)
def test_a_pod_that_cannot_be_is_refused_with_the_field(
    api: Api, space: Space, change: Json, cause: tuple[str, str]
) -> None:
    status = api.post(space.path("pods"), pod("p", "exit 0", **change)).refused(422, "Invalid")
    assert (cause[0], cause[1].removesuffix(".name")) in [
        (reason, field.removesuffix(".name")) for reason, field in causes(status)
    ]
    assert status["details"]["kind"] == "Pod"


def test_a_field_of_the_wrong_type_is_a_bad_request(api: Api, space: Space) -> None:
    api.post(space.path("pods"), pod("p", "exit 0", containers="none")).refused(400, "BadRequest")


# ---- update


def test_an_update_with_a_stale_version_is_a_conflict(api: Api, space: Space) -> None:
    first = space.configmap("a")
    where = space.path("configmaps", "a")
    assert api.put(where, {**first, "data": {"x": "1"}}).status == 200
    status = api.put(where, {**first, "data": {"x": "2"}}).refused(409, "Conflict")
    assert "the object has been modified" in status["message"]
    assert api.get(where).value["data"] == {"x": "1"}


def test_an_update_without_a_version_is_unconditional_for_built_in_kinds(api: Api, space: Space) -> None:
    space.configmap("a")
    assert api.put(space.path("configmaps", "a"), configmap("a", {"x": "1"})).value["data"] == {"x": "1"}


def test_an_update_of_a_custom_object_needs_a_version(api: Api, space: Space, define: Define) -> None:
    found = define()
    api.post(found.path(space.name), found.widget("a")).done()
    status = api.put(found.path(space.name, "a"), found.widget("a", spec={"x": 1})).refused(422, "Invalid")
    assert causes(status) == [("FieldValueInvalid", "metadata.resourceVersion")]


def test_an_update_may_not_name_another_object(api: Api, space: Space) -> None:
    space.configmap("a")
    api.put(space.path("configmaps", "a"), configmap("b")).refused(400, "BadRequest")


def test_an_update_of_what_is_not_there_is_not_found(api: Api, space: Space, define: Define) -> None:
    found = define()
    body = found.widget("a", metadata={"resourceVersion": "1"})
    assert api.put(found.path(space.name, "a"), body).status in (404, 409)


def test_an_update_of_another_incarnation_is_a_conflict(api: Api, space: Space) -> None:
    space.configmap("a")
    other = configmap("a", uid="11111111-1111-1111-1111-111111111111")
    api.put(space.path("configmaps", "a"), other).refused(409, "Conflict")


def test_what_the_server_has_set_stays(api: Api, space: Space) -> None:
    first = space.configmap("a")
    changed = configmap("a", {"x": "1"}, creationTimestamp="2001-01-01T00:00:00Z")
    second = api.put(space.path("configmaps", "a"), changed).value
    for field in ("uid", "creationTimestamp"):
        assert second["metadata"][field] == first["metadata"][field]


def test_versions_grow_over_all_kinds(api: Api, space: Space) -> None:
    first = space.configmap("a")
    secret = api.post(space.path("secrets"), {"metadata": {"name": "s"}}).value
    second = api.put(space.path("configmaps", "a"), {**first, "data": {"x": "1"}}).value
    versions = [int(obj["metadata"]["resourceVersion"]) for obj in (first, secret, second)]
    assert versions == sorted(set(versions))


def test_an_update_that_changes_nothing_makes_no_version(api: Api, space: Space) -> None:
    first = space.configmap("a", {"x": "1"}, labels={"set": "x"})
    where = space.path("configmaps", "a")
    assert api.put(where, first).value["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
    assert meta(api.patch(where, {"data": {"x": "1"}}).value) == meta(first)
    with api.watch(space.configmaps, resourceVersion=first["metadata"]["resourceVersion"]) as events:
        space.configmap("marker")
        assert events.names(1) == [("ADDED", "marker")]


def test_the_generation_counts_changes_of_the_spec_only(api: Api, space: Space, define: Define) -> None:
    found = define(version("v1", subresources={"status": {}}))
    where = found.path(space.name, "a")
    created = api.post(found.path(space.name), found.widget("a", spec={"x": 1})).value
    assert created["metadata"]["generation"] == 1
    assert api.patch(where, {"metadata": {"labels": {"a": "b"}}}).value["metadata"]["generation"] == 1
    assert api.patch(where + "/status", {"status": {"phase": "Done"}}).value["metadata"]["generation"] == 1
    assert api.patch(where, {"spec": {"x": 2}}).value["metadata"]["generation"] == 2
    assert api.patch(where, {"spec": {"x": 2}}).value["metadata"]["generation"] == 2


def test_status_and_spec_are_written_apart(api: Api, space: Space, define: Define) -> None:
    found = define(version("v1", subresources={"status": {}}))
    where = found.path(space.name, "a")
    api.post(found.path(space.name), found.widget("a", spec={"x": 1})).done()
    both = {"spec": {"x": 2}, "status": {"phase": "Done"}, "metadata": {"labels": {"a": "b"}}}
    after = api.patch(where + "/status", both).value
    assert (after["spec"], after["status"], "labels" in after["metadata"]) == ({"x": 1}, {"phase": "Done"}, False)
    after = api.patch(where, {"spec": {"x": 3}, "status": {"phase": "Other"}}).value
    assert (after["spec"], after["status"]) == ({"x": 3}, {"phase": "Done"})
    after["status"], after["spec"] = {"phase": "Put"}, {"x": 4}
    put = api.put(where + "/status", after).value
    assert (put["spec"], put["status"]) == ({"x": 3}, {"phase": "Put"})
    assert api.get(where + "/status").value == put


def test_without_the_subresource_status_is_a_field_like_others(api: Api, space: Space, define: Define) -> None:
    found = define()
    created = api.post(found.path(space.name), found.widget("a", status={"phase": "Done"})).value
    assert created["status"] == {"phase": "Done"}
    assert api.patch(found.path(space.name, "a", "status"), {"status": {}}).status == 404


def test_a_running_pod_cannot_be_changed_in_most_of_its_fields(api: Api, space: Space) -> None:
    space.pod("p", "sleep 30")
    space.wait_phase("p", "Running")
    status = api.patch(space.path("pods", "p"), {"spec": {"hostNetwork": True}}).refused(422, "Invalid")
    assert ("FieldValueForbidden", "spec") in causes(status)


def test_an_immutable_configmap_stays_as_it_is(api: Api, space: Space) -> None:
    api.post(space.configmaps, {**configmap("a", {"x": "1"}), "immutable": True}).done()
    status = api.patch(space.path("configmaps", "a"), {"data": {"x": "2"}}).refused(422, "Invalid")
    assert ("FieldValueForbidden", "data") in causes(status)


# ---- dry runs and strictness


def test_a_dry_run_answers_as_if_and_keeps_nothing(api: Api, space: Space) -> None:
    tried = api.post(space.configmaps, configmap("a", {"x": "1"}), dryRun="All")
    assert (tried.status, tried.value["data"]) == (201, {"x": "1"})
    assert api.gone(space.path("configmaps", "a"))
    space.configmap("a", {"x": "1"})
    where = space.path("configmaps", "a")
    assert api.patch(where, {"data": {"x": "2"}}, dryRun="All").value["data"] == {"x": "2"}
    assert api.put(where, configmap("a", {"x": "3"}), dryRun="All").value["data"] == {"x": "3"}
    assert api.get(where).value["data"] == {"x": "1"}


def test_a_dry_run_refuses_what_the_run_would(api: Api, space: Space) -> None:
    space.configmap("a")
    api.post(space.configmaps, configmap("a"), dryRun="All").refused(409, "AlreadyExists")
    api.post(space.configmaps, configmap("B"), dryRun="All").refused(422, "Invalid")


@pytest.mark.parametrize("place", ["query", "body"])
def test_a_dry_run_of_a_deletion_deletes_nothing(api: Api, space: Space, place: str) -> None:
    space.configmap("a")
    where = space.path("configmaps", "a")
    answer = api.delete(where, dryRun="All") if place == "query" else api.delete(where, {"dryRun": ["All"]})
    assert answer.status == 200
    assert api.get(where).status == 200


@pytest.mark.parametrize("place", ["query", "body"])
def test_a_dry_run_of_deleting_a_collection_deletes_nothing(api: Api, space: Space, place: str) -> None:
    space.configmap("a")
    if place == "query":
        assert api.delete(space.configmaps, dryRun="All").status == 200
    else:
        assert api.delete(space.configmaps, {"dryRun": ["All"]}).status == 200
    assert api.get(space.path("configmaps", "a")).status == 200


def test_a_dry_run_of_another_kind_than_all_is_refused(api: Api, space: Space) -> None:
    assert api.post(space.configmaps, configmap("a"), dryRun="Some").status in (400, 422)
    assert api.gone(space.path("configmaps", "a"))


@pytest.mark.parametrize("verb", ["create", "update", "patch"])
def test_an_unknown_field_is_refused_when_strict(api: Api, space: Space, verb: str) -> None:
    body: dict[str, Any] = {**configmap("a", {"x": "1"}), "dataa": {"y": "2"}}
    where = space.path("configmaps", "a")
    if verb == "create":
        answer = api.post(space.configmaps, body, fieldValidation="Strict")
    else:
        space.configmap("a")
        answer = (
            api.put(where, body, fieldValidation="Strict")
            if verb == "update"
            else api.patch(where, {"dataa": {"y": "2"}}, MERGE_PATCH, fieldValidation="Strict")
        )
    message = answer.refused(400, "BadRequest")["message"]
    assert 'unknown field "dataa"' in message


def test_a_doubled_field_is_refused_when_strict(api: Api, space: Space) -> None:
    body = b'{"metadata":{"name":"a"},"data":{"x":"1"},"data":{"x":"2"}}'
    headers = {"Content-Type": "application/json"}
    answer = api.send("POST", space.configmaps, body, headers=headers, fieldValidation="Strict")
    assert 'duplicate field "data"' in answer.refused(400, "BadRequest")["message"]


def test_an_unknown_field_is_dropped_with_a_warning_otherwise(api: Api, space: Space) -> None:
    body = {**configmap("a", {"x": "1"}), "dataa": {"y": "2"}}
    answer = api.post(space.configmaps, body, fieldValidation="Warn")
    assert "dataa" not in answer.value
    assert answer.headers["Warning"].startswith('299 - "unknown field \\"dataa\\"')
    ignored = api.post(space.configmaps, {**body, "metadata": {"name": "b"}}, fieldValidation="Ignore")
    assert "dataa" not in ignored.value
    assert "Warning" not in ignored.headers


def test_an_unknown_field_of_a_custom_kind_is_refused_when_strict(api: Api, space: Space, define: Define) -> None:
    found = define(version("v1", {"size": {"type": "integer"}}))
    body = found.widget("a", spec={"size": 1, "sise": 2})
    answer = api.post(found.path(space.name), body, fieldValidation="Strict")
    assert 'unknown field "spec.sise"' in answer.refused(400, "BadRequest")["message"]
