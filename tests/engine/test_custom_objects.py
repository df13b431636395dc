"""Objects of custom kinds, held to the schemas, versions and rules of their definitions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from widgets import BY_NAME, NAME, RULE, WIDGETS, array, causes, definition, obj, string, version, widget

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import CRDS, Resource
from cpod_jupyter.engine.kinds import Kinds
from cpod_jupyter.engine.local_api import LocalApi
from cpod_jupyter.engine.objects import Objects
from cpod_jupyter.engine.store import Store
from cpod_jupyter.errors import Invalid


def test_a_new_schema_counts_at_once_and_its_defaults_for_stored_objects_too(
    api: LocalApi, objects: Objects, tmp_path: Path
) -> None:
    api.create(CRDS, definition())
    made = api.create(WIDGETS, widget(size=1))
    spec = obj(color=string(default="red", enum=["red", "blue"]))
    api.patch(CRDS, NAME, {"spec": {"versions": [version(spec=spec)]}})
    found = api.get(WIDGETS, "w", "default")
    assert found["spec"] == {"color": "red"}
    assert found["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]
    with pytest.raises(Invalid, match="Unsupported value"):
        api.create(WIDGETS, widget("x", color="green"))
    again = Store(tmp_path / "objects.db")
    assert LocalApi(Objects(again, Kinds())).get(WIDGETS, "w", "default")["spec"] == {"color": "red"}
    again.close()


def test_an_object_is_read_and_written_in_every_served_version(api: LocalApi) -> None:
    old = {**version("v1beta1", obj(color=string())), "storage": False}
    api.create(CRDS, definition(old, version("v1")))
    beta = Resource("example.com", "v1beta1", "widgets", "Widget")
    api.create(beta, widget(color="red"))
    assert api.get(WIDGETS, "w", "default")["apiVersion"] == "example.com/v1"
    api.patch(WIDGETS, "w", {"spec": {"size": 3}}, "default")
    assert api.get(beta, "w", "default")["spec"] == {"color": "red"}
    assert api.get(beta, "w", "default")["apiVersion"] == "example.com/v1beta1"


def test_only_declared_fields_can_be_selected_by(api: LocalApi) -> None:
    api.create(CRDS, definition(version(selectableFields=[{"jsonPath": ".spec.color"}])))
    api.create(WIDGETS, widget("a", color="red"))
    api.create(WIDGETS, widget("b", color="blue"))
    found = api.list(WIDGETS, "default", field_selector="spec.color=red").items
    assert [meta.name_of(item) for item in found] == ["a"]


LIMITS = obj(
    word=string(minLength=2, maxLength=4, pattern="^[a-z]+$"),
    count={"type": "integer", "format": "int32", "minimum": 0, "exclusiveMinimum": True, "multipleOf": 2},
    when=string(format="date-time"),
    id=string(format="uuid"),
    ratio={"type": "number", "maximum": 1},
    tags=array(string(), **{"x-kubernetes-list-type": "set", "maxItems": 3}),
    items=array(
        {**obj(name=string(), n={"type": "integer", "default": 1}), "required": ["name"]},
        **BY_NAME,
    ),
    labels={"type": "object", "additionalProperties": string(), "maxProperties": 1},
    port={"x-kubernetes-int-or-string": True},
    maybe=string(nullable=True),
    free={**obj(known=obj(a=string())), "x-kubernetes-preserve-unknown-fields": True},
    embedded={"type": "object", "x-kubernetes-embedded-resource": True, "x-kubernetes-preserve-unknown-fields": True},
    one={**obj(a=string(), b=string()), "oneOf": [{"required": ["a"]}, {"required": ["b"]}]},
    no=string(**{"not": {"pattern": "^x"}}),
)
POD = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"any": 1}}


@pytest.fixture
def limits(api: LocalApi) -> LocalApi:
    api.create(CRDS, definition(version(spec=LIMITS)))
    return api


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("word", "a", 'Invalid value: "a": spec.word in body should be at least 2 chars long'),
        ("word", "abcde", "Too long: may not be more than 4 bytes"),
        ("word", "a\n", "Invalid value: \"a\\n\": spec.word in body should match '^[a-z]+$'"),
        ("count", 0, "Invalid value: 0: spec.count in body should be greater than 0"),
        ("count", 3, "Invalid value: 3: spec.count in body should be a multiple of 2"),
        ("count", 2**31, "Invalid value: 2147483648: Checked value must be of type integer with format int32"),
        ("count", "2", 'Invalid value: "string": spec.count in body must be of type integer: "string"'),
        ("count", None, None),
        ("when", "2026-11-24T10:00:00Z", None),
        ("when", "yesterday", 'Invalid value: "yesterday": spec.when in body must be of type date-time: "yesterday"'),
        ("id", "123", "must be of type uuid"),
        ("ratio", 1, None),
        ("ratio", 1.5, "Invalid value: 1.5: spec.ratio in body should be less than or equal to 1"),
        ("tags", ["a", "b", "a"], 'Duplicate value: "a"'),
        ("tags", ["a", "b", "c", "d"], "Too many: 4: must have at most 3 items"),
        ("items", [{"name": "a"}, {"name": "a"}], 'Duplicate value: {"name": "a"}'),
        ("labels", {"a": 1}, 'spec.labels.a in body must be of type string: "integer"'),
        ("labels", {"a": "x", "b": "y"}, "Too many: 2: must have at most 1 items"),
        ("port", "http", None),
        ("port", 1.5, 'Invalid value: "number": spec.port in body must be of type integer,string: "number"'),
        ("maybe", None, None),
        ("embedded", POD, None),
        ("embedded", {"kind": "Pod"}, "Required value: must not be empty"),
        ("one", {"a": "x"}, None),
        ("one", {"a": "x", "b": "y"}, "must validate one and only one schema (oneOf). Found 2 valid"),
        ("no", "xy", 'Invalid value: "": "spec.no" must not validate the schema (not)'),
    ],
)
def test_a_value_is_held_to_its_schema(limits: LocalApi, field: str, value: Any, text: str | None) -> None:
    if text is None:
        assert limits.create(WIDGETS, widget(**{field: value}))
        return
    with pytest.raises(Invalid) as caught:
        limits.create(WIDGETS, widget(**{field: value}))
    assert any(text in cause for cause in causes(caught).values()), causes(caught)


def test_what_a_schema_does_not_name_is_dropped_but_where_it_is_to_stay(limits: LocalApi) -> None:
    free = {"known": {"a": "x", "bogus": 1}, "other": {"deep": [1]}}
    made = limits.create(WIDGETS, widget(bogus=1, free=free, embedded=POD, maybe=None, word=None))
    assert made["spec"] == {
        "free": {"known": {"a": "x"}, "other": {"deep": [1]}}, "embedded": POD, "maybe": None,
    }  # fmt: skip
    assert limits.create(WIDGETS, widget("i", items=[{"name": "a"}]))["spec"]["items"] == [{"name": "a", "n": 1}]


# ---- validation rules

RULES = obj(
    low={"type": "integer"},
    high={"type": "integer"},
    title=string(**{RULE: [{"rule": "size(self) <= 3", "message": "at most three letters"}]}),
    fixed=string(**{RULE: [{"rule": "self == oldSelf", "message": "stays", "reason": "FieldValueForbidden"}]}),
    once=string(**{RULE: [{"rule": "oldSelf.hasValue() || self == 'new'", "optionalOldSelf": True}]}),
    memory=string(**{RULE: [{"rule": "!quantity(self).isGreaterThan(quantity('1Gi'))"}]}),
    until=string(format="date-time", **{RULE: [{"rule": "self > timestamp('2026-01-01T00:00:00Z')"}]}),
    **{"max-size": {"type": "integer"}},
    items=array(
        {
            **obj(name=string(), n={"type": "integer", RULE: [{"rule": "self >= oldSelf"}]}),
            "required": ["name"],
        },
        **BY_NAME,
    ),
)
RULES[RULE] = [
    {
        "rule": "!has(self.low) || !has(self.high) || self.low <= self.high",
        "messageExpression": "'low ' + string(self.low) + ' is above high ' + string(self.high)",
        "fieldPath": ".low",
    },
    {"rule": "!has(self.max__dash__size) || self.max__dash__size > 0"},
]


@pytest.fixture
def ruled(api: LocalApi) -> LocalApi:
    api.create(CRDS, definition(version(spec=RULES)))
    return api


@pytest.mark.parametrize(
    ("spec", "field", "text"),
    [
        ({"low": 1, "high": 2, "title": "äöü", "memory": "512Mi", "max-size": 1, "once": "new"}, "", ""),
        ({"low": 3, "high": 2}, "spec.low", 'Invalid value: "object": low 3 is above high 2'),
        ({"max-size": 0}, "spec", "failed rule: !has(self.max__dash__size) || self.max__dash__size > 0"),
        ({"title": "abcd"}, "spec.title", 'Invalid value: "string": at most three letters'),
        ({"memory": "1025Mi"}, "spec.memory", "failed rule: !quantity(self)"),
        ({"memory": "lots"}, "spec.memory", "evaluating rule"),
        ({"until": "2025-12-31T00:00:00Z"}, "spec.until", "failed rule: self > timestamp"),
        ({"once": "old"}, "spec.once", "failed rule: oldSelf.hasValue()"),
    ],
)
def test_an_object_is_held_to_the_rules(ruled: LocalApi, spec: dict[str, Any], field: str, text: str) -> None:
    if not field:
        assert ruled.create(WIDGETS, widget(**spec))
        return
    with pytest.raises(Invalid) as caught:
        ruled.create(WIDGETS, widget(**spec))
    assert text in causes(caught).get(field, ""), causes(caught)


def test_a_rule_on_a_change_finds_the_old_value_by_its_key(ruled: LocalApi) -> None:
    ruled.create(WIDGETS, widget(fixed="a", items=[{"name": "x", "n": 5}, {"name": "y", "n": 1}]))
    with pytest.raises(Invalid, match=r"spec\.fixed: Forbidden: stays"):
        ruled.patch(WIDGETS, "w", {"spec": {"fixed": "b"}}, "default")
    items = [{"name": "new", "n": 0}, {"name": "y", "n": 2}, {"name": "x", "n": 5}]
    ruled.patch(WIDGETS, "w", {"spec": {"items": items}}, "default")
    items[2]["n"] = 4
    with pytest.raises(Invalid) as caught:
        ruled.patch(WIDGETS, "w", {"spec": {"items": items}}, "default")
    assert list(causes(caught)) == ["spec.items[2].n"]


def test_a_rule_that_would_take_too_long_is_not_run(api: LocalApi) -> None:
    numbers = array({"type": "integer"}, **{RULE: [{"rule": "self.all(a, self.all(b, self.all(c, a + b + c >= 0)))"}]})
    api.create(CRDS, definition(version(spec=obj(n=numbers))))
    assert api.create(WIDGETS, widget("few", n=list(range(10))))
    with pytest.raises(Invalid, match="running out of cost budget"):
        api.create(WIDGETS, widget("many", n=list(range(1000))))
