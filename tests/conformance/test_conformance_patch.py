"""The patch types and their refusals, and server-side apply with its ownership of fields."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from conformance_api import (
    APPLY_PATCH,
    JSON_PATCH,
    MERGE_PATCH,
    STRATEGIC_PATCH,
    Api,
    Definition,
    Json,
    Space,
    configmap,
    version,
)

Define = Callable[..., Definition]


# ---- JSON patch and merge patch


def test_a_json_patch_is_a_list_of_operations(api: Api, space: Space) -> None:
    space.configmap("a", {"x": "1", "y": "2", "z": "3"})
    operations = [
        {"op": "test", "path": "/data/x", "value": "1"},
        {"op": "replace", "path": "/data/x", "value": "one"},
        {"op": "remove", "path": "/data/y"},
        {"op": "add", "path": "/metadata/annotations", "value": {"example.com/b": "before"}},
        {"op": "replace", "path": "/metadata/annotations/example.com~1b", "value": "slash"},
        {"op": "copy", "from": "/data/x", "path": "/data/c"},
        {"op": "move", "from": "/data/z", "path": "/data/m"},
    ]
    found = api.patch(space.path("configmaps", "a"), operations, JSON_PATCH).value
    assert found["data"] == {"x": "one", "c": "one", "m": "3"}
    assert found["metadata"]["annotations"] == {"example.com/b": "slash"}


@pytest.mark.parametrize(
    "operation",
    [
        pytest.param({"op": "test", "path": "/metadata/resourceVersion", "value": "0"}, id="test"),
        pytest.param({"op": "remove", "path": "/data/none"}, id="path"),
        pytest.param({"op": "replace", "path": "/nothing/here", "value": 1}, id="parent"),
    ],
)
def test_a_json_patch_that_does_not_fit_is_unprocessable(api: Api, space: Space, operation: Json) -> None:
    space.configmap("a", {"x": "1"})
    api.patch(space.path("configmaps", "a"), [operation], JSON_PATCH).refused(422, "Invalid")


def test_a_json_patch_that_is_no_list_is_a_bad_request(api: Api, space: Space) -> None:
    space.configmap("a")
    api.patch(space.path("configmaps", "a"), {"data": {}}, JSON_PATCH).refused(400, "BadRequest")


def test_a_list_sent_as_a_merge_patch_is_a_bad_request(api: Api, space: Space, define: Define) -> None:
    space.configmap("a")
    operations = [{"op": "add", "path": "/data", "value": {}}]
    api.patch(space.path("configmaps", "a"), operations, MERGE_PATCH).refused(400, "BadRequest")
    found = define()
    api.post(found.path(space.name), found.widget("a")).done()
    api.patch(found.path(space.name, "a"), operations, MERGE_PATCH).refused(400, "BadRequest")


def test_a_merge_patch_takes_null_for_removal_and_replaces_lists(api: Api, space: Space, define: Define) -> None:
    found = define()
    spec = {"keep": 1, "drop": 2, "list": [1, 2], "deep": {"a": 1, "b": 2}}
    api.post(found.path(space.name), found.widget("a", spec=spec)).done()
    change = {"spec": {"drop": None, "list": [3], "deep": {"b": None, "c": 3}}}
    after = api.patch(found.path(space.name, "a"), change).value
    assert after["spec"] == {"keep": 1, "list": [3], "deep": {"a": 1, "c": 3}}


def test_a_patch_with_a_version_is_conditional(api: Api, space: Space) -> None:
    first = space.configmap("a")
    where = space.path("configmaps", "a")
    stale = {"metadata": {"resourceVersion": first["metadata"]["resourceVersion"]}, "data": {"x": "1"}}
    assert api.patch(where, stale).status == 200
    api.patch(where, {**stale, "data": {"x": "2"}}).refused(409, "Conflict")


def test_a_patch_may_not_rename(api: Api, space: Space) -> None:
    space.configmap("a")
    assert api.patch(space.path("configmaps", "a"), {"metadata": {"name": "b"}}).status in (400, 422)


def test_a_patch_is_validated_as_any_write(api: Api, space: Space) -> None:
    space.configmap("a")
    patch = {"metadata": {"labels": {"bad key": "x"}}}
    api.patch(space.path("configmaps", "a"), patch).refused(422, "Invalid")


def test_a_patch_of_what_is_not_there_is_not_found(api: Api, space: Space) -> None:
    api.patch(space.path("configmaps", "a"), {"data": {}}).refused(404, "NotFound")


def test_a_patch_of_an_unknown_type_is_refused_with_those_accepted(api: Api, space: Space) -> None:
    space.configmap("a")
    status = api.patch(space.path("configmaps", "a"), {}, "application/json").refused(415, "UnsupportedMediaType")
    for kind in (JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH, APPLY_PATCH):
        assert kind in status["message"]


# ---- strategic merge patch


TEMPLATE = {
    "containers": [
        {"name": "one", "image": "busybox:1", "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]},
        {"name": "two", "image": "busybox:2"},
    ],
    "tolerations": [{"key": "a", "operator": "Exists"}],
}


def deployment(space: Space, name: str = "web") -> str:
    """A deployment without pods; its path."""
    spec = {
        "replicas": 0,
        "selector": {"matchLabels": {"app": name}},
        "template": {"metadata": {"labels": {"app": name}}, "spec": TEMPLATE},
    }
    body = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}
    assert space.api.post(space.path("deployments", group="apps"), body).status == 201
    return space.path("deployments", name, group="apps")


def strategic(api: Api, where: str, spec: Json) -> Json:
    patch = {"spec": {"template": {"spec": spec}}}
    found = api.patch(where, patch, STRATEGIC_PATCH).value["spec"]["template"]["spec"]
    assert isinstance(found, dict)
    return found


def test_a_strategic_patch_merges_lists_by_their_keys(api: Api, space: Space) -> None:
    change = {"containers": [{"name": "one", "env": [{"name": "B", "value": "two"}, {"name": "C", "value": "3"}]}]}
    found = strategic(api, deployment(space), change)
    containers = {entry["name"]: entry for entry in found["containers"]}
    assert set(containers) == {"one", "two"}
    assert containers["one"]["image"] == "busybox:1"
    assert {entry["name"]: entry["value"] for entry in containers["one"]["env"]} == {"A": "1", "B": "two", "C": "3"}


def test_a_strategic_patch_replaces_lists_without_a_key(api: Api, space: Space) -> None:
    found = strategic(api, deployment(space), {"tolerations": [{"key": "b", "operator": "Exists"}]})
    assert [entry["key"] for entry in found["tolerations"]] == ["b"]


def test_a_strategic_patch_deletes_by_directive(api: Api, space: Space) -> None:
    found = strategic(api, deployment(space), {"containers": [{"name": "two", "$patch": "delete"}]})
    assert [entry["name"] for entry in found["containers"]] == ["one"]


def test_a_strategic_patch_replaces_by_directive(api: Api, space: Space) -> None:
    change = {"containers": [{"$patch": "replace"}, {"name": "three", "image": "busybox:3"}]}
    found = strategic(api, deployment(space), change)
    assert [entry["name"] for entry in found["containers"]] == ["three"]


def test_a_strategic_patch_orders_by_directive(api: Api, space: Space) -> None:
    change = {"$setElementOrder/containers": [{"name": "two"}, {"name": "one"}]}
    found = strategic(api, deployment(space), change)
    assert [entry["name"] for entry in found["containers"]] == ["two", "one"]


def test_a_strategic_patch_keeps_only_what_it_retains(api: Api, space: Space) -> None:
    where = deployment(space)
    patch = {"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}}
    assert api.patch(where, patch, STRATEGIC_PATCH).value["spec"]["strategy"] == {"type": "Recreate"}


def test_a_strategic_patch_deletes_from_a_list_of_plain_values(api: Api, space: Space) -> None:
    finalizers = ["conformance.example.com/a", "conformance.example.com/b"]
    space.configmap("a", finalizers=finalizers)
    where = space.path("configmaps", "a")
    patch = {"metadata": {"$deleteFromPrimitiveList/finalizers": finalizers[:1]}}
    assert api.patch(where, patch, STRATEGIC_PATCH).value["metadata"]["finalizers"] == finalizers[1:]
    more = {"metadata": {"finalizers": finalizers[:1]}}
    assert sorted(api.patch(where, more, STRATEGIC_PATCH).value["metadata"]["finalizers"]) == finalizers
    assert api.patch(where, {"metadata": {"finalizers": None}}).status == 200


def test_a_custom_kind_takes_no_strategic_patch(api: Api, space: Space, define: Define) -> None:
    found = define()
    api.post(found.path(space.name), found.widget("a")).done()
    status = api.patch(found.path(space.name, "a"), {"spec": {}}, STRATEGIC_PATCH).refused(415, "UnsupportedMediaType")
    assert MERGE_PATCH in status["message"]


# ---- server-side apply


NOTHING = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}


def managers(obj: Json) -> dict[tuple[str, str], Json]:
    """(manager, operation) → its fields."""
    return {(entry["manager"], entry["operation"]): entry["fieldsV1"] for entry in obj["metadata"]["managedFields"]}


def test_apply_creates_what_is_not_there_and_notes_who_did(api: Api, space: Space) -> None:
    answer = api.apply(space.path("configmaps", "a"), configmap("a", {"x": "1"}), "me")
    assert answer.status == 201
    entry = answer.value["metadata"]["managedFields"][0]
    assert (entry["manager"], entry["operation"], entry["apiVersion"], entry["fieldsType"]) == (
        "me", "Apply", "v1", "FieldsV1",
    )  # fmt: skip
    assert entry["fieldsV1"] == {"f:data": {"f:x": {}}}
    assert entry["time"]


def test_apply_needs_a_manager(api: Api, space: Space) -> None:
    api.patch(space.path("configmaps", "a"), configmap("a"), APPLY_PATCH).refused(422, "Invalid")


def test_apply_takes_yaml(api: Api, space: Space) -> None:
    body = b"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\ndata: {x: one}\n"
    where = space.path("configmaps", "a")
    answer = api.send("PATCH", where, body, headers={"Content-Type": APPLY_PATCH}, fieldManager="me")
    assert (answer.status, answer.value["data"]) == (201, {"x": "one"})


def test_apply_removes_what_its_manager_had_applied_and_now_leaves_out(api: Api, space: Space) -> None:
    where = space.path("configmaps", "a")
    api.apply(where, configmap("a", {"x": "1", "y": "2"}), "me").done()
    after = api.apply(where, configmap("a", {"x": "1"}), "me")
    assert (after.status, after.value["data"]) == (200, {"x": "1"})
    assert not api.apply(where, NOTHING, "me").value.get("data")


def test_apply_leaves_the_fields_of_others_alone(api: Api, space: Space) -> None:
    where = space.path("configmaps", "a")
    api.apply(where, configmap("a", {"x": "1"}), "me").done()
    api.patch(where, {"data": {"y": "2"}}, fieldManager="other").done()
    after = api.apply(where, configmap("a", {"x": "3"}), "me").value
    assert after["data"] == {"x": "3", "y": "2"}
    assert managers(after)["other", "Update"] == {"f:data": {"f:y": {}}}


def test_apply_of_the_same_changes_nothing(api: Api, space: Space) -> None:
    where = space.path("configmaps", "a")
    first = api.apply(where, configmap("a", {"x": "1"}), "me").value
    assert api.apply(where, configmap("a", {"x": "1"}), "me").value == first


def test_a_conflict_names_the_manager_and_the_field(api: Api, space: Space) -> None:
    where = space.path("configmaps", "a")
    api.apply(where, configmap("a", {"x": "1"}), "first").done()
    status = api.apply(where, configmap("a", {"x": "2"}), "second").refused(409, "Conflict")
    (cause,) = status["details"]["causes"]
    assert (cause["reason"], cause["field"]) == ("FieldManagerConflict", ".data.x")
    assert '"first"' in cause["message"]
    assert api.get(where).value["data"] == {"x": "1"}


def test_the_same_value_is_shared_without_a_conflict(api: Api, space: Space) -> None:
    where = space.path("configmaps", "a")
    api.apply(where, configmap("a", {"x": "1"}), "first").done()
    found = api.apply(where, configmap("a", {"x": "1"}), "second").value
    assert {("first", "Apply"), ("second", "Apply")} <= set(managers(found))
    left = api.apply(where, NOTHING, "first").value
    assert left["data"] == {"x": "1"}


def test_force_takes_the_field_over(api: Api, space: Space) -> None:
    where = space.path("configmaps", "a")
    api.apply(where, configmap("a", {"x": "1"}), "first").done()
    found = api.apply(where, configmap("a", {"x": "2"}), "second", force=True).value
    assert found["data"] == {"x": "2"}
    assert managers(found)["second", "Apply"] == {"f:data": {"f:x": {}}}
    assert ("first", "Apply") not in managers(found)


def test_a_dry_run_of_apply_keeps_nothing(api: Api, space: Space) -> None:
    where = space.path("configmaps", "a")
    assert api.apply(where, configmap("a", {"x": "1"}), "me", dryRun="All").status == 201
    assert api.gone(where)


def test_apply_merges_lists_by_their_keys(api: Api, space: Space) -> None:
    where = space.path("deployments", "web", group="apps")

    def wanted(*containers: str) -> Json:
        template = {"containers": [{"name": name, "image": f"busybox:{name}"} for name in containers]}
        spec = {
            "replicas": 0,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": template},
        }
        return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec}

    created = api.apply(where, wanted("one", "two"), "me")
    assert created.status == 201
    other = wanted()
    other["spec"] = {"template": {"spec": {"containers": [{"name": "three", "image": "busybox:three"}]}}}
    both = api.apply(where, other, "other").value
    assert [entry["name"] for entry in both["spec"]["template"]["spec"]["containers"]] == ["one", "two", "three"]
    left = api.apply(where, wanted("two"), "me").value
    assert [entry["name"] for entry in left["spec"]["template"]["spec"]["containers"]] == ["two", "three"]
    keys = managers(left)["me", "Apply"]["f:spec"]["f:template"]["f:spec"]["f:containers"]
    assert set(keys) == {'k:{"name":"two"}'}


def test_apply_works_on_custom_kinds_and_their_status(api: Api, space: Space, define: Define) -> None:
    found = define(version("v1", subresources={"status": {}}))
    where = found.path(space.name, "a")
    assert api.apply(where, found.widget("a", spec={"x": 1}), "me").status == 201
    after = api.apply(where + "/status", found.widget("a", status={"phase": "Done"}), "controller").value
    assert (after["spec"], after["status"]) == ({"x": 1}, {"phase": "Done"})
    entry = next(entry for entry in after["metadata"]["managedFields"] if entry["manager"] == "controller")
    assert (entry["operation"], entry["subresource"]) == ("Apply", "status")


def test_writes_of_other_kinds_are_noted_too(api: Api, space: Space) -> None:
    created = api.post(space.configmaps, configmap("a", {"x": "1"}), fieldManager="maker").value
    assert managers(created) == {("maker", "Update"): {"f:data": {".": {}, "f:x": {}}}}


def test_apply_refuses_an_unknown_field(api: Api, space: Space) -> None:
    body = {**configmap("a"), "dataa": {}}
    answer = api.apply(space.path("configmaps", "a"), body, "me", fieldValidation="Strict")
    assert answer.status in (400, 500)
    assert "dataa" in answer.json()["message"]
