"""What the API server fills in and refuses of the built-in kinds, in its words."""

from __future__ import annotations

import base64
import copy
from typing import Any

import pytest

from cpod_jupyter.api import resources as r
from cpod_jupyter.api.resources import Object, Resource
from cpod_jupyter.engine.local_api import LocalApi
from cpod_jupyter.errors import AlreadyExists, BadRequest, Forbidden, Invalid

CONTAINER = {"name": "c", "image": "i", "command": ["true"]}
LABELS = {"app": "x"}
TEMPLATE = {"metadata": {"labels": LABELS}, "spec": {"containers": [CONTAINER]}}
SELECTED = {"selector": {"matchLabels": LABELS}, "template": TEMPLATE}
ONCE = {"template": {"spec": {"containers": [CONTAINER], "restartPolicy": "Never"}}}
CLAIM = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
TO_A = {"service": {"name": "a", "port": {"number": 80}}}
VOLUME = {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}, "hostPath": {"path": "/data"}}


def make(api: LocalApi, resource: Resource, spec: Any = None, name: str = "x", **fields: Any) -> Object:
    metadata = {"name": name, **fields.pop("metadata", {})}
    if resource.namespaced:
        metadata["namespace"] = "default"
    obj = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata, **fields}
    return api.create(resource, copy.deepcopy(obj if spec is None else {**obj, "spec": spec}))


def container(**fields: Any) -> dict[str, Any]:
    return {"containers": [{**CONTAINER, **fields}]}


def faults(caught: pytest.ExceptionInfo[Invalid]) -> list[str]:
    return [f"{cause['field']}: {cause['message']}" for cause in caught.value.details["causes"]]


@pytest.mark.parametrize(
    ("spec", "fault"),
    [
        pytest.param({"containers": []}, "spec.containers: Required value", id="no containers"),
        pytest.param(container(image=""), "spec.containers[0].image: Required value", id="no image"),
        pytest.param(
            {"containers": [CONTAINER, CONTAINER]}, 'spec.containers[1].name: Duplicate value: "c"', id="one name twice"
        ),
        pytest.param(
            {**container(), "restartPolicy": "Sometimes"},
            'spec.restartPolicy: Unsupported value: "Sometimes": supported values: "Always", "Never", "OnFailure"',
            id="restart policy",
        ),
        pytest.param(
            container(volumeMounts=[{"name": "v", "mountPath": "/v"}]),
            'spec.containers[0].volumeMounts[0].name: Not found: "v"',
            id="no such volume",
        ),
        pytest.param(
            container(resources={"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}),
            'spec.containers[0].resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1',
            id="more asked than allowed",
        ),
        pytest.param(
            container(resources={"requests": {"nvidia.com/gpu": "1"}}),
            "spec.containers[0].resources.limits: Required value: Limit must be set for non overcommitable resources",
            id="a GPU without a limit",
        ),
        pytest.param(
            container(ports=[{"containerPort": 0}]), "spec.containers[0].ports[0].containerPort: Required value",
            id="port 0",
        ),
        pytest.param(container(env=[{"name": ""}]), "spec.containers[0].env[0].name: Required value", id="no env name"),
        pytest.param(
            container(livenessProbe={"periodSeconds": 1}),
            "spec.containers[0].livenessProbe: Required value: must specify a handler type",
            id="a probe of nothing",
        ),
    ],
)  # fmt: skip
def test_a_pod_that_could_not_run_is_refused(api: LocalApi, spec: Any, fault: str) -> None:
    with pytest.raises(Invalid) as caught:
        make(api, r.PODS, spec)
    assert fault in faults(caught)
    assert str(caught.value).startswith('Pod "x" is invalid: ')


@pytest.mark.parametrize(
    ("resources", "wanted"),
    [
        pytest.param({}, "BestEffort", id="nothing asked"),
        pytest.param({"limits": {"cpu": "1"}}, "Burstable", id="in part"),
        pytest.param({"limits": {"cpu": "1", "memory": "1Gi"}}, "Guaranteed", id="whole"),
        pytest.param(
            {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}}, "Burstable", id="less than allowed"
        ),
    ],
)
def test_a_pods_class_is_by_what_it_asks_for(api: LocalApi, resources: Any, wanted: str) -> None:
    assert make(api, r.PODS, container(resources=resources))["status"]["qosClass"] == wanted


@pytest.mark.parametrize(
    ("resource", "fields", "fault"),
    [
        pytest.param(
            r.DEPLOYMENTS, {"spec": {**SELECTED, "selector": {"matchLabels": {"app": "y"}}}},
            'spec.template.metadata.labels: Invalid value: {"app":"x"}: `selector` does not match template `labels`',
            id="a selector beside its template",
        ),
        pytest.param(
            r.DEPLOYMENTS, {"spec": {**SELECTED, "strategy": {"type": "Blue"}}},
            'spec.strategy.type: Unsupported value: "Blue": supported values: "Recreate", "RollingUpdate"',
            id="strategy",
        ),
        pytest.param(
            r.DEPLOYMENTS,
            {"spec": {**SELECTED, "strategy": {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 0}}}},
            "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0",
            id="a rollout that cannot move",
        ),
        pytest.param(
            r.REPLICASETS, {"spec": {**SELECTED, "replicas": -1}},
            "spec.replicas: Invalid value: -1: must be greater than or equal to 0", id="fewer than none",
        ),
        pytest.param(
            r.JOBS, {"spec": {"template": {"spec": container()}}},
            'spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"', id="restart policy",
        ),
        pytest.param(
            r.JOBS, {"spec": {**ONCE, "parallelism": 2, "completionMode": "Indexed"}},
            "spec.completions: Required value: when completion mode is Indexed", id="indexes without an end",
        ),
        pytest.param(
            r.JOBS, {"spec": {**ONCE, "backoffLimitPerIndex": 1}},
            "spec.backoffLimitPerIndex: Invalid value: 1: requires indexed completion mode", id="a limit per index",
        ),
        pytest.param(
            r.SERVICES, {"spec": {"ports": [{"port": 1}, {"port": 2}]}}, "spec.ports[0].name: Required value",
            id="ports without names",
        ),
        pytest.param(
            r.SERVICES, {"spec": {"type": "ExternalName"}}, "spec.externalName: Required value", id="external name"
        ),
        pytest.param(
            r.INGRESSES, {"spec": {}}, "spec: Invalid value: {}: either `defaultBackend` or `rules` must be specified",
            id="an ingress to nowhere",
        ),
        pytest.param(
            r.INGRESSES, {"spec": {"defaultBackend": {"service": {"name": "a"}}}},
            "spec.defaultBackend.service: Required value: port name or number is required", id="a backend without port",
        ),
        pytest.param(
            r.INGRESSES, {"spec": {"rules": [{"host": "127.0.0.1"}]}},
            'spec.rules[0].host: Invalid value: "127.0.0.1": must be a DNS name, not an IP address', id="host",
        ),
        pytest.param(
            r.INGRESSES,
            {"spec": {"rules": [{"http": {"paths": [{"path": "a", "pathType": "Prefix", "backend": TO_A}]}}]}},
            'spec.rules[0].http.paths[0].path: Invalid value: "a": must be an absolute path', id="path of an ingress",
        ),
        pytest.param(
            r.INGRESSCLASSES, {"spec": {"controller": "foo"}},
            "spec.controller: Invalid value: \"foo\": must be a domain-prefixed path (such as 'acme.io/foo')",
            id="controller of a class",
        ),
        pytest.param(
            r.PVCS, {"spec": {**CLAIM, "accessModes": []}},
            "spec.accessModes: Required value: at least 1 access mode is required", id="access modes",
        ),
        pytest.param(r.PVCS, {"spec": {"accessModes": ["ReadWriteOnce"]}}, "spec.resources[storage]: Required value",
                     id="size"),
        pytest.param(
            r.PERSISTENTVOLUMES, {"spec": {**VOLUME, "hostPath": None}},
            "spec: Required value: must specify a volume type", id="a volume nowhere",
        ),
        pytest.param(r.SECRETS, {"type": "kubernetes.io/tls"}, "data[tls.crt]: Required value", id="TLS"),
        pytest.param(
            r.SECRETS, {"type": "kubernetes.io/dockerconfigjson", "stringData": {".dockerconfigjson": "{"}},
            'data[.dockerconfigjson]: Invalid value: "<secret contents redacted>": must be JSON', id="docker",
        ),
        pytest.param(
            r.CONFIGMAPS, {"data": {"a/b": ""}},
            "data[a/b]: Invalid value: \"a/b\": a valid config key must consist of alphanumeric characters, '-', '_' "
            "or '.'", id="key",
        ),
        pytest.param(
            r.CONFIGMAPS, {"metadata": {"annotations": {"a": "x" * 262144}}},
            "metadata.annotations: Too long: may not be more than 262144 bytes", id="annotations",
        ),
        pytest.param(
            r.LEASES, {"spec": {"leaseDurationSeconds": 0}},
            "spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0", id="lease",
        ),
        pytest.param(
            r.ROLES, {"rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": []}]},
            "rules[0].verbs: Required value: verbs must contain at least one value", id="a rule of nothing",
        ),
        pytest.param(
            r.ROLEBINDINGS, {"roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Rule", "name": "x"}},
            'roleRef.kind: Unsupported value: "Rule": supported values: "ClusterRole", "Role"', id="role",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_as_upstream_says_it(
    api: LocalApi, resource: Resource, fields: dict[str, Any], fault: str
) -> None:
    with pytest.raises(Invalid) as caught:
        make(api, resource, **fields)
    assert fault in faults(caught)


@pytest.mark.parametrize(
    ("resource", "fields", "change", "fault"),
    [
        pytest.param(
            r.DEPLOYMENTS, {"spec": SELECTED},
            {"spec": {"selector": {"matchLabels": {"b": "c"}}, "template": {"metadata": {"labels": {"b": "c"}}}}},
            'spec.selector: Invalid value: {"matchLabels":{"app":"x","b":"c"}}: field is immutable', id="selector",
        ),
        pytest.param(
            r.JOBS, {"spec": ONCE}, {"spec": {"completions": 2}},
            "spec.completions: Invalid value: 2: field is immutable", id="completions",
        ),
        pytest.param(
            r.CONFIGMAPS, {"immutable": True, "data": {"a": "b"}}, {"data": {"a": "c"}},
            "data: Forbidden: field is immutable when `immutable` is set", id="immutable",
        ),
        pytest.param(
            r.SECRETS, {}, {"type": "other"}, 'type: Invalid value: "other": field is immutable', id="type"
        ),
        pytest.param(
            r.PVCS, {"spec": CLAIM}, {"spec": {"resources": {"requests": {"storage": "1Mi"}}}},
            "spec.resources.requests.storage: Forbidden: field can not be less than previous value", id="shrinking",
        ),
        pytest.param(
            r.PERSISTENTVOLUMES, {"spec": VOLUME}, {"spec": {"hostPath": {"path": "/other"}}},
            "spec.persistentvolumesource: Forbidden: spec.persistentvolumesource is immutable after creation",
            id="where a volume is",
        ),
    ],
)  # fmt: skip
def test_what_may_not_change_stays(
    api: LocalApi, resource: Resource, fields: dict[str, Any], change: Any, fault: str
) -> None:
    made = make(api, resource, **fields)
    with pytest.raises(Invalid) as caught:
        api.patch(resource, "x", change, made["metadata"].get("namespace"))
    assert fault in faults(caught)


def test_quantities_that_are_given_as_numbers_are_read_back_as_text(api: LocalApi) -> None:
    amounts = {"limits": {"cpu": 1.0, "memory": "1Gi", "nvidia.com/gpu": 2}, "requests": {"cpu": "500m"}}
    container = {"name": "c", "image": "i", "resources": amounts}
    pod = {"metadata": {"name": "amounts", "namespace": "default"}, "spec": {"containers": [container]}}
    stored = api.create(r.PODS, pod)["spec"]["containers"][0]["resources"]
    assert stored["limits"] == {"cpu": "1", "memory": "1Gi", "nvidia.com/gpu": "2"}
    assert stored["requests"] == {"cpu": "500m", "memory": "1Gi", "nvidia.com/gpu": "2"}


def test_defaults_are_those_of_upstream_and_a_put_without_them_means_them(api: LocalApi) -> None:
    made = make(api, r.DEPLOYMENTS, SELECTED)
    spec = made["spec"]
    assert (spec["replicas"], spec["revisionHistoryLimit"], spec["progressDeadlineSeconds"]) == (1, 10, 600)
    assert spec["strategy"] == {
        "type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"},
    }  # fmt: skip
    assert spec["template"]["spec"]["restartPolicy"] == "Always"
    again = api.replace(r.DEPLOYMENTS, {**made, "spec": copy.deepcopy(SELECTED)})
    assert again == made, "nothing has changed"


def test_jobs_may_change_what_upstream_lets_them(api: LocalApi) -> None:
    made = make(api, r.JOBS, {**ONCE, "suspend": True})
    assert made["spec"]["podReplacementPolicy"] == "TerminatingOrFailed"
    node = {"template": {"spec": {"nodeSelector": {"a": "b"}}}, "parallelism": 3}
    changed = api.patch(r.JOBS, "x", {"spec": node}, "default")
    assert changed["spec"]["parallelism"] == 3
    with pytest.raises(Invalid, match=r"spec\.template: Invalid value: .*: field is immutable"):
        api.patch(r.JOBS, "x", {"spec": {"template": {"spec": {"hostname": "h"}}}}, "default")


def test_a_service_has_no_address_of_its_own_and_one_cannot_be_asked_for(api: LocalApi) -> None:
    made = make(api, r.SERVICES, {"ports": [{"port": 80}]})
    assert (made["spec"]["clusterIP"], made["spec"]["ports"][0]["targetPort"]) == ("None", 80)
    with pytest.raises(Invalid, match="failed to allocate IP"):
        make(api, r.SERVICES, {"ports": [{"port": 80}], "clusterIP": "10.0.0.1"}, "y")


def test_a_secret_that_is_not_base64_cannot_be_read(api: LocalApi) -> None:
    with pytest.raises(BadRequest, match=r"data\[a\] is illegal base64 data"):
        make(api, r.SECRETS, data={"a": "%"})
    assert make(api, r.SECRETS, data={"a": base64.b64encode(b"b").decode()})["type"] == "Opaque"


def test_the_first_namespaces_stay_and_others_end_by_their_finalizers(api: LocalApi, eventually: Any) -> None:
    with pytest.raises(Forbidden, match='namespaces "default" is forbidden: this namespace may not be deleted'):
        api.delete(r.NAMESPACES, "default")
    made = make(api, r.NAMESPACES, name="team")
    assert made["metadata"]["labels"] == {"kubernetes.io/metadata.name": "team"}
    changed = api.patch(r.NAMESPACES, "team", {"spec": {"finalizers": ["example.com/x"]}})
    assert changed["spec"] == {"finalizers": ["kubernetes"]}, "that is for the subresource"
    changed = api.patch(r.NAMESPACES, "team", {"spec": {"finalizers": ["example.com/x"]}}, subresource="finalize")
    assert changed["spec"] == {"finalizers": ["example.com/x"]}
    assert api.get(r.SERVICEACCOUNTS, "default", "team")


def test_a_generated_name_that_is_taken_is_drawn_again(api: LocalApi, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = iter(["aaaaa", "aaaaa", "bbbbb"])
    monkeypatch.setattr("random.choices", lambda *_, **__: next(drawn))
    wanted = {"metadata": {"generateName": "x-", "namespace": "default"}}
    names = [api.create(r.CONFIGMAPS, wanted)["metadata"]["name"] for _ in range(2)]
    assert names == ["x-aaaaa", "x-bbbbb"]
    with pytest.raises(AlreadyExists):
        make(api, r.CONFIGMAPS, name="x-aaaaa")
