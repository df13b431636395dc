"""Services that have no pod while nobody asks: a request is noted, waits for a pod, and keeps it while it is answered.

What Knative's activator is to a cluster. The controller of InferenceServices marks such a Service, and keeps a pod for
it from the noted moment on (`engine.controllers.scaling`).
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
from collections.abc import AsyncIterator

from aiohttp import web

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import INFERENCESERVICES, PODS, SERVICES, Object
from cpod_jupyter.engine.controllers.scaling import IDLE_SECONDS, LAST_REQUEST
from cpod_jupyter.engine.objects import Objects
from cpod_jupyter.engine.patches import MERGE_PATCH
from cpod_jupyter.errors import NotFound, ServerError

_HOLD_SECONDS = 600.0
"""How long a request waits for a pod, as long as Knative lets a revision take to get ready."""
_LOOK_SECONDS = 0.1
_LONGEST_BETWEEN_NOTES = 30.0
_STILL_COMING = ("Deploying", "RollingOut", "ScaledToZero")


class Activation:
    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def concerns(self, namespace: str, name: str) -> bool:
        """Whether there is such a Service that may have no pod."""
        return self._idle_seconds(namespace, name) is not None

    @contextlib.asynccontextmanager
    async def request(self, request: web.Request, namespace: str, name: str) -> AsyncIterator[None]:
        """Around the answer to a request: before it there is a pod, and while it lasts there is one.

        Raises ServerError (503) when there is none in time, or there cannot be. Other Services pass through.
        """
        idle = self._idle_seconds(namespace, name)
        if idle is None:
            yield
            return
        between = min(max(idle / 4, _LOOK_SECONDS), _LONGEST_BETWEEN_NOTES)
        await asyncio.to_thread(self._note, namespace, name, between)
        noting = asyncio.create_task(self._note_on(namespace, name, between))
        try:
            await self._until_ready(request, namespace, name)
            yield
        finally:
            noting.cancel()
            await asyncio.gather(noting, return_exceptions=True)
            await asyncio.to_thread(self._note, namespace, name, between)

    def _idle_seconds(self, namespace: str, name: str) -> float | None:
        try:
            service = self._objects.get(self._objects.kinds.of(SERVICES), namespace, name)
        except NotFound:
            return None  # whoever forwards says so
        marked = (service["metadata"].get("annotations") or {}).get(IDLE_SECONDS)
        owner = meta.controller_of(service) or {}
        return float(marked) if marked and owner.get("kind") == INFERENCESERVICES.kind else None

    async def _note_on(self, namespace: str, name: str, between: float) -> None:
        while True:
            await asyncio.sleep(between)
            await asyncio.to_thread(self._note, namespace, name, between)

    def _note(self, namespace: str, name: str, between: float) -> None:
        """Write down that there is a request now, unless that has been said a moment ago."""
        kind, now = self._objects.kinds.of(SERVICES), dt.datetime.now(dt.UTC)
        try:
            service = self._objects.get(kind, namespace, name)
            before = (service["metadata"].get("annotations") or {}).get(LAST_REQUEST)
            if before and (now - meta.parse_time(before)).total_seconds() < between / 2:
                return
            noted = now.isoformat(timespec="milliseconds").replace("+00:00", "Z")
            change = {"metadata": {"annotations": {LAST_REQUEST: noted}}}
            self._objects.patch(kind, namespace, name, MERGE_PATCH, change, manager="cpod-engine")
        except NotFound:
            return  # it was deleted while it answered

    async def _until_ready(self, request: web.Request, namespace: str, name: str) -> None:
        deadline = asyncio.get_running_loop().time() + _HOLD_SECONDS
        while not await asyncio.to_thread(self._has_pod, namespace, name):
            if request.transport is None or request.transport.is_closing():
                raise ServerError("the client has gone", code=503)
            if asyncio.get_running_loop().time() > deadline:
                raise ServerError(f'no pod of service "{name}" got ready in {_HOLD_SECONDS:g} s', code=503)
            await asyncio.sleep(_LOOK_SECONDS)

    def _has_pod(self, namespace: str, name: str) -> bool:
        """Whether a pod can answer. Raises ServerError when none will, in the words of the InferenceService."""
        service = self._objects.get(self._objects.kinds.of(SERVICES), namespace, name)
        selector = service["spec"].get("selector") or {}
        pods, _ = self._objects.list(self._objects.kinds.of(PODS), namespace)
        if any(answers(pod, selector) for pod in pods):
            return True
        owner = meta.controller_of(service) or {}
        owned_by = self._objects.get(self._objects.kinds.of(INFERENCESERVICES), namespace, str(owner.get("name")))
        state = meta.condition(owned_by, "PredictorReady") or {}
        if state.get("status") == "False" and state.get("reason") not in _STILL_COMING:
            what = f"InferenceService {meta.name_of(owned_by)} has no pod that answers"
            raise ServerError(f"{what}: {state.get('reason')}: {state.get('message')}", code=503)
        return False


def answers(pod: Object, selector: dict[str, str]) -> bool:
    """Whether a pod is one of a Service's, ready, and not about to end."""
    labels = pod["metadata"].get("labels") or {}
    selected = all(labels.get(key) == value for key, value in selector.items())
    return selected and meta.is_true(pod, "Ready") and not meta.is_going(pod)
