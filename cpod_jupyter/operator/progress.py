"""How far a download is, by the last record in its pod's log.

A pod of ours has no key to the API, by design: it could write to its storage's status only with a service account in
every namespace. A termination message comes at the end alone. So the operator asks for the last lines of the log, of
one pod, at most once in `Settings.progress_seconds`, and only while that pod runs.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from cpod_jupyter.api import meta
from cpod_jupyter.api.records import parse_record
from cpod_jupyter.api.resources import Object
from cpod_jupyter.control.api import KubeApi
from cpod_jupyter.errors import ApiError

_LINES = 20
"""Records come twice a second, and other lines hardly ever in between."""


class ProgressReader:
    """One for each kind; remembers when it looked, so that a status that it changed is no cause to look again."""

    def __init__(self, api: KubeApi, seconds: float) -> None:
        self._api = api
        self._seconds = seconds
        self._looked: dict[str, float] = {}

    def look(self, storage: Object, pods: Iterable[Object]) -> tuple[dict[str, Any] | None, float | None]:
        """What to write as `status.progress`, None for nothing new; and the seconds until the next look."""
        running = next((pod for pod in pods if (pod.get("status") or {}).get("phase") == "Running"), None)
        if running is None:
            return None, None
        uid, now = meta.uid_of(storage), time.monotonic()
        due = self._looked.get(uid, now - self._seconds) + self._seconds
        if now < due:
            return None, due - now
        self._looked[uid] = now
        return self._last_record(running), self._seconds

    def forget(self, storage: Object) -> None:
        """It is not being downloaded any more."""
        self._looked.pop(meta.uid_of(storage), None)

    def _last_record(self, pod: Object) -> dict[str, Any] | None:
        try:
            lines = self._api.log_tail(meta.name_of(pod), meta.namespace_of(pod), _LINES)
        except ApiError:  # it has just gone, or not begun to write, or logs are not to be had: no progress is known
            return None
        for line in reversed(lines):
            record = parse_record(line)
            if record is not None and record["type"] == "progress":
                return progress_status(record)
        return None


def progress_status(record: dict[str, Any]) -> dict[str, Any]:
    """A progress record as the status has it. Bytes are those of the unit B alone: rows and files are no bytes."""
    done, total = _number(record.get("done")), _number(record.get("total"))
    status: dict[str, Any] = {"phase": str(record.get("phase") or "")}
    if record.get("unit") == "B":
        status |= {"doneBytes": done, "totalBytes": total}
    if total:
        status["percent"] = min(100, 100 * done // total)
    return status


def _number(value: Any) -> int:
    return int(value) if isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0 else 0
