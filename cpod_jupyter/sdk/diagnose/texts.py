"""Causes that a program's own lines name: the first rule that any pod's log fits. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from cpod_jupyter.sdk.diagnose import fix
from cpod_jupyter.sdk.diagnose.facts import EVIDENCE, WIDTH, Diagnosis, Facts, ending, traceback_lines


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
    _text("disk-full", r"No space left on device|the disk of \S+ is full|Disk quota exceeded", "the disk is full",
          "delete models and datasets that are no longer needed (%cpod ls), or make the volume larger"),
    _text("no-module", r"ModuleNotFoundError: No module named '([^']+)'", "the Python module {0} is missing",
          "use an image that has it, or install it first"),
    _text("no-file", r"FileNotFoundError: .*?'([^']+)'", "the file {0} is not there",
          "datasetPath and pretrainModelPath say where the dataset and the model are mounted"),
    _text("permission", r"(?:PermissionError|Read-only file system): .*?'([^']+)'", "{0} may not be read or written",
          "write to a path that is mounted, such as modelSavePath or ckptPath"),
    _text("port", r"(?i)address already in use", "another program has the port", "take another port"),
    _text("gated", r"GatedRepoError|restricts access, accept the terms", "the hub wants the model's terms accepted",
          "accept them on its page, and set HF_TOKEN"),
    _text("context", r"maximum context length is (\d+)|max_model_len .*greater than", "the text is longer than the "
          "model's context", "shorten it, or take a model with a longer context"),
    _text("refused", r"Connection refused|ConnectionRefusedError|Name or service not known|Max retries exceeded",
          "a server cannot be reached", "look whether it runs, and whether the cluster may reach it"),
    _text("peer", r"gloo/.*Timed out waiting (\d+)ms", "the processes lost each other: this one waited {0} ms for "
          "another", "look for a rank that says nothing of it: it hung, or never joined"),
    _text("peer", r"gloo/.*Connection (?:closed|reset) by peer", "the process at the other end is gone",
          "look for the rank that ended first: its log has the cause"),
)  # fmt: skip
"""A peer that is gone comes last: that is mostly another failure's consequence."""


def logged(facts: Facts) -> Diagnosis | None:
    """What a line of a log explains, once a container has failed."""
    if not any(ending(container).get("exitCode") for _, container in facts.containers()):
        return None
    for rule in TEXT_RULES:
        for place, lines in facts.lines():
            for number in range(len(lines) - 1, -1, -1):
                if (match := rule.pattern.search(lines[number])) is None:
                    continue
                cause = rule.cause.format(*match.groups())
                shown = traceback_lines(lines) if match[0] in " ".join(traceback_lines(lines)) else ()
                evidence = shown or tuple(line.strip()[:WIDTH] for line in lines[number : number + EVIDENCE])
                cell = fix.cell(facts, rule.changes(facts)) if rule.changes else ""
                return Diagnosis(f"{place}: {cause}" if place else cause, evidence, rule.advice, cell, rule.name)
    return None
