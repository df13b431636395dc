"""Reviews: who a token is, and what one may do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from cpod_jupyter.api.resources import ROLEBINDINGS, ROLES
from cpod_jupyter.client.client import Client

PODS = {"verb": "get", "resource": "pods", "namespace": "default"}


@pytest.fixture
def ask(https: Any) -> Any:
    """`ask(kind, spec, …)` → the status of the review; of a refusal, the Status."""

    def send(kind: str, spec: dict[str, Any], *, namespace: str = "", code: int = 201, **headers: str) -> Any:
        group = "authentication" if kind in ("TokenReview", "SelfSubjectReview") else "authorization"
        place = f"/namespaces/{namespace}" if namespace else ""
        body = {"apiVersion": f"{group}.k8s.io/v1", "kind": kind, "spec": spec}
        answer = https("POST", f"/apis/{group}.k8s.io/v1{place}/{kind.lower()}s", body, **headers)
        assert answer.status == code, answer.data
        return answer.json()["status"] if code == 201 else answer.json()

    return send


def test_the_user_may_do_what_is_served(ask: Any) -> None:
    def may(**attributes: str) -> bool:
        return bool(ask("SelfSubjectAccessReview", {"resourceAttributes": attributes})["allowed"])

    assert may(verb="create", resource="pods")
    assert may(verb="update", group="apps", resource="deployments", subresource="scale")
    assert may(verb="*", group="*", resource="*")
    assert not may(verb="get", group="example.com", resource="widgets")
    assert not may(verb="create", resource="pods", subresource="nonsense")
    path = ask("SelfSubjectAccessReview", {"nonResourceAttributes": {"path": "/healthz", "verb": "get"}})
    assert path["allowed"]
    rules = ask("SelfSubjectRulesReview", {"namespace": "default"})
    assert rules["resourceRules"] == [{"verbs": ["*"], "resources": ["*"], "apiGroups": ["*"]}]


def test_others_may_do_what_their_roles_say(ask: Any, client: Client) -> None:
    account = "system:serviceaccount:default:reader"
    about = {"resourceAttributes": PODS, "user": account}
    assert not ask("SubjectAccessReview", about)["allowed"]
    rule = {"apiGroups": [""], "resources": ["pods", "pods/log"], "verbs": ["get"]}
    client.create(ROLES, {"metadata": {"name": "reading", "namespace": "default"}, "rules": [rule]})
    client.create(
        ROLEBINDINGS,
        {
            "metadata": {"name": "reading", "namespace": "default"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reading"},
            "subjects": [{"kind": "ServiceAccount", "name": "reader", "namespace": "default"}],
        },
    )
    assert ask("SubjectAccessReview", about)["allowed"]
    assert ask("LocalSubjectAccessReview", about, namespace="default")["allowed"]
    assert not ask("SubjectAccessReview", {"resourceAttributes": {**PODS, "verb": "delete"}, "user": account})[
        "allowed"
    ]
    assert not ask("SubjectAccessReview", {"resourceAttributes": {**PODS, "namespace": "x"}, "user": account})[
        "allowed"
    ]
    seen_as = {"Impersonate-User": account}
    assert ask("SelfSubjectAccessReview", {"resourceAttributes": PODS}, **seen_as)["allowed"]
    rules = ask("SelfSubjectRulesReview", {"namespace": "default"}, **seen_as)
    assert rules["resourceRules"][0]["resources"] == ["pods", "pods/log"]


def test_a_token_is_the_users_or_nobodys(ask: Any, kubeconfig: Path) -> None:
    token = yaml.safe_load(kubeconfig.read_text())["users"][0]["user"]["token"]
    known = ask("TokenReview", {"token": token})
    assert known["authenticated"]
    assert known["user"] == ask("SelfSubjectReview", {})["userInfo"]
    assert "system:masters" in known["user"]["groups"]
    assert ask("TokenReview", {"token": "other"})["authenticated"] is False


@pytest.mark.parametrize(
    ("kind", "spec", "field"),
    [
        pytest.param("SelfSubjectAccessReview", {}, "spec.resourceAttributes", id="about nothing"),
        pytest.param("SubjectAccessReview", {"resourceAttributes": PODS}, "spec.user", id="about nobody"),
        pytest.param("TokenReview", {}, "spec.token", id="no token"),
        pytest.param("SelfSubjectRulesReview", {}, "spec.namespace", id="nowhere"),
    ],
)
def test_a_review_that_asks_nothing_is_invalid(ask: Any, kind: str, spec: dict[str, Any], field: str) -> None:
    assert ask(kind, spec, code=422)["details"]["causes"][0]["field"] == field


def test_nobody_acts_as_another(https: Any) -> None:
    refused = https("GET", "/api/v1/pods", **{"Impersonate-User": "ann"})
    assert (refused.status, refused.json()["reason"]) == (403, "Forbidden")


def test_reviews_are_only_created(https: Any) -> None:
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    assert https("GET", path).json()["reason"] == "MethodNotAllowed"
    assert https("POST", f"{path}/name", {}).json()["reason"] == "NotFound"
    assert https("POST", path, {"kind": "Pod"}).json()["reason"] == "BadRequest"
