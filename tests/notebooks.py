"""Run notebooks as they lie here, one after the other on an engine of its own; fixed outputs are compared.

    python tests/notebooks.py notebooks/tour.ipynb notebooks/evaluate.ipynb

nbval runs each in a kernel: a cell that raises fails, and so does one with the tag `nbval-check-output` that shows
something else than what is saved. The exit code is pytest's. The notebooks share a home, so that a model that one has
fetched is there for the next; whatever they leave behind ends with the run.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from whole_engine import at_home, end_pods

from cpod_jupyter import local

CELL_SECONDS = 1800
"""A training of a minute and a half takes ten where others compute beside it."""
NOTEBOOKS = Path(__file__).parents[1] / "notebooks"


def main(paths: list[str]) -> int:
    """Run them; the exit code."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # in good order, as after an interrupt
    with tempfile.TemporaryDirectory(prefix="cpod-notebooks-") as home:
        options = ["--nbval-lax", "--nbval-sanitize-with", str(NOTEBOOKS / "sanitize.cfg"), "--durations=10"]
        options += [f"--timeout={CELL_SECONDS}"]
        where = {"CPOD_HOME": home, "CPOD_CONTEXT": "engine", "CPOD_NAMESPACE": "default"}
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options, *paths]
        try:
            return subprocess.run(command, env={**os.environ, **where}).returncode
        finally:
            with at_home(Path(home)):
                if (engine := local.find()) is not None:  # one of them did not come to its end
                    end_pods(engine)
                    local.stop()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
