"""kubectl's commands on objects, against the API alone: nothing here needs a pod to run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from cpod_jupyter.api.resources import CONFIGMAPS, DEPLOYMENTS, find
from cpod_jupyter.client.client import Client
from cpod_jupyter.errors import NotFound

MANIFEST = """
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, labels: {tier: one}}
data: {colour: red, size: "1"}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: main, image: "nginx:1", env: [{name: A, value: "1"}, {name: B, value: "2"}]}
"""


def settings(client: Client) -> dict[str, str]:
    return dict(client.get(CONFIGMAPS, "settings", "default").get("data") or {})


# ---- making things


def test_typed_commands_make_what_they_say(kubectl: Any, client: Client) -> None:
    for command in (
        "namespace team",
        "configmap settings --from-literal=a=1 --from-literal=empty=",
        "secret generic password --from-literal=word=hush",
        "serviceaccount robot",
        "job once --image=busybox -- echo hello",
        "deployment web --image=nginx --replicas=0 --port=80",
        "role reader --verb=get,list --resource=pods --resource=deployments.apps/scale",
        "rolebinding reading --role=reader --serviceaccount=default:robot --user=ann",
        "clusterrole seer --verb=get --non-resource-url=/healthz",
        "clusterrolebinding seeing --clusterrole=seer --group=people",
        "quota little --hard=pods=3,requests.cpu=500m",
        "service clusterip web --tcp=80:8080",
        "ingress web --class=nginx --rule=a.example/chat*=web:http",
    ):
        assert "created" in kubectl("create", *command.split())

    def made(word: str, name: str) -> dict[str, Any]:
        resource = find(word)
        assert resource is not None
        return client.get(resource, name, "default" if resource.namespaced else None)

    assert made("namespace", "team")["status"]["phase"] == "Active"
    assert made("configmap", "settings")["data"] == {"a": "1", "empty": ""}
    assert made("secret", "password")["data"] == {"word": "aHVzaA=="}
    (container,) = made("job", "once")["spec"]["template"]["spec"]["containers"]
    assert container["command"] == ["echo", "hello"]
    deployment = made("deployment", "web")["spec"]
    assert deployment["replicas"] == 0
    assert deployment["template"]["spec"]["containers"][0]["ports"][0]["containerPort"] == 80
    assert made("role", "reader")["rules"] == [
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]},
        {"apiGroups": ["apps"], "resources": ["deployments/scale"], "verbs": ["get", "list"]},
    ]
    assert [each["kind"] for each in made("rolebinding", "reading")["subjects"]] == ["User", "ServiceAccount"]
    assert made("clusterrole", "seer")["rules"] == [{"nonResourceURLs": ["/healthz"], "verbs": ["get"]}]
    assert made("quota", "little")["spec"]["hard"] == {"pods": "3", "requests.cpu": "500m"}
    assert made("service", "web")["spec"]["ports"][0]["targetPort"] == 8080
    (rule,) = made("ingress", "web")["spec"]["rules"]
    assert (rule["host"], rule["http"]["paths"][0]["pathType"]) == ("a.example", "Prefix")
    assert "exposed" in kubectl("expose", "deployment", "web", "--name=again", "--port=80")


def test_what_is_not_served_is_refused_in_so_many_words(kubectl: Any) -> None:
    assert "serviceaccounts/token is not served" in kubectl("create", "token", "default", fails=True)
    assert "could not find the requested resource" in kubectl(
        "create", "cronjob", "c", "--image=i", "--schedule=* * * * *", fails=True
    )
    assert "doesn't have a resource type" in kubectl("get", "widgets", fails=True)


def test_where_nobody_measures_top_says_that_there_is_nothing_yet(kubectl: Any) -> None:
    assert "No resources found in default namespace" in kubectl("top", "pods")
    kubectl("run", "idle", "--image=i")
    assert "metrics not available yet" in kubectl("top", "pods", fails=True)
    assert 'podmetrics.metrics.k8s.io "default/idle" not found' in kubectl("top", "pod", "idle", fails=True)
    assert 'pods "nobody" not found' in kubectl("top", "pod", "nobody", fails=True)
    assert "metrics not available yet" in kubectl("top", "nodes", fails=True)


def test_a_server_dry_run_changes_nothing(kubectl: Any, client: Client) -> None:
    kubectl("apply", "-f", "-", text=MANIFEST)
    before = client.list(CONFIGMAPS).resource_version
    for command in (
        "create namespace team",
        "run p --image=i",
        "delete configmap settings",
        "delete deployment web --cascade=foreground",
        "label configmap settings a=b",
        "scale deployment web --replicas=9",
    ):
        assert "server dry run" in kubectl(*command.split(), "--dry-run=server")
    kubectl("apply", "-f", "-", "--dry-run=server", text=MANIFEST.replace("red", "blue"))
    assert client.list(CONFIGMAPS).resource_version == before


# ---- changing things


def test_a_changed_file_is_compared_applied_and_replaced(kubectl: Any, client: Client, tmp_path: Path) -> None:
    file = tmp_path / "file.yaml"
    file.write_text(MANIFEST)
    assert kubectl("apply", "-f", str(file)).count("created") == 2
    assert kubectl("apply", "-f", str(file)).count("unchanged") == 2
    file.write_text(MANIFEST.replace("red", "blue").replace('{name: B, value: "2"}', '{name: C, value: "3"}'))
    compared = kubectl("diff", "-f", str(file), fails=True)
    assert "+  colour: blue" in compared
    assert settings(client)["colour"] == "red"
    assert kubectl("apply", "-f", str(file)).count("configured") == 2
    assert kubectl("diff", "-f", str(file)) == ""
    (container,) = client.get(DEPLOYMENTS, "web", "default")["spec"]["template"]["spec"]["containers"]
    assert container["env"] == [{"name": "A", "value": "1"}, {"name": "C", "value": "3"}]
    uid = client.get(CONFIGMAPS, "settings", "default")["metadata"]["uid"]
    assert kubectl("replace", "-f", str(file)).count("replaced") == 2
    assert "replaced" in kubectl("replace", "--force", "-f", str(file))
    assert client.get(CONFIGMAPS, "settings", "default")["metadata"]["uid"] != uid


def test_server_side_apply_tells_who_else_has_a_field(kubectl: Any, client: Client) -> None:
    kubectl("apply", "--server-side", "-f", "-", text=MANIFEST)
    changed = MANIFEST.replace("red", "blue")
    told = kubectl("apply", "--server-side", "--field-manager=other", "-f", "-", text=changed, fails=True)
    assert "conflict with" in told
    assert ".data.colour" in told
    kubectl("apply", "--server-side", "--field-manager=other", "--force-conflicts", "-f", "-", text=changed)
    assert settings(client)["colour"] == "blue"


def test_objects_are_edited_patched_labelled_and_annotated(kubectl: Any, client: Client, tmp_path: Path) -> None:
    kubectl("apply", "-f", "-", text=MANIFEST)
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nsed -i "s/colour: red/colour: green/" "$1"\n')
    editor.chmod(0o700)
    assert "edited" in kubectl("edit", "configmap", "settings", KUBE_EDITOR=str(editor))
    for kind, patch in (
        ("strategic", {"data": {"a": "1"}}),
        ("merge", {"data": {"size": None}}),
        ("json", [{"op": "add", "path": "/data/b", "value": "2"}]),
    ):
        assert "patched" in kubectl("patch", "configmap", "settings", f"--type={kind}", "-p", json.dumps(patch))
    assert settings(client) == {"colour": "green", "a": "1", "b": "2"}
    assert "no change" in kubectl("patch", "configmap", "settings", "-p", '{"data":{"a":"1"}}')
    kubectl("label", "configmap", "settings", "owner=ann", "tier-")
    assert "already has a value" in kubectl("label", "configmap", "settings", "owner=bob", fails=True)
    kubectl("annotate", "configmap", "settings", "note=kept")
    metadata = client.get(CONFIGMAPS, "settings", "default")["metadata"]
    assert (metadata["labels"], metadata["annotations"]["note"]) == ({"owner": "ann"}, "kept")
    kubectl("set", "image", "deployment/web", "main=nginx:2")
    kubectl("set", "env", "deployment/web", "A-", "D=4")
    (container,) = client.get(DEPLOYMENTS, "web", "default")["spec"]["template"]["spec"]["containers"]
    assert (container["image"], [each["name"] for each in container["env"]]) == ("nginx:2", ["B", "D"])


def test_a_misspelt_field_is_told_before_anything_is_made(kubectl: Any, client: Client) -> None:
    told = kubectl("apply", "-f", "-", text=MANIFEST.replace("\ndata:", "\ndaat:"), fails=True)
    assert 'unknown field "daat"' in told
    with pytest.raises(NotFound):
        client.get(CONFIGMAPS, "settings", "default")


def test_replicas_are_scaled_when_they_are_as_expected(kubectl: Any, client: Client) -> None:
    kubectl("apply", "-f", "-", text=MANIFEST)
    assert "scaled" in kubectl("scale", "deployment/web", "--replicas=3")
    assert "Expected replicas to be 2, was 3" in kubectl(
        "scale", "deployment/web", "--current-replicas=2", "--replicas=4", fails=True
    )
    assert "scaled" in kubectl("scale", "deployment/web", "--current-replicas=3", "--replicas=0")
    assert client.get(DEPLOYMENTS, "web", "default")["spec"]["replicas"] == 0


# ---- taking things away


def test_a_delete_waits_for_finalizers_and_treats_dependents_as_told(
    kubectl: Any, client: Client, eventually: Any
) -> None:
    def family(name: str) -> None:
        owner = client.create(CONFIGMAPS, {"metadata": {"name": name, "namespace": "default"}})
        reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": name, "uid": owner["metadata"]["uid"]}
        child = {"name": f"{name}-child", "namespace": "default", "ownerReferences": [reference]}
        client.create(CONFIGMAPS, {"metadata": child})

    def names() -> set[str]:
        return {item["metadata"]["name"] for item in client.list(CONFIGMAPS, "default").items}

    for name in ("a", "b", "c"):
        family(name)
    kubectl("delete", "configmap", "a", "--cascade=orphan")
    assert {"a-child", "b", "c"} <= names()
    assert "ownerReferences" not in client.get(CONFIGMAPS, "a-child", "default")["metadata"]
    kubectl("delete", "configmap", "b", "--cascade=foreground")
    assert not names() & {"b", "b-child"}
    kubectl("delete", "configmap", "c", "--cascade=background")
    eventually(lambda: "c-child" not in names(), "the dependent is gone")
    held = {"name": "held", "namespace": "default", "finalizers": ["example.com/held"]}
    client.create(CONFIGMAPS, {"metadata": held})
    kubectl("delete", "configmap", "held", "--wait=false")
    assert "timed out" in kubectl("wait", "--for=delete", "configmap/held", "--timeout=1s", fails=True)
    kubectl("patch", "configmap", "held", "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
    kubectl("wait", "--for=delete", "configmap/held", "--timeout=10s")
    assert "may not be deleted" in kubectl("delete", "namespace", "default", fails=True)
    kubectl("create", "namespace", "team")
    kubectl("-n", "team", "create", "configmap", "x")
    kubectl("delete", "namespace", "team")
    assert "not found" in kubectl("get", "namespace", "team", fails=True)
    kubectl("delete", "configmap", "nothing", "--ignore-not-found")
    kubectl("delete", "configmap", "--all")
    assert not names()


# ---- reading


def test_objects_are_listed_chosen_sorted_printed_and_described(kubectl: Any, client: Client) -> None:
    kubectl("apply", "-f", "-", text=MANIFEST)
    kubectl("create", "configmap", "another", "--from-literal=x=1")
    listed = kubectl("get", "all")
    assert "deployment.apps/web" in listed
    assert kubectl("get", "deploy").split()[:5] == ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE"]
    assert "nginx:1" in kubectl("get", "deploy", "web", "-o", "wide")
    assert "tier=one" in kubectl("get", "cm", "-A", "-l", "tier=one", "--show-labels")
    names = kubectl("get", "cm", "--sort-by=.metadata.name", "-o", "name").split()
    assert names == ["configmap/another", "configmap/settings"]
    assert kubectl("get", "cm", "--sort-by={.metadata.creationTimestamp}").split()[0] == "NAME"
    assert kubectl("get", "cm", "settings", "-o", "jsonpath={.data.colour}") == "red"
    assert yaml.safe_load(kubectl("get", "cm", "settings", "-o", "yaml"))["kind"] == "ConfigMap"
    assert json.loads(kubectl("get", "cm,deploy", "-o", "json"))["kind"] == "List"
    assert kubectl("get", "cm", "-o", "custom-columns=N:.metadata.name", "--chunk-size=1").split()[0] == "N"
    assert "colour" in kubectl("describe", "configmap", "settings")
    described = kubectl("describe", "deployment", "web")
    assert "25% max unavailable" in described
    assert "red" in kubectl("get", "--raw", "/api/v1/namespaces/default/configmaps/settings")


def test_a_watch_prints_what_happens(kubectl: Any, client: Client) -> None:
    client.create(CONFIGMAPS, {"metadata": {"name": "a", "namespace": "default"}})
    lines = kubectl.start("get", "configmaps", "-w", "--output-watch-events")
    assert [next(lines).split()[:2] for _ in range(2)] == [["EVENT", "NAME"], ["ADDED", "a"]]
    client.create(CONFIGMAPS, {"metadata": {"name": "b", "namespace": "default"}})
    client.delete(CONFIGMAPS, "a", "default")
    assert [next(lines).split()[:2] for _ in range(2)] == [["ADDED", "b"], ["DELETED", "a"]]


def test_the_server_says_what_it_serves(kubectl: Any) -> None:
    resources = kubectl("api-resources", "--no-headers", "-o", "wide")
    assert any(line.split()[:2] == ["deployments", "deploy"] for line in resources.splitlines())
    assert "pods" in kubectl("api-resources", "--categories=all", "-o", "name")
    assert "events.k8s.io/v1" in kubectl("api-versions")
    assert "is running at https://127.0.0.1" in kubectl("cluster-info")
    assert "readyz check passed" in kubectl("get", "--raw", "/readyz?verbose")
    assert "WARNING" not in kubectl("version")
    assert "FIELDS:" in kubectl("explain", "deployment.spec.template")
    tree = kubectl("explain", "pod", "--recursive")
    assert "terminationGracePeriodSeconds\t<integer>" in tree
    assert "Fine-tune a model" in kubectl("explain", "finetune.spec")
    assert "regarding" in kubectl("explain", "events", "--api-version=events.k8s.io/v1")


def test_one_asks_who_one_is_and_what_one_may_do(kubectl: Any) -> None:
    assert "cpod" in kubectl("auth", "whoami")
    assert kubectl("auth", "can-i", "create", "deployments.apps") == "yes\n"
    assert kubectl("auth", "can-i", "get", "pods", "--subresource=log") == "yes\n"
    assert kubectl("auth", "can-i", "get", "/healthz") == "yes\n"
    told = kubectl("auth", "can-i", "get", "widgets", fails=True)
    assert "no - widgets is not served by this engine" in told
    assert kubectl("auth", "can-i", "get", "pods", "--as=ann", fails=True) == "no\n"
    assert "*.*" in kubectl("auth", "can-i", "--list")


def test_events_are_printed_with_what_they_are_about(kubectl: Any, https: Any) -> None:
    event = {
        "metadata": {"name": "e"},
        "involvedObject": {"apiVersion": "v1", "kind": "Pod", "name": "p", "namespace": "default"},
        "reason": "Scheduled",
        "message": "it fits",
        "type": "Normal",
        "lastTimestamp": "2026-01-01T00:00:00Z",
        "count": 1,
    }
    assert https("POST", "/api/v1/namespaces/default/events", event).status == 201
    for command in (
        ("get", "events"),
        ("events",),
        ("events", "--for=pod/p"),
        ("get", "events", "--field-selector=reason=Scheduled"),
        ("get", "events.events.k8s.io"),
    ):
        printed = kubectl(*command)
        assert "it fits" in printed, command
        assert "pod/p" in printed.lower(), command
