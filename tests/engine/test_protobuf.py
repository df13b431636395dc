"""Protobuf bodies over HTTPS. The bytes are put together here by hand, by the wire format's description."""

from __future__ import annotations

from typing import Any

import pytest

PROTOBUF = "application/vnd.kubernetes.protobuf"


def varint(value: int) -> bytes:
    value &= 2**64 - 1
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def field(number: int, value: int | str | bytes) -> bytes:
    """One field: a number as a varint, text and messages with their length before them."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def unknown(api_version: str, kind: str, raw: bytes) -> bytes:
    return b"k8s\0" + field(1, field(1, api_version) + field(2, kind)) + field(2, raw) + field(3, "") + field(4, "")


def metadata(name: str, **labels: str) -> bytes:
    """ObjectMeta as Go writes it: what is unset comes as empty text, and the zero time as an empty message."""
    meta = field(1, name) + b"".join(field(number, "") for number in (2, 3, 4, 5, 6)) + field(7, 0) + field(8, b"")
    return meta + b"".join(field(11, field(1, key) + field(2, value)) for key, value in labels.items())


@pytest.fixture
def post(https: Any) -> Any:
    """`post(path, bytes, …)` → status and the JSON of the answer."""

    def send(path: str, body: bytes, method: str = "POST", accept: str = "application/json") -> tuple[int, Any]:
        answer = https(method, path, body, **{"Content-Type": PROTOBUF, "Accept": accept})
        return answer.status, answer.json()

    return send


def test_what_go_leaves_empty_is_absent_and_what_it_sets_to_nothing_is_kept(post: Any) -> None:
    container = field(1, "c") + field(2, "image") + field(7, field(1, "LANG") + field(2, "")) + field(8, b"")
    probe = field(1, field(2, field(1, "/ok") + field(2, field(1, 0) + field(2, 8080) + field(3, ""))))
    volume = field(1, "tmp") + field(2, field(2, field(1, "Memory") + field(2, field(1, "64Mi"))))
    file = field(1, "labels") + field(2, field(1, "v1") + field(2, "metadata.labels"))
    projected = field(1, "all") + field(2, field(26, field(1, field(2, field(1, file)))))
    spec = (
        field(1, volume)
        + field(1, projected)
        + field(2, container + field(11, probe + field(3, 5)))
        + field(3, "Never")
        + field(4, 0)  # terminationGracePeriodSeconds, a pointer: 0 is an answer
        + field(11, 0)  # hostNetwork, not a pointer: false is nothing
        + field(21, 0)  # automountServiceAccountToken, a pointer
        + field(22, field(1, "k") + field(2, "Exists") + field(5, -1))
    )
    code, pod = post(
        "/api/v1/namespaces/default/pods", unknown("v1", "Pod", field(1, metadata("p", a="")) + field(2, spec))
    )
    assert code == 201, pod
    assert pod["metadata"]["labels"] == {"a": ""}
    assert pod["metadata"]["namespace"] == "default"
    assert pod["spec"]["terminationGracePeriodSeconds"] == 0
    assert pod["spec"]["automountServiceAccountToken"] is False
    assert "hostNetwork" not in pod["spec"]
    assert pod["spec"]["volumes"][0] == {"name": "tmp", "emptyDir": {"medium": "Memory", "sizeLimit": "64Mi"}}
    (source,) = pod["spec"]["volumes"][1]["projected"]["sources"]
    assert source["downwardAPI"]["items"][0]["fieldRef"]["fieldPath"] == "metadata.labels"
    assert pod["spec"]["tolerations"][0]["tolerationSeconds"] == -1
    (made,) = pod["spec"]["containers"]
    assert made["env"] == [{"name": "LANG"}]
    assert made["readinessProbe"]["httpGet"]["port"] == 8080
    assert made["readinessProbe"]["timeoutSeconds"] == 5


def test_bytes_times_and_maps_are_as_in_json(post: Any) -> None:
    data = field(2, field(1, "key") + field(2, b"\x00\xff"))
    code, secret = post(
        "/api/v1/namespaces/default/secrets", unknown("v1", "Secret", field(1, metadata("s")) + data + field(3, ""))
    )
    assert code == 201, secret
    assert (secret["data"], secret["type"]) == ({"key": "AP8="}, "Opaque")
    renewed = field(1, "me") + field(2, 15) + field(4, field(1, 1_700_000_000) + field(2, 123_456_000))
    code, lease = post(
        "/apis/coordination.k8s.io/v1/namespaces/default/leases",
        unknown("coordination.k8s.io/v1", "Lease", field(1, metadata("l")) + field(2, renewed)),
    )
    assert code == 201, lease
    assert lease["spec"]["renewTime"] == "2023-11-14T22:13:20.123456Z"
    assert lease["spec"]["leaseDurationSeconds"] == 15


def test_a_delete_reads_its_options(post: Any) -> None:
    path = "/api/v1/namespaces/default/configmaps"
    assert post(path, unknown("v1", "ConfigMap", field(1, metadata("c"))))[0] == 201
    dry = unknown("v1", "DeleteOptions", field(5, "All"))
    assert post(f"{path}/c", dry, "DELETE")[0] == 200
    wrong = unknown("v1", "DeleteOptions", field(2, field(1, "another")))
    assert post(f"{path}/c", wrong, "DELETE")[0] == 409
    assert post(f"{path}/c", unknown("v1", "DeleteOptions", b""), "DELETE")[0] == 200
    assert post(f"{path}/c", b"", "GET")[0] == 404


def test_a_field_of_a_newer_version_is_left_out(post: Any) -> None:
    raw = field(1, metadata("c")) + field(999, "new") + varint(998 << 3 | 1) + bytes(8)
    assert post("/api/v1/namespaces/default/configmaps", unknown("v1", "ConfigMap", raw))[0] == 201


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"{}", id="json"),
        pytest.param(b"k8s\0\x0a\xff", id="cut in a length"),
        pytest.param(unknown("v1", "ConfigMap", field(1, metadata("c")))[:-9], id="cut in a message"),
        pytest.param(unknown("v1", "ConfigMap", b"\x0a" + b"\xff" * 11), id="endless number"),
        pytest.param(unknown("v1", "ConfigMap", field(1, 7)), id="a number for a message"),
        pytest.param(unknown("v1", "ConfigMap", field(1, field(1, b"\xff"))), id="text that is none"),
        pytest.param(unknown("v1", "ConfigMap", b"\x0b\x0c"), id="a group"),
        pytest.param(unknown("v1", "ConfigMap", field(1, field(13, b"") * 400_000)), id="too much"),
    ],
)
def test_what_is_not_protobuf_is_a_bad_request(post: Any, body: bytes) -> None:
    code, status = post("/api/v1/namespaces/default/configmaps", body)
    assert (code, status["reason"]) == (400, "BadRequest"), status


def test_kinds_of_definitions_come_as_json_only(post: Any) -> None:
    body = unknown("cpod.cpod/v1beta1", "FineTune", b"")
    code, status = post("/apis/cpod.cpod/v1beta1/namespaces/default/finetunes", body)
    assert (code, status["reason"]) == (415, "UnsupportedMediaType")


def test_protobuf_answers_are_not_to_be_had(post: Any) -> None:
    path = "/api/v1/namespaces"
    assert post(path, b"", "GET", accept=PROTOBUF)[1]["reason"] == "NotAcceptable"
    assert post(path, b"", "GET", accept=f"{PROTOBUF},application/json")[0] == 200
