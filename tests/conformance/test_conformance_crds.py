"""Custom kinds: how they are defined, and what becomes of their objects."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from conformance_api import MERGE_PATCH, Api, Definition, Json, Space, condition, version, wait

Define = Callable[..., Definition]


def causes(status: Json) -> set[tuple[str, str]]:
    return {(cause["reason"], cause["field"]) for cause in status["details"]["causes"]}


def test_a_definition_is_established_and_says_what_it_took(api: Api, define: Define) -> None:
    found = define(version("v1"), shortNames=["wg"])
    definition = api.get(found.where).value
    assert (condition(definition, "NamesAccepted"), condition(definition, "Established")) == ("True", "True")
    names = definition["status"]["acceptedNames"]
    assert (names["plural"], names["kind"], names["listKind"], names["shortNames"]) == (
        "widgets", "Widget", "WidgetList", ["wg"],
    )  # fmt: skip
    assert definition["status"]["storedVersions"] == ["v1"]


def test_the_old_version_of_definitions_is_gone(api: Api) -> None:
    assert api.get("/apis/apiextensions.k8s.io/v1beta1/customresourcedefinitions").status == 404


def broken(name: str) -> tuple[Callable[[Json], None], str, str]:
    """How to break a manifest; and the place that the refusal must name."""

    def rename(manifest: Json) -> None:
        manifest["metadata"]["name"] = "gadgets.conformance.example.com"

    def two_storages(manifest: Json) -> None:
        manifest["spec"]["versions"].append(version("v2"))

    def no_schema(manifest: Json) -> None:
        del manifest["spec"]["versions"][0]["schema"]

    def not_structural(manifest: Json) -> None:
        schema = manifest["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        schema["properties"]["spec"] = {"properties": {"a": {"type": "string"}}}

    def bad_scope(manifest: Json) -> None:
        manifest["spec"]["scope"] = "Galactic"

    return {
        "name": (rename, "metadata.name", "FieldValueInvalid"),
        "storage": (two_storages, "spec.versions", "FieldValueInvalid"),
        "schema": (no_schema, "spec.versions[0].schema.openAPIV3Schema", "FieldValueRequired"),
        "structural": (
            not_structural,
            "spec.versions[0].schema.openAPIV3Schema.properties[spec].type",
            "FieldValueRequired",
        ),
        "scope": (bad_scope, "spec.scope", "FieldValueNotSupported"),
    }[name]


@pytest.mark.parametrize("fault", ["name", "storage", "schema", "structural", "scope"])
def test_a_definition_that_cannot_be_is_refused_with_the_field(api: Api, definition: Define, fault: str) -> None:
    manifest = definition(version("v1")).manifest()
    change, field, reason = broken(fault)
    change(manifest)
    where = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    status = api.post(where, manifest).refused(422, "Invalid")
    assert (reason, field) in causes(status)


# ---- objects


SCHEMA = {
    "name": {"type": "string", "pattern": "^[a-z]+$", "maxLength": 5},
    "size": {"type": "integer", "minimum": 1, "maximum": 9},
    "colour": {"type": "string", "enum": ["red", "blue"]},
    "port": {"x-kubernetes-int-or-string": True},
    "tags": {"type": "array", "maxItems": 2, "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
    "rules": {
        "type": "array",
        "items": {"type": "object", "required": ["key"], "properties": {"key": {"type": "string"}}},
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["key"],
    },
    "limits": {"type": "object", "additionalProperties": {"type": "integer"}},
    "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
    "maybe": {"type": "string", "nullable": True},
    "mode": {"type": "string", "default": "auto"},
    "deep": {"type": "object", "default": {}, "properties": {"level": {"type": "integer", "default": 3}}},
}
FITTING = {"name": "abc", "size": 3, "colour": "red"}


def strict_kind(define: Define) -> Definition:
    return define(version("v1", SCHEMA, spec={"required": ["name"]}))


def test_an_object_that_fits_its_schema_is_kept(api: Api, space: Space, define: Define) -> None:
    found = strict_kind(define)
    spec = {
        **FITTING, "port": "http", "tags": ["a", "b"], "rules": [{"key": "x"}, {"key": "y"}], "limits": {"any": 1},
        "free": {"a": {"b": [1]}},
    }  # fmt: skip
    kept = api.post(found.path(space.name), found.widget("a", spec=spec)).value["spec"]
    assert {name: kept[name] for name in spec} == spec
    assert api.patch(found.path(space.name, "a"), {"spec": {"port": 80}}).value["spec"]["port"] == 80


@pytest.mark.parametrize(
    ("change", "reason", "field"),
    [
        pytest.param({"name": None}, "FieldValueRequired", "spec.name", id="required"),
        pytest.param({"name": "ABC"}, "FieldValueInvalid", "spec.name", id="pattern"),
        pytest.param({"name": "abcdef"}, "FieldValueTooLong", "spec.name", id="length"),
        pytest.param({"size": 0}, "FieldValueInvalid", "spec.size", id="minimum"),
        pytest.param({"size": 10}, "FieldValueInvalid", "spec.size", id="maximum"),
        pytest.param({"size": "3"}, "FieldValueTypeInvalid", "spec.size", id="type"),
        pytest.param({"size": 1.5}, "FieldValueTypeInvalid", "spec.size", id="fraction"),
        pytest.param({"colour": "green"}, "FieldValueNotSupported", "spec.colour", id="enum"),
        pytest.param({"port": [1]}, "FieldValueTypeInvalid", "spec.port", id="int-or-string"),
        pytest.param({"tags": ["a", "b", "c"]}, "FieldValueTooMany", "spec.tags", id="items"),
        pytest.param({"tags": ["a", "a"]}, "FieldValueDuplicate", "spec.tags[1]", id="set"),
        pytest.param({"rules": [{"key": "x"}, {"key": "x"}]}, "FieldValueDuplicate", "spec.rules[1]", id="map"),
        pytest.param({"rules": [{}]}, "FieldValueRequired", "spec.rules[0].key", id="item"),
        pytest.param({"limits": {"any": "x"}}, "FieldValueTypeInvalid", "spec.limits.any", id="additional"),
    ],
)
def test_an_object_that_does_not_fit_is_refused_with_the_field(
    api: Api, space: Space, define: Define, change: Json, reason: str, field: str
) -> None:
    found = strict_kind(define)
    spec = {name: value for name, value in {**FITTING, **change}.items() if value is not None}
    status = api.post(found.path(space.name), found.widget("a", spec=spec)).refused(422, "Invalid")
    assert (reason, field) in causes(status)
    assert (status["details"]["kind"], status["details"]["group"]) == ("Widget", found.group)


def test_all_faults_are_told_at_once(api: Api, space: Space, define: Define) -> None:
    found = strict_kind(define)
    body = found.widget("a", spec={"size": 0, "colour": "green"})
    status = api.post(found.path(space.name), body).refused(422, "Invalid")
    assert {field for _, field in causes(status)} == {"spec.name", "spec.size", "spec.colour"}


def test_unknown_fields_are_pruned_and_preserved_where_said(api: Api, space: Space, define: Define) -> None:
    found = strict_kind(define)
    spec = {**FITTING, "unknown": 1, "free": {"any": 1}, "deep": {"unknown": 1}}
    body = found.widget("a", spec=spec, other={"x": 1}, metadata={"annotations": {"a": "b"}})
    kept = api.post(found.path(space.name), body).value
    assert "other" not in kept
    assert "unknown" not in kept["spec"]
    assert kept["spec"]["free"] == {"any": 1}
    assert kept["spec"]["deep"] == {"level": 3}
    assert kept["metadata"]["annotations"] == {"a": "b"}


def test_defaults_are_filled_in_on_writing(api: Api, space: Space, define: Define) -> None:
    found = strict_kind(define)
    kept = api.post(found.path(space.name), found.widget("a", spec=FITTING)).value["spec"]
    assert (kept["mode"], kept["deep"]) == ("auto", {"level": 3})
    given = api.patch(found.path(space.name, "a"), {"spec": {"mode": "manual"}}).value["spec"]
    assert given["mode"] == "manual"
    assert api.patch(found.path(space.name, "a"), {"spec": {"mode": None}}).value["spec"]["mode"] == "auto"


def test_defaults_of_a_later_definition_show_on_reading(api: Api, space: Space, define: Define) -> None:
    found = define(version("v1", {"size": {"type": "integer"}}))
    api.post(found.path(space.name), found.widget("a", spec={"size": 1})).done()
    definition = api.get(found.where).value
    properties = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    properties["mode"] = {"type": "string", "default": "auto"}
    assert api.put(found.where, definition).status == 200
    where = found.path(space.name, "a")
    wait(lambda: api.get(where).value["spec"].get("mode") == "auto", "the default shows")
    assert api.get(found.path(space.name)).value["items"][0]["spec"]["mode"] == "auto"


def test_null_is_kept_where_it_is_allowed(api: Api, space: Space, define: Define) -> None:
    found = strict_kind(define)
    kept = api.post(found.path(space.name), found.widget("a", spec={**FITTING, "maybe": None})).value
    assert kept["spec"]["maybe"] is None
    kept = api.post(found.path(space.name), found.widget("b", spec={**FITTING, "mode": None})).value
    assert kept["spec"]["mode"] == "auto"


def test_rules_in_cel_hold(api: Api, space: Space, define: Define) -> None:
    rules = [
        {"rule": "self.low <= self.high", "message": "low must not be above high"},
        {"rule": "self.name == oldSelf.name", "message": "the name is fixed"},
    ]
    properties = {"low": {"type": "integer"}, "high": {"type": "integer"}, "name": {"type": "string"}}
    found = define(version("v1", properties, spec={"x-kubernetes-validations": rules}))
    where = found.path(space.name)
    bad = found.widget("a", spec={"low": 2, "high": 1, "name": "x"})
    status = api.post(where, bad).refused(422, "Invalid")
    assert ("FieldValueInvalid", "spec") in causes(status)
    assert "low must not be above high" in status["message"]
    assert api.post(where, found.widget("a", spec={"low": 1, "high": 2, "name": "x"})).status == 201
    status = api.patch(f"{where}/a", {"spec": {"name": "y"}}).refused(422, "Invalid")
    assert "the name is fixed" in status["message"]


def test_a_rule_that_cannot_be_read_refuses_the_definition(api: Api, definition: Define) -> None:
    rules = [{"rule": "self.low <=", "message": "broken"}]
    found = definition(version("v1", {"low": {"type": "integer"}}, spec={"x-kubernetes-validations": rules}))
    found.create().refused(422, "Invalid")


def test_a_cluster_wide_kind_has_no_namespace(api: Api, define: Define) -> None:
    found = define(version("v1"), scope="Cluster")
    created = api.post(found.path(""), found.widget("a", spec={})).value
    assert "namespace" not in created["metadata"]
    assert api.get(found.path("", "a")).status == 200
    assert api.get(found.path("default")).status == 404


# ---- versions


def test_an_object_is_served_in_every_version(api: Api, space: Space, define: Define) -> None:
    found = define(version("v1", storage=False), version("v2"))
    created = api.post(found.path(space.name, version="v1"), found.widget("a", version="v1", spec={"x": 1})).value
    assert created["apiVersion"] == f"{found.group}/v1"
    other = api.get(found.path(space.name, "a", version="v2")).value
    assert (other["apiVersion"], other["spec"]) == (f"{found.group}/v2", {"x": 1})
    for field in ("uid", "resourceVersion"):
        assert other["metadata"][field] == created["metadata"][field]
    listed = api.get(found.path(space.name, version="v2")).value
    assert [item["apiVersion"] for item in listed["items"]] == [f"{found.group}/v2"]


def test_a_version_that_is_not_served_is_not_found(api: Api, space: Space, define: Define) -> None:
    found = define(version("v1"), {**version("v0", storage=False), "served": False})
    assert api.get(found.path(space.name, version="v0")).status == 404
    group = api.get(f"/apis/{found.group}").value
    assert [entry["version"] for entry in group["versions"]] == ["v1"]


def test_the_preferred_version_is_the_most_stable_and_newest(api: Api, define: Define) -> None:
    found = define(version("v1beta1", storage=False), version("v1"), version("v2alpha1", storage=False))
    group = api.get(f"/apis/{found.group}").value
    assert group["preferredVersion"]["version"] == "v1"
    assert [entry["version"] for entry in group["versions"]] == ["v1", "v1beta1", "v2alpha1"]


# ---- subresources


SCALE = {
    "status": {},
    "scale": {
        "specReplicasPath": ".spec.replicas",
        "statusReplicasPath": ".status.replicas",
        "labelSelectorPath": ".status.selector",
    },
}


def test_a_custom_kind_is_scaled(api: Api, space: Space, define: Define) -> None:
    found = define(version("v1", {"replicas": {"type": "integer"}}, subresources=SCALE))
    where = found.path(space.name, "a")
    api.post(found.path(space.name), found.widget("a", spec={"replicas": 1})).done()
    status = {"status": {"replicas": 1, "selector": "app=a"}}
    assert api.patch(where + "/status", status).status == 200
    scale = api.get(where + "/scale").value
    assert (scale["kind"], scale["apiVersion"]) == ("Scale", "autoscaling/v1")
    assert (scale["spec"], scale["status"]) == ({"replicas": 1}, {"replicas": 1, "selector": "app=a"})
    scale["spec"]["replicas"] = 3
    assert api.put(where + "/scale", scale).value["spec"]["replicas"] == 3
    assert api.get(where).value["spec"]["replicas"] == 3
    assert api.patch(where + "/scale", {"spec": {"replicas": 2}}, MERGE_PATCH).value["spec"] == {"replicas": 2}
    assert api.get(where).value["metadata"]["generation"] == 3


def test_a_deployment_is_scaled(api: Api, space: Space) -> None:
    spec = {
        "replicas": 0,
        "selector": {"matchLabels": {"app": "d"}},
        "template": {
            "metadata": {"labels": {"app": "d"}},
            "spec": {"containers": [{"name": "main", "image": "docker.io/library/busybox:1.37"}]},
        },
    }
    where = space.path("deployments", group="apps")
    api.post(where, {"metadata": {"name": "d"}, "spec": spec}).done()
    scale = api.get(f"{where}/d/scale").value
    assert (scale["kind"], scale["spec"].get("replicas", 0)) == ("Scale", 0)
    assert scale["status"]["selector"] == "app=d"


# ---- the end


def test_a_custom_object_waits_for_its_finalizers(api: Api, space: Space, define: Define) -> None:
    found = define()
    where = found.path(space.name, "a")
    metadata = {"finalizers": ["conformance.example.com/hold"]}
    api.post(found.path(space.name), found.widget("a", metadata=metadata)).done()
    assert api.delete(where).value["metadata"]["deletionTimestamp"]
    assert api.patch(where, {"metadata": {"finalizers": []}}).status == 200
    assert api.gone(where)


def test_a_definition_takes_its_objects_along(api: Api, space: Space, define: Define) -> None:
    found = define()
    where = found.path(space.name, "held")
    metadata = {"finalizers": ["conformance.example.com/hold"]}
    api.post(found.path(space.name), found.widget("held", metadata=metadata)).done()
    api.post(found.path(space.name), found.widget("free")).done()
    with api.watch(found.path(space.name)) as events:
        events.names(2)
        assert api.delete(found.where).status == 200
        events.until(lambda event: event["type"] == "DELETED" and event["object"]["metadata"]["name"] == "free")
    wait(lambda: api.get(where).value["metadata"].get("deletionTimestamp"), "the held one is being deleted")
    assert "customresourcecleanup.apiextensions.k8s.io" in api.get(found.where).value["metadata"]["finalizers"]
    api.patch(where, {"metadata": {"finalizers": None}}).done()
    api.wait_gone(found.where)
    wait(lambda: api.get(found.path(space.name)).status == 404, "the kind is not served any more")


def test_a_definition_that_comes_again_begins_empty(api: Api, space: Space, define: Define) -> None:
    found = define()
    api.post(found.path(space.name), found.widget("a")).done()
    api.delete(found.where).done()
    api.wait_gone(found.where)
    found.install()
    assert api.get(found.path(space.name)).value["items"] == []
