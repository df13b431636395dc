"""Tables: the cells that kubectl prints, for objects whose status a client wrote."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from cpod_jupyter.engine.http.cells import human

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
PASSED = {"state": {"terminated": {"exitCode": 0, "reason": "Completed"}}}
FAILED = {"state": {"terminated": {"exitCode": 3}}, "lastState": {}}
RUNNING = {"state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}}
TEMPLATE = {"metadata": {"labels": {"app": "x"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}


def container(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "image": "i", "imageID": "", "ready": False, "restartCount": 0, **more}


def pod(status: dict[str, Any], **spec: Any) -> tuple[str, dict[str, Any], dict[str, Any]]:
    return "/api/v1/namespaces/default/pods", {"containers": [{"name": "c", "image": "i"}], **spec}, status


STATEFUL = [
    pytest.param(*pod({"phase": "Running", "containerStatuses": [container("c", ready=True, **RUNNING)]}),
                 ["o", "1/1", "Running", "0"], id="running pod"),
    pytest.param(*pod({"phase": "Failed", "containerStatuses": [container("c", **FAILED)]}),
                 ["o", "0/1", "ExitCode:3", "0"], id="failed pod"),
    pytest.param(*pod({"phase": "Pending", "initContainerStatuses": [container("a", **PASSED), container("b")]},
                      initContainers=[{"name": "a", "image": "i"}, {"name": "b", "image": "i"}]),
                 ["o", "0/1", "Init:1/2", "0"], id="pod that gets ready"),
    pytest.param(*pod({"phase": "Pending", "initContainerStatuses": [container("a", **FAILED)]},
                      initContainers=[{"name": "a", "image": "i"}]),
                 ["o", "0/1", "Init:ExitCode:3", "0"], id="pod whose preparation failed"),
    pytest.param("/apis/apps/v1/namespaces/default/deployments",
                 {"replicas": 3, "selector": {"matchLabels": {"app": "x"}}, "template": TEMPLATE},
                 {"replicas": 3, "readyReplicas": 2, "updatedReplicas": 3, "availableReplicas": 1},
                 ["o", "2/3", 3, 1], id="deployment"),
    pytest.param("/apis/apps/v1/namespaces/default/replicasets",
                 {"replicas": 3, "selector": {"matchLabels": {"app": "x"}}, "template": TEMPLATE},
                 {"replicas": 2, "readyReplicas": 1}, ["o", 3, 2, 1], id="replica set"),
    pytest.param("/apis/networking.k8s.io/v1/namespaces/default/ingresses",
                 {"ingressClassName": "nginx", "rules": [{"host": "a.example"}, {"host": "b.example"}]},
                 {"loadBalancer": {"ingress": [{"ip": "10.0.0.1"}]}},
                 ["o", "nginx", "a.example,b.example", "10.0.0.1", "80"], id="ingress"),
    pytest.param("/api/v1/persistentvolumes",
                 {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce", "ReadOnlyMany"],
                  "hostPath": {"path": "/x"}, "persistentVolumeReclaimPolicy": "Retain",
                  "claimRef": {"namespace": "n", "name": "c"}, "storageClassName": "slow"},
                 {"phase": "Bound"}, ["o", "1Gi", "RWO,ROX", "Retain", "Bound", "n/c", "slow", "<unset>"], id="volume"),
    pytest.param("/api/v1/namespaces/default/persistentvolumeclaims",
                 {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, "volumeName": "v"},
                 {"phase": "Bound", "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"]},
                 ["o", "Bound", "v", "1Gi", "RWO", "", "<unset>"], id="claim"),
    pytest.param("/api/v1/namespaces/default/resourcequotas", {"hard": {"pods": "3", "limits.cpu": "4"}},
                 {"hard": {"pods": "3", "limits.cpu": "4"}, "used": {"pods": "1"}},
                 ["o", "pods: 1/3", "limits.cpu: 0/4"], id="quota"),
    pytest.param("/api/v1/nodes", {"unschedulable": True},
                 {"conditions": [{"type": "Ready", "status": "False"}]},
                 ["o", "NotReady,SchedulingDisabled", "<none>"], id="node"),
]  # fmt: skip


def test_a_table_tells_the_state(https: Any) -> None:
    for place, case in enumerate(STATEFUL):
        path, spec, status, (_, *cells) = case.values
        name = f"o{place}"
        made = https("POST", path, {"metadata": {"name": name}, "spec": spec})
        assert made.status == 201, made.data
        written = https("PUT", f"{path}/{name}/status", {**made.json(), "status": status})
        assert written.status == 200, written.data
        table = https("GET", f"{path}/{name}", Accept=TABLE).json()
        assert table["rows"][0]["cells"][: len(cells) + 1] == [name, *cells], case.id
        names = [definition["name"] for definition in table["columnDefinitions"]]
        assert len(names) == len(table["rows"][0]["cells"]), case.id
        assert table["columnDefinitions"][0]["format"] == "name"


def test_a_job_tells_how_long_it_took(https: Any) -> None:
    path = "/apis/batch/v1/namespaces/default/jobs"
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}
    made = https("POST", path, {"metadata": {"name": "o"}, "spec": {"template": template}}).json()
    done = [{"type": kind, "status": "True"} for kind in ("SuccessCriteriaMet", "Complete")]
    times = {"startTime": "2026-01-01T00:00:00Z", "completionTime": "2026-01-01T00:03:05Z"}
    https("PUT", f"{path}/o/status", {**made, "status": {"conditions": done, "succeeded": 1, **times}})
    table = https("GET", path, Accept=TABLE).json()
    assert table["rows"][0]["cells"][:4] == ["o", "Complete", "1/1", "3m5s"]


def test_a_service_tells_how_it_is_reached(https: Any) -> None:
    inside = {"ports": [{"port": 80}], "selector": {"a": "b"}}
    elsewhere = {"type": "ExternalName", "externalName": "x.example"}
    for name, spec in (("a", inside), ("b", elsewhere)):
        made = https("POST", "/api/v1/namespaces/default/services", {"metadata": {"name": name}, "spec": spec})
        assert made.status == 201, made.data
    rows = https("GET", "/api/v1/services", Accept=TABLE).json()["rows"]
    told = [(row["cells"][1], *row["cells"][3:5]) for row in rows]
    assert told == [("ClusterIP", "<none>", "80/TCP"), ("ExternalName", "x.example", "<none>")]


def test_rows_hold_what_was_asked_to_be_in_them(https: Any) -> None:
    path = "/api/v1/namespaces/default/configmaps"
    https("POST", path, {"metadata": {"name": "o"}, "data": {"a": "b"}})

    def row(query: str) -> dict[str, Any]:
        return dict(https("GET", f"{path}{query}", Accept=TABLE).json()["rows"][0])

    assert row("")["object"]["kind"] == "PartialObjectMetadata"
    assert row("?includeObject=Object")["object"]["data"] == {"a": "b"}
    assert "object" not in row("?includeObject=None")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "0s"), (119, "119s"), (120, "2m"), (185, "3m5s"), (3600, "60m"), (4 * 3600 + 60, "4h1m"), (30 * 3600, "30h"),
     (50 * 3600, "2d2h"), (9 * 86400, "9d"), (800 * 86400, "2y70d")],
)  # fmt: skip
def test_durations_are_short(seconds: int, text: str) -> None:
    assert human(dt.timedelta(seconds=seconds)) == text
