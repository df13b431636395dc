"""KServe's InferenceService (0.20, Standard mode) in the small: models on their runtimes, or containers, at one URL."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Any

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import (
    CLUSTERSERVINGRUNTIMES,
    EVENTS,
    INFERENCESERVICES,
    PODS,
    SERVICES,
    SERVINGRUNTIMES,
    Object,
)
from cpod_jupyter.control.api import KubeApi
from cpod_jupyter.control.controller import Controller, Key, Recorder, to_controller, to_itself
from cpod_jupyter.engine.controllers import pods as podset
from cpod_jupyter.engine.controllers.inferenceservice_status import Observed, service_status
from cpod_jupyter.engine.controllers.predictor import Predictor, as_model, predictor_name, predictor_service, work_out
from cpod_jupyter.engine.controllers.scaling import (
    IDLE_SECONDS,
    LAST_REQUEST,
    Scale,
    idle_seconds,
    is_proven,
    is_stopped,
    of_revision,
    scale,
)
from cpod_jupyter.engine.controllers.serving_runtimes import Refused, Runtime, runtime_of
from cpod_jupyter.errors import AlreadyExists, NotFound

_QUIET = ("Deploying", "Stopped")
"""Reasons that are no news."""


class InferenceServiceReconciler:
    """`front`: the URL below which the engine itself listens for services that may have no pod."""

    def __init__(self, api: KubeApi, front: str = "") -> None:
        self._api = api
        self._front = front
        self._events = Recorder(api, "inferenceservice-controller", EVENTS)

    def reconcile(self, key: Key) -> float | None:
        try:
            service = self._api.get(INFERENCESERVICES, key.name, key.namespace)
        except NotFound:
            return None
        if meta.is_going(service):
            return None
        try:
            predictor = work_out(service, self._runtimes(service))
            idle = idle_seconds(service)
            last_request = self._keep_service(predictor, idle)
            pods = podset.owned(self._api, service)
            size = scale(service, predictor.revision, pods, last_request, dt.datetime.now(dt.UTC))
        except Refused as refused:
            self._write_status(service, Observed(podset.owned(self._api, service), refused=refused))
            return None
        self._keep_pods(predictor, pods, size)
        url = f"{self._front}/{key.namespace}/{predictor_name(service)}" if self._front and idle is not None else ""
        pods = podset.owned(self._api, service)
        proven = idle is not None and is_proven(service, predictor.revision)
        self._write_status(service, Observed(pods, predictor, size.wanted, is_stopped(service), url, proven))
        return size.again

    def of_runtime(self, runtime: Object) -> Iterable[Key]:
        """The InferenceServices that a runtime may be for: those with a model, where it can be seen."""
        for service in self._api.list(INFERENCESERVICES, meta.namespace_of(runtime) or None).items:
            if _has_model(service):
                yield Key(meta.namespace_of(service), meta.name_of(service))

    def _runtimes(self, service: Object) -> list[Runtime]:
        if not _has_model(service):
            return []
        found: list[Runtime] = []
        for resource in (SERVINGRUNTIMES, CLUSTERSERVINGRUNTIMES):
            namespace = meta.namespace_of(service) if resource.namespaced else None
            try:
                found += [runtime_of(obj) for obj in self._api.list(resource, namespace).items]
            except NotFound:
                continue  # somebody has removed the definition
        return found

    def _keep_service(self, predictor: Predictor, idle: float | None) -> str:
        """The Service as it should be; returns when a request last came through it."""
        marks = {} if idle is None else {IDLE_SECONDS: f"{idle:g}"}
        wanted = predictor_service(predictor, marks)
        try:
            self._api.create(SERVICES, wanted)
            return ""
        except AlreadyExists:
            name, namespace = meta.name_of(wanted), meta.namespace_of(wanted)
            change = {"metadata": {"annotations": {IDLE_SECONDS: marks.get(IDLE_SECONDS)}}, "spec": wanted["spec"]}
            there = self._api.patch(SERVICES, name, change, namespace)
            return str((there["metadata"].get("annotations") or {}).get(LAST_REQUEST) or "")

    def _keep_pods(self, predictor: Predictor, pods: list[Object], size: Scale) -> None:
        """The wanted number of pods of the present revision; older ones go once those are ready.

        Where the deployment strategy is Recreate they go first: both would not fit on a machine with one GPU.
        """
        ours = of_revision(pods, predictor.revision)
        older = [pod for pod in pods if pod not in ours]
        if older and _recreates(predictor.service):
            podset.delete(self._api, older)
            return
        dead = [pod for pod in ours if podset.phase(pod) in (podset.SUCCEEDED, podset.FAILED)]
        podset.delete(self._api, dead)
        live = sorted((pod for pod in ours if podset.is_active(pod)), key=lambda pod: not podset.is_ready(pod))
        podset.delete(self._api, live[size.wanted :])
        taken = {meta.name_of(pod) for pod in podset.owned(self._api, predictor.service)}
        missing, number = size.wanted - len(live), 0
        while missing > 0:
            pod = predictor.pod(number)
            number += 1
            if meta.name_of(pod) in taken:
                continue
            self._api.create(PODS, pod)
            self._events.normal(predictor.service, "SuccessfulCreate", f"Created pod: {meta.name_of(pod)}")
            missing -= 1
        if sum(podset.is_ready(pod) for pod in live) >= size.wanted:
            podset.delete(self._api, older)

    def _write_status(self, service: Object, observed: Observed) -> None:
        status = service_status(service, observed)
        if status == service.get("status"):
            return
        self._api.replace(INFERENCESERVICES, {**service, "status": status}, subresource="status")
        new = {"status": status}
        kind = "LatestDeploymentReady" if meta.is_true(new, "PredictorReady") else "PredictorReady"
        self._say(service, kind, meta.condition(new, kind) or {})

    def _say(self, service: Object, kind: str, now: dict[str, Any]) -> None:
        """An event when the predictor becomes ready, or it or its latest revision has a trouble that is new."""
        before = meta.condition(service, kind) or {}
        if (before.get("status"), before.get("reason")) == (now["status"], now["reason"]):
            return
        if now["status"] == "True" and before.get("status") != "True":
            message = f"InferenceService {meta.name_of(service)} is ready"
            self._events.normal(service, "InferenceServiceReady", message)
        elif now["status"] != "True" and now["reason"] not in _QUIET:
            self._events.warning(service, now["reason"], now["message"])


def _recreates(service: Object) -> bool:
    return (service["spec"]["predictor"].get("deploymentStrategy") or {}).get("type") == "Recreate"


def _has_model(service: Object) -> bool:
    try:
        return bool(as_model(service["spec"]["predictor"]).get("model"))
    except Refused:
        return False


def inferenceservice_controller(api: KubeApi, front: str = "") -> Controller:
    """Serves InferenceServices; those that may have no pod at an address below `front`."""
    reconciler = InferenceServiceReconciler(api, front)
    sources = {
        INFERENCESERVICES: to_itself,
        PODS: to_controller("InferenceService"),
        SERVICES: to_controller("InferenceService"),
        SERVINGRUNTIMES: reconciler.of_runtime,
        CLUSTERSERVINGRUNTIMES: reconciler.of_runtime,
    }
    return Controller("inferenceservice", reconciler.reconcile, sources, workers=2)
