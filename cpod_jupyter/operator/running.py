"""An operator at work: it stands for the lease, and runs its controllers while it leads."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence

from cpod_jupyter.control.api import KubeApi
from cpod_jupyter.control.controller import Manager
from cpod_jupyter.control.leader import Elector, FencedApi, LeaseTimes, Place
from cpod_jupyter.control.passing import NamespacedApi
from cpod_jupyter.operator.manager import controllers
from cpod_jupyter.operator.measures import CountingApi, Measures
from cpod_jupyter.operator.settings import Settings

log = logging.getLogger(__name__)

LEASE_NAME = "cpod-operator"
SYSTEM_NAMESPACE = "cpod-system"
"""Where the operator and its lease are, on a cluster and on the engine."""

_ANSWER_SECONDS = 30.0


class Operator:
    """Runs once: `run` in one thread, everything else from any.

    While the API server is away it changes nothing, and goes on when that is back, unless another operator has
    taken the lease meanwhile.
    """

    def __init__(
        self,
        api: KubeApi,
        settings: Settings,
        place: Place,
        times: LeaseTimes | None = None,
        namespaces: Sequence[str] = (),
        lease_api: KubeApi | None = None,
    ) -> None:
        """`lease_api` is the same API with less patience: a renewal that takes long is as good as none."""
        self.elector = Elector(lease_api or api, place, times)
        self.measures = Measures(lambda: self.elector.leads)
        self._settings = settings
        fenced = FencedApi(CountingApi(api, self.measures.created), lambda: self.elector.leads)
        self._apis: list[KubeApi] = [NamespacedApi(fenced, name) for name in namespaces] or [fenced]
        self._stopped = threading.Event()

    def run(self) -> bool:
        """Stand, and act while it leads. Returns True when it was stopped, False when another took the lease."""
        self.elector.start()
        try:
            self.elector.wait(lambda: self._stopped.is_set() or self.elector.leads)
            if not self._stopped.is_set():
                self._lead()
            return self._stopped.is_set()
        finally:
            self.elector.stop()

    def _lead(self) -> None:
        managers = [Manager(api, controllers(api, self._settings)) for api in self._apis]
        self.measures.watch([controller for manager in managers for controller in manager.controllers])
        for manager in managers:
            manager.start()
        try:
            self.elector.wait(lambda: self._stopped.is_set() or bool(self.elector.lost_to))
        finally:
            for manager in managers:
                manager.stop()

    def stop(self) -> None:
        """Have `run` return, with the lease given up."""
        self._stopped.set()
        self.elector.wake()

    def stop_soon(self) -> None:
        """The same from a signal handler, which must not wait for what it may itself be holding."""
        threading.Thread(target=self.stop, name="stop", daemon=True).start()

    @property
    def ready(self) -> bool:
        """Whether it leads, or stands by and is answered."""
        return self.elector.leads or self.elector.answered_within(_ANSWER_SECONDS)

    @property
    def alive(self) -> bool:
        """Whether it still stands for the lease."""
        return self.elector.runs
