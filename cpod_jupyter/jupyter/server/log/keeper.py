"""The logs that pages look at: read once for all of them, each in a thread of its own, onto the disk."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from cpod_jupyter.api import meta
from cpod_jupyter.errors import ApiUnreachable, CpodError, NotFound
from cpod_jupyter.jupyter.server.address import Address
from cpod_jupyter.jupyter.server.log.search import Searches
from cpod_jupyter.jupyter.server.log.spool import Spool
from cpod_jupyter.sdk.history import LogLine
from cpod_jupyter.sdk.reading import LogQuery
from cpod_jupyter.sdk.sessions import Sessions
from cpod_jupyter.sdk.states import State, status_of

if TYPE_CHECKING:
    from cpod_jupyter.sdk import Handle

MOST_BYTES = 4 * 2**30
"""On the disk, of all logs together: those that nobody has asked for the longest go first."""
_MOST_LOGS = 32
_IDLE_SECONDS = 120.0
"""For so long a log that goes on is followed when nobody asks for it."""
_CHECK_SECONDS = 5.0
"""Between two looks whether a log is still its object's: that may be another one of the same name."""
_BATCH = 2000


class Log:
    """The log of one object, as far as it was read."""

    def __init__(self, handle: Handle) -> None:
        self.spool = Spool()
        self.searches = Searches(self.spool)
        self.uid = meta.uid_of(handle.object)
        self.whole = False
        """Whether nothing more will come."""
        self.note = ""
        """Why there are no lines yet, or not all of them."""
        self.failure: CpodError | None = None
        """What ended the reading early."""
        self.dropped = False
        self.asked = self.checked = time.monotonic()

    def say(self, sentence: str) -> None:
        self.note = sentence


class Logs:
    """All logs that are kept. For any thread."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._logs: dict[Address, Log] = {}
        self._lock = threading.Lock()

    def log(self, address: Address) -> Log:
        """The log of an object, which is read from now on if it was not. Raises CpodError."""
        now = time.monotonic()
        with self._lock:
            known = self._logs.get(address)
        if known is not None and known.failure is not None:
            self._drop(address, known)
            raise known.failure
        if known is not None and now - known.checked < _CHECK_SECONDS:
            known.asked = now
            return known
        try:
            handle = address.handle(self._sessions)
        except (NotFound, ApiUnreachable):
            if known is None:
                raise
            known.asked = known.checked = now
            return known
        return self._of(address, handle)

    def _of(self, address: Address, handle: Handle) -> Log:
        goes_on = not _over(handle)
        with self._lock:
            known = self._logs.get(address)
            if known is not None and known.uid == meta.uid_of(handle.object) and not (known.whole and goes_on):
                known.asked = known.checked = time.monotonic()
                return known
            made = self._logs[address] = Log(handle)
        if known is not None:
            _close(known)
        threading.Thread(
            target=self._read, args=(address, made, handle), name=f"cpod-log-{address.name}", daemon=True
        ).start()
        return made

    def _read(self, address: Address, log: Log, handle: Handle) -> None:
        query = LogQuery(follow=not _over(handle), all_ranks=True)
        waiting: list[LogLine] = []
        try:
            for lines in handle.log_batches(query, log.say):
                waiting += lines
                if waiting and (not lines or len(waiting) >= _BATCH):
                    log.spool.append(waiting)
                    log.note, waiting = "", []
                    if not self._make_room(address, log):
                        break
                if log.dropped:
                    return
                if query.follow and time.monotonic() - log.asked > _IDLE_SECONDS:
                    return self._drop(address, log)
            else:
                log.spool.append(waiting)
            log.whole = True
        except OSError as error:
            log.failure = CpodError(f"there is no room for the log beside Jupyter: {error}")
        except CpodError as error:
            log.failure = error

    def _make_room(self, address: Address, log: Log) -> bool:
        """Let the logs go that nobody has asked for the longest; False when the one at hand alone is too much."""
        while True:
            with self._lock:
                others = [(each.asked, at) for at, each in self._logs.items() if each is not log]
                size = sum(each.spool.size for each in self._logs.values())
                if size <= MOST_BYTES and len(self._logs) <= _MOST_LOGS:
                    return True
                oldest = min(others, key=lambda each: each[0])[1] if others else None
                gone = self._logs.pop(oldest) if oldest is not None else None
            if gone is None:
                log.note = (
                    f"the log goes on: {MOST_BYTES / 2**30:g} GiB of it are shown here, the download has it whole"
                )
                return False
            _close(gone)

    def _drop(self, address: Address, log: Log) -> None:
        with self._lock:
            if self._logs.get(address) is log:
                del self._logs[address]
        _close(log)


def _close(log: Log) -> None:
    log.dropped = True
    log.spool.close()


def _over(handle: Handle) -> bool:
    """Whether an object has written all that it will write."""
    state = status_of(handle.object, handle.resource).state
    return state.final and state is not State.READY
