"""Whether it is worth trying again: a training that was killed goes on, but not for ever at the same step.

A pod that is killed (by the kernel for its memory, or with its node) comes back and goes on from the last checkpoint.
Where it is killed again before the next one, it would be for ever: Kubeflow counts no such restarts (training-operator
v1.9, restartPolicy ExitCode).
"""

from __future__ import annotations

import json
from pathlib import Path

from cpod_jupyter.errors import WorkFailed

MOST_KILLS = 3
"""So often may a training be killed without a new checkpoint in between."""


class Tries:
    """While entered, a start of the run in the folder `run` is on record; what ends in order takes it off again.

    Entering raises WorkFailed, with `advice`, when the last MOST_KILLS starts from `step` were all killed.
    """

    def __init__(self, run: Path, step: int, advice: str) -> None:
        self._file = run / "started.json"
        self._step = step
        self._advice = advice

    def __enter__(self) -> None:
        kills = self._kills()
        if kills >= MOST_KILLS:
            self._file.unlink()  # who starts it again by hand has as many tries
            raise WorkFailed(
                f"it was killed {kills} times in a row after step {self._step}, before a new checkpoint: most likely "
                f"the memory of the pod or the machine is too small; {self._advice}, or give it more memory"
            )
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._file.write_text(json.dumps({"step": self._step, "kills": kills}))

    def __exit__(self, *_: object) -> None:
        self._file.unlink(missing_ok=True)

    def _kills(self) -> int:
        """How many starts from this step were killed, the last one of which left its record."""
        try:
            last = json.loads(self._file.read_text())
            return 1 + (int(last["kills"]) if last["step"] == self._step else 0)
        except FileNotFoundError:
            return 0
        except (ValueError, KeyError, TypeError):  # killed while it wrote this
            return 1
