"""Events in both forms: core, and events.k8s.io."""

from __future__ import annotations

import json
from typing import Any

CORE, NEW = "/api/v1/namespaces/default/events", "/apis/events.k8s.io/v1/namespaces/default/events"
STRATEGIC = "application/strategic-merge-patch+json"
EVENT = {
    "apiVersion": "events.k8s.io/v1",
    "kind": "Event",
    "metadata": {"name": "e", "namespace": "default"},
    "eventTime": "2026-01-01T00:00:00.123456Z",
    "reportingController": "example.com/tool",
    "reportingInstance": "tool-1",
    "action": "Binding",
    "reason": "Scheduled",
    "type": "Normal",
    "note": "it fits",
    "regarding": {"kind": "Pod", "name": "p", "namespace": "default"},
}


def test_an_event_of_the_new_form_is_one_of_the_core_form_and_back(https: Any) -> None:
    made = https("POST", NEW, EVENT)
    assert made.status == 201, made.data
    assert {key: made.json()[key] for key in EVENT if key != "metadata"} == {
        key: value for key, value in EVENT.items() if key != "metadata"
    }
    core = https("GET", f"{CORE}/e").json()
    assert (core["apiVersion"], core["message"], core["reportingComponent"]) == ("v1", "it fits", "example.com/tool")
    assert core["involvedObject"]["name"] == "p"
    again = {"series": {"count": 2, "lastObservedTime": "2026-01-01T00:01:00.000000Z"}}
    patched = https("PATCH", f"{NEW}/e", again, **{"Content-Type": STRATEGIC})
    assert patched.status == 200, patched.data
    assert patched.json()["note"] == "it fits"
    assert https("GET", f"{CORE}/e").json()["series"]["count"] == 2


def test_an_event_of_the_core_form_is_listed_selected_and_watched_in_the_new_form(https: Any) -> None:
    about = {"kind": "Pod", "name": "p", "namespace": "default", "uid": "u"}
    event = {
        "metadata": {"name": "e"},
        "involvedObject": about,
        "reason": "Started",
        "message": "it runs",
        "type": "Normal",
        "source": {"component": "kubelet"},
        "firstTimestamp": "2026-01-01T00:00:00Z",
        "lastTimestamp": "2026-01-01T00:00:00Z",
        "count": 1,
    }
    https("POST", CORE, event)
    https("POST", CORE, {**event, "metadata": {"name": "f"}, "involvedObject": {**about, "name": "q"}})
    (item,) = https("GET", f"{NEW}?fieldSelector=regarding.name%3Dp,reason%3DStarted").json()["items"]
    assert (item["note"], item["deprecatedSource"]["component"], item["deprecatedCount"]) == ("it runs", "kubelet", 1)
    assert item["eventTime"] == "2026-01-01T00:00:00.000000Z"
    assert https("GET", f"{NEW}?fieldSelector=regarding.color%3Dred").status == 400
    table = https("GET", NEW, Accept="application/json;as=Table;v=v1;g=meta.k8s.io").json()
    assert [row["cells"][3:5] for row in table["rows"]] == [["pod/p", ""], ["pod/q", ""]]
    path = "/apis/events.k8s.io/v1/events?watch=1&timeoutSeconds=1&fieldSelector=regarding.name%3Dq"
    lines = [json.loads(line) for line in https("GET", path).data.splitlines()]
    assert [(line["type"], line["object"]["note"]) for line in lines] == [("ADDED", "it runs")]
    assert https("DELETE", f"{NEW}/e").json()["status"] == "Success"
    assert https("GET", f"{CORE}/e").status == 404


def test_the_new_form_asks_for_more(https: Any) -> None:
    lacking = {key: value for key, value in EVENT.items() if key not in ("action", "eventTime")}
    refused = https("POST", NEW, {**lacking, "type": "Odd"})
    assert refused.status == 422
    assert {cause["field"] for cause in refused.json()["details"]["causes"]} == {"action", "eventTime", "type"}
    assert https("POST", f"{NEW}?fieldValidation=Strict", {**EVENT, "colour": "red"}).status == 400
