"""Records: what our runtime tells the outside from inside a pod.

One JSON object a line on standard output, after a fixed prefix, so that whoever follows the
log reads progress and metrics without a second channel:

    @cpod {"type": "progress", "phase": "download", "done": 1048576, "total": 92871040, "unit": "B"}
    @cpod {"type": "metrics", "step": 12, "total_steps": 45, "loss": 1.73, "eta_seconds": 61.0}

At its end a container leaves one message in its termination log (Kubernetes,
"Customizing the termination message"): a JSON object on success, a sentence on failure.
"""

from __future__ import annotations

import json
from typing import Any

PREFIX = "@cpod "

TERMINATION_LOG = "/dev/termination-log"
"""Where a container leaves its last message."""

TERMINATION_LOG_ENV = "CPOD_TERMINATION_LOG"
"""Set by the embedded engine, whose pods have no file system of their own."""

TERMINATION_MESSAGE_LIMIT = 4096
"""Bytes of the message that Kubernetes keeps."""


def format_record(record: dict[str, Any]) -> str:
    """The line for a record; `record["type"]` names its kind."""
    return PREFIX + json.dumps(record, separators=(",", ":"), ensure_ascii=False)


def parse_record(line: str) -> dict[str, Any] | None:
    """The record in a log line, or None when the line is anything else."""
    if not line.startswith(PREFIX):
        return None
    try:
        record = json.loads(line[len(PREFIX) :])
    except ValueError:
        return None
    return record if isinstance(record, dict) and isinstance(record.get("type"), str) else None
