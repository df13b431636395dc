"""Has the images that pods need, by podman or docker: pulls in the background, and backs off when it fails.

Kubernetes, "Images": `Always` pulls once for each pod, `IfNotPresent` when the image is not here, `Never` never.
"""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import Object
from cpod_jupyter.engine.kubelet.lookup import ConfigError
from cpod_jupyter.engine.kubelet.realcontainer import last_line
from cpod_jupyter.engine.kubelet.realimages import client_environment

_LOOK_SECONDS = 60.0
_PULL_SECONDS = 3600.0
_AGAIN_SECONDS = 0.5
_KEPT = 1000
FIRST_DELAY, LONGEST_DELAY = 10.0, 300.0
"""Seconds before a pull that failed is tried again, doubling (the kubelet's image back-off)."""


class Pulling(ConfigError):
    """The image is on its way: no failure."""


@dataclass
class _Pull:
    """One image, wanted by one pod or, unless it is always to be pulled, by any."""

    running: bool = False
    done: bool = False
    problem: str = ""
    """Why it failed last."""
    told: bool = False
    """Whether that has been said."""
    delay: float = 0.0
    retry_at: float = 0.0


class Images:
    """Thread-safe. `tool` is podman or docker."""

    def __init__(self, tool: str) -> None:
        self._tool = tool
        self._lock = threading.Lock()
        self._pulls: dict[tuple[str, str], _Pull] = {}

    def need(self, pod: Object, containers: Iterable[Mapping[str, Any]]) -> None:
        """Raises ConfigError, with the waiting reason that Kubernetes has for it, until every image is here."""
        for container in containers:
            image, policy = str(container.get("image") or ""), str(container.get("imagePullPolicy") or "IfNotPresent")
            if policy == "Always":
                self._pulled((meta.uid_of(pod), image))
            elif self._run(["image", "inspect", image], _LOOK_SECONDS):
                if policy == "Never":
                    words = f'Container image "{image}" is not present with pull policy of Never'
                    raise ConfigError(words, "ErrImageNeverPull")
                self._pulled(("", image))

    def _pulled(self, key: tuple[str, str]) -> None:
        with self._lock:
            pull = self._pulls.setdefault(key, _Pull())
            if pull.done:
                self._forget(key)
                return
            if not pull.running and (not pull.problem or (pull.told and time.monotonic() >= pull.retry_at)):
                pull.running = True
                threading.Thread(target=self._pull, args=(key[1], pull), name=f"pull {key[1]}", daemon=True).start()
            if not pull.problem:
                raise Pulling(f'Pulling image "{key[1]}"', "ContainerCreating", retry_seconds=_AGAIN_SECONDS)
            if not pull.told:
                pull.told = True
                raise ConfigError(
                    f'failed to pull image "{key[1]}": {pull.problem}', "ErrImagePull", retry_seconds=_AGAIN_SECONDS
                )
            left = _AGAIN_SECONDS if pull.running else max(_AGAIN_SECONDS, pull.retry_at - time.monotonic())
            words = f'Back-off pulling image "{key[1]}": {pull.problem}'
            raise ConfigError(words, "ImagePullBackOff", retry_seconds=left)

    def _forget(self, key: tuple[str, str]) -> None:
        """What was pulled for any pod is looked for again; for one pod it is pulled once, and the oldest go."""
        if not key[0]:
            del self._pulls[key]
        elif len(self._pulls) > _KEPT:
            for old in [old for old, pull in self._pulls.items() if pull.done and old != key][: _KEPT // 2]:
                del self._pulls[old]

    def _pull(self, image: str, pull: _Pull) -> None:
        problem = self._run(["pull", "--quiet", image], _PULL_SECONDS)
        with self._lock:
            pull.running, pull.done, pull.told = False, not problem, False
            pull.problem = problem
            pull.delay = min(max(pull.delay * 2, FIRST_DELAY), LONGEST_DELAY)
            pull.retry_at = time.monotonic() + pull.delay

    def _run(self, words: list[str], seconds: float) -> str:
        """What the tool complained of; empty when it did what it was told."""
        try:
            done = subprocess.run(
                [self._tool, *words],
                env=client_environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                timeout=seconds,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"{self._tool}: {error}"
        return "" if done.returncode == 0 else last_line(done.stderr) or f"{self._tool} exited with {done.returncode}"
