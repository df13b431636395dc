"""From facts to findings. Pure: each rule says in its docstring where it comes from."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal

from cpod_jupyter.api import meta, names, scheduling
from cpod_jupyter.api.catalog import BaseModel, find_model
from cpod_jupyter.api.resources import FINETUNES, Object
from cpod_jupyter.operator import admission
from cpod_jupyter.operator.builders import plan as planning
from cpod_jupyter.operator.builders.finetune import spec_of
from cpod_jupyter.operator.objects import Refused
from cpod_jupyter.sdk.kinds import word_of
from cpod_jupyter.sdk.preflight.asks import GPU, PRODUCT, Pods, named_storages, pods_of, with_gpus
from cpod_jupyter.sdk.preflight.facts import Facts
from cpod_jupyter.sdk.preflight.memory import by_node, memory
from cpod_jupyter.sdk.preflight.storages import base_of, storage_of
from cpod_jupyter.sdk.preflight.verdict import Finding, Verdict
from cpod_jupyter.sdk.states import State, status_of
from cpod_jupyter.sdk.words import span

_SHOWN_ROWS = 20
_DEFAULT_EPOCHS = 3.0
"""The trainer's (transformers, TrainingArguments.num_train_epochs; ours leaves it)."""
_ORDER = {"error": 0, "warning": 1, "note": 2}


def judge(facts: Facts) -> Verdict:
    """Everything that can be said, errors first; what could not be asked is noted."""
    found = [*_admission(facts), *_names(facts), *_secrets(facts), *_rows(facts)]
    if facts.resource == FINETUNES:
        storage, model = base_of(facts)
        if storage is not None or model is not None:
            found += [*_gpus(facts, _finetune_pods(facts, model)), *memory(facts, storage, model)]
            found += list(by_node(facts, storage, model, free_gpus(facts)))
    else:
        found += list(_gpus(facts, pods_of(facts.resource, facts.obj)))
    found += list(_time(facts))
    found += [Finding("note", about, f"not looked at: {why}") for about, why in facts.unread.items()]
    title = f"{word_of(facts.resource)}/{meta.name_of(facts.obj)}"
    return Verdict(title, tuple(sorted(found, key=lambda finding: _ORDER[finding.level])))


def _admission(facts: Facts) -> Iterator[Finding]:
    """What the server answers to a dry run (Kubernetes API concepts, "Dry-run"), and the operator's own check."""
    if facts.refusal is not None:
        yield Finding("error", "server", str(facts.refusal))
        return
    try:
        admission.check(facts.obj)
    except Refused as error:
        yield Finding("error", "operator", str(error))


def _names(facts: Facts) -> Iterator[Finding]:
    """Storages that are named: whether they are there, and how far (as operator/lookup.wanted_storage has it)."""
    for named in named_storages(facts.resource, facts.obj):
        own = facts.models if named.kind == "model" else facts.datasets
        public = facts.public_models if named.kind == "model" else facts.public_datasets
        there = public if named.public else own
        storage = storage_of(facts, named)
        model = find_model(named.name, facts.catalogue) if storage is None and named.catalogue else None
        if model is not None and model.source:
            yield Finding("note", "model", f"{named.name} is of the catalogue, and is fetched from {model.source}")
            continue
        if storage is None and (there is None or names.is_copy(named.name)):
            continue
        if storage is None:
            known = [meta.name_of(item) for item in there or ()]
            near = difflib.get_close_matches(named.name, known, 1)
            hint = f'did you mean "{near[0]}"?' if near else f"%cpod {named.kind}s shows which there are"
            where = "among the public ones" if named.public else f"in namespace {meta.namespace_of(facts.obj)}"
            yield Finding("error", named.kind, f'{named.field}: there is no {named.kind} "{named.name}" {where}', hint)
            continue
        status = status_of(storage)
        if status.state is State.FAILED:
            yield Finding(
                "error", named.kind, f"the {named.kind} {named.name} failed: {status.message}",
                f"delete the {named.kind}, mend its cell and run it again",
            )  # fmt: skip
        elif not status.state.good:
            yield Finding("warning", named.kind, f"{named.name} is not there yet ({status.phase}): it is waited for")


def _secrets(facts: Facts) -> Iterator[Finding]:
    """A pod with a Secret that is missing stays in CreateContainerConfigError (Kubernetes, "Secrets")."""
    for name, there in sorted(facts.secrets.items()):
        if not there:
            yield Finding(
                "error", "secrets", f"there is no Secret {name} in namespace {meta.namespace_of(facts.obj)}",
                f"kubectl create secret generic {name}",
            )  # fmt: skip


def _rows(facts: Facts) -> Iterator[Finding]:
    """Rows by the trainer's own check (api/chatrows.py); the tokens are a rule of thumb, and said to be one."""
    data = facts.data
    if data is None:
        return
    if data.faults:
        shown = "; ".join(data.faults[:_SHOWN_ROWS])
        more = f"; and {len(data.faults) - _SHOWN_ROWS} more" if len(data.faults) > _SHOWN_ROWS else ""
        yield Finding(
            "error", "data", f"{len(data.faults)} of {data.rows} rows are wrong: {shown}{more}",
            "correct them, and make the dataset anew from the corrected file",
        )  # fmt: skip
    elif not data.rows:
        yield Finding("error", "data", "the dataset has no rows")
    else:
        first = "" if data.whole else "the first "
        yield Finding("note", "data", f"{first}{data.rows} rows are sound, about {data.tokens} tokens (4 letters each)")


def _finetune_pods(facts: Facts, model: BaseModel | None) -> list[Pods]:
    """The pods that the operator would make, by its own choice of the device."""
    device = planning.device_of(spec_of(facts.obj), model, facts.nodes or (), facts.settings)
    replicas = planning.facts_for(device, facts.nodes or (), None).replicas
    return [Pods("worker", replicas, with_gpus(device.gpus // replicas, device.product))]


def free_gpus(facts: Facts) -> dict[str, int]:
    """Of each node that has GPUs, by its name: those that no pod has taken."""
    found = {}
    for node in facts.nodes or ():
        if offered := _offered(node):
            name = meta.name_of(node)
            found[name] = offered - int(scheduling.used_on(name, facts.pods or ()).get(GPU, 0))
    return found


def _gpus(facts: Facts, wanted: Sequence[Pods]) -> Iterator[Finding]:
    """By the scheduler's rules (api/scheduling.py): what no empty node could hold is an error, what none can hold now
    waits. A pod waits behind those that wait for the same GPUs and are older, as the scheduler's queue has them."""
    if facts.nodes is None:
        return
    for pods in wanted:
        if (never := scheduling.never_fits(pods.spec, facts.nodes)) and pods.replicas:
            most = max((_offered(node) for node in facts.nodes), default=0)
            asked = f"asks for {pods.gpus} GPUs" + _of_type(pods) if pods.gpus else "asks for more than there is"
            advice = f"the most that a node has is {most}: ask for fewer, or use another cluster (--context)"
            what = f"each {pods.role} {asked}, and no node could ever run it: {never}"
            yield Finding("error", "GPUs" if pods.gpus else "nodes", what, advice if pods.gpus else "ask for less")
            return
    total = sum(pods.gpus * pods.replicas for pods in wanted)
    if not _placed(facts.nodes, (), wanted):
        most = sum(map(_offered, facts.nodes))
        yield Finding(
            "error", "GPUs" if total else "nodes", "all nodes together, were they empty, could not run all its pods",
            f"it asks for {total} GPUs, and all nodes have {most}: ask for fewer" if total else "ask for fewer pods",
        )  # fmt: skip
        return
    if facts.pods is None or not any(pods.gpus for pods in wanted):
        return
    if _placed(facts.nodes, facts.pods, wanted):
        yield Finding("note", "GPUs", f"{total} are free for it now")
        return
    product = next((str(pods.spec.get("nodeSelector", {}).get(PRODUCT, "")) for pods in wanted if pods.gpus), "")
    before = [pod for pod in facts.pods if _waits(pod) and _same_type(pod, product)]
    holders = [pod for pod in facts.pods if pod["spec"].get("nodeName") and _gpus_of(pod) and _goes(pod)]
    held = ", ".join(f"{meta.namespace_of(pod)}/{meta.name_of(pod)} ({_gpus_of(pod)})" for pod in holders[:8])
    more = f" and {len(holders) - 8} more" if len(holders) > 8 else ""
    yield Finding(
        "warning", "GPUs",
        f"it asks for {total}, and so many are not free now: it waits, behind {len(before)} pods that wait for the "
        f"same GPUs; held by {held or 'no pod'}{more}",
        "it starts by itself when they are free; or ask for fewer",
    )  # fmt: skip


def _placed(nodes: Sequence[Object], pods: Sequence[Object], wanted: Sequence[Pods]) -> bool:
    """Whether all that is wanted finds a node beside those pods, the largest first."""
    used: dict[str, Mapping[str, Decimal]] = {
        meta.name_of(node): scheduling.used_on(meta.name_of(node), pods) for node in nodes
    }
    for group in sorted(wanted, key=lambda group: -group.gpus):
        asked = scheduling.requests(group.spec)
        for _ in range(group.replicas):
            name = next(
                (meta.name_of(n) for n in nodes if not scheduling.misfits(group.spec, n, used[meta.name_of(n)])), None
            )
            if name is None:
                return False
            keys = {*used[name], *asked}
            used[name] = {key: used[name].get(key, Decimal(0)) + asked.get(key, Decimal(0)) for key in keys}
    return True


def _offered(node: Object) -> int:
    return int(scheduling.allocatable(node, GPU))


def _of_type(pods: Pods) -> str:
    product = (pods.spec.get("nodeSelector") or {}).get(PRODUCT)
    return f" of type {product}" if product else ""


def _gpus_of(pod: Object) -> int:
    return int(scheduling.requests(pod["spec"]).get(GPU, 0))


def _goes(pod: Object) -> bool:
    return (pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed")


def _waits(pod: Object) -> bool:
    return not pod["spec"].get("nodeName") and _gpus_of(pod) > 0 and _goes(pod)


def _same_type(pod: Object, product: str) -> bool:
    asked = (pod["spec"].get("nodeSelector") or {}).get(PRODUCT, "")
    return not product or not asked or asked == product


def _time(facts: Facts) -> Iterator[Finding]:
    """Tokens of the data times epochs, by the speed that an earlier run of the model has reported: else unknown."""
    if facts.resource != FINETUNES:
        return
    data, speed = facts.data, facts.speed
    if data is None or not data.tokens or not data.whole or data.faults or speed is None:
        lacking = "no earlier run of this model here tells its speed" if speed is None else "the data are not known"
        yield Finding("note", "time", f"how long it takes is not known: {lacking}")
        return
    spec = facts.obj["spec"]
    if "max_steps" in (spec.get("config") or {}):
        yield Finding("note", "time", "how long it takes is not known: config.max_steps ends it before the data do")
        return
    given = (spec.get("config") or {}).get("num_train_epochs") or (spec.get("hyperParameters") or {}).get("n_epochs")
    epochs = _DEFAULT_EPOCHS if given in (None, "auto") else float(given)
    seconds = data.tokens * epochs / speed.tokens_per_second
    basis = f"{data.tokens} tokens x {epochs:g} epochs at {speed.tokens_per_second:.0f} tokens/s, as {speed.run} had"
    yield Finding("note", "time", f"about {span(seconds)} of training: {basis}")
