"""A model outside any cluster, at a URL that speaks OpenAI's protocol."""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import urlsplit

from cpod_jupyter.api.schema import nearest
from cpod_jupyter.errors import CpodError
from cpod_jupyter.sdk.questions.questioned import Questioned
from cpod_jupyter.sdk.questions.reach import PROBE_SECONDS, Reached, Refused, Way, reach

_OPENAI = "api.openai.com"
_PATIENCE = 3 * PROBE_SECONDS


class Endpoint(Questioned):
    """A model at a URL, asked as a deployment is: `Endpoint("http://gpu-box:8000").chat("hello")`.

    The base path of the API (`/v1`, `/openai/v1`, or a path that the URL has) and the model's name are found out; where
    a server has several models, `model` says which. The key is `api_key`, else the value of the environment variable
    that `api_key_env` names; OpenAI's own address, and that of OPENAI_BASE_URL, get OPENAI_API_KEY. It goes to no other
    host and is never shown. `name` is what a comparison calls it, the model's name when left out.

    Raises CpodError for what is no http or https URL, and for a variable that is not set.
    """

    def __init__(
        self,
        url: str,
        model: str = "",
        *,
        api_key: str | None = None,
        api_key_env: str | None = None,
        name: str = "",
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise CpodError(
                f'"{_shown(url)}" is no address of a model\'s server: http:// or https:// and a host is wanted'
            )
        if parts.username or parts.password:
            raise CpodError(f"give the key of {parts.hostname} as api_key= or api_key_env=, not in its URL")
        if parts.query or parts.fragment:
            raise CpodError(f"the URL of {parts.hostname} may have a path, but nothing after ? or #")
        self.url = url.rstrip("/").removesuffix("/chat/completions").rstrip("/")
        self._wanted, self._name = model, name
        key = api_key if api_key is not None else _from_environment(url, api_key_env)
        self._way = Way(self.url, {"Authorization": f"Bearer {key}"} if key else {}, proxies=True)
        self._secret = key or ""

    @property
    def name(self) -> str:
        """What it is called in a comparison."""
        return self._name or self._wanted or self.model

    @property
    def title(self) -> str:
        return self.url

    def identity(self) -> tuple[Any, ...]:
        return self.url, self.model

    def __repr__(self) -> str:
        return f"Endpoint({self.url!r}{f', {self._wanted!r}' if self._wanted else ''})"

    def _find_endpoint(self) -> Reached:
        found = reach(self._way, _PATIENCE, self._wanted, choose=True)
        if isinstance(found, Reached):
            return found
        raise CpodError(self.redacted(self._why_not(found)))

    def _why_not(self, problems: list[Refused]) -> str:
        for each in problems:
            if each.models:
                names = ", ".join(each.models[:20]) + (", …" if len(each.models) > 20 else "")
                hint = nearest(self._wanted, list(each.models)) if self._wanted else ""
                return f"{self.title} serves {len(each.models)} models; say which with model={hint}: {names}"
            if each.code in (401, 403):
                key = "refuses the API key" if self._secret else "wants an API key: give api_key= or api_key_env="
                return f"{self.title} {key} (HTTP {each.code})"
        listed = "\n".join(f"  {each}" for each in problems)
        return f"{self.title} cannot be asked:\n{listed}"


def _from_environment(url: str, variable: str | None) -> str:
    """The key for a URL that the environment holds; empty for none. Raises CpodError."""
    if variable is None:
        own = urlsplit(os.environ.get("OPENAI_BASE_URL") or f"https://{_OPENAI}")
        asked = urlsplit(url)
        same = (asked.scheme, asked.netloc) in {(own.scheme, own.netloc), ("https", _OPENAI)}
        return os.environ.get("OPENAI_API_KEY", "") if same else ""
    value = os.environ.get(variable)
    if not value:
        raise CpodError(f"the environment variable {variable}, which should hold the API key, is not set")
    return value


def _shown(url: str) -> str:
    """Without what may be a key."""
    return url.rpartition("@")[2]
