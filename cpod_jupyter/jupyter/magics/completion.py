"""Completion on the magic line (commands, options, names) and in the body (fields, values, names)."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from IPython.core.completer import CompletionContext, SimpleCompletion, context_matcher

from cpod_jupyter.api import meta
from cpod_jupyter.api.catalog import CATALOG
from cpod_jupyter.api.finetune import HYPER_PARAMETERS
from cpod_jupyter.api.resources import FINETUNES, KNOWN, NAMESPACES, NODES, Resource
from cpod_jupyter.api.trainer import RESERVED, lora_fields, trainer_fields
from cpod_jupyter.errors import CpodError
from cpod_jupyter.jupyter.magics import bodies, grammar
from cpod_jupyter.jupyter.magics.bodies import ITEM, Path
from cpod_jupyter.jupyter.magics.evaluation import FIELDS as EVAL_FIELDS
from cpod_jupyter.sdk import shortforms
from cpod_jupyter.sdk.attach import FIELDS
from cpod_jupyter.sdk.content import is_data
from cpod_jupyter.sdk.evaluate import SCORERS, options_of
from cpod_jupyter.sdk.evaluate.lm_eval import tasks_in
from cpod_jupyter.sdk.kinds import RUN_ONCE, TRAININGS, WORDS
from cpod_jupyter.sdk.manifest import known_schema

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from cpod_jupyter.jupyter.magics.commands import CpodMagics
    from cpod_jupyter.sdk import Session

Names = Callable[[str | None], Sequence[str]]
"""Names of the objects of a word; of all with None; also of ANY_JOB, DATA, `namespace`, `gpu`."""

ANY_JOB = "any job"
"""For `Names`: jobs of every kind."""
DATA = "data"
"""For `Names`: variables that hold rows."""
_FIELDS = {
    "model": "model",
    "pretrainModelName": "model",
    "modelId": "model",
    "dataset": "dataset",
    "datasetName": "dataset",
    "gpuType": "gpu",
    "gpuProduct": "gpu",
}
"""Fields whose value is a name, and what it is the name of."""
_KEPT_SECONDS = 5.0
_PATIENCE_SECONDS = 0.2
"""How long names are waited for; what comes later is there at the next key."""


def install(shell: InteractiveShell, magics: CpodMagics) -> None:
    """Hook into the shell's completer, in the place of an earlier installation."""
    names = NamesAtHand(magics)

    @context_matcher(identifier="cpod")  # type: ignore[untyped-decorator]
    def matcher(context: CompletionContext) -> Any:
        lines = context.full_text.split("\n")[: context.cursor_line + 1]
        lines[-1] = lines[-1][: context.cursor_position]
        token = context.token
        found = dict.fromkeys(text for text in candidates(lines, names) if text.startswith(token))
        matching = [SimpleCompletion(text, type="cpod") for text in found]
        return {"completions": matching, "suppress": bool(matching), "matched_fragment": token}

    matchers = shell.Completer.custom_matchers
    matchers[:] = [old for old in matchers if getattr(old, "matcher_identifier", "") != "cpod"] + [matcher]


class NamesAtHand:
    """Names as the API has them, for a moment kept: completion waits a fifth of a second at most, starts no engine,
    and never fails."""

    def __init__(self, magics: CpodMagics) -> None:
        self._magics = magics
        self._kept: dict[tuple[str, str, str | None], tuple[float, Sequence[str]]] = {}
        self._asked: dict[tuple[str, str, str | None], Future[Sequence[str]]] = {}
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="cpod-names")

    def __call__(self, word: str | None) -> Sequence[str]:
        if word == DATA:
            held = self._magics.ip.user_ns.items()
            return [name for name, value in held if not name.startswith("_") and is_data(value)]
        key = (self._magics.context, self._magics.namespace, word)
        at, kept = self._kept.get(key, (float("-inf"), ()))
        if time.monotonic() - at < _KEPT_SECONDS:
            return kept
        asked = self._asked.get(key)
        if asked is None or asked.done():
            asked = self._asked[key] = self._pool.submit(self._ask, key)
        try:
            return asked.result(_PATIENCE_SECONDS)
        except TimeoutError:
            return kept

    def _ask(self, key: tuple[str, str, str | None]) -> Sequence[str]:
        context, namespace, word = key
        try:
            session = self._magics.session_at_hand(context, namespace)
            found = _names(session, word) if session is not None else []
        except CpodError:
            found = []
        self._kept[key] = (time.monotonic(), found)
        return found


def _names(session: Session, word: str | None) -> list[str]:
    if word == "namespace":
        return [meta.name_of(item) for item in session.client.list(NAMESPACES).items]
    if word == "gpu":
        labels = [item["metadata"].get("labels") or {} for item in session.client.list(NODES).items]
        return sorted({entry["nvidia.com/gpu.product"] for entry in labels if "nvidia.com/gpu.product" in entry})
    if word in (None, ANY_JOB):
        kinds = {resource.kind for resource in RUN_ONCE}
        return [meta.name_of(obj) for obj in session.ls() if word is None or obj["kind"] in kinds]
    return [meta.name_of(obj) for obj in session.ls(word)]


def candidates(lines: list[str], names: Names) -> Iterable[str]:
    """What can stand at the end of the last line of a cell."""
    first = lines[0].lstrip()
    if not re.match(r"%%?cpod\b", first):
        return []
    words = first.split()
    if len(lines) == 1:
        return _on_the_line(words if not first.endswith(" ") else [*words, ""], first.startswith("%%"), names)
    if words[1:2] == ["eval"]:
        return _in_eval(lines[1:], names)
    if len(words) < 2 or words[1] not in grammar.SUBMITTED:
        return []
    return in_body(lines[1:], WORDS.get(words[1]), names)


def _on_the_line(words: list[str], cell: bool, names: Names) -> Iterable[str]:
    """The last of the words is the one being written."""
    if len(words) <= 2 and not words[-1].startswith("-"):
        return grammar.CELLS if cell else grammar.LINES[1:]
    command = words[1] if words[1] in (*grammar.CELLS, *grammar.LINES) else ""
    before = words[-2]
    if before in ("-n", "--namespace"):
        return names("namespace")
    if before == "--context":
        return ["engine"]
    if words[-1].startswith("-"):
        return grammar.parser_of(command).options
    if before == "--scorer" and command == "compare":
        return SCORERS
    if before == "--tasks" and command == "lm-eval":
        included = words[words.index("--include") + 1] if "--include" in words[:-3] else ""
        return tasks_in(included) if included else []
    if before.startswith("-") and grammar.parser_of(command).takes_value(before):
        return []
    if command == "ls":
        return WORDS
    if command == "upload":
        return ["as"] if len(words) == 4 else names(DATA) if len(words) == 3 else []
    if command == "help":
        return (*grammar.CELLS, *grammar.LINES[1:])
    if command == "connect":
        return ["engine"]
    if command == "scale" and len(words) > 3:
        return []
    if command in ("chat", "accuracy", "compare", "scale", "bench", "lm-eval"):
        return names("inference")
    if command in grammar.JOB_LINES:
        return names(ANY_JOB)
    if command == "delete" and len(words) == 3:
        return [*names(None), *WORDS]
    if command in grammar.ABOUT_ONE or command == "delete":
        return names(words[2] if command == "delete" and words[2] in WORDS else None)
    return names(command) if command in WORDS else []


def in_body(lines: Sequence[str], kind: Resource | None, names: Names) -> Iterable[str]:
    """What can stand at the end of the last line of a body; `kind` is None where it is whole manifests."""
    spot = bodies.spot(lines)
    if spot is None:
        return []
    path: Path = spot.path
    written = bodies.top_level(lines, "kind")
    if kind is None or written or bodies.top_level(lines, "apiVersion"):
        if not path and spot.key == "kind":
            return dict.fromkeys(resource.kind for resource in KNOWN)
        kind = next((resource for resource in KNOWN if resource.kind == written), kind)
        if not path and spot.key == "apiVersion":
            return dict.fromkeys(resource.api_version for resource in KNOWN)
        if kind is None:
            return [] if path or spot.key else ["apiVersion: ", "kind: ", "metadata: ", "spec: "]
        schema: Mapping[str, Any] = known_schema(kind)
        if path[:1] == ("metadata",):
            return [] if spot.key or len(path) > 1 else ["name: ", "namespace: ", "labels: ", "annotations: "]
        inner = path[1:] if path[:1] == ("spec",) else None
    else:
        schema, inner = _spec_schema(kind), path
    return _at(_descend(schema, path), spot.key, kind, inner, names)


def _in_eval(lines: Sequence[str], names: Names) -> Iterable[str]:
    """The fields of a comparison, what can be compared, and scorers with their options."""
    spot = bodies.spot(lines)
    if spot is None:
        return []
    if not spot.path and not spot.key:
        return [f"{field}: " for field in EVAL_FIELDS]
    if spot.path[:1] == ("targets",) or (not spot.path and spot.key == "targets"):
        return [*names("inference"), *names("model"), *names(ANY_JOB)]
    if not spot.path and spot.key == "rows":
        return [f"{{{{ {name} }}}}" for name in names(DATA)]
    above = (
        spot.path[2:] if spot.path[:2] == ("scorers", ITEM) else spot.path[1:] if spot.path[:1] == ("scorer",) else None
    )
    if spot.key == "scorer" or (above == () and spot.key in ("", ITEM)):
        return SCORERS
    return [f"{option}: " for option in options_of(above[0])] if above and len(above) == 1 and not spot.key else []


def _spec_schema(kind: Resource) -> Mapping[str, Any]:
    """What a body that is a spec may have: with the fields of the short form, where the kind has one."""
    schema: Mapping[str, Any] = (known_schema(kind).get("properties") or {}).get("spec") or {}
    if kind in TRAININGS.values() and shortforms.is_short(kind, {"image": ""}):
        short = shortforms.schema_of(kind)["properties"]
        return {**schema, "properties": {**short, **(schema.get("properties") or {})}}
    return schema


def _descend(schema: Mapping[str, Any], path: Path) -> Mapping[str, Any]:
    """The schema of what is at a path; empty where there is none."""
    for part in path:
        if part == ITEM:
            schema = schema.get("items") or {}
            continue
        further = schema.get("additionalProperties")
        schema = (schema.get("properties") or {}).get(part) or (further if isinstance(further, Mapping) else {})
    return schema


def _at(schema: Mapping[str, Any], key: str, kind: Resource, path: Path | None, names: Names) -> Iterable[str]:
    """Fields of a mapping, or with `key` the values of one of them; `path` is inside the spec, None outside."""
    if kind == FINETUNES and path == ("hyperParameters",):
        return ["auto"] if key else [f"{name}: " for name in HYPER_PARAMETERS]
    if kind == FINETUNES and path == ("config",):
        return _arguments(key)
    if not key:
        return [f"{name}: " for name in schema.get("properties") or {}]
    field = schema if key == ITEM else (schema.get("properties") or {}).get(key) or {}
    if path == () and key in _FIELDS:
        catalogue = [model.name for model in CATALOG] if kind == FINETUNES and key == "model" else []
        held = [f"{{{{ {name} }}}}" for name in names(DATA)] if key == FIELDS.get(kind) else []
        return [*names(_FIELDS[key]), *catalogue, *held]
    if field.get("type") == "boolean":
        return ["true", "false"]
    return [str(item) for item in field.get("enum") or [] if item]


def _arguments(key: str) -> Iterable[str]:
    """The trainer's arguments that a FineTune's `config` may have, or the values of one."""
    fields = {**lora_fields(), **trainer_fields()}
    if not key:
        return [f"{name}: " for name in fields if name not in RESERVED]
    found: list[str] = []
    for one in fields.get(key, []):
        found += one if isinstance(one, list) else ['"true"', '"false"'] if one == "bool" else []
    return found
