"""Models that scorers ask: a deployment by name or handle, or a server of OpenAI's protocol by its URL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cpod_jupyter import local
from cpod_jupyter.api.resources import INFERENCES
from cpod_jupyter.errors import BatchStopped, CpodError
from cpod_jupyter.sdk.questions import Endpoint, Questioned
from cpod_jupyter.sdk.questions.batch import Batch, Settings
from cpod_jupyter.sdk.questions.kept import Answer
from cpod_jupyter.sdk.questions.runner import run

if TYPE_CHECKING:
    from cpod_jupyter.sdk.session import Session


def reached(wanted: Any, session: Session | None, model: str = "", api_key_env: str = "") -> Questioned:
    """What a scorer's `deployment` names, once it answers. `model` says which of a server's at a URL, `api_key_env`
    which environment variable holds its key. Raises CpodError when it cannot be found or does not answer."""
    if not wanted:
        raise CpodError("say which model to ask: deployment: NAME, or the URL of a server")
    if isinstance(wanted, str) and "://" in wanted:
        wanted = Endpoint(wanted, model, api_key_env=api_key_env or None)
    elif model or api_key_env:
        raise CpodError(
            "model and api_key_env are for the URL of a server: a deployment has one model, and its own key"
        )
    elif isinstance(wanted, str):
        from cpod_jupyter.sdk.session import Session

        wanted = (session or Session()).get(INFERENCES, wanted)
    if not isinstance(wanted, Questioned):
        raise CpodError(f"{wanted!r} is no deployment, and no URL of a server")
    wanted.endpoint()
    return wanted


def said_by(model: Questioned, conversations: Sequence[Any], max_tokens: int) -> list[Answer]:
    """What a model says to each of them, greedily; one with the error where it says nothing. What was said before an
    interrupt or an error is kept for the next time."""
    if not conversations:
        return []
    settings = Settings({"temperature": 0, "max_tokens": max_tokens})
    batch = Batch(model, iter(conversations), len(conversations), settings, local.home() / "answers")
    why = ""
    try:
        run(batch.ask, lambda progress: None)
    except BatchStopped as stopped:
        why = str(stopped)
    found = list(batch.answers(why))
    if not any(each.error for each in found):
        batch.forget()
    return found
