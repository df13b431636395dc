"""One watch over all pods' directories: tells of reports and of logs as they are written."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import watchfiles

from cpod_jupyter.engine.kubelet.plan import STATUS

log = logging.getLogger(__name__)

_DEBOUNCE_MS, _STEP_MS = 50, 10
"""A busy log is told of at most every 50 ms; a lone change after 10 ms."""


class PodWatcher:
    """Runs in one thread. `on_report` is called with the name of a pod's directory."""

    def __init__(self, pods: Path, on_report: Callable[[str], None]) -> None:
        pods.mkdir(parents=True, exist_ok=True)
        self._pods = pods.resolve()
        self._on_report = on_report
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._followers: dict[str, set[Callable[[], None]]] = {}
        self._thread = threading.Thread(target=self._run, name="watch-pods", daemon=True)

    def start(self) -> None:
        logging.getLogger("watchfiles").setLevel(logging.WARNING)
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join(timeout=5)

    @contextlib.contextmanager
    def follow(self, pod_dir: Path, wake: Callable[[], None]) -> Iterator[None]:
        """Have `wake` called, from the watcher's thread, when anything in a pod's directory changes."""
        with self._lock:
            self._followers.setdefault(pod_dir.name, set()).add(wake)
        try:
            yield
        finally:
            with self._lock:
                followers = self._followers[pod_dir.name]
                followers.discard(wake)
                if not followers:
                    del self._followers[pod_dir.name]

    def _run(self) -> None:
        try:
            self._watch()
        except Exception as error:  # the system's limit on watches, say
            log.warning("watching %s ended (%s): changes are noticed a second later", self._pods, error)

    def _watch(self) -> None:
        changes = watchfiles.watch(
            self._pods,
            watch_filter=self._concerns,
            debounce=_DEBOUNCE_MS,
            step=_STEP_MS,
            rust_timeout=500,
            stop_event=self._stopped,
            raise_interrupt=False,
            recursive=True,
        )
        for batch in changes:
            touched: dict[str, bool] = {}
            for _, path in batch:
                name = Path(path).relative_to(self._pods).parts[0]
                touched[name] = touched.get(name, False) or path.endswith(f"/{STATUS}")
            for name, reported in touched.items():
                self._tell(name, reported)

    @staticmethod
    def _concerns(_: watchfiles.Change, path: str) -> bool:
        return path.endswith((f"/{STATUS}", ".log"))

    def _tell(self, name: str, reported: bool) -> None:
        with self._lock:
            followers = list(self._followers.get(name, ()))
        for wake in followers:
            wake()
        if reported:
            try:
                self._on_report(name)
            except Exception:
                log.exception("the report of pod %s was not handled", name)
