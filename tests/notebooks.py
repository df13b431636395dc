"""Run notebooks as they lie here, on engines of their own, two at a time; fixed outputs are compared.

    python tests/notebooks.py notebooks/tour.ipynb notebooks/evaluate.ipynb

nbval runs each in a kernel: a cell that raises fails, and so does one with the tag `nbval-check-output` that shows
something else than what is saved. The exit code is 0 where all went well. A notebook ends by stopping its engine, so
those that run at once have a home each; those that come after each other share one, so that a model that one has
fetched is there for the next. Whatever they leave behind ends with the run.
"""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from whole_engine import at_home, end_pods

from cpod_jupyter import local

CELL_SECONDS = 1800
"""A training of a minute and a half takes ten where others compute beside it."""
AT_ONCE = 2
NOTEBOOKS = Path(__file__).parents[1] / "notebooks"


def main(paths: list[str]) -> int:
    """Run them; the exit code."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # in good order, as after an interrupt
    waiting: queue.SimpleQueue[str] = queue.SimpleQueue()
    for path in paths:
        waiting.put(path)
    with tempfile.TemporaryDirectory(prefix="cpod-notebooks-") as scratch:
        lanes = [Lane(Path(scratch) / str(number), waiting) for number in range(min(AT_ONCE, len(paths)))]
        try:
            with ThreadPoolExecutor(len(lanes)) as pool:
                running = [pool.submit(lane.run) for lane in lanes]
                try:
                    return max(each.result() for each in running)
                except BaseException:
                    for lane in lanes:
                        lane.stop()
                    raise
        finally:
            for lane in lanes:
                lane.clean_up()


class Lane:
    """One notebook after the other, with one home."""

    def __init__(self, home: Path, waiting: queue.SimpleQueue[str]) -> None:
        home.mkdir()
        self._home = home
        self._waiting = waiting
        self._running: subprocess.Popen[str] | None = None
        self._stopped = False

    def run(self) -> int:
        """Until none waits; the largest of their exit codes."""
        worst = 0
        while not self._stopped:
            try:
                path = self._waiting.get_nowait()
            except queue.Empty:
                break
            worst = max(worst, self._notebook(path))
        return worst

    def _notebook(self, path: str) -> int:
        options = ["--nbval-lax", "--nbval-sanitize-with", str(NOTEBOOKS / "sanitize.cfg"), "--durations=10"]
        options += [f"--timeout={CELL_SECONDS}"]
        where = {"CPOD_HOME": str(self._home), "CPOD_CONTEXT": "engine", "CPOD_NAMESPACE": "default"}
        # As in tests/conftest.py: with a thread for every core, those that compute at once wait for each other.
        environment = {"OMP_NUM_THREADS": "1", **os.environ, **where}
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options, path]
        self._running = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        told, _ = self._running.communicate()
        print(told, flush=True)
        return abs(self._running.returncode)

    def stop(self) -> None:
        """Interrupt what runs, as Ctrl-C would."""
        self._stopped = True
        if self._running is not None and self._running.poll() is None:
            self._running.send_signal(signal.SIGINT)

    def clean_up(self) -> None:
        """End the engine and the pods of a notebook that did not come to its end."""
        with at_home(self._home):
            if (engine := local.find()) is not None:
                end_pods(engine)
                local.stop()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
