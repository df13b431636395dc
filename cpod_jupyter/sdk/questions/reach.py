"""How a model's server is reached: at which base path it has OpenAI's API, and which model it serves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import openai

PROBE_SECONDS = 5.0
ANSWER_SECONDS = 600.0
_PREFIXES = ("/v1", "/openai/v1")
"""Where servers have OpenAI's API: vLLM and transformers the first, KServe's Hugging Face runtime the second."""


@dataclass(frozen=True)
class Way:
    """A base URL with what a request to it needs. `proxies` is whether the environment's proxies count."""

    base: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    verify: Any = field(default=True, repr=False)
    proxies: bool = False

    def candidates(self) -> Iterator[str]:
        """The base URLs of OpenAI's API to try: as given where it has a path of its own, and those that are usual."""
        given = self.base.rstrip("/")
        root = given.removesuffix("/v1").removesuffix("/openai")
        own = [given] if "/" in given.partition("://")[2] else []
        usual = [root + prefix for prefix in _PREFIXES]
        yield from dict.fromkeys([*own, *usual] if given != root else [*usual, *own])


@dataclass(frozen=True)
class Reached:
    """A client that reaches a server, the base URL it uses, and the name its model answers to."""

    client: openai.OpenAI = field(repr=False)
    url: str
    model: str
    way: Way

    def async_client(self, seconds: float = ANSWER_SECONDS) -> openai.AsyncOpenAI:
        """One of its own for asyncio, which retries nothing; to be closed by who asks for it."""
        import openai

        http = openai.DefaultAsyncHttpxClient(
            verify=self.way.verify,
            trust_env=self.way.proxies,
            event_hooks=_hooks(self.way, asynchronous=True),
            limits=openai.DEFAULT_CONNECTION_LIMITS,
        )
        return openai.AsyncOpenAI(
            base_url=self.url,
            api_key="none",
            http_client=http,
            default_headers=_credentials(self.way),
            max_retries=0,
            timeout=openai.Timeout(seconds, connect=min(seconds, 30.0)),
        )


@dataclass(frozen=True)
class Refused:
    """Why a base URL does not do. `code` is the HTTP code, 0 without an answer; `models` what it serves, where one of
    them must be chosen."""

    url: str
    words: str
    code: int = 0
    models: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.url}: {self.words}"


def reach(way: Way, seconds: float, preferred: str = "", *, choose: bool = False) -> Reached | list[Refused]:
    """A client for the first base URL of a way whose list of models answers in time; else why none does.

    The model is `preferred` where that is served, else the first; with `choose` an only one, or whatever is preferred.
    """
    problems = []
    for url in way.candidates():
        found = _probe(way, url, seconds, preferred, choose)
        if isinstance(found, Reached):
            return found
        problems.append(found)
        if found.models:
            break
    return problems


def _probe(way: Way, url: str, seconds: float, preferred: str, choose: bool) -> Reached | Refused:
    import openai

    http = openai.DefaultHttpxClient(
        verify=way.verify, trust_env=way.proxies, event_hooks=_hooks(way, asynchronous=False)
    )
    client = openai.OpenAI(
        base_url=url,
        api_key="none",
        http_client=http,
        default_headers=_credentials(way),
        max_retries=1,
        timeout=ANSWER_SECONDS,
    )
    patience = openai.Timeout(seconds, connect=PROBE_SECONDS)
    try:
        listed = client.with_options(timeout=patience, max_retries=0).models.list()
        models = tuple(str(model.id) for model in listed.data or ())
    except openai.APIStatusError as error:
        http.close()
        return Refused(url, f"HTTP {error.status_code}", error.status_code)
    except openai.APIError as error:
        http.close()
        return Refused(url, f"no answer ({error})")
    except (AttributeError, TypeError, ValueError):  # an answer, but of something else: a page, another protocol
        http.close()
        return Refused(url, "it does not list models as OpenAI's API does")
    if preferred in models or (choose and preferred):
        return Reached(client, url, preferred, way)
    if models and not (choose and len(models) > 1):
        return Reached(client, url, models[0], way)
    http.close()
    if not models:
        return Refused(url, "it serves no model")
    return Refused(url, f"it serves {len(models)} models", models=models)


def _credentials(way: Way) -> dict[str, str]:
    return {name.title(): value for name, value in way.headers.items()}


def _hooks(way: Way, *, asynchronous: bool) -> Any:
    """The SDK sends its API key as Authorization: ours must be the one that arrives, or none at all (an API server that
    trusts a client certificate refuses a token that it doesn't know)."""
    if "Authorization" in _credentials(way):
        return {}
    return {"request": [_without_authorization_async if asynchronous else _without_authorization]}


def _without_authorization(request: Any) -> None:
    """A hook of the HTTP library, before a request goes out."""
    request.headers.pop("Authorization", None)


async def _without_authorization_async(request: Any) -> None:
    request.headers.pop("Authorization", None)
