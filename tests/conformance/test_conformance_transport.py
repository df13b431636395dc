"""Transport and security: who is let in, what a URL may look like, how answers and refusals are framed."""

from __future__ import annotations

import json

import pytest
from conformance_api import Api, Space, path


def test_a_caller_without_credentials_is_refused(api: Api, space: Space) -> None:
    answer = api.send("GET", space.configmaps, headers={"Authorization": ""})
    if not api.pool.connection_pool_kw.get("cert_file"):  # a client certificate is a credential too
        assert answer.status in (401, 403)
        assert answer.json()["reason"] in ("Unauthorized", "Forbidden")


def test_a_wrong_token_is_unauthorized(api: Api, space: Space) -> None:
    if not api.pool.connection_pool_kw.get("cert_file"):
        api.send("GET", space.configmaps, headers={"Authorization": "Bearer wrong"}).refused(401, "Unauthorized")


@pytest.mark.engine_only
def test_a_request_from_a_web_page_is_refused(api: Api, space: Space) -> None:
    api.send("GET", space.configmaps, headers={"Origin": "https://example.com"}).refused(403, "Forbidden")


@pytest.mark.engine_only
def test_a_request_for_another_host_is_refused(api: Api, space: Space) -> None:
    api.send("GET", space.configmaps, headers={"Host": "evil.example.com"}).refused(403, "Forbidden")


@pytest.mark.parametrize("where", ["/healthz", "/livez", "/readyz"])
def test_health_is_told_in_two_letters(api: Api, where: str) -> None:
    answer = api.get(where, accept="*/*")
    assert (answer.status, answer.text) == (200, "ok")


@pytest.mark.parametrize("where", ["/version", "/api", "/apis"])
def test_a_trailing_slash_changes_nothing(api: Api, where: str) -> None:
    assert api.get(where + "/").value == api.get(where).value


def test_json_is_labelled_without_a_charset(api: Api, space: Space) -> None:
    assert api.get(space.configmaps).headers["Content-Type"] == "application/json"
    assert api.get(space.path("configmaps", "no")).headers["Content-Type"] == "application/json"


def test_a_status_is_compact_in_the_usual_order_and_ends_with_a_newline(api: Api, space: Space) -> None:
    body = api.get(space.path("configmaps", "no")).text
    expected = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": 'configmaps "no" not found',
        "reason": "NotFound",
        "details": {"name": "no", "kind": "configmaps"},
        "code": 404,
    }
    assert body == json.dumps(expected, separators=(",", ":")) + "\n"


def test_a_connection_serves_one_request_after_another(api: Api, space: Space) -> None:
    for _ in range(3):
        api.get(space.configmaps)
    pool = api.pool.connection_from_url(api.server)
    before = pool.num_connections
    for _ in range(3):
        assert api.get(space.configmaps).status == 200
    assert pool.num_connections == before


def test_a_get_may_name_a_content_type_without_a_body(api: Api, space: Space) -> None:
    assert api.send("GET", space.configmaps, headers={"Content-Type": "application/json"}).status == 200


def test_a_delete_may_name_a_content_type_without_a_body(api: Api, space: Space) -> None:
    space.configmap("a")
    where = space.path("configmaps", "a")
    assert api.send("DELETE", where, headers={"Content-Type": "application/json"}).status == 200


def test_unknown_query_parameters_are_passed_over(api: Api, space: Space) -> None:
    answer = api.get(space.configmaps, timeout="32s", pretty="false", fieldManager="me", whatever="x")
    assert answer.status == 200


@pytest.mark.parametrize(
    "where",
    ["/apis/nobody.example.com/v1/things", "/api/v1/things", "/api/v2/pods", "/apis/apps/v9/deployments", "/nowhere"],
)
def test_what_is_not_served_is_not_found(api: Api, where: str) -> None:
    assert api.get(where).status == 404


def test_a_verb_that_a_path_does_not_know_is_not_allowed(api: Api, space: Space) -> None:
    api.put(space.configmaps, {}).refused(405, "MethodNotAllowed")
    api.post(space.path("configmaps", "a"), {}).refused(405, "MethodNotAllowed")


def test_a_body_that_is_no_json_is_a_bad_request(api: Api, space: Space) -> None:
    headers = {"Content-Type": "application/json"}
    api.send("POST", space.configmaps, b"{no", headers=headers).refused(400, "BadRequest")


def test_a_body_without_a_content_type_is_json(api: Api, space: Space) -> None:
    answer = api.send("POST", space.configmaps, b'{"metadata":{"name":"plain"}}', headers={"Content-Type": ""})
    assert answer.status == 201


def test_a_body_in_an_unknown_format_is_refused_with_what_is_accepted(api: Api, space: Space) -> None:
    answer = api.send("POST", space.configmaps, b"<a/>", headers={"Content-Type": "application/xml"})
    assert "application/json" in answer.refused(415, "UnsupportedMediaType")["message"]


def test_a_body_beyond_the_limit_is_refused(api: Api, space: Space) -> None:
    answer = api.post(space.configmaps, {"metadata": {"name": "big"}, "data": {"a": "x" * (4 * 2**20)}})
    answer.refused(413, "RequestEntityTooLarge")


def test_an_object_of_half_a_megabyte_is_kept(api: Api, space: Space) -> None:
    data = {"a": "x" * 2**19}
    space.configmap("large", data)
    assert api.get(path("configmaps", "large", space=space.name)).value["data"] == data
