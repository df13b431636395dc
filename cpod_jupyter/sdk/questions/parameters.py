"""What goes with a question: OpenAI's parameters as they are, a server's own beside them."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from cpod_jupyter.errors import CpodError

_OURS = frozenset({"model", "messages", "stream", "stream_options", "n"})


def parameters_of(given: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters of a chat completion for the client; those that OpenAI's API has not (vLLM's `top_k`,
    `chat_template_kwargs`, …) go into the request's body as they are. None is left out.

    Raises CpodError for those that are not the caller's to give.
    """
    from openai.resources.chat.completions import Completions

    if wrong := sorted(_OURS & set(given)):
        raise CpodError(f"{', '.join(wrong)} cannot be given here: one answer a row, from the model that is asked")
    known = set(inspect.signature(Completions.create).parameters)
    found = {name: value for name, value in given.items() if value is not None and name in known}
    own = {name: value for name, value in given.items() if value is not None and name not in known}
    if own:
        found["extra_body"] = {**own, **(found.get("extra_body") or {})}
    return found
