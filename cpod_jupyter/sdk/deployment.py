"""A deployed model, ready to be asked: an OpenAI client that reaches it, wherever it runs."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from cpod_jupyter.api import meta, names
from cpod_jupyter.api.resources import MODELSTORAGES, SECRETS, SERVICES, Object, Resource
from cpod_jupyter.errors import CpodError, Forbidden, NotFound
from cpod_jupyter.sdk import scaling
from cpod_jupyter.sdk.handles import Handle
from cpod_jupyter.sdk.questions.questioned import Questioned
from cpod_jupyter.sdk.questions.reach import PROBE_SECONDS, Reached, Way, reach
from cpod_jupyter.sdk.states import Status, status_of
from cpod_jupyter.sdk.words import explain

if TYPE_CHECKING:
    from cpod_jupyter.client.client import Client

_COLD_SECONDS = 300.0
"""Of a deployment that may have no pod while nobody asks: the first answer waits for one."""


class Deployment(Handle, Questioned):
    """An Inference. `client` is an `openai.OpenAI` that reaches it, at the deployment's own URL where that can be
    reached from here, else through the API server's service proxy with your credentials. `chat` asks one question,
    `generate` many, and `bench` measures how fast it answers."""

    def __init__(self, client: Client, obj: Object, resource: Resource) -> None:
        super().__init__(client, obj, resource)
        self._endpoint = None

    @property
    def status(self) -> Status:
        """How far it has come, now: failed where it says that it is ready while none of its pods comes up."""
        family = self.family()
        self.object = family.root
        return explain(family).status

    @property
    def ready(self) -> bool:
        """Whether it answers, now."""
        return self.status.state.good

    @property
    def url(self) -> str:
        """The URL at which it says that it answers; empty until then."""
        return str((self.refresh().object.get("status") or {}).get("url") or "")

    def identity(self) -> tuple[Any, ...]:
        """The same for one that is deleted and made again of the same spec, with the same model, and for another number
        of replicas. Raises NotFound."""
        spec, model = self.refresh().object.get("spec") or {}, ""
        if spec.get("modelId"):
            with contextlib.suppress(NotFound):
                model = meta.uid_of(self._client.get(MODELSTORAGES, str(spec["modelId"]), self.namespace))
        predictor = {
            key: value
            for key, value in (spec.get("predictor") or {}).items()
            if key not in ("minReplicas", "maxReplicas")
        }
        kept = {key: value for key, value in spec.items() if key not in ("autoscalerOptions", "predictor")}
        return self._client.server, self.namespace, self.name, kept, predictor, model

    def scale(self, replicas: int, *, most: int | None = None) -> Deployment:
        """Have so many replicas, 0 for none while nobody asks; with `most`, up to that many by load. Returns at once.

        Without `most` a fixed number stays a fixed number, and a range keeps its upper end, raised where it is too
        low. Raises CpodError for a number that cannot be.
        """
        patch = scaling.scaled(self.refresh().object["spec"], replicas, most)
        self._endpoint = None  # what may sleep answers at an address of its own
        self.object = self._client.patch(self.resource, self.name, {"spec": patch}, self.namespace)
        return self

    def wait_scaled(self, timeout: float | None = None, say: scaling.Say | None = None) -> Deployment:
        """Return when as many replicas are ready as are asked for. `say` is told how far that is.

        Raises WorkFailed when the operator refuses the number, WaitTimeout, and Detached when interrupted.
        """
        scaling.wait_scaled(self, timeout, say)
        self._endpoint = None
        return self.refresh()

    def _find_endpoint(self) -> Reached:
        status = status_of(self.refresh().object, self.resource)
        if not status.state.good:
            raise CpodError(f"{self.title} is not ready: {status}. wait() returns when it is")
        problems, seconds = [], _COLD_SECONDS if _may_sleep(self.object) else PROBE_SECONDS
        for way in self._ways():
            found = reach(way, seconds, self.name)
            if isinstance(found, Reached):
                return found
            problems += found
        listed = "\n".join(f"  {problem}" for problem in problems)
        raise CpodError(f"{self.title} is ready, but cannot be reached from here:\n{listed}")

    def _ways(self) -> Iterator[Way]:
        """Base URLs to try. Only the API server is sent the user's credentials, and only a deployment its own key."""
        url = (self.object.get("status") or {}).get("url")
        if url:
            yield Way(str(url), self._api_key())
        for service in (f"{self.name}-is-predictor", f"{self.name}-serve-svc"):
            try:
                found = self._client.get(SERVICES, service, self.namespace)
            except NotFound:
                continue
            for port in found["spec"].get("ports") or []:
                yield Way(*self._client.proxy(self.namespace, meta.name_of(found), port["port"]))
                break

    def _api_key(self) -> dict[str, str]:
        """The header with the key that the Inference asks for, if its Secret may be read."""
        secret = (self.object["metadata"].get("annotations") or {}).get(names.ANNOTATION_API_KEY)
        if not secret:
            return {}
        try:
            data = self._client.get(SECRETS, secret, self.namespace).get("data") or {}
        except (NotFound, Forbidden):
            return {}
        token = self._secret = base64.b64decode(data.get("token") or "").decode("utf-8", "replace")
        return {"Authorization": f"Bearer {token}"}


def _may_sleep(inference: Object) -> bool:
    """Whether it may have no pod: its least number of replicas is 0."""
    spec = inference.get("spec") or {}
    bounds = (spec.get("autoscalerOptions") or {}, spec.get("predictor") or {})
    return any(each.get("minReplicas") == 0 for each in bounds)
