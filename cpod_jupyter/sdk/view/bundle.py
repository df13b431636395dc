"""MIME bundles: the same thing for a page, for a terminal, and as an image where there is a curve."""

from __future__ import annotations

from cpod_jupyter.sdk.snapshot import Snapshot
from cpod_jupyter.sdk.view import card, curve


def of_snapshot(snapshot: Snapshot) -> dict[str, str]:
    bundle = {"text/plain": card.text(snapshot), "text/html": card.html(snapshot)}
    total = snapshot.progress.total if snapshot.progress else None
    if image := curve.svg(snapshot.metrics, total):
        bundle["image/svg+xml"] = image
    return bundle
