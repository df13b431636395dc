"""One object as data for a view that draws it itself: JupyterLab's block and pages. Pure.

What is said here is said in the words of `card`; a view only decides where it stands. Text, never HTML: a view that
shows a notebook of a stranger need not trust it.
"""

from __future__ import annotations

from typing import Any

from cpod_jupyter.sdk.kinds import RUN_ONCE, word_of
from cpod_jupyter.sdk.podstates import PodState
from cpod_jupyter.sdk.snapshot import Snapshot
from cpod_jupyter.sdk.states import State
from cpod_jupyter.sdk.view import card, curve, theme
from cpod_jupyter.sdk.words import span

MIME = "application/vnd.cpod.block.v1+json"
"""What JupyterLab draws with our extension; elsewhere a bundle's HTML is shown."""

VERSION = 1
LOG_LINES = 300
"""Lines of log at most: a window to look at and to filter, not the record."""
LINE_CHARACTERS = 500
_PODS = 64


def of_snapshot(snapshot: Snapshot, context: str) -> dict[str, Any]:
    """The state of a followed object in a context, as JSON: what `labextension/src/block/state.ts` describes."""
    lines = snapshot.log[-LOG_LINES:]
    return {
        "version": VERSION,
        "context": context,
        "namespace": snapshot.namespace,
        "kind": word_of(snapshot.resource),
        "name": snapshot.name,
        "phase": snapshot.status.phase,
        "tone": theme.tone(snapshot.state),
        "final": snapshot.state.final,
        "failed": snapshot.state is State.FAILED,
        "connected": snapshot.connected,
        "elapsed": "" if snapshot.elapsed is None else span(snapshot.elapsed),
        "progress": _progress(snapshot),
        "numbers": card.number_words(snapshot),
        "pods": [_pod(pod) for pod in snapshot.pods[:_PODS]],
        "pods_left_out": max(0, len(snapshot.pods) - _PODS),
        "reason": snapshot.reason,
        "advice": snapshot.advice,
        "evidence": list(snapshot.evidence),
        "fix": snapshot.fix,
        "events": card.untold_events(snapshot),
        "curve": snapshot.curve,
        "curve_label": curve.label(snapshot.metrics),
        "log": [[place, text[:LINE_CHARACTERS]] for place, text in lines],
        "url": snapshot.url,
        "result": snapshot.result,
        "can_cancel": snapshot.resource in RUN_ONCE and not snapshot.state.final,
    }


def _progress(snapshot: Snapshot) -> dict[str, Any] | None:
    fraction = card.fraction_of(snapshot)
    words = card.progress_words(snapshot)
    return None if fraction is None and not words else {"fraction": fraction, "words": words}


def _pod(pod: PodState) -> dict[str, str]:
    place, _, uses = card.pod_words(pod).partition(f" {pod.phase}")
    return {
        "place": place,
        "phase": pod.phase,
        "tone": theme.tone_of_word(pod.phase),
        "uses": uses.strip(" ()"),
        "node": pod.node,
    }
