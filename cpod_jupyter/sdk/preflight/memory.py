"""Whether a fine-tune fits in memory, by the operator's own plan, and the largest setting that does. Pure.

The figures are those of `api/planning/memory.py`, whose docstring has the formulas and their sources; as the operator
does (`operator/builders/plan.clearly_too_much`), only what is far over the memory there is counts as an error.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from cpod_jupyter.api import meta, names
from cpod_jupyter.api.catalog import BaseModel
from cpod_jupyter.api.planning import Plan
from cpod_jupyter.api.planning.ways import refusal_of
from cpod_jupyter.api.resources import Object
from cpod_jupyter.operator.builders import plan as planning
from cpod_jupyter.operator.builders.finetune import spec_of
from cpod_jupyter.sdk.preflight.facts import Facts
from cpod_jupyter.sdk.preflight.storages import plan_facts
from cpod_jupyter.sdk.preflight.verdict import Finding

_SHORTEST, _SMALLEST_BATCH = 64, 1
_MIB = 1 << 20


def plan_for(facts: Facts, storage: Object | None, model: BaseModel | None, nodes: Sequence[Object]) -> Plan | None:
    """The operator's plan on these nodes; None when nothing tells how large the model is."""
    device = planning.device_of(spec_of(facts.obj), model, nodes, facts.settings)
    return planning.plan_of(facts.obj, plan_facts(facts, device, nodes, storage, model))


def memory(facts: Facts, storage: Object | None, model: BaseModel | None) -> Iterator[Finding]:
    """The plan, whether it fits, and what would fit where it doesn't."""
    nodes = facts.nodes
    if nodes is None:
        return
    plan = plan_for(facts, storage, model, nodes)
    if plan is None:
        yield Finding("note", "memory", "how much it takes is not known: nothing tells yet how large the model is")
        return
    if refusal := refusal_of(plan.request):
        yield Finding("error", "memory", refusal, "write finetuneType: lora")
        return
    there, needs = plan.request.memory_mib, plan.estimate.total
    of = f" of {there} MiB" if there else ""
    where = "each GPU" if plan.request.gpus else "the machine"
    if plan.fits:
        guess = " (the model's shape is a guess)" if plan.request.shape.approximate else ""
        yield Finding("note", "memory", f"about {needs} MiB{of} on {where}{guess}: {plan.choices}")
        yield from _free_memory(facts, plan)
        return
    forced = (facts.obj["metadata"].get("annotations") or {}).get(names.ANNOTATION_FORCE) == "true"
    level = "error" if planning.clearly_too_much(plan) and not forced else "warning"
    fitting = largest(facts, storage, model, nodes)
    advice = f"What fits: write {'; or '.join(fitting)}" if fitting else "; ".join(plan.advice)
    finding = f"it takes about {needs} MiB{of} on {where}"
    yield Finding("error" if level == "error" else "warning", "memory", finding, advice)


def _free_memory(facts: Facts, plan: Plan) -> Iterator[Finding]:
    if plan.request.gpus or facts.free_memory is None:
        return
    free = facts.free_memory // _MIB
    if plan.estimate.total > free:
        yield Finding(
            "warning", "memory",
            f"it takes about {plan.estimate.total} MiB, and {free} MiB of this machine are free now",
            "close what uses memory, or make hyperParameters.batch_size or config.max_length smaller",
        )  # fmt: skip


def largest(facts: Facts, storage: Object | None, model: BaseModel | None, nodes: Sequence[Object]) -> list[str]:
    """For each way to make it smaller, the values to write with which it fits, the largest of them."""
    plan = plan_for(facts, storage, model, nodes)
    spec = facts.obj["spec"]
    if plan is None:
        return []
    batches = _halves(plan.request.wanted_batch, _SMALLEST_BATCH)
    lengths = _halves(plan.request.length, _SHORTEST)
    ways: list[list[tuple[dict[str, Any], str]]] = [
        [({"hyperParameters": {"batch_size": str(b)}}, f"hyperParameters.batch_size: {b}") for b in batches],
        [({"config": {"max_length": str(n)}}, f"config.max_length: {n}") for n in lengths],
    ]
    if plan.work.finetune_type == "full":
        ways.append([({"finetuneType": "lora"}, "finetuneType: lora")])
    if plan.work.finetune_type != "qlora" and plan.request.gpus:
        ways.append([({"finetuneType": "qlora"}, "finetuneType: qlora")])
    found = [words for way in ways if (words := _first_that_fits(facts, storage, model, nodes, way))]
    if found:
        return found
    smallest = {"hyperParameters": {"batch_size": "1"}}
    kinds = [kind for kind in ("lora", "qlora") if kind != "qlora" or plan.request.gpus]
    both = [
        (
            {**smallest, "config": {"max_length": str(length)}, "finetuneType": kind},
            f"finetuneType: {kind}, hyperParameters.batch_size: 1 and config.max_length: {length}",
        )
        for kind in (kinds if spec.get("finetuneType") != "qlora" else ["qlora"])
        for length in (plan.request.length, *lengths)
    ]
    words = _first_that_fits(facts, storage, model, nodes, both)
    return [words] if words else []


def _first_that_fits(
    facts: Facts,
    storage: Object | None,
    model: BaseModel | None,
    nodes: Sequence[Object],
    way: Sequence[tuple[dict[str, Any], str]],
) -> str:
    spec = facts.obj["spec"]
    for change, words in way:
        changed = dict(spec)
        for field, value in change.items():
            changed[field] = {**(spec.get(field) or {}), **value} if isinstance(value, dict) else value
        if "batch_size" in (change.get("hyperParameters") or {}):
            left = (changed.get("config") or {}).items()
            changed["config"] = {key: value for key, value in left if key != "per_device_train_batch_size"}
        device = planning.device_of(spec_of(facts.obj), model, nodes, facts.settings)
        known = plan_facts(facts, device, nodes, storage, model)
        plan = planning.plan_of({**facts.obj, "spec": changed}, known)
        if plan is not None and plan.fits:
            return words
    return ""


def _halves(value: int, least: int) -> list[int]:
    """Smaller values, each half of the one before."""
    found = []
    while value // 2 >= least:
        value //= 2
        found.append(value)
    return found


def by_node(facts: Facts, storage: Object | None, model: BaseModel | None, free: dict[str, int]) -> Iterator[Finding]:
    """Of each node with GPUs: how many are free, and whether the fine-tune's share fits there."""
    for node in facts.nodes or ():
        name = meta.name_of(node)
        if name not in free:
            continue
        plan = plan_for(facts, storage, model, [node])
        fits = "its size is not known" if plan is None else "it fits" if plan.fits else "it does not fit in memory"
        yield Finding("note", "GPUs", f"node {name}: {free[name]} free, {fits}")
