"""One verdict before something is submitted: what it names, its data, its memory, its GPUs, what the server says.

`gather` asks, `asks` reads what an object asks for, `rules` and `memory` judge what was gathered and do no I/O,
`planned` says what the operator will make of it, `verdict` shows it. Nothing is submitted here.
"""

from __future__ import annotations

from cpod_jupyter.sdk.preflight.gather import preflight
from cpod_jupyter.sdk.preflight.planned import PLANNED, Planned
from cpod_jupyter.sdk.preflight.verdict import Finding, Verdict

__all__ = ["PLANNED", "Finding", "Planned", "Verdict", "preflight"]
