"""Where an object is, or would be, as a page names it.

Imports nothing heavy, so that Jupyter starts as quickly as before.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cpod_jupyter.errors import CpodError, EngineDown

if TYPE_CHECKING:
    from cpod_jupyter.sdk import Handle, Session
    from cpod_jupyter.sdk.sessions import Sessions

NAME = re.compile(r"[a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?")
_LONGEST = 253
_NAMES = ("namespace", "name")


def texts_of(fields: Mapping[str, Any], *keys: str) -> list[str]:
    """These fields of what a page sent. Raises CpodError for what no context, kind or object can be called."""
    values = []
    for key in keys:
        value = fields.get(key)
        if not isinstance(value, str) or not 0 < len(value) <= _LONGEST:
            raise CpodError(f"{key} is missing, or no text of at most {_LONGEST} characters")
        if key in _NAMES and not NAME.fullmatch(value):
            raise CpodError(f'{key} "{value}" is not a name that Kubernetes takes')
        values.append(value)
    return values


@dataclass(frozen=True)
class Place:
    """A namespace of a context."""

    context: str
    namespace: str

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Place:
        """From what a page sent. Raises CpodError."""
        return cls(*texts_of(fields, "context", "namespace"))

    def session(self, sessions: Sessions) -> Session:
        """The session there. Raises NotFound when its engine does not run, CpodError, ApiUnreachable."""
        return session_at(sessions, self.context, self.namespace)


@dataclass(frozen=True)
class KindPlace:
    """All objects of a kind, or of a group of kinds, in a namespace of a context."""

    context: str
    namespace: str
    kind: str

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> KindPlace:
        """From what a page sent. Raises CpodError."""
        return cls(*texts_of(fields, "context", "namespace", "kind"))


@dataclass(frozen=True)
class Address:
    """An object of a kind (a word, `finetune`) in a namespace of a context."""

    context: str
    namespace: str
    kind: str
    name: str

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Address:
        """From what a page sent. Raises CpodError for what no object can be called."""
        return cls(*texts_of(fields, "context", "namespace", "kind", "name"))

    def session(self, sessions: Sessions) -> Session:
        """The session there. Raises EngineDown, CpodError, ApiUnreachable."""
        return session_at(sessions, self.context, self.namespace)

    def handle(self, sessions: Sessions) -> Handle:
        """The object, read now. Raises NotFound, EngineDown, CpodError, ApiUnreachable."""
        session = self.session(sessions)
        resource = session.kind(self.kind)
        if resource.kind == "Secret":
            raise CpodError("what is in a Secret is not shown in a page")
        return session.get(resource, self.name)


def session_at(sessions: Sessions, context: str, namespace: str = "") -> Session:
    """The session of a context; the engine is not started for it. Raises EngineDown when that does not run."""
    session = sessions.at_hand(context, namespace)
    if session is None:
        raise EngineDown("the engine on this machine does not run; %cpod up starts it, with all that was there")
    return session
