"""How quick the engine's API is: one client, one object at a time, over TLS, on a store on disk.

    make bench              # writes benchmarks/RESULTS.md
    python benchmarks/api.py

Each figure stands beside that of a bare HTTPS server in the same run (the same HTTP library, TLS and client), so that
the ratio says what the engine adds, whatever the machine; and beside a real kube-apiserver with etcd, measured once on
two cores with one client.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import Connection, Served, bare, engine, percentile, timed

SAMPLES = 500
MANY_OBJECTS, MANY_WATCHERS = 5000, 50
CONFIGMAPS = "/api/v1/namespaces/default/configmaps"
PODS = "/api/v1/namespaces/default/pods"
MERGE = "application/merge-patch+json"
WATCH = f"{CONFIGMAPS}?watch=1&allowWatchBookmarks=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"


@dataclass(frozen=True)
class Figure:
    """Milliseconds at p50 and p99, and what the same was on a kube-apiserver at p50, where it is known."""

    name: str
    p50: float
    p99: float
    kubernetes: float | None = None

    @classmethod
    def of(cls, name: str, samples: list[float], kubernetes: float | None = None) -> Figure:
        return cls(name, percentile(samples, 50), percentile(samples, 99), kubernetes)


def configmap(name: str) -> dict[str, Any]:
    data = {f"key-{index}": "value" * 10 for index in range(10)}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "labels": {"app": "bench"}},
        "data": data,
    }


def pod() -> dict[str, Any]:
    """A pod that stays Pending: no node has that label."""
    container = {"name": "c", "image": "example.com/none", "command": ["true"]}
    spec = {"containers": [container], "nodeSelector": {"none": "such"}, "restartPolicy": "Never"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "bench"}, "spec": spec}


def create(connection: Connection, prefix: str, count: int = SAMPLES) -> list[float]:
    return timed(lambda index: connection.ask("POST", CONFIGMAPS, configmap(f"{prefix}-{index:05}")), count)


def verbs(connection: Connection) -> list[Figure]:
    found = [Figure.of("create", create(connection, "a"), 1.7)]
    get = timed(lambda index: connection.ask("GET", f"{CONFIGMAPS}/a-{index:05}"), SAMPLES)
    found.append(Figure.of("get", get, 1.2))

    def patch(index: int) -> None:
        connection.ask("PATCH", f"{CONFIGMAPS}/a-{index:05}", {"data": {"x": str(index)}}, MERGE)

    found.append(Figure.of("merge patch", timed(patch, SAMPLES)))
    connection.ask("POST", PODS, pod())

    def patch_status(index: int) -> None:
        condition = {"type": "Custom", "status": "True", "message": str(index)}
        connection.ask("PATCH", f"{PODS}/bench/status", {"status": {"conditions": [condition]}}, MERGE)

    found.append(Figure.of("status patch of a pod", timed(patch_status, SAMPLES), 2.1))
    found.append(Figure.of("list of 500", timed(lambda _: connection.ask("GET", CONFIGMAPS), 30), 63))
    return found


def events(served: Served, prefix: str) -> list[float]:
    """Milliseconds from before a create to the arrival of its watch event."""
    began: dict[str, float] = {}
    arrived: list[float] = []
    live, done = threading.Event(), threading.Event()

    def watch() -> None:
        for line in served.connect().lines(WATCH):
            now = time.perf_counter()
            if b"initial-events-end" in line:
                live.set()
            elif live.is_set():
                name = json.loads(line)["object"]["metadata"]["name"]
                arrived.append((now - began[name]) * 1000)
                if len(arrived) == SAMPLES:
                    break
        done.set()

    threading.Thread(target=watch, daemon=True).start()
    live.wait(60)
    connection = served.connect()
    for index in range(SAMPLES):
        name = f"{prefix}-{index:05}"
        began[name] = time.perf_counter()
        connection.ask("POST", CONFIGMAPS, configmap(name))
    if not done.wait(60):
        raise RuntimeError("watch events did not arrive")
    return arrived


def other_watchers(served: Served, count: int) -> subprocess.Popen[bytes]:
    """More watchers of the same objects, in a process of their own."""
    command = [sys.executable, __file__, "--watchers", str(count)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps([served.port, served.authority, served.token]).encode() + b"\n")
    process.stdin.flush()
    process.stdout.readline()
    return process


def be_watchers(count: int) -> None:
    port, authority, token = json.loads(sys.stdin.readline())
    live = threading.Barrier(count + 1)

    def watch() -> None:
        for line in Connection(port, authority, token).lines(WATCH):
            if b"initial-events-end" in line:
                live.wait()

    for _ in range(count):
        threading.Thread(target=watch, daemon=True).start()
    live.wait()
    print("live", flush=True)
    threading.Event().wait()


def measure(folder: Path) -> tuple[list[Figure], float, list[str]]:
    """The figures, the bare round trip in milliseconds, and what else is to be said."""
    with bare(folder / "bare") as yardstick, engine(folder / "engine") as served:
        echo = yardstick.connect()
        timed(lambda _: echo.ask("POST", "/", configmap("x")), SAMPLES)
        trip = percentile(timed(lambda _: echo.ask("POST", "/", configmap("x")), SAMPLES), 50)
        facts = [f"start to readiness {served.start_seconds:.2f} s; resident {served.resident_mib():.0f} MiB"]
        connection = served.connect()
        create(connection, "warm", 50)
        found = verbs(connection)
        found.append(Figure.of("create to watch event", events(served, "b"), 1.6))
        create(connection, "many", MANY_OBJECTS)
        found.append(Figure.of(f"create beside {MANY_OBJECTS} objects", create(connection, "c")))
        watchers = other_watchers(served, MANY_WATCHERS - 1)
        found.append(Figure.of(f"create to watch event, {MANY_WATCHERS} watchers", events(served, "d")))
        watchers.kill()
        watchers.wait()
        facts.append(f"resident with {MANY_OBJECTS + 3 * SAMPLES} objects {served.resident_mib():.0f} MiB")
    return found, trip, facts


def report(found: list[Figure], trip: float, facts: list[str]) -> str:
    machine = f"{os.cpu_count()} cores ({platform.machine()}, Python {platform.python_version()})"
    rows = [
        f"| {f.name} | {f.p50:.2f} | {f.p99:.2f} | {f.p50 / trip:.1f} | {f.kubernetes or ''} |" for f in found
    ]  # fmt: skip
    return "\n".join(
        [
            "# Results",
            "",
            f"`make bench` on {machine}: one client, one object of about 1 kB at a time, TLS, a store on disk.",
            f"A bare HTTPS round trip of the same size takes {trip:.2f} ms here; the ratio is to that. Kubernetes: a",
            "kube-apiserver with etcd on two cores of another machine, measured once.",
            "",
            "| what | p50, ms | p99, ms | p50 to bare | Kubernetes p50, ms |",
            "|---|---:|---:|---:|---:|",
            *rows,
            "",
            *(f"- {fact}" for fact in facts),
            "- a kube-apiserver with etcd: start 5 s, 950 MB resident",
            "",
        ]
    )


def main() -> None:
    if sys.argv[1:2] == ["--watchers"]:
        be_watchers(int(sys.argv[2]))
    with tempfile.TemporaryDirectory() as folder:
        text = report(*measure(Path(folder)))
    print(text)
    (Path(__file__).parent / "RESULTS.md").write_text(text)


if __name__ == "__main__":
    main()
