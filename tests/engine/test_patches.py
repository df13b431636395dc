"""Strategic merge patches: by the strategies and merge keys of each type, with their directives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from cpod_jupyter.api.crds import engine_crds
from cpod_jupyter.api.resources import BUILT_IN, DEPLOYMENTS, PODS, SERVICES
from cpod_jupyter.engine.kinds import Kinds
from cpod_jupyter.engine.objects import Objects
from cpod_jupyter.engine.patches import STRATEGIC_PATCH
from cpod_jupyter.errors import BadRequest, Invalid

Json = dict[str, Any]


@pytest.fixture
def patched(objects: Objects) -> Any:
    """`patched(pod spec, patch of it)` → the pod spec of a deployment after a strategic merge patch."""
    kind = objects.kinds.of(DEPLOYMENTS)

    def run(spec: Json, patch: Json) -> Any:
        template = {"metadata": {"labels": {"a": "b"}}, "spec": spec}
        body = {"metadata": {"name": "d"}, "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": template}}
        objects.create(kind, "default", body)
        wrapped = {"spec": {"template": {"spec": patch}}}
        return objects.patch(kind, "default", "d", STRATEGIC_PATCH, wrapped)["spec"]["template"]["spec"]

    return run


def spec_of(*names: str, **spec: Any) -> Json:
    return {"containers": [{"name": name, "image": f"{name}:1"} for name in names], **spec}


def names(items: list[Json]) -> list[str]:
    return [item["name"] for item in items]


def test_items_merge_by_key_and_new_ones_follow(patched: Any) -> None:
    found = patched(spec_of("a", "b"), {"containers": [{"name": "b", "image": "b:2"}, {"name": "c", "image": "c:1"}]})
    assert [(item["name"], item["image"]) for item in found["containers"]] == [
        ("a", "a:1"), ("b", "b:2"), ("c", "c:1"),
    ]  # fmt: skip


def test_a_list_without_a_merge_key_is_replaced(patched: Any) -> None:
    spec = spec_of("a")
    spec["containers"][0]["command"] = ["one", "two"]
    tolerations = [{"key": "a", "operator": "Exists"}]
    found = patched({**spec, "tolerations": tolerations}, {
        "containers": [{"name": "a", "command": ["three"]}],
        "tolerations": [{"key": "b", "operator": "Exists"}],
    })  # fmt: skip
    assert found["containers"][0]["command"] == ["three"]
    assert [item["key"] for item in found["tolerations"]] == ["b"]


def test_ports_merge_by_the_key_of_their_own_type(objects: Objects, patched: Any) -> None:
    spec = spec_of("a")
    spec["containers"][0]["ports"] = [{"containerPort": 80, "name": "x"}]
    more = [{"containerPort": 81}, {"containerPort": 80, "name": "y"}]
    found = patched(spec, {"containers": [{"name": "a", "ports": more}]})["containers"][0]["ports"]
    assert [(port["containerPort"], port.get("name")) for port in found] == [(80, "y"), (81, None)]
    kind = objects.kinds.of(SERVICES)
    objects.create(kind, "default", {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80, "name": "a"}]}})
    patch = {"spec": {"ports": [{"port": 80, "name": "b"}]}}
    done = objects.patch(kind, "default", "s", STRATEGIC_PATCH, patch)
    assert [(port["port"], port["name"]) for port in done["spec"]["ports"]] == [(80, "b")]


def test_conditions_merge_by_type(objects: Objects) -> None:
    kind = objects.kinds.of(PODS)
    objects.create(kind, "default", {"metadata": {"name": "p"}, "spec": spec_of("a")})
    for status in ("False", "True"):
        patch = {"status": {"conditions": [{"type": "Ready", "status": status}]}}
        done = objects.patch(kind, "default", "p", STRATEGIC_PATCH, patch, subresource="status")
    assert [item["status"] for item in done["status"]["conditions"] if item["type"] == "Ready"] == ["True"]


def test_directives_delete_and_replace_items(patched: Any) -> None:
    found = patched(
        spec_of("a", "b", volumes=[{"name": "v", "emptyDir": {}}, {"name": "w", "emptyDir": {}}]),
        {
            "containers": [{"name": "a", "$patch": "delete"}],
            "volumes": [{"$patch": "replace"}, {"name": "x", "emptyDir": {}}],
        },
    )
    assert names(found["containers"]) == ["b"]
    assert names(found["volumes"]) == ["x"]


def test_a_volume_that_changes_its_source_keeps_only_what_is_retained(patched: Any) -> None:
    volume = {"name": "v", "emptyDir": {}}
    change = {"name": "v", "$retainKeys": ["name", "configMap"], "configMap": {"name": "c"}}
    [found] = patched(spec_of("a", volumes=[volume]), {"volumes": [change]})["volumes"]
    assert "emptyDir" not in found
    assert found["configMap"]["name"] == "c"


@pytest.mark.parametrize(
    ("order", "items", "wanted"),
    [
        pytest.param("cab", [], "cab", id="all"),
        pytest.param("ca", [], "bca", id="others-where-they-were"),
        pytest.param("cb", [], "acb", id="others-before-what-they-preceded"),
        pytest.param("dba", ["d"], "dbac", id="a-new-one-first"),
    ],
)
def test_the_order_of_items_may_be_set(patched: Any, order: str, items: list[str], wanted: str) -> None:
    patch: Json = {"$setElementOrder/containers": [{"name": name} for name in order]}
    if items:
        patch["containers"] = [{"name": name, "image": f"{name}:1"} for name in items]
    assert "".join(names(patched(spec_of("a", "b", "c"), patch)["containers"])) == wanted


@pytest.mark.parametrize(
    ("patch", "error", "says"),
    [
        pytest.param({"containers": [{"image": "x"}]}, BadRequest, "without the merge key 'name'", id="no-key"),
        pytest.param({"$patch": "melt"}, BadRequest, "not known", id="directive"),
        pytest.param({"$retainKeys": ["x"], "hostname": "h"}, Invalid, "sets hostname", id="not-retained"),
        pytest.param(
            {"$setElementOrder/containers": [{"name": "a"}], "containers": [{"name": "b", "image": "b"}]},
            BadRequest, "does not name", id="not-ordered",
        ),
        pytest.param({"$deleteFromPrimitiveList/args": "x"}, BadRequest, "must be a list", id="no-list"),
    ],
)  # fmt: skip
def test_a_patch_that_means_nothing_is_refused(patched: Any, patch: Json, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        patched(spec_of("a"), patch)


# ---- what the schemas say of lists


def test_names_that_must_be_unique_are_and_others_may_repeat(objects: Objects) -> None:
    kind = objects.kinds.of(PODS)
    with pytest.raises(Invalid, match="Duplicate value"):
        objects.create(kind, "default", {"metadata": {"name": "p"}, "spec": spec_of("a", "a")})
    spec = spec_of("a")
    spec["containers"][0]["env"] = [{"name": "E", "value": "1"}, {"name": "E", "value": "2"}]
    assert objects.create(kind, "default", {"metadata": {"name": "p"}, "spec": spec})


def schemas(schema: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(schema, dict):
        yield schema
        for item in schema.values():
            yield from schemas(item)
    elif isinstance(schema, list):
        for item in schema:
            yield from schemas(item)


def test_every_list_that_merges_has_its_keys_in_its_items() -> None:
    kinds = Kinds()
    found = 0
    for resource in BUILT_IN:
        for schema in schemas(kinds.of(resource).schema):
            for key in schema["x-kubernetes-list-map-keys"] if schema.get("x-kubernetes-list-type") == "map" else ():
                assert key in schema["items"]["properties"], (resource.kind, schema)
                found += 1
    assert found > 100


def test_definitions_hold_what_a_cluster_takes_of_it() -> None:
    # apiextensions: a key of a list map must be required or have a default; patch strategies are unknown there
    merging = 0
    for definition in engine_crds():
        for schema in schemas(definition):
            assert not [name for name in schema if str(name).startswith(("x-cpod", "x-kubernetes-patch"))]
            for key in schema["x-kubernetes-list-map-keys"] if schema.get("x-kubernetes-list-type") == "map" else ():
                item = schema["items"]
                assert key in item.get("required", ()) or "default" in item["properties"][key], schema
                merging += 1
    assert merging > 10
