"""Watches: order, selection, bookmarks, initial events, versions that are gone, and coming back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest
from conformance_api import Api, Definition, Json, Space, path, version

Define = Callable[..., Definition]
FIRST_EVENTS = {"sendInitialEvents": True, "resourceVersionMatch": "NotOlderThan", "allowWatchBookmarks": True}
MARK = "k8s.io/initial-events-end"


def latest(api: Api, where: str) -> str:
    return str(api.get(where).value["metadata"]["resourceVersion"])


def test_a_watch_answers_before_anything_happens(api: Api, space: Space) -> None:
    with api.watch(space.configmaps, resourceVersion=latest(api, space.configmaps)) as events:
        assert events.headers["Content-Type"] == "application/json"
        assert events.headers["Transfer-Encoding"] == "chunked"


def test_a_watch_tells_what_happens_in_order(api: Api, space: Space) -> None:
    with api.watch(space.configmaps, resourceVersion=latest(api, space.configmaps)) as events:
        space.configmap("a")
        api.patch(space.path("configmaps", "a"), {"data": {"x": "1"}})
        space.configmap("b")
        api.delete(space.path("configmaps", "a"))
        assert events.names(4) == [("ADDED", "a"), ("MODIFIED", "a"), ("ADDED", "b"), ("DELETED", "a")]


def test_an_event_is_one_line_with_the_whole_object(api: Api, space: Space) -> None:
    with api.watch(space.configmaps, resourceVersion=latest(api, space.configmaps)) as events:
        created = space.configmap("a", {"text": "two\nlines"})
        event = events.event("ADDED")
    assert set(event) == {"type", "object"}
    assert event["object"] == created


def test_versions_in_a_watch_grow(api: Api, space: Space) -> None:
    with api.watch(space.configmaps, resourceVersion=latest(api, space.configmaps)) as events:
        for number in range(10):
            space.configmap(f"m{number}")
        versions = [int(events.event()["object"]["metadata"]["resourceVersion"]) for _ in range(10)]
    assert versions == sorted(set(versions))


def test_a_deletion_has_the_last_state_and_a_version_of_its_own(api: Api, space: Space) -> None:
    created = space.configmap("a", {"x": "1"})
    before = created["metadata"]["resourceVersion"]
    with api.watch(space.configmaps, resourceVersion=before) as events:
        api.delete(space.path("configmaps", "a"))
        gone = events.event("DELETED")["object"]
    assert gone["data"] == {"x": "1"}
    assert int(gone["metadata"]["resourceVersion"]) > int(before)


@pytest.mark.parametrize("query", [{}, {"resourceVersion": "0"}, {"resourceVersion": ""}], ids=["none", "0", "empty"])
def test_a_watch_without_a_version_begins_with_what_is_there(api: Api, space: Space, query: Json) -> None:
    for name in "ab":
        space.configmap(name, labels={"set": "x"})
    with api.watch(space.configmaps, labelSelector="set", **query) as events:
        assert sorted(events.names(2)) == [("ADDED", "a"), ("ADDED", "b")]
        space.configmap("c", labels={"set": "x"})
        assert events.names(1) == [("ADDED", "c")]


def test_a_watch_from_a_version_begins_right_after_it(api: Api, space: Space) -> None:
    space.configmap("a")
    since = space.configmap("b")["metadata"]["resourceVersion"]
    space.configmap("c")
    with api.watch(space.configmaps, resourceVersion=since) as events:
        assert events.names(1) == [("ADDED", "c")]


def test_objects_enter_and_leave_the_selection(api: Api, space: Space) -> None:
    space.configmap("a", {"x": "1"}, labels={"app": "no"})
    where = space.path("configmaps", "a")
    with api.watch(space.configmaps, labelSelector="app=yes", resourceVersion=latest(api, space.configmaps)) as events:
        api.patch(where, {"metadata": {"labels": {"app": "yes"}}})
        api.patch(where, {"data": {"x": "2"}})
        api.patch(where, {"metadata": {"labels": {"app": "no"}}, "data": {"x": "3"}})
        api.patch(where, {"data": {"x": "4"}})
        api.delete(where)
        space.configmap("marker", labels={"app": "yes"})
        entered, changed, left = events.event("ADDED"), events.event("MODIFIED"), events.event("DELETED")
        assert events.names(1) == [("ADDED", "marker")]
    assert [event["object"]["data"]["x"] for event in (entered, changed, left)] == ["1", "2", "2"]
    versions = [int(event["object"]["metadata"]["resourceVersion"]) for event in (entered, changed, left)]
    assert versions == sorted(set(versions))


def test_transitions_are_told_from_history_too(api: Api, space: Space) -> None:
    since = space.configmap("a", labels={"app": "no"})["metadata"]["resourceVersion"]
    where = space.path("configmaps", "a")
    for value in ("yes", "no", "yes"):
        api.patch(where, {"metadata": {"labels": {"app": value}}})
    api.delete(where)
    with api.watch(space.configmaps, labelSelector="app=yes", resourceVersion=since) as events:
        assert [event for event, _ in events.names(4)] == ["ADDED", "DELETED", "ADDED", "DELETED"]


def test_a_field_selector_watches_one_object(api: Api, space: Space) -> None:
    with api.watch(space.configmaps, fieldSelector="metadata.name=b") as events:
        space.configmap("a")
        space.configmap("b")
        assert events.names(1) == [("ADDED", "b")]


def test_pods_are_watched_by_phase(api: Api, space: Space) -> None:
    with api.watch(space.path("pods"), fieldSelector="status.phase=Pending") as events:
        space.pod("p", "exit 0")
        assert events.names(1) == [("ADDED", "p")]
        left = events.until(lambda event: event["type"] == "DELETED")["object"]
    assert left["status"]["phase"] == "Pending"


def test_a_named_object_can_be_watched(api: Api, space: Space) -> None:
    space.configmap("a")
    space.configmap("b")
    with api.watch(space.path("configmaps", "a")) as events:
        assert events.names(1) == [("ADDED", "a")]
        api.delete(space.path("configmaps", "b"))
        api.delete(space.path("configmaps", "a"))
        assert events.names(1) == [("DELETED", "a")]


def test_all_namespaces_can_be_watched(api: Api, space: Space) -> None:
    with api.watch(path("configmaps"), labelSelector=f"set={space.name}") as events:
        space.configmap("a", labels={"set": space.name})
        assert events.event("ADDED")["object"]["metadata"]["namespace"] == space.name


@pytest.mark.parametrize("word", ["true", "True", "1"])
def test_watching_is_asked_for_in_several_words(api: Api, space: Space, word: str) -> None:
    space.configmap("a", labels={"set": "x"})
    with api.stream(space.configmaps, watch=word, timeoutSeconds=30, labelSelector="set") as events:
        assert events.names(1) == [("ADDED", "a")]


def test_a_watch_ends_at_its_time_and_in_order(api: Api, space: Space) -> None:
    space.configmap("a", labels={"set": "x"})
    started = time.monotonic()
    with api.watch(space.configmaps, timeoutSeconds=1, labelSelector="set") as events:
        assert [event["type"] for event in events.rest()] == ["ADDED"]
    assert time.monotonic() - started >= 1


def test_bookmarks_come_to_those_who_asked_only(api: Api, space: Space) -> None:
    with api.watch(space.configmaps, timeoutSeconds=2, allowWatchBookmarks=True) as events:
        told = events.rest()
    with api.watch(space.configmaps, timeoutSeconds=2) as events:
        assert "BOOKMARK" not in {event["type"] for event in events.rest()}
    for event in told:
        if event["type"] == "BOOKMARK":
            assert event["object"]["kind"] == "ConfigMap"
            assert set(event["object"]["metadata"]) - {"creationTimestamp"} == {"resourceVersion"}


@pytest.mark.slow
def test_a_bookmark_comes_within_a_minute_and_a_bit(api: Api, space: Space) -> None:
    since = latest(api, space.configmaps)
    with api.watch(space.configmaps, timeoutSeconds=75, allowWatchBookmarks=True, resourceVersion=since) as events:
        assert int(events.event("BOOKMARK")["object"]["metadata"]["resourceVersion"]) >= int(since)


def test_initial_events_end_with_a_marked_bookmark(api: Api, space: Space) -> None:
    for name in "ab":
        space.configmap(name, labels={"set": "x"})
    with api.watch(space.configmaps, labelSelector="set", **FIRST_EVENTS) as events:
        assert sorted(events.names(2)) == [("ADDED", "a"), ("ADDED", "b")]
        bookmark = events.event("BOOKMARK")["object"]
        assert (bookmark["kind"], bookmark["apiVersion"]) == ("ConfigMap", "v1")
        assert bookmark["metadata"]["annotations"] == {MARK: "true"}
        space.configmap("c", labels={"set": "x"})
        assert events.until(lambda event: event["type"] != "BOOKMARK")["object"]["metadata"]["name"] == "c"
    with api.watch(
        space.configmaps, labelSelector="set", resourceVersion=bookmark["metadata"]["resourceVersion"]
    ) as events:
        assert events.names(1) == [("ADDED", "c")]


def test_initial_events_of_nothing_are_a_bookmark(api: Api, space: Space) -> None:
    with api.watch(space.path("secrets"), **FIRST_EVENTS) as events:
        assert events.event("BOOKMARK")["object"]["metadata"]["annotations"] == {MARK: "true"}


@pytest.mark.parametrize(
    "left_out", [{"resourceVersionMatch": None}, {"resourceVersionMatch": "Exact"}], ids=["match", "exact"]
)
def test_initial_events_asked_for_by_half_are_invalid(api: Api, space: Space, left_out: Json) -> None:
    query = {name: value for name, value in {**FIRST_EVENTS, **left_out}.items() if value is not None}
    api.get(space.configmaps, watch=True, **query).refused(422, "Invalid")


def test_a_version_long_gone_is_expired(api: Api, space: Space) -> None:
    answer = api.get(space.configmaps, watch=True, resourceVersion=1, timeoutSeconds=1)
    if answer.status == 410:
        answer.refused(410, "Expired")
        return
    assert answer.status == 200
    first = answer.text.splitlines()[:1]
    if first and '"ERROR"' in first[0]:  # a server with all of its history may also answer with that
        assert '"code":410' in first[0]
        assert '"reason":"Expired"' in first[0]


def test_a_version_that_is_no_number_is_refused(api: Api, space: Space) -> None:
    assert api.get(space.configmaps, watch=True, resourceVersion="abc").status == 400


def test_coming_back_has_neither_a_gap_nor_a_double(api: Api, space: Space) -> None:
    since, told = latest(api, space.configmaps), []

    def write() -> None:
        for number in range(60):
            space.configmap(f"m{number:02}")

    writer = threading.Thread(target=write)
    writer.start()
    while len(told) < 60:
        with api.watch(space.configmaps, resourceVersion=since) as events:
            for _ in range(min(7, 60 - len(told))):
                obj = events.event("ADDED")["object"]
                told.append(obj["metadata"]["name"])
                since = obj["metadata"]["resourceVersion"]
    writer.join()
    assert told == [f"m{number:02}" for number in range(60)]


def test_a_list_and_the_watch_after_it_are_whole_while_others_write(api: Api, space: Space) -> None:
    done = threading.Event()

    def write() -> None:
        number = 0
        while not done.is_set() and number < 200:
            space.configmap(f"m{number:03}")
            number += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(5):
            listed = api.get(space.configmaps).value
            names = [item["metadata"]["name"] for item in listed["items"] if item["metadata"]["name"][0] == "m"]
            with api.watch(space.configmaps, resourceVersion=listed["metadata"]["resourceVersion"]) as events:
                names += [name for _, name in events.names(3)]
            assert names == [f"m{number:03}" for number in range(len(names))]
    finally:
        done.set()
        writer.join()


def test_many_watchers_see_the_same(api: Api, space: Space) -> None:
    seen: list[list[tuple[str, str]]] = []

    def follow(since: str) -> None:
        with api.watch(space.configmaps, resourceVersion=since) as events:
            seen.append(events.names(5))

    since = latest(api, space.configmaps)
    watchers = [threading.Thread(target=follow, args=(since,)) for _ in range(8)]
    for watcher in watchers:
        watcher.start()
    for number in range(5):
        space.configmap(f"m{number}")
    for watcher in watchers:
        watcher.join(30)
    assert seen == [[("ADDED", f"m{number}") for number in range(5)]] * 8


def test_a_reader_that_does_not_read_holds_nobody_up(api: Api, space: Space) -> None:
    with api.watch(space.configmaps, resourceVersion=latest(api, space.configmaps)) as sleeping:
        for number in range(20):
            space.configmap(f"m{number}", {"text": "x" * 100_000})
        assert api.get(space.path("configmaps", "m19")).status == 200
        assert sleeping.names(1) == [("ADDED", "m0")]


def test_custom_objects_are_watched_in_the_version_asked_for(api: Api, space: Space, define: Define) -> None:
    found = define(version("v1"), version("v2", storage=False))
    with api.watch(found.path(space.name, version="v2")) as events:
        api.post(found.path(space.name), found.widget("a")).done()
        assert events.event("ADDED")["object"]["apiVersion"] == f"{found.group}/v2"
