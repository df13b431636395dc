"""Questions that clients POST: who am I, may I (authorization.k8s.io and authentication.k8s.io).

A review is answered in its `status` and kept nowhere.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from typing import Any

from cpod_jupyter.api.resources import Object, Resource
from cpod_jupyter.engine.http import rbac
from cpod_jupyter.engine.http.rbac import ADMINISTRATORS, USER, Subject
from cpod_jupyter.engine.objects import Objects
from cpod_jupyter.errors import BadRequest, Invalid, MethodNotAllowed

_AUTHORIZATION, _AUTHENTICATION = "authorization.k8s.io", "authentication.k8s.io"
REVIEWS = (
    Resource(_AUTHORIZATION, "v1", "localsubjectaccessreviews", "LocalSubjectAccessReview"),
    Resource(_AUTHORIZATION, "v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview", namespaced=False),
    Resource(_AUTHORIZATION, "v1", "selfsubjectrulesreviews", "SelfSubjectRulesReview", namespaced=False),
    Resource(_AUTHORIZATION, "v1", "subjectaccessreviews", "SubjectAccessReview", namespaced=False),
    Resource(_AUTHENTICATION, "v1", "selfsubjectreviews", "SelfSubjectReview", namespaced=False),
    Resource(_AUTHENTICATION, "v1", "tokenreviews", "TokenReview", namespaced=False),
)
_EVERYTHING = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}
_EVERY_PATH = {"verbs": ["*"], "nonResourceURLs": ["*"]}

Served = Callable[[str, str], bool]
"""Whether a group serves a resource (`pods`, `pods/log`)."""


def review_of(path: str) -> tuple[Resource, str] | None:
    """The review kind that a path names, and the namespace in it; None for other paths."""
    parts = path.strip("/").split("/")
    for resource in REVIEWS:
        if parts[:3] != ["apis", resource.group, resource.version]:
            continue
        if not resource.namespaced and parts[3:] == [resource.plural]:
            return resource, ""
        if resource.namespaced and len(parts) == 6 and (parts[3], parts[5]) == ("namespaces", resource.plural):
            return resource, parts[4]
    return None


def asker(headers: Mapping[str, str], groups: list[str]) -> Subject:
    """The subject of a request's impersonation headers, else the one user."""
    name = headers.get("Impersonate-User", "")
    return Subject.named(name, tuple(groups)) if name else USER


class Reviews:
    """Answers them over the stored roles; `served` tells the resources that there are."""

    def __init__(self, objects: Objects, token: str, served: Served) -> None:
        self._objects = objects
        self._token = token
        self._served = served

    def answer(self, method: str, resource: Resource, namespace: str, obj: Any, who: Subject) -> Object:
        """The review with its status. Raises MethodNotAllowed, BadRequest or Invalid."""
        if method != "POST":
            raise MethodNotAllowed(f"{resource.plural} can only be created: they are answered, and not kept")
        if not isinstance(obj, dict) or not isinstance(obj.get("spec") or {}, dict):
            raise BadRequest("the body of the request must be a JSON object with a spec")
        for part, wanted in (("kind", resource.kind), ("apiVersion", resource.api_version)):
            if obj.get(part, wanted) != wanted:
                raise BadRequest(f"the {part} in the data ({obj[part]}) does not match the expected one ({wanted})")
        spec = obj.get("spec") or {}
        answers: dict[str, Callable[[], Object]] = {
            "SelfSubjectReview": lambda: {"userInfo": {"username": who.name, "groups": list(who.groups)}},
            "TokenReview": lambda: self._token_review(resource, spec),
            "SelfSubjectRulesReview": lambda: self._rules(resource, spec, who),
            "SelfSubjectAccessReview": lambda: self._access(resource, spec, who),
            "SubjectAccessReview": lambda: self._access(resource, spec, _spoken_of(resource, spec)),
            "LocalSubjectAccessReview": lambda: self._local(resource, spec, namespace),
        }
        head = {"kind": resource.kind, "apiVersion": resource.api_version}
        given = obj.get("metadata") or {}
        metadata = {"creationTimestamp": None, **(given if isinstance(given, dict) else {})}
        asked = {} if resource.kind == "SelfSubjectReview" else {"spec": spec}
        return {**head, "metadata": metadata, **asked, "status": answers[resource.kind]()}

    # ---- one answer a kind

    def _token_review(self, resource: Resource, spec: Object) -> Object:
        token = spec.get("token")
        if not isinstance(token, str) or not token:
            raise _required(resource, "spec.token")
        if not hmac.compare_digest(token.encode(), self._token.encode()):
            return {"authenticated": False, "error": "the token is not this engine's"}
        return {"authenticated": True, "user": {"username": USER.name, "groups": list(USER.groups)}}

    def _rules(self, resource: Resource, spec: Object, who: Subject) -> Object:
        namespace = spec.get("namespace")
        if not namespace:
            raise _required(resource, "spec.namespace")
        rules = [_EVERYTHING, _EVERY_PATH]
        if ADMINISTRATORS not in who.groups:
            rules = list(rbac.rules_of(self._objects, who, str(namespace)))
        return {
            "resourceRules": _rules_with(rules, "resources", "apiGroups", "resourceNames"),
            "nonResourceRules": _rules_with(rules, "nonResourceURLs"),
            "incomplete": False,
        }

    def _local(self, resource: Resource, spec: Object, namespace: str) -> Object:
        if (spec.get("resourceAttributes") or {}).get("namespace") != namespace:
            text = f"must be the namespace of the request, {namespace!r}"
            raise _invalid(resource, "spec.resourceAttributes.namespace", "FieldValueInvalid", text)
        return self._access(resource, spec, _spoken_of(resource, spec))

    def _access(self, resource: Resource, spec: Object, who: Subject) -> Object:
        about, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
        if (about is None) == (path is None):
            text = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
            raise _invalid(resource, "spec.resourceAttributes", "FieldValueInvalid", text)
        asked = about if path is None else path
        if not isinstance(asked, dict) or not all(isinstance(asked.get(key) or "", str) for key in _WORDS):
            raise BadRequest("the attributes of an access review must be text")
        if ADMINISTRATORS not in who.groups:
            return self._by_roles(asked, who, is_path=path is not None)
        if path is not None or self._is_served(asked):
            return {"allowed": True, "reason": f"{who.name or ADMINISTRATORS} may do everything that is served"}
        name = ".".join(filter(None, (asked.get("resource"), asked.get("group"))))
        return {"allowed": False, "reason": f"{name} is not served by this engine"}

    def _by_roles(self, asked: dict[str, str], who: Subject, *, is_path: bool) -> Object:
        fits = rbac.allows_path if is_path else rbac.allows
        namespace = "" if is_path else asked.get("namespace") or ""
        if any(fits(rule, asked) for rule in rbac.rules_of(self._objects, who, namespace)):
            return {"allowed": True, "reason": f"a role that is bound to {who.name} allows it"}
        return {"allowed": False}

    def _is_served(self, asked: dict[str, str]) -> bool:
        group, resource, subresource = (asked.get(key) or "" for key in ("group", "resource", "subresource"))
        if resource == "*" or (group == "*" and not subresource):
            return True
        return self._served(group, f"{resource}/{subresource}" if subresource else resource)


_WORDS = ("namespace", "verb", "group", "version", "resource", "subresource", "name", "path")


def _rules_with(rules: list[rbac.Rule], key: str, *others: str) -> list[rbac.Rule]:
    """The rules about `key`, with nothing in them but their verbs and what is named."""
    kept = ("verbs", key, *others)
    return [{name: rule[name] for name in kept if rule.get(name)} for rule in rules if rule.get(key)]


def _spoken_of(resource: Resource, spec: Object) -> Subject:
    user, groups = spec.get("user") or "", spec.get("groups") or []
    if not isinstance(user, str) or not isinstance(groups, list):
        raise BadRequest("spec.user must be text, and spec.groups a list")
    if not user and not groups:
        raise _invalid(resource, "spec.user", "FieldValueInvalid", "at least one of user or group must be specified")
    return USER if user == USER.name else Subject.named(user, tuple(str(group) for group in groups))


def _required(resource: Resource, place: str) -> Invalid:
    return _invalid(resource, place, "FieldValueRequired", "Required value")


def _invalid(resource: Resource, place: str, reason: str, text: str) -> Invalid:
    cause = {"reason": reason, "message": text, "field": place}
    return Invalid(
        f'{resource.kind}.{resource.group} "" is invalid: {place}: {text}',
        {"group": resource.group, "kind": resource.kind, "causes": [cause]},
    )
