"""A smoke run: the same work in two steps on this machine's engine, before it goes to a cluster unchanged.

`build` and `pods` make the smoke's object from the one that a person wrote, `stand` says what takes the place of its
model and its data; both do no I/O. `run` asks what they need to know, submits, follows and judges.
"""

from __future__ import annotations

from cpod_jupyter.sdk.smoke.build import ROWS, STEPS, Smoke
from cpod_jupyter.sdk.smoke.run import Smoked, SmokeInterrupted, prepared, smoke, smoke_all

__all__ = ["ROWS", "STEPS", "Smoke", "SmokeInterrupted", "Smoked", "prepared", "smoke", "smoke_all"]
