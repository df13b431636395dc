"""Where a pod may go by labels, taints and affinity, in the words of the Kubernetes scheduler: pure.

Kubernetes, "Assigning Pods to Nodes" and "Taints and Tolerations". Preferences are passed over, for
they only order nodes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from cpod_jupyter.api.resources import Object

_SELECTOR = "node(s) didn't match Pod's node affinity/selector"
_UNSCHEDULABLE = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
_ENDED = ("Succeeded", "Failed")


def misplaced(pod_spec: Mapping[str, Any], node: Object) -> list[str]:
    """Why a pod may not go to a node by what the node is; empty when it may."""
    if not _selected(pod_spec, node):
        return [_SELECTOR]
    spec = node.get("spec") or {}
    tolerations = pod_spec.get("tolerations") or []
    if spec.get("unschedulable") and not any(_tolerates(entry, _UNSCHEDULABLE) for entry in tolerations):
        return ["node(s) were unschedulable"]
    for taint in spec.get("taints") or []:
        if taint.get("effect") == "PreferNoSchedule" or any(_tolerates(entry, taint) for entry in tolerations):
            continue
        return [f"node(s) had untolerated taint {{{taint['key']}: {taint.get('value') or ''}}}"]
    return []


def _selected(pod_spec: Mapping[str, Any], node: Object) -> bool:
    labels = node["metadata"].get("labels") or {}
    if any(labels.get(key) != value for key, value in (pod_spec.get("nodeSelector") or {}).items()):
        return False
    affinity = (pod_spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    if required is None:
        return True
    return any(_term_matches(term, node, labels) for term in required.get("nodeSelectorTerms") or [])


def _term_matches(term: Mapping[str, Any], node: Object, labels: Mapping[str, str]) -> bool:
    """One term: all its expressions hold. A term without any matches nothing."""
    expressions, fields = term.get("matchExpressions") or [], term.get("matchFields") or []
    names = {"metadata.name": str(node["metadata"]["name"])}
    return bool(expressions or fields) and (
        all(_holds(entry, labels) for entry in expressions) and all(_holds(entry, names) for entry in fields)
    )


def _holds(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """One requirement of a node or label selector."""
    value, values, operator = labels.get(expression["key"]), expression.get("values") or [], expression["operator"]
    if operator == "In":
        return value in values
    if operator == "NotIn":
        return value not in values
    if operator == "Exists":
        return value is not None
    if operator == "DoesNotExist":
        return value is None
    try:
        number, bound = int(str(value)), int(values[0])
    except (ValueError, IndexError):
        return False
    return number > bound if operator == "Gt" else number < bound


def _tolerates(toleration: Mapping[str, Any], taint: Mapping[str, Any]) -> bool:
    if toleration.get("effect") and toleration["effect"] != taint.get("effect"):
        return False
    key = toleration.get("key")
    if key and key != taint["key"]:
        return False
    if toleration.get("operator", "Equal") == "Exists":
        return True
    return bool(key) and (toleration.get("value") or "") == (taint.get("value") or "")


def misaffiliated(pod: Object, node: Object, pods: Iterable[Object]) -> list[str]:
    """Why a pod may not go to a node by the pods that are there; the node is a domain of its own.

    A term whose topology key the node does not have can't hold, and can't be violated.
    """
    labels, name = node["metadata"].get("labels") or {}, node["metadata"]["name"]
    here = [
        other
        for other in pods
        if other["spec"].get("nodeName") == name and (other.get("status") or {}).get("phase") not in _ENDED
    ]
    for term in _terms(pod, "podAffinity"):
        # the first of a group that is affine to itself would otherwise wait for ever
        if term["topologyKey"] not in labels or not any(_names(term, pod, other) for other in [*here, pod]):
            return ["node(s) didn't match pod affinity rules"]
    for term in _terms(pod, "podAntiAffinity"):
        if term["topologyKey"] in labels and any(_names(term, pod, other) for other in here):
            return ["node(s) didn't match pod anti-affinity rules"]
    for other in here:
        if any(term["topologyKey"] in labels and _names(term, other, pod) for term in _terms(other, "podAntiAffinity")):
            return ["node(s) didn't satisfy existing pods anti-affinity rules"]
    return []


def _terms(pod: Object, kind: str) -> list[dict[str, Any]]:
    affinity = (pod["spec"].get("affinity") or {}).get(kind) or {}
    return list(affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or [])


def _names(term: Mapping[str, Any], owner: Object, other: Object) -> bool:
    """Whether a term of its owner means the other pod. Namespaces by selector are not looked up: all are meant."""
    namespaces = term.get("namespaces") or []
    if "namespaceSelector" not in term and not namespaces:
        namespaces = [owner["metadata"].get("namespace")]
    if namespaces and other["metadata"].get("namespace") not in namespaces:
        return False
    selector, labels = term.get("labelSelector"), other["metadata"].get("labels") or {}
    if selector is None:
        return False
    return all(labels.get(key) == value for key, value in (selector.get("matchLabels") or {}).items()) and all(
        _holds(expression, labels) for expression in selector.get("matchExpressions") or []
    )
