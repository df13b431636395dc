"""The read path: lists in pieces, versions, selectors and their refusals."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from conformance_api import Api, Definition, Json, Space, configmap, path, version, wait

Define = Callable[..., Definition]


def names(answer: Json) -> list[str]:
    return [item["metadata"]["name"] for item in answer["items"]]


@pytest.fixture
def letters(space: Space) -> Space:
    """A namespace with five labelled config maps, a to e."""
    for name in "cabed":
        space.configmap(name, labels={"set": "x"})
    return space


def test_a_list_names_its_kind_and_its_version(api: Api, letters: Space) -> None:
    found = api.get(letters.configmaps).value
    assert (found["kind"], found["apiVersion"]) == ("ConfigMapList", "v1")
    newest = max(int(item["metadata"]["resourceVersion"]) for item in found["items"])
    assert int(found["metadata"]["resourceVersion"]) >= newest


def test_a_list_is_in_the_order_of_names(api: Api, letters: Space) -> None:
    assert names(api.get(letters.configmaps, labelSelector="set").value) == list("abcde")


def test_a_list_over_all_namespaces_is_in_the_order_of_namespaces(api: Api, letters: Space) -> None:
    found = api.get(path("configmaps")).value["items"]
    keys = [(item["metadata"]["namespace"], item["metadata"]["name"]) for item in found]
    assert keys == sorted(keys)
    assert (letters.name, "a") in keys


def test_a_list_in_pieces_is_whole(api: Api, letters: Space) -> None:
    first = api.get(letters.configmaps, limit=2).value
    whole = len(api.get(letters.configmaps).value["items"])
    assert first["metadata"]["remainingItemCount"] == whole - 2
    second = api.get(letters.configmaps, limit=2, **{"continue": first["metadata"]["continue"]}).value
    third = api.get(letters.configmaps, **{"continue": second["metadata"]["continue"]}).value
    assert {part["metadata"]["resourceVersion"] for part in (first, second, third)} == {
        first["metadata"]["resourceVersion"]
    }
    assert not third["metadata"].get("continue")
    assert names(first) + names(second) + names(third) == names(api.get(letters.configmaps).value)


def test_a_list_in_pieces_is_of_one_moment(api: Api, letters: Space) -> None:
    first = api.get(letters.configmaps, limit=2, labelSelector="set").value
    letters.configmap("bb", labels={"set": "x"})
    api.delete(letters.path("configmaps", "e")).done()
    api.patch(letters.path("configmaps", "d"), {"data": {"late": "yes"}}).done()
    rest = api.get(letters.configmaps, labelSelector="set", **{"continue": first["metadata"]["continue"]}).value
    assert names(first) + names(rest) == list("abcde")
    assert next(item for item in rest["items"] if item["metadata"]["name"] == "d").get("data", {}) == {}


def test_a_watch_from_a_list_in_pieces_misses_nothing(api: Api, letters: Space) -> None:
    first = api.get(letters.configmaps, limit=2, labelSelector="set").value
    letters.configmap("bb", labels={"set": "x"})
    rest = api.get(letters.configmaps, labelSelector="set", **{"continue": first["metadata"]["continue"]}).value
    since = rest["metadata"]["resourceVersion"]
    with api.watch(letters.configmaps, labelSelector="set", resourceVersion=since) as events:
        assert events.names(1) == [("ADDED", "bb")]


def test_a_limit_that_is_large_enough_leaves_nothing(api: Api, letters: Space) -> None:
    found = api.get(letters.configmaps, limit=500).value["metadata"]
    assert not found.get("continue")
    assert not found.get("remainingItemCount")


def test_what_is_left_is_not_counted_under_a_selector(api: Api, letters: Space) -> None:
    found = api.get(letters.configmaps, limit=2, labelSelector="set=x").value["metadata"]
    assert found["continue"]
    assert "remainingItemCount" not in found


def test_a_continue_token_of_ones_own_making_is_refused(api: Api, letters: Space) -> None:
    assert api.get(letters.configmaps, limit=2, **{"continue": "nonsense"}).status in (400, 410)


def test_a_version_goes_with_no_continue_token(api: Api, letters: Space) -> None:
    first = api.get(letters.configmaps, limit=2).value["metadata"]
    more = {"continue": first["continue"], "resourceVersion": first["resourceVersion"]}
    api.get(letters.configmaps, limit=2, **more).refused(400, "BadRequest")


@pytest.mark.parametrize("query", [{"resourceVersion": ""}, {"resourceVersion": "0"}], ids=["latest", "any"])
def test_a_list_of_the_latest_or_any_version_is_answered(api: Api, letters: Space, query: Json) -> None:
    assert set("abcde") <= set(names(api.get(letters.configmaps, **query).value))


def test_a_list_not_older_than_a_version_is_at_least_of_it(api: Api, letters: Space) -> None:
    since = letters.configmap("z")["metadata"]["resourceVersion"]
    found = api.get(letters.configmaps, resourceVersion=since, resourceVersionMatch="NotOlderThan").value
    assert int(found["metadata"]["resourceVersion"]) >= int(since)
    assert "z" in names(found)


def test_a_list_of_exactly_a_version_is_of_it(api: Api, letters: Space) -> None:
    since = api.get(letters.configmaps).value["metadata"]["resourceVersion"]
    letters.configmap("z", labels={"set": "x"})
    query = {"resourceVersion": since, "resourceVersionMatch": "Exact", "labelSelector": "set"}
    found = api.get(letters.configmaps, **query).value
    assert (found["metadata"]["resourceVersion"], names(found)) == (since, list("abcde"))


@pytest.mark.parametrize(
    "query",
    [
        pytest.param({"resourceVersionMatch": "Exact"}, id="match-alone"),
        pytest.param({"resourceVersionMatch": "Exact", "resourceVersion": "0"}, id="exact-any"),
        pytest.param({"resourceVersionMatch": "Roughly", "resourceVersion": "1"}, id="unknown"),
        pytest.param({"resourceVersion": "abc"}, id="no-number"),
    ],
)
def test_versions_that_make_no_sense_are_refused(api: Api, letters: Space, query: Json) -> None:
    assert api.get(letters.configmaps, **query).status in (400, 422)


def test_a_version_from_the_future_is_refused(api: Api, letters: Space) -> None:
    query = {"resourceVersion": 2**40, "resourceVersionMatch": "NotOlderThan"}
    status = api.get(letters.configmaps, **query).refused(504, "Timeout")
    assert "Too large resource version" in status["message"]


def test_one_object_is_read_by_its_name(api: Api, letters: Space) -> None:
    found = api.get(letters.path("configmaps", "a")).value
    assert (found["kind"], found["apiVersion"], found["metadata"]["name"]) == ("ConfigMap", "v1", "a")
    status = api.get(letters.path("configmaps", "none")).refused(404, "NotFound")
    assert status["details"] == {"name": "none", "kind": "configmaps"}


def test_a_namespace_that_is_not_there_has_nothing(api: Api) -> None:
    assert api.get(path("configmaps", space="nowhere")).value["items"] == []


# ---- selectors


LABELS = {"a": {"app": "x", "tier": "one"}, "b": {"app": "x", "tier": "two"}, "c": {"app": ""}, "d": {}}


@pytest.mark.parametrize(
    ("selector", "chosen"),
    [
        pytest.param("app=x", "ab", id="equal"),
        pytest.param("app==x", "ab", id="equal-twice"),
        pytest.param("app!=x", "cd", id="unequal"),
        pytest.param("tier in (one, two)", "ab", id="in"),
        pytest.param("tier notin (one)", "bcd", id="notin"),
        pytest.param("app", "abc", id="present"),
        pytest.param("!app", "d", id="absent"),
        pytest.param("app=x,tier=two", "b", id="both"),
        pytest.param("app=", "c", id="empty"),
        pytest.param("app in (x,),tier!=two", "ac", id="in-empty"),
        pytest.param("kubernetes.io/none", "", id="prefixed"),
    ],
)
def test_label_selectors_choose(api: Api, space: Space, selector: str, chosen: str) -> None:
    for name, labels in LABELS.items():
        api.post(space.path("secrets"), {"metadata": {"name": name, "labels": labels}}).done()
    assert names(api.get(space.path("secrets"), labelSelector=selector).value) == list(chosen)


@pytest.mark.parametrize("selector", ["a===b", "a in x", "a in (x", "=x", "a b", "!", "a,,b", "-a=x", "a=ü"])
def test_a_label_selector_that_cannot_be_read_is_refused(api: Api, space: Space, selector: str) -> None:
    api.get(space.configmaps, labelSelector=selector).refused(400, "BadRequest")


@pytest.mark.parametrize(
    ("selector", "chosen"),
    [("metadata.name=a", "a"), ("metadata.name!=a", "b"), ("type=example.com/x", "b"), ("type==Opaque", "a")],
)
def test_field_selectors_choose(api: Api, space: Space, selector: str, chosen: str) -> None:
    for name, kind in {"a": "Opaque", "b": "example.com/x"}.items():
        api.post(space.path("secrets"), {"metadata": {"name": name}, "type": kind}).done()
    assert names(api.get(space.path("secrets"), fieldSelector=selector).value) == list(chosen)


def test_objects_are_chosen_by_their_namespace(api: Api, letters: Space) -> None:
    query = {"fieldSelector": f"metadata.namespace={letters.name},metadata.name=a"}
    assert names(api.get(path("configmaps"), **query).value) == ["a"]


@pytest.mark.parametrize("selector", ["spec.color=red", "data.x=1", "metadata.labels=x", "metadata.name"])
def test_a_field_that_cannot_be_selected_by_is_refused(api: Api, space: Space, selector: str) -> None:
    api.get(space.configmaps, fieldSelector=selector).refused(400, "BadRequest")
    api.get(space.configmaps, fieldSelector=selector, watch=True).refused(400, "BadRequest")


def test_pods_are_chosen_by_phase_node_and_policy(api: Api, space: Space) -> None:
    space.pod("done", "exit 0")
    node = space.wait_phase("done", "Succeeded")["spec"]["nodeName"]
    space.pod("nowhere", "exit 0", nodeSelector={"conformance.example.com/none": "here"}, restartPolicy="Always")
    for selector, chosen in {
        "status.phase=Succeeded": ["done"],
        "status.phase!=Succeeded": ["nowhere"],
        f"spec.nodeName={node}": ["done"],
        "spec.nodeName=": ["nowhere"],
        "spec.restartPolicy=Always": ["nowhere"],
        "spec.serviceAccountName=default,metadata.name=done": ["done"],
        "spec.schedulerName=default-scheduler": ["done", "nowhere"],
    }.items():
        assert names(api.get(space.path("pods"), fieldSelector=selector).value) == chosen, selector


def test_events_are_chosen_by_what_they_are_about(api: Api, space: Space) -> None:
    uid = space.pod("p", "exit 0")["metadata"]["uid"]
    space.wait_phase("p", "Succeeded")
    selector = (
        f"involvedObject.kind=Pod,involvedObject.name=p,involvedObject.namespace={space.name},"
        f"involvedObject.uid={uid},type=Normal,reason=Started"
    )
    found = wait(
        lambda: api.get(space.path("events"), fieldSelector=selector).value["items"], "the pod's start is told of"
    )
    assert {event["involvedObject"]["uid"] for event in found} == {uid}
    assert api.get(space.path("events"), fieldSelector="involvedObject.name=q").value["items"] == []


def test_events_are_the_same_in_both_of_their_groups(api: Api, space: Space) -> None:
    event = {
        "metadata": {"name": "e"},
        "involvedObject": {"kind": "Pod", "namespace": space.name, "name": "p"},
        "reason": "Tested",
        "message": "by hand",
        "type": "Normal",
    }
    api.post(space.path("events"), event).done()
    found = api.get(space.path("events", "e", group="events.k8s.io")).value
    assert (found["apiVersion"], found["regarding"]["name"], found["note"], found["reason"]) == (
        "events.k8s.io/v1", "p", "by hand", "Tested",
    )  # fmt: skip


def test_namespaces_are_chosen_by_phase(api: Api, space: Space) -> None:
    found = names(api.get(path("namespaces"), fieldSelector="status.phase=Active").value)
    assert space.name in found


def test_jobs_are_chosen_by_success(api: Api, space: Space) -> None:
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "x"}]}}
    body = {"metadata": {"name": "j"}, "spec": {"template": template, "suspend": True}}
    where = space.path("jobs", group="batch")
    api.post(where, body).done()
    assert names(api.get(where, fieldSelector="status.successful=0").value) == ["j"]
    assert names(api.get(where, fieldSelector="status.successful=1").value) == []


def test_custom_objects_are_chosen_by_the_fields_their_definition_names(api: Api, space: Space, define: Define) -> None:
    found = define(version("v1", {"colour": {"type": "string"}}, selectableFields=[{"jsonPath": ".spec.colour"}]))
    for name, colour in {"a": "red", "b": "blue"}.items():
        api.post(found.path(space.name), found.widget(name, spec={"colour": colour})).done()
    assert names(api.get(found.path(space.name), fieldSelector="spec.colour=red").value) == ["a"]
    api.get(found.path(space.name), fieldSelector="spec.size=1").refused(400, "BadRequest")


def test_a_named_list_with_a_selector_is_still_one_object(api: Api, letters: Space) -> None:
    assert api.get(letters.path("configmaps", "a"), labelSelector="set=none").value == api.get(
        letters.path("configmaps", "a")
    ).value  # fmt: skip
    assert configmap("a")["kind"] == api.get(letters.path("configmaps", "a")).value["kind"]


def test_items_of_a_built_in_list_leave_their_type_to_the_list(api: Api, letters: Space) -> None:
    found = api.get(letters.configmaps).value
    assert found["items"]
    assert all("kind" not in item and "apiVersion" not in item for item in found["items"])
