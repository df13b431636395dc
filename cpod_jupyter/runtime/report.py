"""What a command tells the outside: records and log lines on standard output, and one last message."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Literal

from cpod_jupyter.api.records import TERMINATION_LOG, TERMINATION_LOG_ENV, TERMINATION_MESSAGE_LIMIT, format_record

Unit = Literal["B", "files", "rows", "steps"]

_CUT = "\n[cut: the log has the rest]"


def is_main_process() -> bool:
    """Whether this process speaks for the run: under torchrun, only the first of all its processes does."""
    return os.environ.get("RANK", "0") == "0"


def is_first_in_pod() -> bool:
    """Whether this process is the first of those that torchrun started in its pod."""
    return os.environ.get("LOCAL_RANK", "0") == "0"


def starts_before() -> int:
    """How often torchrun has started this process before (PyTorch, "torchrun", "Environment Variables")."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))


def is_started_anew() -> bool:
    """Whether torchrun starts this process, and its peers, once more when one of them ends badly."""
    return starts_before() < int(os.environ.get("TORCHELASTIC_MAX_RESTARTS", "0"))


def log(message: str) -> None:
    """A line for a person who reads the log."""
    if is_main_process():
        print(message, flush=True)


def progress(phase: str, done: int, total: int, unit: Unit) -> None:
    """How far `phase` is. `total` is 0 where it isn't known."""
    emit("progress", phase=phase, done=done, total=total, unit=unit)


def emit(kind: str, **fields: Any) -> None:
    """A record of type `kind`, at once: whoever follows the log must not wait for a full buffer."""
    if is_main_process():
        print(format_record({"type": kind, **fields}), flush=True)


def has_left_message() -> bool:
    """Whether an earlier start in this container has told why it failed."""
    try:
        return bool(_message_file().read_bytes())
    except OSError:
        return False


def leave_message(message: str | dict[str, Any]) -> None:
    """Write the termination message: an object on success, a sentence on failure.

    What came out is left in each pod of the run, for one of them may be taken away as soon as another has ended; why
    it failed is left by the run's first process alone. A text beyond the limit of Kubernetes is cut at a character.
    Outside a pod there is nowhere to write, and nobody to read.
    """
    if not (is_main_process() if isinstance(message, str) else is_first_in_pod()):
        return
    text = message if isinstance(message, str) else json.dumps(message)
    raw = text.encode()
    if len(raw) > TERMINATION_MESSAGE_LIMIT:
        raw = raw[: TERMINATION_MESSAGE_LIMIT - len(_CUT)].decode(errors="ignore").encode() + _CUT.encode()
    if os.environ.get(TERMINATION_LOG_ENV):
        _message_file().write_bytes(raw)
        return
    try:
        # Kubernetes creates the file; /dev of a developer's machine is no place to make one.
        with _message_file().open("r+b") as file:
            file.write(raw)
    except OSError:
        return


def _message_file() -> Path:
    return Path(os.environ.get(TERMINATION_LOG_ENV) or TERMINATION_LOG)
