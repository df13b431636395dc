"""The rules by which a failure is recognised, in the order of how much each explains; the first that fits speaks."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from cpod_jupyter.api import meta, scheduling
from cpod_jupyter.api.resources import Object
from cpod_jupyter.sdk.diagnose import fix
from cpod_jupyter.sdk.diagnose.collective import timed_out
from cpod_jupyter.sdk.diagnose.facts import EVIDENCE, WIDTH, Diagnosis, Facts, ending, traceback_lines
from cpod_jupyter.sdk.diagnose.texts import logged
from cpod_jupyter.sdk.pods import place_of, rank, role_of, unscheduled
from cpod_jupyter.sdk.states import State
from cpod_jupyter.sdk.words import IMAGE_REASONS, START_REASONS, Words, explain, no_room, stuck_pods


def tell(facts: Facts) -> tuple[Words, Diagnosis | None]:
    """What is happening to an object, and what is wrong with it or a part of it, if anything: the words say both.

    Of a deployment that answers only pods that cannot come up are a fault: others may have had their troubles before.
    """
    words = explain(facts.family, facts.nodes)
    if words.status.state in (State.SUCCEEDED, State.DELETED):
        return words, None
    if words.status.state is State.READY:
        stuck = tuple(meta.name_of(pod) for pod in stuck_pods(facts.family))
        found = diagnose(replace(facts, only=stuck), words) if stuck else None
        said = f"{words.reason}; but {', '.join(stuck)}: {found.cause}" if found else words.reason
    else:
        found = diagnose(facts, words)
        said = found.cause if found else words.reason
    if found is None:
        return words, None
    return Words(words.status, said, found.advice, found.evidence), found


def diagnose(facts: Facts, words: Words) -> Diagnosis | None:
    """What is wrong, from the first rule that fits; what `words` say where none does; None when nothing is wrong."""
    rules: tuple[Callable[[Facts], Diagnosis | None], ...] = (
        _out_of_memory, _evicted, _image, _start, _unschedulable, timed_out, logged, _elastic, _exit,
    )  # fmt: skip
    for rule in rules:
        if found := rule(facts):
            return found
    if words.status.state is State.FAILED:
        return Diagnosis(words.reason, words.evidence, words.advice, rule="status")
    return None


def _out_of_memory(facts: Facts) -> Diagnosis | None:
    for pod, container in facts.containers():
        if ending(container).get("reason") == "OOMKilled":
            changes = fix.more_memory(facts) or fix.smaller_batch(facts)
            line = f"{meta.name_of(pod)}: container {container['name']} was OOMKilled, exit code 137"
            advice = "give it more memory, or make the batch smaller"
            cause = "it ran out of memory and was killed (OOMKilled)"
            return Diagnosis(_of(facts, pod, cause), (line,), advice, fix.cell(facts, changes), "oom-killed")
    return None


def _evicted(facts: Facts) -> Diagnosis | None:
    for pod in facts.pods():
        status = pod.get("status") or {}
        if status.get("reason") == "Evicted":
            said = str(status.get("message") or "").strip()
            disk = any(word in said for word in ("EmptyDir", "ephemeral"))
            cause = "it used more of the disk than it may" if disk else "its node had no room left for it"
            advice = (
                "raise sizeLimit or ephemeral-storage, or write less" if disk else "ask for what it uses (requests)"
            )
            line = f"{meta.name_of(pod)} was evicted: {said}"
            return Diagnosis(_of(facts, pod, cause), (line[:WIDTH],), advice, rule="evicted")
    return None


def _waiting(facts: Facts, reasons: tuple[str, ...]) -> tuple[Object, dict[str, Any], str] | None:
    """The first pod with a container that waits for one of the reasons, and the message in one line."""
    for pod, container in facts.containers():
        waiting = (container.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") in reasons:
            return pod, container, " ".join(str(waiting.get("message") or waiting["reason"]).split())
    return None


def _image(facts: Facts) -> Diagnosis | None:
    if (found := _waiting(facts, IMAGE_REASONS)) is None:
        return None
    pod, container, said = found
    changes = fix.nearest_image(facts)
    refused = re.search(r"(?i)unauthorized|denied|authentication required", said)
    advice = (
        f"take {changes[0][1]}" if changes
        else "it is private, or has another name: look at its name, and give the namespace a pull secret" if refused
        else "look at its name and tag, and whether the cluster may pull it"
    )  # fmt: skip
    cause = _of(facts, pod, f"the image {container.get('image') or ''} cannot be had")
    return Diagnosis(cause, (said[:WIDTH],), advice, fix.cell(facts, changes), "image")


def _start(facts: Facts) -> Diagnosis | None:
    if (found := _waiting(facts, START_REASONS)) is None:
        return None
    pod, container, said = found
    line = f"{meta.name_of(pod)}: container {container['name']} waits: {container['state']['waiting']['reason']}"
    cause = _of(facts, pod, f"the container cannot start: {said[:WIDTH]}")
    return Diagnosis(cause, (line,), _what_to_create(said), rule="start")


def _what_to_create(said: str) -> str:
    """The command that makes the Secret or ConfigMap, or its key, that a kubelet's message names."""
    if found := re.search(r'(secret|configmap) "([^"]+)" not found', said):
        kind = "secret generic" if found[1] == "secret" else "configmap"
        return f"create it (kubectl create {kind} {found[2]} --from-literal=KEY=VALUE), or correct the name"
    if found := re.search(r'(?i)find key (\S+) in (secret|configmap) "?([^\s"]+)', said):
        kind = "Secret" if found[2].lower() == "secret" else "ConfigMap"
        return f"give the {kind} {found[3].split('/')[-1]} the key {found[1]}, or correct the key's name"
    return "create what it names, or correct the name"


def _unschedulable(facts: Facts) -> Diagnosis | None:
    """Only what no node could ever run: what fits later is no failure."""
    for pod in facts.pods():
        if facts.nodes and unscheduled(pod) and (never := scheduling.never_fits(pod["spec"], facts.nodes)):
            said = str((meta.condition(pod, "PodScheduled") or {}).get("message") or never)
            cause, advice = no_room(pod, facts.nodes)
            cell = fix.cell(facts, fix.fewer_gpus(facts))
            return Diagnosis(_of(facts, pod, cause), (said,), advice, cell, "unschedulable")
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
            return _not_started(facts, pod, said)
        code = int(over["exitCode"])
        cause, evidence = _cause_of_exit(code, said, facts.logs.get(meta.name_of(pod), ()))
        ended = (f"{meta.name_of(pod)}: container {container['name']} ended with exit code {code}",)
        advice = f"read its log: %cpod logs {meta.name_of(facts.family.root)}"
        change = {126: fix.through_interpreter, 127: fix.nearest_command}.get(code)
        cell = fix.cell(facts, change(facts)) if change else ""
        found = Diagnosis(cause, evidence or ended, advice, cell, "exit-code")
        if _is_named(facts, pod):
            found = replace(found, cause=f"{place_of(pod)}: {cause}", advice=f"{advice} --pod {place_of(pod)}")
        if "CrashLoopBackOff" in str((container.get("state") or {}).get("waiting") or {}):
            count = container.get("restartCount", 0)
            told = f"it crashes again and again ({count} restarts): {cause}"
            return replace(found, cause=_of(facts, pod, told), rule="crash-loop")
        return found
    return None


def _not_started(facts: Facts, pod: Object, said: str) -> Diagnosis:
    """The command itself is wrong: no such program, or a file that may not be executed."""
    denied = "permission denied" in said.lower()
    changes = fix.through_interpreter(facts) if denied else fix.nearest_command(facts)
    advice = (
        "make the file executable (chmod +x), or start it with its interpreter" if denied else "correct the command"
    )
    cause = "the command may not be executed" if denied else "the command cannot be started"
    return Diagnosis(_of(facts, pod, cause), (said[:WIDTH],), advice, fix.cell(facts, changes), "command")


def _is_named(facts: Facts, pod: Object) -> bool:
    """The others may be gone by now: of a worker it is said which, also when it alone is left."""
    return bool(role_of(pod)[0]) and (len(facts.pods()) > 1 or rank(pod) > (0, 0))


def _of(facts: Facts, pod: Object, cause: str) -> str:
    """A cause with the pod that it is about, where that may be another."""
    return f"{place_of(pod)}: {cause}" if _is_named(facts, pod) else cause


def _cause_of_exit(code: int, said: str, lines: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """What an exit code means, or better what the program said: an exception, or its termination message."""
    shown = traceback_lines(lines)
    last = tuple(line.strip()[:WIDTH] for line in lines if line.strip())[-EVIDENCE:]
    if code < 126 and shown:
        return f"{shown[-1]} (exit code {code})", shown
    if code < 126 and said:
        first, *more = said.splitlines()
        return first[:WIDTH], tuple(line.strip()[:WIDTH] for line in more if line.strip())[:EVIDENCE] or last
    return f"{_CODES.get(code) or 'it failed'} (exit code {code})", shown or last
