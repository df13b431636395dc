"""Sessions that are kept, one for each context and namespace."""

from __future__ import annotations

from cpod_jupyter.sdk import config, engine
from cpod_jupyter.sdk.connect import means_engine
from cpod_jupyter.sdk.session import Session


class Sessions:
    """Sessions by the context and the namespace that count; that of an engine which was started anew is made anew."""

    def __init__(self) -> None:
        self._sessions: dict[tuple[config.Choice, config.Choice], Session] = {}

    def get(self, context: str = "", namespace: str = "") -> Session:
        """The session of a context and a namespace, "" for the ones that are chosen by the environment and cpod.toml
        now; an engine that went away is started again. Raises as Session does."""
        known = self._known(context, namespace)
        if known is None:
            known = Session(context or None, namespace or None)
            self._sessions[known.chosen.context, known.chosen.namespace] = known
        return known

    def at_hand(self, context: str = "", namespace: str = "") -> Session | None:
        """The same, but None rather than that an engine is started."""
        if means_engine(context or None) and engine.running() is None:
            return None
        return self.get(context, namespace)

    def _known(self, context: str, namespace: str) -> Session | None:
        chosen = config.chosen(context, namespace)  # the environment, the file and the folder may have changed
        known = self._sessions.get((chosen.context, chosen.namespace))
        if known is not None and known.engine is not None:
            running = engine.running()
            if running is None or running.url != known.engine.url or running.pid != known.engine.pid:
                return None
        return known
