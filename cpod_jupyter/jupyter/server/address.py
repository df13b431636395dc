"""Where an object is, as a page names it. Imports nothing heavy, so that Jupyter starts as quickly as before."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cpod_jupyter.errors import CpodError, NotFound

if TYPE_CHECKING:
    from cpod_jupyter.sdk import Handle
    from cpod_jupyter.sdk.sessions import Sessions

_NAME = re.compile(r"[a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?")
_LONGEST = 253


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
        values = {}
        for key in ("context", "namespace", "kind", "name"):
            value = fields.get(key)
            if not isinstance(value, str) or not 0 < len(value) <= _LONGEST:
                raise CpodError(f"{key} is missing, or no text of at most {_LONGEST} characters")
            if key in ("namespace", "name") and not _NAME.fullmatch(value):
                raise CpodError(f'{key} "{value}" is not a name that Kubernetes takes')
            values[key] = value
        return cls(**values)

    def handle(self, sessions: Sessions) -> Handle:
        """The object, read now. Raises NotFound, CpodError when its engine does not run, ApiUnreachable."""
        session = sessions.at_hand(self.context, self.namespace)
        if session is None:
            raise NotFound("the engine on this machine does not run; %cpod up starts it, with all that was there")
        return session.get(session.kind(self.kind), self.name)
