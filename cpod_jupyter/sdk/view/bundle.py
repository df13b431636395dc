"""MIME bundles: the same thing for a page, for a terminal, and as an image where there is a curve."""

from __future__ import annotations

from typing import Any

from cpod_jupyter.sdk.snapshot import Snapshot
from cpod_jupyter.sdk.view import card, state


def of_snapshot(snapshot: Snapshot, context: str = "") -> dict[str, Any]:
    """A snapshot of an object, for whatever shows it: JupyterLab with our extension draws its state, where it is
    in a context."""
    bundle: dict[str, Any] = {"text/plain": card.text(snapshot), "text/html": card.html(snapshot)}
    if context:
        bundle[state.MIME] = state.of_snapshot(snapshot, context)
    if snapshot.curve:
        bundle["image/svg+xml"] = snapshot.curve
    return bundle
