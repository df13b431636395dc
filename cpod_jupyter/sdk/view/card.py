"""One object as a compact block: what it is, how far it has come, its curve, its log, its failure."""

from __future__ import annotations

from html import escape

from cpod_jupyter.sdk.history import texts
from cpod_jupyter.sdk.kinds import word_of
from cpod_jupyter.sdk.podstates import PodState
from cpod_jupyter.sdk.snapshot import Snapshot
from cpod_jupyter.sdk.states import State
from cpod_jupyter.sdk.view import curve, theme
from cpod_jupyter.sdk.words import amount, span

_BAR = 24
_LOG_LINES = 12
_PODS = 8
"""Pods that are shown one by one."""
_TEXT_LOG_LINES = 2
_NUMBERS = (("epoch", "epoch {:.2f}"), ("learning_rate", "rate {:.2g}"), ("tokens_per_second", "{:.0f} tokens/s"))
_EVENT_CHARACTERS = 300
_FINISHED_PROGRESS = (State.SUCCEEDED, State.READY)


def html(snapshot: Snapshot) -> str:
    tone = theme.tone(snapshot.state)
    parts = [_head(snapshot), _bar(snapshot), _numbers(snapshot), _pods(snapshot), _reason(snapshot), _events(snapshot)]
    parts.append(curve.image(snapshot.curve, curve.label(snapshot.metrics)))
    parts.append(_log(snapshot))
    inner = "".join(part for part in parts if part)
    region = f'<div role="status" aria-label="{escape(snapshot.title)}">{inner}</div>'
    return theme.block(region, f"cpod-card cpod-{tone}")


def text(snapshot: Snapshot) -> str:
    """The same in three to eight lines."""
    elapsed = f"  ({span(snapshot.elapsed)})" if snapshot.elapsed is not None else ""
    lines = [f"{snapshot.title}  {snapshot.status.phase}{elapsed}"]
    if not snapshot.connected:
        lines.append("  the API server does not answer; trying again")
    if snapshot.progress and not snapshot.state.final:
        fraction = snapshot.progress.fraction
        bar = "" if fraction is None else f"[{'#' * round(fraction * _BAR):-<{_BAR}}] {fraction:4.0%}  "
        lines.append(f"  {bar}{progress_words(snapshot)}")
    if numbers := number_words(snapshot):
        lines.append(f"  {'  '.join(numbers)}  {curve.spark(snapshot.metrics)}".rstrip())
    if len(snapshot.pods) > 1:
        lines.append(f"  pods: {', '.join(map(pod_words, snapshot.pods[:_PODS]))}{_more_pods(snapshot)}")
    if snapshot.reason:
        lines.append(f"  {snapshot.reason}")
    if snapshot.advice:
        lines.append(f"  what to do: {snapshot.advice}")
    if snapshot.state is State.FAILED:
        lines += [f"  | {line}" for line in snapshot.evidence[-3:]]
    elif not snapshot.state.final and not snapshot.metrics:
        lines += [f"  | {line[:160]}" for line in texts(snapshot.log)[-_TEXT_LOG_LINES:]]
    return "\n".join(lines)


def progress_words(snapshot: Snapshot) -> str:
    """`step 20 of 45, 1 min left`, `download: 31 MB of 92.9 MB`."""
    progress = snapshot.progress
    if progress is None:
        return ""
    if snapshot.state is State.SUCCEEDED and snapshot.metrics:
        return f"{snapshot.metrics[-1]['step']:g} steps"
    if progress.unit == "B":
        of = f" of {amount(progress.total)}" if progress.total else ""
        words = f"{progress.phase}: {amount(progress.done)}{of}"
    elif progress.phase == "train":
        of = f" of {progress.total:g}" if progress.total else ""
        words = f"step {progress.done:g}{of}"
    else:
        of = f" of {progress.total:g}" if progress.total else ""
        words = f"{progress.phase}: {progress.done:g}{of} {progress.unit}".rstrip()
    if progress.eta is not None and not snapshot.state.final:
        words += f", {span(progress.eta)} left"
    return words


def fraction_of(snapshot: Snapshot) -> float | None:
    """0 to 1 of what is going on, 1 when it is done; None when that is not known."""
    progress = snapshot.progress
    if progress is None or (snapshot.state in _FINISHED_PROGRESS and not snapshot.metrics):
        return None
    return 1.0 if snapshot.state in _FINISHED_PROGRESS else progress.fraction


def number_words(snapshot: Snapshot) -> list[str]:
    """The latest numbers of training, each with its name."""
    if not snapshot.metrics:
        return []
    last = snapshot.metrics[-1]
    shown = [f"loss {snapshot.loss:.3f}"] if snapshot.loss is not None else []
    for key, form in _NUMBERS:
        if isinstance(last.get(key), (int, float)):
            shown.append(form.format(last[key]))
    gpu, total = (last.get(key) for key in ("gpu_memory_bytes", "gpu_memory_total_bytes"))
    if isinstance(gpu, (int, float)):
        of = f" of {amount(total)}" if isinstance(total, (int, float)) else ""
        shown.append(f"GPU memory {amount(gpu)}{of}")
    elif isinstance(last.get("memory_bytes"), (int, float)):
        shown.append(f"memory {amount(last['memory_bytes'])}")
    if isinstance(last.get("gpu_utilization"), (int, float)):
        shown.append(f"GPU {last['gpu_utilization']:.0f}% busy")
    return shown


def pod_words(pod: PodState) -> str:
    """`worker-1 Running (1.9 CPUs, 812 MB)`."""
    uses = [] if pod.cpu is None else [f"{pod.cpu:.1f} CPUs"]
    uses += [] if pod.memory is None else [amount(pod.memory)]
    uses += [f"{pod.restarts} restart{'s' if pod.restarts > 1 else ''}"] if pod.restarts else []
    return f"{pod.place} {pod.phase}" + (f" ({', '.join(uses)})" if uses else "")


def _more_pods(snapshot: Snapshot) -> str:
    left = len(snapshot.pods) - _PODS
    return f", and {left} more" if left > 0 else ""


def _pods(snapshot: Snapshot) -> str:
    """The pods by rank; of a single one only what it uses, for the head says the rest."""
    pods = snapshot.pods[:_PODS]
    if len(snapshot.pods) == 1 and pods[0].cpu is None and not pods[0].restarts:
        return ""
    spans = []
    for pod in pods:
        place, _, rest = pod_words(pod).partition(f" {pod.phase}")
        shown = theme.pill(pod.phase, theme.tone_of_word(pod.phase))
        spans.append(f'<span title="{escape(pod.node)}">{escape(place)} {shown}{escape(rest)}</span>')
    return f'<div class="cpod-row cpod-pods">{" ".join(spans)}{_more_pods(snapshot)}</div>' if spans else ""


def untold_events(snapshot: Snapshot) -> list[str]:
    """Warnings that the reason and the evidence do not say already."""
    reason, lines = snapshot.reason, [line.strip() for line in snapshot.evidence if line.strip()]
    return [
        event[:_EVENT_CHARACTERS]
        for event in snapshot.events
        if event not in reason and not (reason and reason in event) and not any(line in event for line in lines)
    ]


def _events(snapshot: Snapshot) -> str:
    items = "".join(f"<li>{escape(event)}</li>" for event in untold_events(snapshot))
    return f'<ul class="cpod-events cpod-dim">{items}</ul>' if items else ""


def _head(snapshot: Snapshot) -> str:
    elapsed = span(snapshot.elapsed) if snapshot.elapsed is not None else ""
    lost = "" if snapshot.connected else theme.pill("server does not answer", "wait")
    return (
        f'<div class="cpod-head"><span class="cpod-kind">{escape(word_of(snapshot.resource))}</span> '
        f'<span class="cpod-name">{escape(snapshot.name)}</span> '
        f"{theme.pill(snapshot.status.phase, theme.tone(snapshot.state))}{lost} "
        f'<span class="cpod-dim cpod-end">{elapsed}</span></div>'
    )


def _bar(snapshot: Snapshot) -> str:
    progress = snapshot.progress
    if progress is None or (snapshot.state in _FINISHED_PROGRESS and not snapshot.metrics):
        return ""
    fraction = fraction_of(snapshot)
    words = escape(progress_words(snapshot))
    if fraction is None:
        return f'<div class="cpod-row"><span>{words}</span></div>'
    percent = f"{fraction:.0%}"
    return (
        f'<div class="cpod-bar" role="progressbar" aria-valuemin="0" aria-valuemax="100" '
        f'aria-valuenow="{fraction * 100:.0f}"><i style="width:{fraction * 100:.1f}%"></i></div>'
        f'<div class="cpod-row"><span>{percent}</span> <span>{words}</span></div>'
    )


def _numbers(snapshot: Snapshot) -> str:
    numbers = number_words(snapshot)
    spans = " ".join(f"<span>{escape(number)}</span>" for number in numbers)
    return f'<div class="cpod-row cpod-dim">{spans}</div>' if numbers else ""


def _reason(snapshot: Snapshot) -> str:
    advice = f"What to do: {escape(snapshot.advice)}" if snapshot.advice else ""
    if snapshot.state is State.FAILED:
        shown = "\n".join(part for part in (f"<b>{escape(snapshot.reason)}</b>", advice) if part)
        lines = escape("\n".join(snapshot.evidence))
        return f'<div class="cpod-why">{shown}</div>' + (f'<pre class="cpod-log">{lines}</pre>' if lines else "")
    parts = [escape(snapshot.reason), f'<span class="cpod-dim">{advice}</span>' if advice else ""]
    shown = "<br>".join(part for part in parts if part)
    return f'<div class="cpod-reason">{shown}</div>' if shown else ""


def _log(snapshot: Snapshot) -> str:
    if not snapshot.log:
        return ""
    last = escape("\n".join(texts(snapshot.log)[-_LOG_LINES:]))
    more = f", the last {_LOG_LINES} of {len(snapshot.log)} lines" if len(snapshot.log) > _LOG_LINES else ""
    return (
        f'<details><summary class="cpod-dim">log{more}</summary><pre class="cpod-log" role="log">{last}</pre></details>'
    )
