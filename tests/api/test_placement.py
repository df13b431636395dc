"""Where pods may go, in the scheduler's words."""

from __future__ import annotations

from typing import Any

import pytest

from cpod_jupyter.api import placement, scheduling

HOST = "kubernetes.io/hostname"
NODE = {
    "metadata": {"name": "n", "labels": {HOST: "n", "zone": "a", "rank": "3"}},
    "spec": {"taints": [{"key": "gpu", "value": "only", "effect": "NoSchedule"}]},
    "status": {"allocatable": {"cpu": "4"}},
}
TOLERATES = {"tolerations": [{"operator": "Exists"}]}


def affinity(key: str, operator: str, *values: str) -> dict[str, Any]:
    terms = [{"matchExpressions": [{"key": key, "operator": operator, "values": list(values)}]}]
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
    return {**TOLERATES, "affinity": {"nodeAffinity": required}}


@pytest.mark.parametrize(
    ("spec", "fits"),
    [
        pytest.param(affinity("zone", "In", "a", "b"), True, id="in"),
        pytest.param(affinity("zone", "In", "b"), False, id="not in the list"),
        pytest.param(affinity("zone", "NotIn", "b"), True, id="not in"),
        pytest.param(affinity("other", "NotIn", "b"), True, id="without the label"),
        pytest.param(affinity("other", "Exists"), False, id="exists"),
        pytest.param(affinity("other", "DoesNotExist"), True, id="does not exist"),
        pytest.param(affinity("rank", "Gt", "2"), True, id="greater"),
        pytest.param(affinity("zone", "Lt", "2"), False, id="no number"),
        pytest.param({**TOLERATES, "nodeSelector": {"zone": "b"}}, False, id="node selector"),
    ],
)
def test_a_node_is_chosen_by_its_labels(spec: dict[str, Any], fits: bool) -> None:
    expected = [] if fits else ["node(s) didn't match Pod's node affinity/selector"]
    assert placement.misplaced(spec, NODE) == expected


@pytest.mark.parametrize(
    ("toleration", "fits"),
    [
        pytest.param({"key": "gpu", "operator": "Equal", "value": "only", "effect": "NoSchedule"}, True, id="equal"),
        pytest.param({"key": "gpu", "operator": "Exists"}, True, id="exists"),
        pytest.param({"key": "gpu", "value": "other"}, False, id="other value"),
        pytest.param({"key": "gpu", "operator": "Exists", "effect": "NoExecute"}, False, id="other effect"),
    ],
)
def test_a_taint_must_be_tolerated(toleration: dict[str, str], fits: bool) -> None:
    expected = [] if fits else ["node(s) had untolerated taint {gpu: only}"]
    assert placement.misplaced({"tolerations": [toleration]}, NODE) == expected


def pod(app: str, kind: str = "", of: str = "", node: str = "n") -> dict[str, Any]:
    term = {"topologyKey": HOST, "labelSelector": {"matchLabels": {"app": of}}}
    wanted = {kind: {"requiredDuringSchedulingIgnoredDuringExecution": [term]}} if kind else {}
    metadata = {"name": app, "namespace": "default", "labels": {"app": app}}
    return {"metadata": metadata, "spec": {"nodeName": node, "affinity": wanted}, "status": {"phase": "Running"}}


def test_pods_that_want_to_be_apart_are_kept_apart() -> None:
    apart = "podAntiAffinity"
    assert placement.misaffiliated(pod("b", apart, "a"), NODE, [pod("a", node="elsewhere")]) == []
    assert placement.misaffiliated(pod("b", apart, "a"), NODE, [pod("a")]) == [
        "node(s) didn't match pod anti-affinity rules"
    ]
    assert placement.misaffiliated(pod("a"), NODE, [pod("b", apart, "a")]) == [
        "node(s) didn't satisfy existing pods anti-affinity rules"
    ]


def test_pods_that_want_to_be_together_wait_for_the_other() -> None:
    together = "podAffinity"
    assert placement.misaffiliated(pod("b", together, "a"), NODE, []) == ["node(s) didn't match pod affinity rules"]
    assert placement.misaffiliated(pod("b", together, "a"), NODE, [pod("a")]) == []
    assert placement.misaffiliated(pod("a", together, "a"), NODE, []) == []


def test_sidecars_count_beside_the_containers_and_beside_later_init_containers() -> None:
    def container(cpu: str, **fields: str) -> dict[str, Any]:
        return {"resources": {"requests": {"cpu": cpu}}, **fields}

    sidecar = container("1", restartPolicy="Always")
    spec = {"initContainers": [container("2"), sidecar, container("4")], "containers": [container("1"), container("1")]}
    assert scheduling.requests(spec)["cpu"] == 5
    assert scheduling.requests({**spec, "initContainers": [sidecar]})["cpu"] == 3
