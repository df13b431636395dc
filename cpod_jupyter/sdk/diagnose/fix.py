"""The cell that mends: the submitted spec with the needed change, and what was there before. Pure."""

from __future__ import annotations

import copy
import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

from cpod_jupyter.api import meta, scheduling
from cpod_jupyter.api.quantity import parse_quantity
from cpod_jupyter.api.resources import CPODJOBS, FINETUNES
from cpod_jupyter.sdk.diagnose.facts import Facts
from cpod_jupyter.sdk.kinds import RUN_ONCE, WORDS, word_of
from cpod_jupyter.sdk.manifest import known_schema

Path = tuple[str | int, ...]
Change = tuple[Path, Any]


def cell(facts: Facts, changes: Sequence[Change]) -> str:
    """A whole cell that submits the spec with the changes; "" when there is none, or the kind has no cell."""
    resource, name = facts.family.resource, meta.name_of(facts.asked or facts.family.root)
    if not changes or resource not in WORDS.values():
        return ""
    defaults = known_schema(resource)["properties"]["spec"].get("properties") or {}
    was = {key: value for key, value in facts.spec.items() if value != (defaults.get(key) or {}).get("default")}
    spec = copy.deepcopy(was)
    notes = {}
    for number, (path, value) in enumerate(changes):
        target: Any = spec
        for key in path[:-1]:
            target = target[key] if isinstance(key, int) else target.setdefault(key, {})
        mark = f"cpod-changed-{number}"
        before = target.get(path[-1])
        target[path[-1]] = mark
        notes[mark] = f"{_scalar(value)}  # was: {'not given' if before is None else _scalar(before)}"
    body = yaml.safe_dump(spec, sort_keys=False, allow_unicode=True, width=1000)
    for mark, note in notes.items():
        body = body.replace(mark, note)
    new = " --new" if resource in RUN_ONCE else ""
    return f"%%cpod {word_of(resource)} {name}{new} -o {'job' if new else 'handle'}\n{body}"


def _scalar(value: Any) -> str:
    return yaml.safe_dump(value, default_flow_style=True, width=1000).removesuffix("...\n").strip()


def smaller_batch(facts: Facts) -> list[Change]:
    """Half the batch and twice the accumulation, so that a step learns from as many examples as before."""
    if facts.family.resource != FINETUNES:
        return []
    plan = (facts.family.root.get("status") or {}).get("plan") or {}
    batch = _whole((facts.spec.get("hyperParameters") or {}).get("batch_size")) or int(plan.get("perDeviceBatch") or 0)
    given = _whole((facts.spec.get("config") or {}).get("gradient_accumulation_steps"))
    steps = given or int(plan.get("gradientAccumulation") or 1)
    if batch < 2 or batch % 2:
        return []
    return [
        (("hyperParameters", "batch_size"), str(batch // 2)),
        (("config", "gradient_accumulation_steps"), str(steps * 2)),
    ]


def _whole(text: Any) -> int:
    return int(text) if str(text).isdigit() else 0


def more_memory(facts: Facts) -> list[Change]:
    """Twice the memory limit, where the spec has just one."""
    found = list(_limits(facts.spec, ()))
    if len(found) != 1:
        return []
    path, limit = found[0]
    return [(path, f"{int(parse_quantity(limit) * 2) // 2**20}Mi")]


def _limits(value: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _limits(item, (*path, index))
    elif isinstance(value, Mapping):
        for key, item in value.items():
            if key == "memory" and path[-1:] == ("limits",):
                yield (*path, key), item
            else:
                yield from _limits(item, (*path, str(key)))


def fewer_gpus(facts: Facts) -> list[Change]:
    """As many GPUs as the node that has most; nothing when there is none."""
    most = max((int(scheduling.allocatable(node, "nvidia.com/gpu")) for node in facts.nodes), default=0)
    field = {FINETUNES: "gpuCount", CPODJOBS: "gpuRequiredPerReplica"}.get(facts.family.resource, "")
    return [((field,), most)] if field and 0 < most < int(facts.spec.get(field) or 0) else []


def nearest_image(facts: Facts) -> list[Change]:
    """The image of a node whose name is nearly the one that was asked for."""
    known = [name for node in facts.nodes for image in (node.get("status") or {}).get("images") or []
             for name in image.get("names") or []]  # fmt: skip
    asked = facts.spec.get("image")
    close = difflib.get_close_matches(str(asked), known, 1, 0.85) if asked else []
    return [(("image",), close[0])] if close and close[0] != asked else []


def nearest_command(facts: Facts) -> list[Change]:
    """The usual program whose name is nearly the one that was asked for."""
    command = facts.spec.get("command") or []
    if missing := _in_shell(facts, _NOT_FOUND):
        close = difflib.get_close_matches(missing, _PROGRAMS, 1, 0.75)
        return _shell_change(command, missing, close[0]) if close else []
    if not command or "/" in command[0]:
        return []
    close = difflib.get_close_matches(command[0], _PROGRAMS, 1, 0.75)
    return [(("command",), [close[0], *command[1:]])] if close and close[0] != command[0] else []


def through_interpreter(facts: Facts) -> list[Change]:
    """A script that is not executable, started by the program its name's ending tells."""
    command = facts.spec.get("command") or []
    denied = _in_shell(facts, _DENIED)
    script = denied or (str(command[0]) if command else "")
    interpreter = {"py": "python3", "sh": "sh", "bash": "bash"}.get(script.rpartition(".")[2])
    if interpreter is None:
        return []
    return (
        _shell_change(command, denied, f"{interpreter} {denied}")
        if denied
        else [(("command",), [interpreter, *command])]
    )


_NOT_FOUND = re.compile(r"(?:^|[:\s])([\w.+-]+): (?:command )?not found$")
_DENIED = re.compile(r"(?:^|[:\s])(\S+): Permission denied$")


def _in_shell(facts: Facts, pattern: re.Pattern[str]) -> str:
    """The word that a shell complains of, where the command is a line for a shell (`sh -c …`)."""
    command = facts.spec.get("command") or []
    if len(command) != 3 or command[0] not in ("sh", "bash", "/bin/sh", "/bin/bash") or command[1] not in ("-c", "-ec"):
        return ""
    for _, lines in facts.lines():
        for line in reversed(lines):
            if (found := pattern.search(line)) and found[1] in command[2]:
                return found[1]
    return ""


def _shell_change(command: Sequence[str], word: str, by: str) -> list[Change]:
    """The first time that the word stands alone in the shell's line, the other instead."""
    line = re.sub(rf"(?<![^\s;&|(]){re.escape(word)}(?![^\s;&|)])", lambda _: by, command[2], count=1)
    return [(("command",), [*command[:2], line])] if line != command[2] else []


_PROGRAMS = ("python", "python3", "torchrun", "accelerate", "deepspeed", "mpirun", "bash", "sh")
