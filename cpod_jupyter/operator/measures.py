"""What the operator counts about itself, and how it is told."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import CPODJOBS, JOBS, MPIJOBS_V2BETA1, PYTORCHJOBS, TFJOBS, Object, Resource
from cpod_jupyter.control.api import KubeApi
from cpod_jupyter.control.controller import Controller, Key, Reconcile
from cpod_jupyter.control.metrics import Counter, Gauge, Samples, exposition
from cpod_jupyter.control.passing import PassingApi
from cpod_jupyter.errors import AlreadyExists, ApiUnreachable, Conflict, NotFound

_JOB_TYPES = {JOBS: "general", PYTORCHJOBS: "pytorch", MPIJOBS_V2BETA1: "mpi", TFJOBS: "tensorFlow"}
"""The jobType that each kind of job stands for."""


class Measures:
    """Counters that live as long as the process, over the controllers that run now."""

    def __init__(self, leads: Callable[[], bool]) -> None:
        self.controllers: Sequence[Controller] = ()
        self.reconciled = Counter("cpod_reconcile_total", "Reconciliations, by controller and outcome.")
        self.created = Counter(
            "cpodjob_operator_jobs_created_total", "Jobs started for CPodJobs, by namespace and jobType."
        )
        self._leads = leads
        self._all = (
            self.reconciled,
            self.created,
            Gauge("cpod_workqueue_depth", "Objects that wait to be reconciled, by controller.", self._depths),
            Gauge("cpod_leader", "Whether this operator leads, and so acts.", self._leading),
        )

    def watch(self, controllers: Sequence[Controller]) -> None:
        """Count what these controllers do; they take the place of those before."""
        for controller in controllers:
            controller.reconcile = self._counted(controller.name, controller.reconcile)
        self.controllers = controllers

    def text(self) -> str:
        return exposition(self._all)

    def _counted(self, name: str, reconcile: Reconcile) -> Reconcile:
        def counted(key: Key) -> float | None:
            outcome = "error"
            try:
                again = reconcile(key)
                outcome = "success" if again is None else "requeue_after"
            except (Conflict, AlreadyExists, NotFound, ApiUnreachable):
                outcome = "requeue"
                raise
            finally:
                self.reconciled.add(controller=name, outcome=outcome)
            return again

        return counted

    def _depths(self) -> Samples:
        depths: dict[str, float] = {}
        for controller in self.controllers:
            depths[controller.name] = depths.get(controller.name, 0.0) + controller.queue.depth()
        return [({"controller": name}, depth) for name, depth in depths.items()]

    def _leading(self) -> Samples:
        return [({}, float(self._leads()))]


class CountingApi(PassingApi):
    """Counts the jobs that are started for CPodJobs."""

    def __init__(self, api: KubeApi, created: Counter) -> None:
        super().__init__(api)
        self._created = created

    def create(self, resource: Resource, obj: Object) -> Object:
        made = super().create(resource, obj)
        owner = meta.controller_of(obj)
        is_cpodjobs = owner is not None and (owner["kind"], owner["name"]) == (CPODJOBS.kind, meta.name_of(obj))
        if is_cpodjobs and resource in _JOB_TYPES:  # its other Jobs, uploads, have names of their own
            self._created.add(job_namespace=meta.namespace_of(obj), job_type=_JOB_TYPES[resource])
        return made
