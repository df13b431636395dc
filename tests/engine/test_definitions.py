"""CustomResourceDefinitions: what is refused, what they get, and what is warned of."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import urllib3
import yaml
from widgets import BY_NAME, NAME, RULE, WIDGETS, array, causes, definition, obj, string, version, widget

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import CRDS, Resource
from cpod_jupyter.engine.local_api import LocalApi
from cpod_jupyter.errors import Invalid, MethodNotAllowed, NotFound

Change = Callable[[dict[str, Any]], None]


# ---- what a definition must be


def _spec(schema: dict[str, Any]) -> Change:
    def change(made: dict[str, Any]) -> None:
        made["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"] = schema

    return change


def _set(path: str, value: Any) -> Change:
    def change(made: dict[str, Any]) -> None:
        *parents, last = path.split(".")
        place: Any = made
        for part in parents:
            place = place[int(part)] if part.isdigit() else place[part]
        place[last] = value

    return change


SCALE = {"specReplicasPath": ".status.n", "statusReplicasPath": ".status.n"}
SCHEMA = "spec.versions[0].schema.openAPIV3Schema"
SPEC = f"{SCHEMA}.properties[spec]"


@pytest.mark.parametrize(
    ("change", "field", "text"),
    [
        pytest.param(_set("metadata.name", "other.example.com"), "metadata.name", "must be spec.names", id="name"),
        pytest.param(_set("spec.group", "example"), "spec.group", "at least one dot", id="group"),
        pytest.param(_set("spec.scope", "World"), "spec.scope", 'values: "Cluster", "Namespaced"', id="scope"),
        pytest.param(_set("spec.names.kind", "Wid get"), "spec.names.kind", "may have mixed case", id="kind"),
        pytest.param(_set("spec.names.shortNames", ["W"]), "spec.names.shortNames[0]", "DNS-1035 label", id="short"),
        pytest.param(_set("spec.preserveUnknownFields", True), "spec.preserveUnknownFields", "cannot", id="preserve"),
        pytest.param(
            _set("spec.conversion", {"strategy": "Webhook"}), "spec.conversion.strategy", "no conversion webhooks",
            id="webhook",
        ),
        pytest.param(_set("spec.versions.0.storage", False), "spec.versions", "exactly one version", id="storage"),
        pytest.param(_set("spec.versions.0.name", "1"), "spec.versions[0].name", "DNS-1035 label", id="version"),
        pytest.param(_set("spec.versions.0.schema", {}), SCHEMA, "schemas are required", id="no-schema"),
        pytest.param(_spec({"properties": {}}), f"{SPEC}.type", "must not be empty for specified object", id="no-type"),
        pytest.param(_spec({"type": "text"}), f"{SPEC}.type", 'Unsupported value: "text"', id="type"),
        pytest.param(_spec({"type": "array"}), f"{SPEC}.items", "must be specified", id="items"),
        pytest.param(_spec(array(string(), uniqueItems=True)), f"{SPEC}.uniqueItems", "quadratic", id="unique"),
        pytest.param(_spec({**obj(a=string()), "$ref": "#/x"}), f"{SPEC}.$ref", "$ref is not supported", id="ref"),
        pytest.param(
            _spec({**obj(a=string()), "additionalProperties": string()}), f"{SPEC}.additionalProperties",
            "mutual exclusive", id="both",
        ),
        pytest.param(_spec(string(pattern="(")), f"{SPEC}.pattern", "valid regular expression", id="pattern"),
        pytest.param(
            _spec(obj(a=string(default=3))), f"{SPEC}.properties[a].default", "must be of type string", id="default",
        ),
        pytest.param(
            _spec(obj(a={**obj(b=string()), "default": {"c": 1}})), f"{SPEC}.properties[a].default",
            "must not have unknown fields", id="default-unknown",
        ),
        pytest.param(
            _spec({**obj(a=string()), "anyOf": [{"properties": {"a": {"type": "string"}}}]}),
            f"{SPEC}.anyOf[0].properties[a].type", "must be empty to be structural", id="nested-type",
        ),
        pytest.param(
            _spec({**obj(a=string()), "anyOf": [{"properties": {"b": {"minLength": 1}}}]}),
            f"{SPEC}.anyOf[0].properties[b]", "must be specified outside", id="nested-unknown",
        ),
        pytest.param(
            _spec(array(obj(name=string()), **BY_NAME)),
            f"{SPEC}.items.properties[name].default", "must have a default or be a required property", id="map-key",
        ),
        pytest.param(
            _spec(array(obj(a=string()), **{"x-kubernetes-list-type": "set"})), f"{SPEC}.items.x-kubernetes-map-type",
            "must be atomic", id="set",
        ),
        pytest.param(
            _set("spec.versions.0.schema.openAPIV3Schema.properties.metadata", obj(labels={"type": "object"})),
            f"{SCHEMA}.properties[metadata]", "other than name and generateName", id="metadata",
        ),
        pytest.param(
            _set("spec.versions.0.additionalPrinterColumns", [{"name": "A", "type": "text", "jsonPath": ".spec.a"}]),
            "spec.versions[0].additionalPrinterColumns[0].type", "must be one of boolean,date", id="column",
        ),
        pytest.param(
            _set("spec.versions.0.subresources", {"scale": SCALE}),
            "spec.versions[0].subresources.scale.specReplicasPath", "should be a json path under .spec", id="scale",
        ),
        pytest.param(
            _set("spec.versions.0.selectableFields", [{"jsonPath": ".spec.shape"}]),
            "spec.versions[0].selectableFields[0].jsonPath", "does not refer to a valid field", id="selectable",
        ),
        pytest.param(
            _spec({**obj(a=string()), RULE: [{"rule": "self.a ==="}]}), f"{SPEC}.{RULE}[0].rule", "compilation failed",
            id="rule",
        ),
        pytest.param(
            _spec({**obj(a=string()), RULE: [{"rule": "frobnicate(self.a)"}]}), f"{SPEC}.{RULE}[0].rule",
            "undeclared reference to frobnicate", id="rule-function",
        ),
        pytest.param(
            _spec({**obj(a=string()), RULE: [{"rule": "slef.a == 'x'"}]}), f"{SPEC}.{RULE}[0].rule",
            "undeclared reference to slef", id="rule-variable",
        ),
        pytest.param(
            _spec(array(string(**{RULE: [{"rule": "self == oldSelf"}]}))), f"{SPEC}.items.{RULE}[0].rule",
            "uncorrelatable", id="rule-old",
        ),
    ],
)  # fmt: skip
def test_a_definition_that_breaks_a_rule_is_refused_with_the_place(
    api: LocalApi, change: Change, field: str, text: str
) -> None:
    made = definition()
    change(made)
    with pytest.raises(Invalid) as caught:
        api.create(CRDS, made)
    assert text in causes(caught).get(field, ""), causes(caught)


def test_a_definition_gets_its_defaults_conditions_and_finalizer(api: LocalApi) -> None:
    made = api.create(CRDS, definition())
    assert made["spec"]["names"] == {
        "plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList",
    }  # fmt: skip
    assert made["spec"]["conversion"] == {"strategy": "None"}
    assert meta.is_true(made, "NamesAccepted")
    assert meta.is_true(made, "Established")
    assert made["status"]["storedVersions"] == ["v1"]
    assert made["status"]["acceptedNames"] == made["spec"]["names"]
    assert made["metadata"]["finalizers"] == ["customresourcecleanup.apiextensions.k8s.io"]


def test_a_name_that_another_kind_has_is_not_accepted_until_it_is_free(api: LocalApi, eventually: Any) -> None:
    api.create(CRDS, definition(shortNames=["wi"]))
    second = api.create(CRDS, definition(plural="windows", kind="Window", shortNames=["wi"]))
    condition = meta.condition(second, "NamesAccepted") or {}
    assert (condition["status"], condition["reason"]) == ("False", "ShortNamesConflict")
    assert not meta.is_true(second, "Established")
    windows = Resource("example.com", "v1", "windows", "Window")
    with pytest.raises(NotFound):
        api.list(windows)
    api.delete(CRDS, NAME)
    eventually(lambda: meta.is_true(api.get(CRDS, "windows.example.com"), "Established"), "the name is free")
    assert api.list(windows).items == []


@pytest.mark.parametrize("field", ["scope", "group", "names"])
def test_what_names_a_kind_cannot_change(api: LocalApi, field: str) -> None:
    made = api.create(CRDS, definition())
    made["spec"][field] = {
        "scope": "Cluster", "group": "other.example.com", "names": {**made["spec"]["names"], "kind": "Gadget"},
    }[field]  # fmt: skip
    with pytest.raises(Invalid, match="field is immutable"):
        api.replace(CRDS, made)


def test_a_version_that_objects_may_be_stored_in_cannot_go(api: LocalApi) -> None:
    api.create(CRDS, definition(version("v1alpha1")))
    old = version("v1alpha1")
    moved = api.patch(CRDS, NAME, {"spec": {"versions": [{**old, "storage": False}, version("v1")]}})
    assert moved["status"]["storedVersions"] == ["v1alpha1", "v1"]
    with pytest.raises(Invalid, match="previously a storage version"):
        api.patch(CRDS, NAME, {"spec": {"versions": [version("v1")]}})
    api.patch(CRDS, NAME, {"status": {"storedVersions": ["v1"]}}, subresource="status")
    assert api.patch(CRDS, NAME, {"spec": {"versions": [version("v1")]}})["status"]["storedVersions"] == ["v1"]


def test_a_definition_goes_after_its_objects_and_takes_no_new_ones(api: LocalApi, eventually: Any) -> None:
    api.create(CRDS, definition())
    held = widget()
    held["metadata"]["finalizers"] = ["example.com/hold"]
    api.create(WIDGETS, held)
    api.delete(CRDS, NAME)
    assert meta.is_true(api.get(CRDS, NAME), "Terminating")
    with pytest.raises(MethodNotAllowed, match="create not allowed while custom resource definition is terminating"):
        api.create(WIDGETS, widget("late"))
    eventually(lambda: api.get(WIDGETS, "w", "default")["metadata"].get("deletionTimestamp"), "the object is deleted")
    api.patch(WIDGETS, "w", {"metadata": {"finalizers": None}}, "default")
    eventually(lambda: NAME not in [meta.name_of(item) for item in api.list(CRDS).items], "the definition is gone")


# ---- warnings, over HTTP


@pytest.fixture
def send(kubeconfig: Path) -> Any:
    """A plain HTTPS client: `send(method, path, body, content_type)` → the response."""
    config = yaml.safe_load(kubeconfig.read_text())
    pool = urllib3.PoolManager(ca_certs=str(kubeconfig.parent / "pki" / "ca.crt"))
    server, token = config["clusters"][0]["cluster"]["server"], config["users"][0]["user"]["token"]

    def request(method: str, path: str, body: Any = None, kind: str = "application/json") -> Any:
        data = body if isinstance(body, (str, bytes)) else json.dumps(body)
        headers = {"Authorization": f"Bearer {token}", "Content-Type": kind}
        return pool.request(method, server + path, body=data if body is not None else None, headers=headers)

    yield request
    pool.clear()


PATH = "/apis/example.com/v1/namespaces/default/widgets"


def test_unknown_and_repeated_fields_are_warned_of_or_refused(api: LocalApi, send: Any) -> None:
    api.create(CRDS, definition())
    text = '{"metadata":{"name":"w"},"spec":{"color":"red","color":"blue","colour":1}}'
    warned = send("POST", f"{PATH}?dryRun=All", text)
    assert warned.status == 201
    assert warned.headers.getlist("Warning") == [
        '299 - "duplicate field \\"spec.color\\""',
        '299 - "unknown field \\"spec.colour\\"; did you mean \\"color\\"?"',
    ]
    assert warned.json()["spec"] == {"color": "blue"}
    assert "Warning" not in send("POST", f"{PATH}?dryRun=All&fieldValidation=Ignore", text).headers
    refused = send("POST", f"{PATH}?fieldValidation=Strict", text)
    assert refused.status == 400
    assert 'strict decoding error: duplicate field "spec.color"' in refused.json()["message"]
    unknown = send("POST", f"{PATH}?fieldValidation=Strict", {"metadata": {"name": "w"}, "spec": {"colour": 1}})
    assert unknown.json()["message"].startswith(
        'Widget in version "v1" cannot be handled as a Widget: strict decoding error: unknown field "spec.colour"'
    )


def test_yaml_is_taken_as_json_would_be(api: LocalApi, send: Any) -> None:
    api.create(
        CRDS, definition(version(spec=obj(color=string(), map={"type": "object", "additionalProperties": string()})))
    )
    text = "metadata: {name: w}\nspec:\n  color: 2026-01-01T00:00:00Z\n  color: 2026-01-02\n  map: {1: a}\n"
    answer = send("POST", PATH, text, "application/yaml")
    assert answer.json()["spec"] == {"color": "2026-01-02", "map": {"1": "a"}}
    assert answer.headers.getlist("Warning") == ['299 - "duplicate field \\"spec.color\\""']
    bomb = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n" for before, name in zip("abcdef", "bcdefg", strict=True)
    )
    assert send("POST", PATH, bomb, "application/yaml").status == 400


def test_a_deprecated_version_is_warned_of(api: LocalApi, send: Any) -> None:
    old = {**version("v1alpha1"), "storage": False, "deprecated": True}
    api.create(CRDS, definition(old, version("v1")))
    answer = send("GET", "/apis/example.com/v1alpha1/widgets")
    assert answer.headers.getlist("Warning") == ['299 - "example.com/v1alpha1 Widget is deprecated"']
    worded = copy.deepcopy(old) | {"deprecationWarning": "use v1"}
    api.patch(CRDS, NAME, {"spec": {"versions": [worded, version("v1")]}})
    assert send("GET", "/apis/example.com/v1alpha1/widgets").headers["Warning"] == '299 - "use v1"'
    assert "Warning" not in send("GET", "/apis/example.com/v1/widgets").headers
    versions = send("GET", "/apis/example.com").json()
    assert versions["preferredVersion"]["version"] == "v1"


def test_a_definition_is_checked_strictly_too(send: Any) -> None:
    made = definition()
    made["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["propertis"] = {}
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    answer = send("POST", f"{path}?fieldValidation=Strict", made)
    field = "spec.versions[0].schema.openAPIV3Schema.properties.spec.propertis"
    assert f'unknown field "{field}"; did you mean "properties"?' in answer.json()["message"]
    assert send("GET", "/apis/apiextensions.k8s.io/v1beta1/customresourcedefinitions").status == 404
