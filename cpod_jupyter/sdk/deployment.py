"""A deployed model, ready to be asked: an OpenAI client that reaches it, wherever it runs."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cpod_jupyter.api import meta, names
from cpod_jupyter.api.resources import SECRETS, SERVICES, Object, Resource
from cpod_jupyter.errors import CpodError, Forbidden, NotFound
from cpod_jupyter.sdk import scaling
from cpod_jupyter.sdk.handles import Handle
from cpod_jupyter.sdk.states import Status, status_of
from cpod_jupyter.sdk.words import explain

if TYPE_CHECKING:
    import openai

    from cpod_jupyter.client.client import Client

_PROBE_SECONDS = 5.0
_COLD_SECONDS = 300.0
"""Of a deployment that may have no pod while nobody asks: the first answer waits for one."""
_ANSWER_SECONDS = 600.0
_PREFIXES = ("/v1", "/openai/v1")
"""Where servers have OpenAI's API: vLLM and transformers the first, KServe's Hugging Face runtime the second."""


@dataclass(frozen=True)
class _Endpoint:
    """A client that reaches a deployment, the base URL it uses, and the name its model answers to."""

    client: openai.OpenAI
    url: str
    model: str


class Deployment(Handle):
    """An Inference. `client` is an `openai.OpenAI` that reaches it; `chat` asks one question."""

    def __init__(self, client: Client, obj: Object, resource: Resource) -> None:
        super().__init__(client, obj, resource)
        self._endpoint: _Endpoint | None = None

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

    @property
    def client(self) -> openai.OpenAI:
        """A client ready to use: at the deployment's own URL where that can be reached from here, else
        through the API server's service proxy with your credentials. Raises CpodError when neither answers."""
        return self.endpoint().client

    @property
    def model(self) -> str:
        """The name that its model answers to: what to give as `model=`."""
        return self.endpoint().model

    def endpoint(self) -> _Endpoint:
        """How it is reached; found out once."""
        if self._endpoint is None:
            self._endpoint = self._find_endpoint()
        return self._endpoint

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

    def chat(
        self,
        prompt: str | Sequence[dict[str, Any]],
        *,
        system: str | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
    ) -> str:
        """The answer to one question, or to a conversation given as messages."""
        return "".join(self.stream(prompt, system=system, temperature=temperature, max_tokens=max_tokens))

    def stream(
        self,
        prompt: str | Sequence[dict[str, Any]],
        *,
        system: str | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
    ) -> Iterator[str]:
        """The same, piece by piece as the model writes it. Raises CpodError when it cannot be asked."""
        import httpx
        import openai

        endpoint = self.endpoint()
        messages: Any = [{"role": "system", "content": system}] if system else []
        messages += [{"role": "user", "content": prompt}] if isinstance(prompt, str) else list(prompt)
        options: dict[str, Any] = {}
        if temperature is not None:
            options["temperature"] = temperature
        if max_tokens is not None:
            options["max_tokens"] = max_tokens
        try:
            chunks = endpoint.client.chat.completions.create(
                model=endpoint.model, messages=messages, stream=True, **options
            )
            for chunk in chunks:
                if chunk.choices and chunk.choices[0].delta.content:
                    yield chunk.choices[0].delta.content
        except (openai.APIError, httpx.HTTPError) as error:  # the latter in the middle of an answer
            self._endpoint = None  # it may have moved
            raise CpodError(f"{self.title} did not answer: {error}") from error

    def _find_endpoint(self) -> _Endpoint:
        status = status_of(self.refresh().object, self.resource)
        if not status.state.good:
            raise CpodError(f"{self.title} is not ready: {status}. wait() returns when it is")
        problems, seconds = [], _COLD_SECONDS if _may_sleep(self.object) else _PROBE_SECONDS
        for base, headers, verify in self._ways():
            for prefix in _PREFIXES:
                found = _probe(base + prefix, headers, verify, seconds)
                if isinstance(found, _Endpoint):
                    return found
                problems.append(f"{base}{prefix}: {found}")
        listed = "\n".join(f"  {problem}" for problem in problems)
        raise CpodError(f"{self.title} is ready, but cannot be reached from here:\n{listed}")

    def _ways(self) -> Iterator[tuple[str, dict[str, str], Any]]:
        """Base URLs to try. Only the API server is sent the user's credentials, and only a deployment its own key."""
        url = (self.object.get("status") or {}).get("url")
        if url:
            yield str(url).rstrip("/").removesuffix("/v1").removesuffix("/openai"), self._api_key(), True
        for service in (f"{self.name}-is-predictor", f"{self.name}-serve-svc"):
            try:
                found = self._client.get(SERVICES, service, self.namespace)
            except NotFound:
                continue
            for port in found["spec"].get("ports") or []:
                base, headers, verify = self._client.proxy(self.namespace, meta.name_of(found), port["port"])
                yield base, headers, verify
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
        token = base64.b64decode(data.get("token") or "").decode("utf-8", "replace")
        return {"Authorization": f"Bearer {token}"}


def _may_sleep(inference: Object) -> bool:
    """Whether it may have no pod: its least number of replicas is 0."""
    spec = inference.get("spec") or {}
    bounds = (spec.get("autoscalerOptions") or {}, spec.get("predictor") or {})
    return any(each.get("minReplicas") == 0 for each in bounds)


def _without_authorization(request: Any) -> None:
    """A hook of the HTTP library, before a request goes out."""
    request.headers.pop("Authorization", None)


def _probe(base: str, headers: dict[str, str], verify: Any, seconds: float) -> _Endpoint | str:
    """A client for a base URL if its list of models answers in time; else why not."""
    import openai

    # The SDK sends its API key as Authorization: ours must be the one that arrives, or none at all
    # (an API server that trusts a client certificate refuses a token that it doesn't know).
    credentials = {name.title(): value for name, value in headers.items()}
    hooks: Any = {} if "Authorization" in credentials else {"request": [_without_authorization]}
    http = openai.DefaultHttpxClient(verify=verify, trust_env=False, event_hooks=hooks)
    client = openai.OpenAI(
        base_url=base,
        api_key="none",
        http_client=http,
        default_headers=credentials,
        max_retries=1,
        timeout=_ANSWER_SECONDS,
    )
    patience = openai.Timeout(seconds, connect=_PROBE_SECONDS)
    try:
        models = client.with_options(timeout=patience, max_retries=0).models.list().data
    except openai.APIStatusError as error:
        http.close()
        return f"HTTP {error.status_code}"
    except openai.APIError as error:
        http.close()
        return f"no answer ({error})"
    if not models:
        http.close()
        return "it serves no model"
    return _Endpoint(client, base, models[0].id)
