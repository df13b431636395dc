"""What was acknowledged is there after a kill -9, and watchers see each change once: no gap, no double."""

from __future__ import annotations

import itertools
import os
import random
import signal
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from cpod_jupyter import local
from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import CONFIGMAPS, Object
from cpod_jupyter.client.client import Client
from cpod_jupyter.errors import ApiUnreachable, Expired

KILLS = 100
LABEL = "durability"


@dataclass
class Writer:
    """Creates, changes and deletes config maps, one write at a time, and keeps what was acknowledged."""

    name: str
    kubeconfig: Path
    stop: threading.Event
    luck: random.Random
    state: dict[str, str | None] = field(default_factory=dict)
    """Name → the value last acknowledged; None for a deletion."""
    doubtful: set[str] = field(default_factory=set)
    """Names whose last write was in flight when the engine was killed: it may have happened."""
    versions: dict[int, str] = field(default_factory=dict)
    """Acknowledged resourceVersions, and the names that they are of."""

    def run(self) -> None:
        client = Client.from_kubeconfig(self.kubeconfig)
        for number in itertools.count():
            if self.stop.is_set():
                break
            settled = [name for name, value in self.state.items() if value is not None and name not in self.doubtful]
            choice = self.luck.random() if settled else 0.0
            name = f"{self.name}-{number:06}" if choice < 0.4 else self.luck.choice(settled)
            try:
                self.write(client, name, choice, str(number))
            except ApiUnreachable:
                self.doubtful.add(name)
                time.sleep(0.01)
        client.close()

    def write(self, client: Client, name: str, choice: float, value: str) -> None:
        if choice < 0.4:
            metadata = {"name": name, "namespace": "default", "labels": {"test": LABEL}}
            self.acknowledged(client.create(CONFIGMAPS, {"metadata": metadata, "data": {"value": value}}), value)
        elif choice < 0.8:
            self.acknowledged(client.patch(CONFIGMAPS, name, {"data": {"value": value}}, "default"), value)
        else:
            client.delete(CONFIGMAPS, name, "default")
            self.state[name] = None

    def acknowledged(self, obj: Object, value: str) -> None:
        self.state[meta.name_of(obj)] = value
        self.versions[int(obj["metadata"]["resourceVersion"])] = meta.name_of(obj)


@dataclass
class Watcher:
    """Follows the config maps by resourceVersion, over every broken connection."""

    kubeconfig: Path
    since: int
    stop: threading.Event
    events: list[tuple[int, str, str, str]] = field(default_factory=list)
    fault: Exception | None = None

    def run(self) -> None:
        client = Client.from_kubeconfig(self.kubeconfig)
        try:
            while not self.stop.is_set():
                try:
                    self.follow(client)
                except Expired as error:
                    self.fault = error
                    return
                except ApiUnreachable:
                    time.sleep(0.01)
        finally:
            client.close()

    def follow(self, client: Client) -> None:
        version, selector = str(self.since), f"test={LABEL}"
        for event in client.watch(CONFIGMAPS, resource_version=version, label_selector=selector, timeout_seconds=5):
            self.since = int(event.object["metadata"]["resourceVersion"])
            if event.type != "BOOKMARK":
                value = event.object["data"]["value"]
                self.events.append((self.since, event.type, meta.name_of(event.object), value))


def started(*runs: Callable[[], None]) -> list[threading.Thread]:
    threads = [threading.Thread(target=run, daemon=True) for run in runs]
    for thread in threads:
        thread.start()
    return threads


def kill(engine: local.Engine) -> None:
    os.kill(engine.pid, signal.SIGKILL)
    psutil.Process(engine.pid).wait(10)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_what_was_acknowledged_survives_a_hundred_kills(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, eventually: Callable[..., object]
) -> None:
    monkeypatch.setenv("CPOD_HOME", str(tmp_path / "home"))
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # shown when the test fails
    luck = random.Random(seed)
    engine = local.start(port)
    client = Client.from_kubeconfig(engine.kubeconfig)
    since = int(client.list(CONFIGMAPS).resource_version)
    resting, watching = threading.Event(), threading.Event()
    writers = [Writer(f"w{index}", engine.kubeconfig, resting, random.Random(seed + index)) for index in range(2)]
    watchers = [Watcher(engine.kubeconfig, since, watching) for _ in range(2)]
    try:
        writing = started(*(writer.run for writer in writers))
        following = started(*(watcher.run for watcher in watchers))
        for _ in range(KILLS):
            before = sum(len(writer.versions) for writer in writers)
            eventually(lambda before=before: sum(len(w.versions) for w in writers) > before, "a write", 60)
            time.sleep(luck.uniform(0, 0.2))
            kill(engine)
            engine = local.start(port)
        resting.set()
        for thread in writing:
            thread.join(30)
        last = {"name": "last", "namespace": "default", "labels": {"test": LABEL}}
        newest = int(
            client.create(CONFIGMAPS, {"metadata": last, "data": {"value": ""}})["metadata"]["resourceVersion"]
        )
        found = client.list(CONFIGMAPS, label_selector=f"test={LABEL}")
        eventually(lambda: all(watcher.since >= newest for watcher in watchers), "the watchers to catch up", 60)
        watching.set()
        for thread in following:
            thread.join(30)
        check(writers, watchers, {meta.name_of(item): item["data"]["value"] for item in found.items})
    finally:
        resting.set()
        watching.set()
        client.close()
        local.stop()


def check(writers: list[Writer], watchers: list[Watcher], there: dict[str, str]) -> None:
    acknowledged = {version: name for writer in writers for version, name in writer.versions.items()}
    for writer in writers:
        for name, value in writer.state.items():
            if name not in writer.doubtful:
                assert there.get(name) == value, name
    for watcher in watchers:
        assert watcher.fault is None
        versions = [version for version, *_ in watcher.events]
        assert versions == sorted(set(versions)), "a change came twice, or out of order"
        assert acknowledged.keys() <= set(versions), "an acknowledged change was never seen"
        assert replayed(watcher) == there
    assert watchers[0].events == watchers[1].events
    assert len(acknowledged) > KILLS


def replayed(watcher: Watcher) -> dict[str, str]:
    """The state that the events add up to; each must follow from the one before it."""
    state: dict[str, str] = {}
    for version, type_, name, value in watcher.events:
        assert (name in state) == (type_ != "ADDED"), (version, type_, name)
        if type_ == "DELETED":
            del state[name]
        else:
            state[name] = value
    return state
