"""The rules by which a failure is recognised, in the order of how much each explains; the first that fits speaks."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from cpod_jupyter.api import meta, scheduling
from cpod_jupyter.sdk.diagnose import fix
from cpod_jupyter.sdk.diagnose.facts import Diagnosis, Facts, ending, traceback_lines
from cpod_jupyter.sdk.pods import place_of, rank, role_of, unscheduled
from cpod_jupyter.sdk.words import IMAGE_REASONS, START_REASONS, Words

_EVIDENCE = 3


@dataclass(frozen=True)
class TextRule:
    """A line of any rank's log that names a cause; `{0}`, `{1}` in the sentence are the pattern's groups."""

    name: str
    pattern: re.Pattern[str]
    cause: str
    advice: str
    changes: Callable[[Facts], list[fix.Change]] | None = None


def _text(
    name: str, pattern: str, cause: str, advice: str, changes: Callable[[Facts], list[fix.Change]] | None = None
) -> TextRule:
    return TextRule(name, re.compile(pattern), cause, advice, changes)


TEXT_RULES = (
    _text("cuda-memory", r"CUDA out of memory|torch\.OutOfMemoryError|CUDA error: out of memory|not enough free memory",
          "the GPU ran out of memory", "make the batch smaller, or config.max_length; or ask for more GPUs",
          fix.smaller_batch),
    _text("memory", r"DefaultCPUAllocator: can't allocate|^MemoryError|std::bad_alloc|Cannot allocate memory",
          "the machine ran out of memory", "make the batch smaller, or take a smaller model", fix.smaller_batch),
    _text("bad-rows", r"(\d+) of (\d+) rows of the data set (\S+) are wrong",
          "{0} of {1} rows of the dataset {2} are wrong", "correct the rows, and upload the dataset again"),
    _text("disk-full", r"No space left on device|the disk of \S+ is full", "the disk is full",
          "delete models and datasets that are no longer needed (%cpod ls), or make the volume larger"),
    _text("no-module", r"ModuleNotFoundError: No module named '([^']+)'", "the Python module {0} is missing",
          "use an image that has it, or install it first"),
    _text("no-file", r"FileNotFoundError: .*?'([^']+)'", "the file {0} is not there",
          "datasetPath and pretrainModelPath say where the dataset and the model are mounted"),
    _text("permission", r"PermissionError: .*?'([^']+)'", "{0} may not be read or written",
          "write to a path that is mounted, such as modelSavePath or ckptPath"),
    _text("port", r"(?i)address already in use", "another program has the port", "take another port"),
    _text("gated", r"GatedRepoError|restricts access, accept the terms", "the hub wants the model's terms accepted",
          "accept them on its page, and set HF_TOKEN"),
    _text("context", r"maximum context length is (\d+)|max_model_len .*greater than", "the text is longer than the "
          "model's context", "shorten it, or take a model with a longer context"),
    _text("refused", r"Connection refused|ConnectionRefusedError|Name or service not known|Max retries exceeded",
          "a server cannot be reached", "look whether it runs, and whether the cluster may reach it"),
    _text("nccl", r"\[Rank (\d+)\] Watchdog caught collective operation timeout",
          "the GPUs lost each other: rank {0} waited for the others until NCCL timed out",
          "look for a rank that is not among those that report it: it hung, or never joined"),
)  # fmt: skip
"""Causes that logs name. A time-out comes last: it is mostly another failure's consequence."""


def diagnose(facts: Facts, words: Words) -> Diagnosis | None:
    """What is wrong, from the first rule that fits; what `words` say where none does; None when nothing is wrong."""
    for rule in (_out_of_memory, _image, _start, _unschedulable, _logged, _elastic):
        if found := rule(facts):
            return found
    found = _exit(facts)
    if found is None and words.status.state == "Failed":
        found = Diagnosis(words.reason, words.evidence, words.advice, rule="status")
    return found


def _out_of_memory(facts: Facts) -> Diagnosis | None:
    for pod, container in facts.containers():
        if ending(container).get("reason") == "OOMKilled":
            changes = fix.more_memory(facts) or fix.smaller_batch(facts)
            line = f"{meta.name_of(pod)}: container {container['name']} was OOMKilled, exit code 137"
            advice = "give it more memory, or make the batch smaller"
            cause = "it ran out of memory and was killed (OOMKilled)"
            return Diagnosis(cause, (line,), advice, fix.cell(facts, changes), "oom-killed")
    return None


def _waiting(facts: Facts, reasons: tuple[str, ...]) -> tuple[str, str] | None:
    for _, container in facts.containers():
        waiting = (container.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") in reasons:
            return str(container.get("image") or ""), str(waiting.get("message") or waiting["reason"])
    return None


def _image(facts: Facts) -> Diagnosis | None:
    found = _waiting(facts, IMAGE_REASONS)
    if found is None:
        return None
    changes = fix.nearest_image(facts)
    advice = f"take {changes[0][1]}" if changes else "look at its name and tag, and whether the cluster may pull it"
    return Diagnosis(
        f"the image {found[0]} cannot be had", (found[1][:400],), advice, fix.cell(facts, changes), "image"
    )


def _start(facts: Facts) -> Diagnosis | None:
    found = _waiting(facts, START_REASONS)
    if found is None:
        return None
    return Diagnosis(
        f"the container cannot start: {found[1]}", (), "create what it names, or correct the name", rule="start"
    )


def _unschedulable(facts: Facts) -> Diagnosis | None:
    """Only what no node could ever run: what fits later is no failure."""
    for pod in facts.pods():
        if facts.nodes and unscheduled(pod) and (never := scheduling.never_fits(pod["spec"], facts.nodes)):
            said = str((meta.condition(pod, "PodScheduled") or {}).get("message") or never)
            advice = "ask for what a node has (%cpod gpus), or take another cluster (--context)"
            return Diagnosis(
                "no node could ever run it", (said,), advice, fix.cell(facts, fix.fewer_gpus(facts)), "unschedulable"
            )
    return None


def _logged(facts: Facts) -> Diagnosis | None:
    if not any(ending(container).get("exitCode") for _, container in facts.containers()):
        return None
    for rule in TEXT_RULES:
        for place, lines in facts.lines():
            for number in range(len(lines) - 1, -1, -1):
                if (match := rule.pattern.search(lines[number])) is None:
                    continue
                cause = rule.cause.format(*match.groups())
                shown = traceback_lines(lines) if match[0] in " ".join(traceback_lines(lines)) else ()
                evidence = shown or tuple(line.strip()[:400] for line in lines[number : number + _EVIDENCE])
                cell = fix.cell(facts, rule.changes(facts)) if rule.changes else ""
                return Diagnosis(f"{place}: {cause}" if place else cause, evidence, rule.advice, cell, rule.name)
    return None


_ROOT = re.compile(r"Root Cause \(first observed failure\)")
_FIELD = re.compile(r"^\s+(rank|exitcode)\s*: (.+)$")


def _elastic(facts: Facts) -> Diagnosis | None:
    """torchrun's report names the process that failed first."""
    for _, lines in facts.lines():
        for number, line in enumerate(lines):
            if _ROOT.search(line):
                after = [match for text in lines[number + 1 : number + 8] if (match := _FIELD.match(text))]
                said = {match[1]: match[2].split(" ")[0] for match in after}
                cause = f"rank {said.get('rank', '?')} failed first, with exit code {said.get('exitcode', '?')}"
                evidence = traceback_lines(lines[: max(0, number - 8)]) or tuple(match[0].strip() for match in after)
                return Diagnosis(cause, evidence, "read that rank's log", rule="elastic")
    return None


_CODES = {
    126: "the command cannot be executed",
    127: "the command was not found",
    128 + signal.SIGABRT: "it aborted itself (SIGABRT)",
    128 + signal.SIGKILL: "it was killed (SIGKILL), by someone or for the machine's memory",
    128 + signal.SIGSEGV: "it crashed in native code (SIGSEGV)",
    128 + signal.SIGTERM: "it was asked to end (SIGTERM): cancelled, over its time, or moved off its node",
}


def _exit(facts: Facts) -> Diagnosis | None:
    for pod, container in facts.containers():
        over = ending(container)
        if not over.get("exitCode"):
            continue
        said = str(over.get("message") or "").strip()
        if over.get("reason") == "StartError":
            changes = fix.nearest_command(facts)
            return Diagnosis("the command cannot be started", (said[:400],), "correct the command",
                             fix.cell(facts, changes), "command")  # fmt: skip
        cause, evidence = _cause_of_exit(int(over["exitCode"]), said, facts.logs.get(meta.name_of(pod), ()))
        # The others may be gone by now: of a worker it is said which, also when it alone is left.
        named = bool(role_of(pod)[0]) and (len(facts.pods()) > 1 or rank(pod) > (0, 0))
        advice = f"read its log: %cpod logs {meta.name_of(facts.family.root)}"
        if named:
            cause, advice = f"{place_of(pod)}: {cause}", f"{advice} --pod {place_of(pod)}"
        found = Diagnosis(cause, evidence, advice, rule="exit-code")
        if "CrashLoopBackOff" in str((container.get("state") or {}).get("waiting") or {}):
            count = container.get("restartCount", 0)
            return replace(found, cause=f"it crashes again and again ({count} restarts): {cause}", rule="crash-loop")
        return found
    return None


def _cause_of_exit(code: int, said: str, lines: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """What an exit code means, or better what the program said: an exception, or its termination message."""
    shown = traceback_lines(lines)
    last = tuple(line.strip()[:400] for line in lines if line.strip())[-_EVIDENCE:]
    if code < 126 and shown:
        return f"{shown[-1]} (exit code {code})", shown
    if code < 126 and said:
        first, *more = said.splitlines()
        return first[:400], tuple(line.strip()[:400] for line in more if line.strip())[:_EVIDENCE] or last
    return f"{_CODES.get(code) or 'it failed'} (exit code {code})", shown or last
