"""Pods in which code that a model wrote is run: no network, no token, limits, and gone afterwards."""

from __future__ import annotations

import contextlib
import json
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cpod_jupyter.api import meta, names
from cpod_jupyter.api.resources import CONFIGMAPS, PODS, Object, Resource
from cpod_jupyter.errors import ApiError, CpodError, NotFound
from cpod_jupyter.operator import pods as words
from cpod_jupyter.sdk.evaluate.scorers import sandbox_program
from cpod_jupyter.sdk.receiver import runtime_image

if TYPE_CHECKING:
    from cpod_jupyter.client.client import Client

_POLICIES = Resource("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy")
_START_SECONDS = 300.0
_LOOK_SECONDS = 0.2
_USER = 65534
_BATCH_BYTES = 600 << 10
"""Of rows in one pod: a ConfigMap holds 1 MiB."""


@dataclass(frozen=True)
class Limits:
    """Of each row `seconds` and memory in MiB; of the pod the CPUs, which are as many rows at a time."""

    seconds: int
    memory_mib: int
    cpus: int


@dataclass(frozen=True)
class Outcome:
    """Of one row: whether its tests passed, and why not. `error` where it was not run."""

    passed: bool = False
    why: str = ""
    error: str = ""


def run_all(
    client: Client, namespace: str, rows: Sequence[Mapping[str, str]], limits: Limits, image: str, runtime_class: str
) -> list[Outcome]:
    """Run rows of `code` and `tests`, a pod for as many as a ConfigMap holds. Raises CpodError where no pod starts, or
    the code would have a network there."""
    outcomes: list[Outcome] = []
    for batch in _batches(rows):
        outcomes += _run_batch(client, namespace, batch, limits, image or runtime_image(client), runtime_class)
    return outcomes


def _batches(rows: Sequence[Mapping[str, str]]) -> Iterator[list[Mapping[str, str]]]:
    batch: list[Mapping[str, str]] = []
    size = 0
    for row in rows:
        length = len(json.dumps(dict(row)))
        if length > _BATCH_BYTES:
            row, length = {"code": f"raise ValueError('the code and its tests are {length >> 10} KiB')", "tests": ""}, 0
        if batch and size + length > _BATCH_BYTES:
            yield batch
            batch, size = [], 0
        batch.append(row)
        size += length
    if batch:
        yield batch


def _run_batch(
    client: Client, namespace: str, rows: list[Mapping[str, str]], limits: Limits, image: str, runtime_class: str
) -> list[Outcome]:
    name = f"sandbox-{secrets.token_hex(5)}"
    seconds = limits.seconds * -(-len(rows) // limits.cpus) + 60
    given = {"rows": rows, "seconds": limits.seconds, "memory": limits.memory_mib << 20, "parallel": limits.cpus}
    data = {"program.py": Path(sandbox_program.__file__).read_text(encoding="utf-8"), "rows.json": json.dumps(given)}
    metadata = {"name": name, "namespace": namespace, "labels": {names.LABEL_SANDBOX: name}}
    try:
        _close_network(client, metadata)
        client.create(CONFIGMAPS, {"metadata": metadata, "data": data})
        pod = client.create(PODS, {"metadata": metadata, "spec": _spec(name, image, limits, seconds, runtime_class)})
        _owned(client, pod, namespace)
        ended = _wait_ended(client, name, namespace, _START_SECONDS + seconds)
        return _outcomes(list(client.logs(name, namespace)), len(rows), ended)
    finally:
        for resource in (PODS, CONFIGMAPS, _POLICIES):
            with contextlib.suppress(ApiError):  # not made, or gone with the pod, or not served
                client.delete(resource, name, namespace, grace_seconds=0)


def _close_network(client: Client, metadata: Mapping[str, Any]) -> None:
    """A NetworkPolicy that lets nothing in or out. Where there are none, the program in the pod sees to it itself."""
    spec = {"podSelector": {"matchLabels": metadata["labels"]}, "policyTypes": ["Ingress", "Egress"]}
    with contextlib.suppress(ApiError):
        client.create(_POLICIES, {"metadata": dict(metadata), "spec": spec})


def _owned(client: Client, pod: Object, namespace: str) -> None:
    """What was made for the pod goes with it, should nobody be left to take it away."""
    owner = meta.owner_reference({"apiVersion": "v1", "kind": "Pod", **pod})
    reference = {**owner, "controller": False, "blockOwnerDeletion": False}
    for resource in (CONFIGMAPS, _POLICIES):
        with contextlib.suppress(ApiError):
            client.patch(resource, meta.name_of(pod), {"metadata": {"ownerReferences": [reference]}}, namespace)


_SCRATCH = "/scratch"
"""Not /tmp: on the engine a mount path is another folder, and the interpreter may lie below /tmp."""


def _spec(name: str, image: str, limits: Limits, seconds: int, runtime_class: str) -> dict[str, Any]:
    memory = f"{limits.memory_mib * limits.cpus + 256}Mi"
    amounts = {"cpu": str(limits.cpus), "memory": memory}
    container = {
        "name": "sandbox",
        "image": image,
        "command": ["python3", "-I", "/sandbox/program.py", "/sandbox/rows.json"],
        "resources": {"limits": amounts, "requests": {"cpu": "100m", "memory": memory}},
        "volumeMounts": [
            {"name": "rows", "mountPath": "/sandbox", "readOnly": True},
            {"name": "scratch", "mountPath": _SCRATCH},
        ],
        "env": [{"name": "TMPDIR", "value": _SCRATCH}],
        "securityContext": {
            "runAsUser": _USER,
            "runAsGroup": _USER,
            "runAsNonRoot": True,
            "readOnlyRootFilesystem": True,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    return {
        "restartPolicy": "Never",
        "activeDeadlineSeconds": int(_START_SECONDS) + seconds,
        "terminationGracePeriodSeconds": 1,
        "automountServiceAccountToken": False,
        **({"runtimeClassName": runtime_class} if runtime_class else {}),
        "containers": [container],
        "volumes": [
            {"name": "rows", "configMap": {"name": name}},
            {"name": "scratch", "emptyDir": {"sizeLimit": "1Gi"}},
        ],
    }


def _wait_ended(client: Client, name: str, namespace: str, seconds: float) -> Object:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            pod = client.get(PODS, name, namespace)
        except NotFound as error:
            raise CpodError(f"the sandbox {name} was deleted while it ran") from error
        if (pod.get("status") or {}).get("phase") in ("Failed", "Succeeded"):
            return pod
        time.sleep(_LOOK_SECONDS)
    why = words.unschedulable([pod]) or words.held_up([pod]) or "it is not known why"
    raise CpodError(f"the sandbox {name} did not end within {seconds:g} s: {why}")


def _outcomes(log: Sequence[str], count: int, pod: Object) -> list[Outcome]:
    """Of each row what its line says; rows without one were under way when the pod was ended."""
    found: dict[int, Outcome] = {}
    for line in log:
        if line.startswith(sandbox_program.REFUSED):
            why = line.removeprefix(sandbox_program.REFUSED)
            raise CpodError(f"code that a model wrote is not run here: {why}")
        if line.startswith(sandbox_program.MARK):
            said = json.loads(line.removeprefix(sandbox_program.MARK))
            found[int(said["row"])] = Outcome(bool(said["passed"]), str(said["why"]))
    ended = words.failure([pod]) or (log[-1] if log else "it ended early")
    return [found.get(at) or Outcome(error=f"not run: the sandbox ended: {ended}") for at in range(count)]
