"""Content negotiation: protobuf, YAML, tables, and metadata alone."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import yaml
from conformance_api import Answer, Api, Definition, Json, Space, path, version

Define = Callable[..., Definition]
PROTOBUF = "application/vnd.kubernetes.protobuf"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
PARTIAL_LIST = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json"
PARTIAL = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io,application/json"


# ---- protobuf: just enough of an encoder for what kubectl's typed commands send


def field(number: int, value: bytes | str) -> bytes:
    """A length-delimited field."""
    raw = value.encode() if isinstance(value, str) else value
    size, length = len(raw), b""
    while True:
        size, low = size >> 7, size & 0x7F
        length += bytes([low | (0x80 if size else 0)])
        if not size:
            return bytes([number << 3 | 2]) + length + raw


def varint(number: int, value: int) -> bytes:
    return bytes([number << 3, value])


def unknown(api_version: str, kind: str, raw: bytes) -> bytes:
    """The envelope: four bytes of magic, then runtime.Unknown."""
    return b"k8s\0" + field(1, field(1, api_version) + field(2, kind)) + field(2, raw)


def metadata(name: str, labels: dict[str, str] | None = None) -> bytes:
    """ObjectMeta as Go writes it: unset strings are there, and empty."""
    marked = b"".join(field(11, field(1, key) + field(2, value)) for key, value in (labels or {}).items())
    return field(1, name) + field(2, "") + field(3, "") + field(4, "") + field(5, "") + field(6, "") + marked


def send(api: Api, where: str, body: bytes, accept: str = f"{PROTOBUF},application/json") -> Answer:
    return api.send("POST", where, body, headers={"Content-Type": PROTOBUF, "Accept": accept})


def test_a_configmap_can_be_sent_as_protobuf(api: Api, space: Space) -> None:
    raw = field(1, metadata("typed", {"app": "x"})) + field(2, field(1, "key") + field(2, "värde"))
    raw += field(3, field(1, "bytes") + field(2, b"\x00\xff"))
    answer = send(api, space.configmaps, unknown("v1", "ConfigMap", raw), "application/json")
    found = answer.value
    assert answer.status == 201
    assert (found["data"], found["binaryData"]) == ({"key": "värde"}, {"bytes": "AP8="})
    assert found["metadata"]["labels"] == {"app": "x"}
    assert found["metadata"]["namespace"] == space.name
    assert "selfLink" not in found["metadata"]


def test_a_job_can_be_sent_as_protobuf(api: Api, space: Space) -> None:
    container = field(1, "main") + field(2, "docker.io/library/busybox:1.37") + field(3, "true")
    template = field(1, metadata("")) + field(2, field(2, container) + field(3, "Never"))
    spec = varint(1, 1) + varint(7, 2) + field(6, template)  # parallelism, backoffLimit, template
    raw = field(1, metadata("typed")) + field(2, spec)
    answer = send(api, space.path("jobs", group="batch"), unknown("batch/v1", "Job", raw), "application/json")
    found = answer.value["spec"]
    assert (found["parallelism"], found["backoffLimit"]) == (1, 2)
    main = found["template"]["spec"]["containers"][0]
    assert (main["name"], main["command"]) == ("main", ["true"])


def test_a_caller_that_takes_protobuf_and_json_is_answered(api: Api, space: Space) -> None:
    answer = send(api, space.configmaps, unknown("v1", "ConfigMap", field(1, metadata("either"))))
    assert answer.status == 201
    assert answer.headers["Content-Type"] in ("application/json", PROTOBUF)
    assert api.get(space.path("configmaps", "either")).status == 200


def test_protobuf_that_is_none_is_a_bad_request(api: Api, space: Space) -> None:
    assert send(api, space.configmaps, b"\x00\x01nonsense", "application/json").status in (400, 415)


def test_a_custom_kind_takes_no_protobuf(api: Api, space: Space, define: Define) -> None:
    found = define()
    raw = unknown(f"{found.group}/v1", "Widget", field(1, metadata("a")))
    send(api, found.path(space.name), raw, "application/json").refused(415, "UnsupportedMediaType")


@pytest.mark.engine_only
def test_a_caller_that_takes_only_protobuf_is_told_what_there_is(api: Api, space: Space) -> None:
    answer = api.get(space.configmaps, accept=PROTOBUF)
    if answer.headers["Content-Type"] != PROTOBUF:
        assert "application/json" in answer.refused(406, "NotAcceptable")["message"]


def test_a_body_may_be_yaml(api: Api, space: Space) -> None:
    body = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: written}\ndata: {a: b}\n"
    answer = api.send("POST", space.configmaps, body, headers={"Content-Type": "application/yaml"})
    assert answer.status == 201
    assert answer.value["data"] == {"a": "b"}


def test_an_answer_may_be_yaml(api: Api, space: Space) -> None:
    space.configmap("a", {"x": "1"})
    answer = api.get(space.path("configmaps", "a"), accept="application/yaml")
    assert answer.headers["Content-Type"] == "application/yaml"
    assert yaml.safe_load(answer.text)["data"] == {"x": "1"}


# ---- tables


def cells(table: Json) -> list[dict[str, object]]:
    names = [column["name"] for column in table["columnDefinitions"]]
    return [dict(zip(names, row["cells"], strict=True)) for row in table["rows"]]


def test_a_list_comes_as_a_table_with_the_metadata_of_its_objects(api: Api, space: Space) -> None:
    space.configmap("a", {"x": "1", "y": "2"})
    table = api.get(space.configmaps, accept=TABLE, labelSelector="").value
    assert (table["kind"], table["apiVersion"]) == ("Table", "meta.k8s.io/v1")
    assert table["metadata"]["resourceVersion"]
    row = next(row for row in cells(table) if row["Name"] == "a")
    assert row["Data"] == 2
    shown = next(row["object"] for row in table["rows"] if row["object"]["metadata"]["name"] == "a")
    assert (shown["kind"], "data" in shown) == ("PartialObjectMetadata", False)


@pytest.mark.parametrize(("include", "kind"), [("None", None), ("Metadata", "PartialObjectMetadata"), ("Object", "")])
def test_a_table_holds_as_much_of_the_objects_as_is_asked(
    api: Api, space: Space, include: str, kind: str | None
) -> None:
    space.configmap("a", {"x": "1"})
    table = api.get(space.path("configmaps", "a"), accept=TABLE, includeObject=include).value
    shown = table["rows"][0].get("object")
    assert (shown is None) == (kind is None)
    if kind == "":
        assert shown["data"] == {"x": "1"}
    elif kind:
        assert shown["kind"] == kind


def test_a_table_of_pods_shows_what_kubectl_shows(api: Api, space: Space) -> None:
    space.pod("p", "exit 0")
    space.wait_phase("p", "Succeeded")
    table = api.get(space.path("pods"), accept=TABLE).value
    row = cells(table)[0]
    assert (row["Name"], row["Ready"], row["Status"]) == ("p", "0/1", "Completed")
    wide = {column["name"] for column in table["columnDefinitions"] if column["priority"] > 0}
    assert {"IP", "Node"} <= wide


def test_a_table_is_cut_by_limit_and_goes_on(api: Api, space: Space) -> None:
    for name in "abc":
        space.configmap(name, labels={"set": "x"})
    first = api.get(space.configmaps, accept=TABLE, limit=2, labelSelector="set").value
    rest = api.get(
        space.configmaps, accept=TABLE, limit=2, labelSelector="set", **{"continue": first["metadata"]["continue"]}
    ).value
    assert [row["Name"] for row in (*cells(first), *cells(rest))] == ["a", "b", "c"]


def test_a_watch_of_tables_has_its_columns_in_the_first_event_only(api: Api, space: Space) -> None:
    with api.watch(space.configmaps, accept=TABLE, labelSelector="set") as events:
        for name in "ab":
            space.configmap(name, labels={"set": "x"})
        first, second = events.event("ADDED")["object"], events.event("ADDED")["object"]
    assert (first["kind"], second["kind"]) == ("Table", "Table")
    assert first["columnDefinitions"]
    assert not second.get("columnDefinitions")
    assert second["rows"][0]["cells"][0] == "b"


def test_a_custom_kinds_printer_columns_are_in_its_table(api: Api, space: Space, define: Define) -> None:
    columns = [
        {"name": "Size", "type": "integer", "jsonPath": ".spec.size", "description": "How large it is."},
        {"name": "Colour", "type": "string", "jsonPath": ".spec.colour", "priority": 1},
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    ]
    found = define(version("v1", additionalPrinterColumns=columns))
    api.post(found.path(space.name), found.widget("a", spec={"size": 3})).done()
    table = api.get(found.path(space.name), accept=TABLE).value
    (row,) = cells(table)
    assert (row["Name"], row["Size"], row["Colour"]) == ("a", 3, None)
    told = {column["name"]: column for column in table["columnDefinitions"]}
    assert (told["Size"]["description"], told["Size"]["type"], told["Colour"]["priority"]) == (
        "How large it is.", "integer", 1,
    )  # fmt: skip


# ---- metadata alone


def test_a_list_comes_as_metadata_alone(api: Api, space: Space) -> None:
    space.configmap("a", {"x": "1"}, labels={"app": "x"})
    found = api.get(space.configmaps, accept=PARTIAL_LIST, labelSelector="app=x").value
    assert (found["kind"], found["apiVersion"]) == ("PartialObjectMetadataList", "meta.k8s.io/v1")
    (item,) = found["items"]
    assert item["metadata"]["labels"] == {"app": "x"}
    assert "data" not in item


def test_one_object_comes_as_metadata_alone(api: Api, space: Space) -> None:
    space.configmap("a", {"x": "1"})
    found = api.get(space.path("configmaps", "a"), accept=PARTIAL).value
    assert (found["kind"], found["metadata"]["name"], "data" in found) == ("PartialObjectMetadata", "a", False)


def test_a_watch_comes_as_metadata_alone(api: Api, space: Space) -> None:
    with api.watch(space.configmaps, accept=PARTIAL, labelSelector="app") as events:
        space.configmap("a", {"x": "1"}, labels={"app": "x"})
        found = events.event("ADDED")["object"]
    assert (found["kind"], "data" in found) == ("PartialObjectMetadata", False)


def test_a_custom_kinds_list_items_say_what_they_are(api: Api, space: Space, define: Define) -> None:
    found = define()
    api.post(found.path(space.name), found.widget("a")).done()
    listed = api.get(found.path(space.name)).value
    assert (listed["kind"], listed["apiVersion"]) == ("WidgetList", f"{found.group}/v1")
    assert [(item["kind"], item["apiVersion"]) for item in listed["items"]] == [("Widget", f"{found.group}/v1")]


def test_a_list_of_nothing_has_items(api: Api, space: Space) -> None:
    assert api.get(path("secrets", space=space.name)).value["items"] == []
