"""KServe's InferenceService (v0.20, Standard mode) in the small: custom containers, kept running, behind one URL."""

from __future__ import annotations

from typing import Any

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import EVENTS, INFERENCESERVICES, PODS, SERVICES, Object
from cpod_jupyter.control.api import KubeApi
from cpod_jupyter.control.controller import Controller, Key, Recorder, to_controller, to_itself
from cpod_jupyter.engine.controllers import pods as podset
from cpod_jupyter.engine.controllers.inferenceservice_status import Refusal, refusal, service_status
from cpod_jupyter.engine.controllers.predictor import (
    HASH_LABEL,
    predictor_pod,
    predictor_service,
    revision,
    wanted_replicas,
)
from cpod_jupyter.errors import AlreadyExists, NotFound


class InferenceServiceReconciler:
    def __init__(self, api: KubeApi) -> None:
        self._api = api
        self._events = Recorder(api, "inferenceservice-controller", EVENTS)

    def reconcile(self, key: Key) -> float | None:
        try:
            service = self._api.get(INFERENCESERVICES, key.name, key.namespace)
        except NotFound:
            return None
        if service["metadata"].get("deletionTimestamp"):
            return None
        refused = refusal(service)
        if refused is None:
            self._keep_service(service)
            self._keep_pods(service)
        self._write_status(service, podset.owned(self._api, service), refused)
        return None

    def _keep_service(self, service: Object) -> None:
        wanted = predictor_service(service)
        try:
            self._api.create(SERVICES, wanted)
        except AlreadyExists:
            self._api.patch(SERVICES, meta.name_of(wanted), {"spec": wanted["spec"]}, meta.namespace_of(wanted))

    def _keep_pods(self, service: Object) -> None:
        """The wanted number of pods of the present revision; older ones go once those are ready."""
        current = revision(service)
        wanted = wanted_replicas(service)
        pods = podset.owned(self._api, service)
        ours = [pod for pod in pods if pod["metadata"]["labels"].get(HASH_LABEL) == current]
        dead = [pod for pod in ours if podset.phase(pod) in (podset.SUCCEEDED, podset.FAILED)]
        podset.delete(self._api, dead)
        live = [pod for pod in ours if podset.is_active(pod)]
        podset.delete(self._api, live[wanted:])
        taken = {meta.name_of(pod) for pod in podset.owned(self._api, service)}
        missing = wanted - len(live)
        number = 0
        while missing > 0:
            pod = predictor_pod(service, number)
            number += 1
            if meta.name_of(pod) in taken:
                continue
            self._api.create(PODS, pod)
            self._events.normal(service, "SuccessfulCreate", f"Created pod: {meta.name_of(pod)}")
            missing -= 1
        if sum(podset.is_ready(pod) for pod in live) >= wanted:
            podset.delete(self._api, [pod for pod in pods if pod not in ours])

    def _write_status(self, service: Object, pods: list[Object], refused: Refusal | None) -> None:
        status = service_status(service, pods, refused)
        if status == service.get("status"):
            return
        self._api.replace(INFERENCESERVICES, {**service, "status": status}, subresource="status")
        self._say(service, meta.condition({"status": status}, "PredictorReady") or {})

    def _say(self, service: Object, now: dict[str, Any]) -> None:
        """An event when the predictor becomes ready, or has a trouble that it did not have."""
        before = meta.condition(service, "PredictorReady") or {}
        if (before.get("status"), before.get("reason")) == (now["status"], now["reason"]):
            return
        if now["status"] == "True" and before.get("status") != "True":
            message = f"InferenceService {meta.name_of(service)} is ready"
            self._events.normal(service, "InferenceServiceReady", message)
        elif now["status"] != "True" and now["reason"] not in ("Deploying", "Stopped"):
            self._events.warning(service, now["reason"], now["message"])


def inferenceservice_controller(api: KubeApi) -> Controller:
    """Serves InferenceServices with custom containers."""
    reconcile = InferenceServiceReconciler(api).reconcile
    sources = {INFERENCESERVICES: to_itself, PODS: to_controller("InferenceService")}
    return Controller("inferenceservice", reconcile, sources, workers=2)
