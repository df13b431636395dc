"""The operator in the engine's process: like any other it stands for the lease, so that a second one fights nobody."""

from __future__ import annotations

import dataclasses
import logging
import shutil
import threading
from pathlib import Path

from cpod_jupyter.client.client import Client
from cpod_jupyter.control.leader import Place
from cpod_jupyter.engine.imagemap import ImageMap
from cpod_jupyter.engine.kubelet.images import repository
from cpod_jupyter.engine.tools import PROCESS
from cpod_jupyter.operator.running import LEASE_NAME, SYSTEM_NAMESPACE, Operator
from cpod_jupyter.operator.settings import Settings

log = logging.getLogger(__name__)

IDENTITY = "cpod-engine"
"""One engine has a home at a time, so its operator knows its own lease again after a crash and need not wait."""

_STOP_SECONDS = 15.0


def fitted(settings: Settings, home: Path, runtime: str) -> Settings:
    """The settings for an engine. Where pods are processes, they share this machine's files.

    And vLLM is there only where this machine has it: on the PATH, or its image mapped to an environment. Without
    it the runtime serves on GPUs as well, unless an image was set by hand.
    """
    if runtime != PROCESS:
        return settings
    settings = dataclasses.replace(settings, pods_share_files=True)
    set_by_hand = settings.vllm_image != Settings().vllm_image
    if set_by_hand or repository(settings.vllm_image) in ImageMap(home) or shutil.which("vllm"):
        return settings
    return dataclasses.replace(settings, vllm_image="")


class EmbeddedOperator:
    """Runs from now on, in a thread; an operator that loses its lease stands again."""

    def __init__(self, kubeconfig: Path, settings: Settings) -> None:
        self._client = Client.from_kubeconfig(kubeconfig)
        self._settings = settings
        self._lock = threading.Lock()
        self._operator = self._next()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="operator", daemon=True)
        self._thread.start()

    def _next(self) -> Operator:
        return Operator(self._client, self._settings, Place(LEASE_NAME, SYSTEM_NAMESPACE, IDENTITY))

    def _run(self) -> None:
        while not self._operator.run():
            log.warning("%s has taken the operator's lease; standing by", self._operator.elector.holder)
            with self._lock:
                if self._stopped:
                    return
                self._operator = self._next()

    def stop(self) -> None:
        """End it, with the lease given up."""
        with self._lock:
            self._stopped = True
            self._operator.stop()
        self._thread.join(_STOP_SECONDS)
