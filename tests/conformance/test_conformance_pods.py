"""Pods: from Pending to their end, what their status says, probes, restarts, and deletion with grace."""

from __future__ import annotations

import base64
import time
from typing import Any

import pytest
from conformance_api import IMAGE, PYTHON_IMAGE, Api, Json, Space, condition, path, wait

QUICK = {"periodSeconds": 1, "failureThreshold": 1, "timeoutSeconds": 5}


def container(pod: Json, name: str = "main", kind: str = "containerStatuses") -> Json:
    """The status of a container; empty while there is none."""
    found = [entry for entry in pod["status"].get(kind) or [] if entry["name"] == name]
    return found[0] if found else {}


def get(space: Space, name: str) -> Json:
    return space.api.get(space.path("pods", name)).value


def wait_pod(space: Space, name: str, wanted: Any, what: str) -> Json:
    """The pod, once `wanted(pod)` is true."""

    def found() -> Json | None:
        pod = get(space, name)
        return pod if wanted(pod) else None

    pod = wait(found, f"{name}: {what}", 60)
    assert pod is not None
    return pod


def test_a_pod_passes_through_its_phases(api: Api, space: Space) -> None:
    with api.watch(space.path("pods")) as events:
        assert space.pod("p", "sleep 0.5")["status"]["phase"] == "Pending"
        phases = [events.event("ADDED")["object"]["status"]["phase"]]
        while phases[-1] != "Succeeded":
            phase = events.event("MODIFIED")["object"]["status"]["phase"]
            if phase != phases[-1]:
                phases.append(phase)
    assert phases == ["Pending", "Running", "Succeeded"]


def test_a_pod_that_succeeded_says_so(space: Space) -> None:
    space.pod("p", "exit 0")
    pod = space.wait_phase("p", "Succeeded")
    status = container(pod)
    ended = status["state"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (0, "Completed")
    assert ended["startedAt"] <= ended["finishedAt"]
    assert (status["ready"], status["restartCount"], bool(status["image"])) == (False, 0, True)
    conditions = {name: condition(pod, name) for name in ("PodScheduled", "Initialized", "Ready", "ContainersReady")}
    assert conditions == {"PodScheduled": "True", "Initialized": "True", "Ready": "False", "ContainersReady": "False"}
    assert pod["spec"]["nodeName"]
    assert pod["status"]["startTime"]


def test_a_pod_that_failed_says_how(space: Space) -> None:
    space.pod("p", "echo broken > /dev/termination-log; exit 7")
    ended = container(space.wait_phase("p", "Failed"))["state"]["terminated"]
    assert (ended["exitCode"], ended["reason"], ended["message"].strip()) == (7, "Error", "broken")


@pytest.mark.engine_only  # in a container of its own, the first process is safe from its children
def test_a_container_killed_by_a_signal_says_which(space: Space) -> None:
    space.pod("p", """sh -c 'kill -KILL "$PPID"'; sleep 60""")
    ended = container(space.wait_phase("p", "Failed"))["state"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (137, "Error")


def test_a_running_pod_is_ready_and_has_an_address(space: Space) -> None:
    space.pod("p", "sleep 60")
    pod = wait_pod(space, "p", lambda pod: condition(pod, "Ready") == "True", "is ready")
    status = container(pod)
    assert (pod["status"]["phase"], status["ready"], status["started"]) == ("Running", True, True)
    assert status["state"]["running"]["startedAt"]
    assert pod["status"]["podIPs"] == [{"ip": pod["status"]["podIP"]}]
    assert pod["status"]["hostIP"]


def test_a_pods_node_is_ready_and_says_what_it_has(api: Api, space: Space) -> None:
    space.pod("p", "exit 0")
    node = api.get(path("nodes", space.wait_phase("p", "Succeeded")["spec"]["nodeName"])).value
    assert condition(node, "Ready") == "True"
    assert node["metadata"]["labels"]["kubernetes.io/os"] == "linux"
    for resource in ("cpu", "memory", "pods"):
        assert node["status"]["capacity"][resource]
        assert node["status"]["allocatable"][resource]
    for field in ("kubeletVersion", "operatingSystem", "architecture", "containerRuntimeVersion", "machineID"):
        assert node["status"]["nodeInfo"][field] is not None


def test_init_containers_run_first_and_one_after_another(space: Space) -> None:
    mount = [{"name": "shared", "mountPath": "/shared"}]
    inits = [
        {"name": name, "image": IMAGE, "command": ["sh", "-c", f"echo {name} >> /shared/order"], "volumeMounts": mount}
        for name in ("one", "two")
    ]
    space.pod(
        "p", "cat /shared/order", container={"volumeMounts": mount}, initContainers=inits,
        volumes=[{"name": "shared", "emptyDir": {}}],
    )  # fmt: skip
    pod = space.wait_phase("p", "Succeeded")
    assert space.log("p") == "one\ntwo\n"
    assert container(pod, "one", "initContainerStatuses")["state"]["terminated"]["exitCode"] == 0


def test_an_init_container_that_fails_fails_the_pod(space: Space) -> None:
    inits = [{"name": "first", "image": IMAGE, "command": ["sh", "-c", "exit 3"]}]
    space.pod("p", "echo never", initContainers=inits)
    pod = space.wait_phase("p", "Failed")
    assert container(pod, "first", "initContainerStatuses")["state"]["terminated"]["exitCode"] == 3
    assert condition(pod, "Initialized") == "False"
    assert "terminated" not in container(pod)["state"]


def test_a_pod_of_two_containers_ends_with_the_last_of_them(space: Space) -> None:
    other = {"name": "other", "image": IMAGE, "command": ["sh", "-c", "exit 4"]}
    main = {"name": "main", "image": IMAGE, "command": ["sh", "-c", "sleep 0.5"]}
    space.pod("p", "", containers=[main, other])
    pod = space.wait_phase("p", "Failed")
    codes = {name: container(pod, name)["state"]["terminated"]["exitCode"] for name in ("main", "other")}
    assert codes == {"main": 0, "other": 4}


def test_a_container_that_fails_is_started_again(space: Space) -> None:
    mount = [{"name": "shared", "mountPath": "/shared"}]
    script = "test -e /shared/seen && exit 0; touch /shared/seen; exit 5"
    space.pod(
        "p", script, container={"volumeMounts": mount}, restartPolicy="OnFailure",
        volumes=[{"name": "shared", "emptyDir": {}}],
    )  # fmt: skip
    status = container(space.wait_phase("p", "Succeeded"))
    assert status["restartCount"] == 1


def test_a_container_that_goes_on_failing_is_held_back(space: Space) -> None:
    space.pod("p", "exit 6", restartPolicy="Always")

    def held_back(pod: Json) -> bool:
        return bool(container(pod).get("state", {}).get("waiting", {}).get("reason") == "CrashLoopBackOff")

    pod = wait_pod(space, "p", held_back, "is held back")
    assert pod["status"]["phase"] == "Running"
    assert container(pod)["lastState"]["terminated"]["exitCode"] == 6
    assert container(pod)["restartCount"] >= 1


def test_a_pod_that_takes_too_long_is_ended(space: Space) -> None:
    space.pod("p", "sleep 60", activeDeadlineSeconds=1)
    assert space.wait_phase("p", "Failed")["status"]["reason"] == "DeadlineExceeded"


def test_an_image_that_cannot_be_had_is_waited_for(space: Space) -> None:
    space.pod("p", "", containers=[{"name": "main", "image": "localhost:1/none:none"}])

    def pulling(pod: Json) -> bool:
        return container(pod).get("state", {}).get("waiting", {}).get("reason") in ("ErrImagePull", "ImagePullBackOff")

    assert wait_pod(space, "p", pulling, "cannot pull")["status"]["phase"] == "Pending"


# ---- what a container gets


def test_a_container_knows_its_environment(api: Api, space: Space) -> None:
    space.configmap("config", {"COLOUR": "blue", "SIZE": "3"})
    secret = {"metadata": {"name": "secret"}, "data": {"WORD": base64.b64encode(b"open sesame").decode()}}
    api.post(space.path("secrets"), secret).done()
    field = {"fieldRef": {"fieldPath": "metadata.name"}}
    env = [
        {"name": "PLAIN", "value": "plain"},
        {"name": "COMPOSED", "value": "$(PLAIN)-$(NONE)-$$(PLAIN)"},
        {"name": "NAME", "valueFrom": field},
        {"name": "COLOUR", "valueFrom": {"configMapKeyRef": {"name": "config", "key": "COLOUR"}}},
        {"name": "WORD", "valueFrom": {"secretKeyRef": {"name": "secret", "key": "WORD"}}},
        {"name": "NOT", "valueFrom": {"configMapKeyRef": {"name": "none", "key": "x", "optional": True}}},
    ]
    given = {"env": env, "envFrom": [{"prefix": "C_", "configMapRef": {"name": "config"}}]}
    space.pod("p", 'echo "$PLAIN $COMPOSED $NAME $COLOUR $WORD $C_SIZE ${NOT-unset}"', container=given)
    space.wait_phase("p", "Succeeded")
    assert space.log("p") == "plain plain-$(NONE)-$(PLAIN) p blue open sesame 3 unset\n"


def test_a_container_waits_for_configuration_that_is_not_there(space: Space) -> None:
    space.pod("p", "echo $A", container={"envFrom": [{"configMapRef": {"name": "soon"}}]})

    def waits(pod: Json) -> bool:
        return bool(container(pod).get("state", {}).get("waiting", {}).get("reason") == "CreateContainerConfigError")

    wait_pod(space, "p", waits, "waits for its configuration")
    space.configmap("soon", {"A": "here"})
    space.wait_phase("p", "Succeeded")
    assert space.log("p") == "here\n"


def test_volumes_hold_what_they_are_made_of(api: Api, space: Space) -> None:
    space.configmap("config", {"a.txt": "alpha", "b.txt": "beta"})
    secret = {"metadata": {"name": "secret"}, "data": {"key": base64.b64encode(b"hidden").decode()}}
    api.post(space.path("secrets"), secret).done()
    mounts = [
        {"name": "config", "mountPath": "/config"},
        {"name": "secret", "mountPath": "/secret", "readOnly": True},
        {"name": "scratch", "mountPath": "/scratch"},
    ]
    volumes = [
        {"name": "config", "configMap": {"name": "config", "items": [{"key": "a.txt", "path": "sub/renamed"}]}},
        {"name": "secret", "secret": {"secretName": "secret"}},
        {"name": "scratch", "emptyDir": {"medium": "Memory"}},
    ]
    script = "cat /config/sub/renamed; echo; cat /secret/key; echo; echo kept > /scratch/x; cat /scratch/x; ls /config"
    space.pod("p", script, container={"volumeMounts": mounts}, volumes=volumes)
    space.wait_phase("p", "Succeeded")
    assert space.log("p") == "alpha\nhidden\nkept\nsub\n"


def test_a_claim_keeps_what_one_pod_wrote_for_the_next(api: Api, space: Space) -> None:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}
    api.post(space.path("persistentvolumeclaims"), {"metadata": {"name": "data"}, "spec": spec}).done()
    given = {"container": {"volumeMounts": [{"name": "data", "mountPath": "/data"}]}}
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
    space.pod("writer", "echo kept > /data/x", volumes=volumes, **given)
    space.wait_phase("writer", "Succeeded")
    space.pod("reader", "cat /data/x", volumes=volumes, **given)
    space.wait_phase("reader", "Succeeded")
    assert space.log("reader") == "kept\n"
    assert api.get(space.path("persistentvolumeclaims", "data")).value["status"]["phase"] == "Bound"


# ---- probes


def test_a_container_is_ready_when_its_probe_says_so(space: Space) -> None:
    mount = [{"name": "shared", "mountPath": "/shared"}]
    probe = {"exec": {"command": ["cat", "/shared/ready"]}, **QUICK}
    space.pod(
        "p", "sleep 2; touch /shared/ready; sleep 60", container={"volumeMounts": mount, "readinessProbe": probe},
        volumes=[{"name": "shared", "emptyDir": {}}],
    )  # fmt: skip
    pod = wait_pod(space, "p", lambda pod: container(pod).get("started"), "has started")
    assert condition(pod, "Ready") == "False"
    wait_pod(space, "p", lambda pod: condition(pod, "Ready") == "True", "is ready")


@pytest.mark.parametrize("kind", ["httpGet", "tcpSocket"])
def test_a_server_is_ready_when_it_answers(space: Space, kind: str) -> None:
    field = {"fieldRef": {"fieldPath": "status.podIP"}}
    given = {
        "image": PYTHON_IMAGE,
        "env": [{"name": "POD_IP", "valueFrom": field}],
        "readinessProbe": {kind: {"port": 18080, **({"path": "/"} if kind == "httpGet" else {})}, **QUICK},
    }
    space.pod("p", "sleep 1; exec python3 -m http.server --bind $POD_IP 18080", container=given)
    wait_pod(space, "p", lambda pod: condition(pod, "Ready") == "True", "is ready")


def test_a_container_that_is_not_alive_is_started_again(space: Space) -> None:
    probe = {"exec": {"command": ["false"]}, **QUICK}
    space.pod("p", "exec sleep 60", container={"livenessProbe": probe}, restartPolicy="Always")
    pod = wait_pod(space, "p", lambda pod: container(pod).get("restartCount"), "is started again")
    assert container(pod)["lastState"]["terminated"]["exitCode"] in (137, 143)


def test_a_startup_probe_holds_the_others_back(space: Space) -> None:
    mount = [{"name": "shared", "mountPath": "/shared"}]
    given = {
        "volumeMounts": mount,
        "startupProbe": {"exec": {"command": ["cat", "/shared/up"]}, "periodSeconds": 1, "failureThreshold": 30},
        "livenessProbe": {"exec": {"command": ["cat", "/shared/up"]}, **QUICK},
    }
    volumes = [{"name": "shared", "emptyDir": {}}]
    space.pod("p", "sleep 2; touch /shared/up; sleep 60", container=given, volumes=volumes)
    pod = wait_pod(space, "p", lambda pod: container(pod).get("started"), "has started")
    assert container(pod)["restartCount"] == 0


# ---- deletion


def test_a_deleted_pod_has_its_grace(api: Api, space: Space) -> None:
    script = "trap 'echo stopping; sleep 1; exit 0' TERM; echo ready; while :; do sleep 0.1; done"
    space.pod("p", script, terminationGracePeriodSeconds=20)
    wait(lambda: get(space, "p")["status"]["phase"] == "Running" and "ready" in space.log("p"), "the trap is set")
    answer = api.delete(space.path("pods", "p")).value
    assert (answer["kind"], answer["metadata"]["deletionGracePeriodSeconds"]) == ("Pod", 20)
    assert answer["metadata"]["deletionTimestamp"] > answer["metadata"]["creationTimestamp"]
    wait(lambda: "stopping" in space.log("p"), "it is told to stop")
    started = time.monotonic()
    api.wait_gone(space.path("pods", "p"))
    assert time.monotonic() - started < 15


def test_a_pod_that_does_not_stop_is_killed(api: Api, space: Space) -> None:
    space.pod("p", "trap '' TERM; echo ready; while :; do sleep 0.1; done")
    wait(lambda: get(space, "p")["status"]["phase"] == "Running" and "ready" in space.log("p"), "the trap is set")
    api.delete(space.path("pods", "p"), {"gracePeriodSeconds": 1}).done()
    api.wait_gone(space.path("pods", "p"))


def test_a_pod_deleted_by_force_is_gone_at_once(api: Api, space: Space) -> None:
    space.pod("p", "trap '' TERM; while :; do sleep 0.1; done")
    space.wait_phase("p", "Running")
    assert api.delete(space.path("pods", "p"), {"gracePeriodSeconds": 0}).status == 200
    assert api.gone(space.path("pods", "p"))


def test_a_pod_nobody_runs_is_gone_at_once(api: Api, space: Space) -> None:
    space.pod("p", "exit 0", nodeSelector={"conformance.example.com/none": "here"})
    wait_pod(space, "p", lambda pod: condition(pod, "PodScheduled") == "False", "cannot be placed")
    api.delete(space.path("pods", "p")).done()
    assert api.gone(space.path("pods", "p"))


def test_the_last_word_of_a_deleted_pod_is_its_end(api: Api, space: Space) -> None:
    space.pod("p", "trap 'exit 9' TERM; echo ready; while :; do sleep 0.1; done")
    wait(lambda: get(space, "p")["status"]["phase"] == "Running" and "ready" in space.log("p"), "the trap is set")
    with api.watch(space.path("pods")) as events:
        events.event("ADDED")
        api.delete(space.path("pods", "p")).done()
        gone = events.until(lambda event: event["type"] == "DELETED")["object"]
    assert container(gone)["state"]["terminated"]["exitCode"] == 9
