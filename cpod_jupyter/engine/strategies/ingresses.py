"""Ingresses and their classes (networking.k8s.io/v1 defaults and validation).

They are kept and checked, and nothing listens for them here: no controller answers to any class, so an Ingress never
gets an address in its status.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from typing import Any

from cpod_jupyter.api.resources import Object
from cpod_jupyter.api.schema import Path, Problem
from cpod_jupyter.engine.strategies import faults
from cpod_jupyter.engine.strategies.pods import port_number

_CLASS_ANNOTATION = "kubernetes.io/ingress.class"
_PATH_TYPES = ("Exact", "ImplementationSpecific", "Prefix")
_BAD_PARTS = ("//", "/./", "/../", "%2f", "%2F")
_BAD_ENDS = ("/..", "/.")
_MOST_CONTROLLER = 250


def new_ingress(ingress: Object) -> None:
    ingress["status"] = {"loadBalancer": {}}


def ingress_faults(ingress: Object) -> Iterator[Problem]:
    spec, here = ingress.get("spec") or {}, ("spec",)
    backend, rules = spec.get("defaultBackend"), spec.get("rules") or []
    if backend is None and not rules:
        yield faults.invalid(here, spec, "either `defaultBackend` or `rules` must be specified")
    if backend is not None:
        yield from _backend(backend, (*here, "defaultBackend"))
    for index, rule in enumerate(rules):
        yield from _rule(rule, (*here, "rules", index))
    for index, entry in enumerate(spec.get("tls") or []):
        for number, host in enumerate(entry.get("hosts") or []):
            yield from _host(host, (*here, "tls", index, "hosts", number))
    name = spec.get("ingressClassName")
    if name is not None and not faults.is_subdomain(name):
        yield faults.invalid((*here, "ingressClassName"), name, "must be a lowercase RFC 1123 subdomain")
    annotation = (ingress["metadata"].get("annotations") or {}).get(_CLASS_ANNOTATION)
    if name is not None and annotation is not None and annotation != name:
        place: Path = ("metadata", "annotations", _CLASS_ANNOTATION)
        yield faults.invalid(place, annotation, "must match `ingressClassName` when both are specified")


def _rule(rule: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    if host := rule.get("host"):
        yield from _host(host, (*path, "host"))
    http = rule.get("http")
    if http is None:
        return
    if not http.get("paths"):
        yield faults.required((*path, "http", "paths"))
    for index, entry in enumerate(http.get("paths") or []):
        yield from _path(entry, (*path, "http", "paths", index))


def _host(host: str, path: Path) -> Iterator[Problem]:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        if not faults.is_subdomain(host.removeprefix("*.")):
            yield faults.invalid(path, host, "must be a lowercase RFC 1123 subdomain, or one with '*.' before it")
    else:
        yield faults.invalid(path, host, "must be a DNS name, not an IP address")


def _path(entry: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    kind, value = entry.get("pathType"), entry.get("path") or ""
    if not kind:
        yield faults.required((*path, "pathType"), "pathType must be specified")
    yield from faults.one_of((*path, "pathType"), kind or None, _PATH_TYPES)
    if kind in ("Exact", "Prefix"):
        if not value.startswith("/"):
            yield faults.invalid((*path, "path"), value, "must be an absolute path")
        for part in _BAD_PARTS:
            if part in value:
                yield faults.invalid((*path, "path"), value, f"must not contain '{part}'")
        for end in _BAD_ENDS:
            if value.endswith(end):
                yield faults.invalid((*path, "path"), value, f"cannot end with '{end}'")
    elif value and not value.startswith("/"):
        yield faults.invalid((*path, "path"), value, "must be an absolute path")
    yield from _backend(entry.get("backend") or {}, (*path, "backend"))


def _backend(backend: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    resource, service = backend.get("resource"), backend.get("service")
    if resource is not None and service is not None:
        yield faults.invalid(path, "", "cannot set both resource and service backends")
        return
    if resource is not None:
        return
    if service is None:
        yield faults.required(path, "resource or service backend is required")
        return
    at: Path = (*path, "service")
    yield from faults.dns_label((*at, "name"), service.get("name"))
    port = service.get("port") or {}
    if port.get("name") and port.get("number"):
        yield faults.invalid(at, "", "cannot set both port name & port number")
    elif port.get("name"):
        if not faults.is_label_name(port["name"]) or len(port["name"]) > 15:
            yield faults.invalid((*at, "port", "name"), port["name"], "must be the name of a port of the service")
    elif port.get("number"):
        yield from port_number((*at, "port", "number"), port["number"])
    else:
        yield faults.required(at, "port name or number is required")


def class_defaults(ingress_class: Object) -> None:
    parameters = (ingress_class.get("spec") or {}).get("parameters")
    if parameters is not None:
        parameters.setdefault("scope", "Cluster")


def class_faults(ingress_class: Object) -> Iterator[Problem]:
    spec = ingress_class.get("spec") or {}
    controller, here = spec.get("controller") or "", ("spec", "controller")
    if len(controller) > _MOST_CONTROLLER:
        yield faults.too_long(here, _MOST_CONTROLLER)
    elif controller and ("/" not in controller or not faults.is_subdomain(controller.partition("/")[0])):
        yield faults.invalid(here, controller, "must be a domain-prefixed path (such as 'acme.io/foo')")
    parameters, at = spec.get("parameters"), ("spec", "parameters")
    if parameters is None:
        return
    yield from faults.one_of((*at, "scope"), parameters.get("scope"), ("Cluster", "Namespace"))
    if parameters.get("scope") == "Namespace" and not parameters.get("namespace"):
        yield faults.required((*at, "namespace"), "`parameters.scope` is set to 'Namespace'")
    if parameters.get("scope") == "Cluster" and parameters.get("namespace"):
        yield faults.forbidden((*at, "namespace"), "`parameters.scope` is set to 'Cluster'")


def class_change(old: Object, new: Object) -> Iterator[Problem]:
    before, after = (old.get("spec") or {}).get("controller"), (new.get("spec") or {}).get("controller")
    if before != after:
        yield faults.immutable(("spec", "controller"), after)
