"""batch/v1 Jobs: defaults, the generated selector, faults, and what of a Job may change."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from cpod_jupyter.api.resources import Object
from cpod_jupyter.api.schema import Path, Problem
from cpod_jupyter.engine.strategies import faults
from cpod_jupyter.engine.strategies.pods import spec_defaults, template_faults

_UID_LABEL = "batch.kubernetes.io/controller-uid"
_MOST_INDEXES = 100_000
_POLICY_ACTIONS = ("Count", "FailIndex", "FailJob", "Ignore")


def job_defaults(job: Object) -> None:
    spec = job.setdefault("spec", {})
    if spec.get("parallelism") is None and spec.get("completions") is None:
        spec["parallelism"] = spec["completions"] = 1
    spec.setdefault("parallelism", 1)
    spec.setdefault("backoffLimit", 2**31 - 1 if spec.get("backoffLimitPerIndex") is not None else 6)
    spec.setdefault("completionMode", "NonIndexed")
    spec.setdefault("suspend", False)
    spec.setdefault("manualSelector", False)
    spec.setdefault("podReplacementPolicy", "Failed" if spec.get("podFailurePolicy") else "TerminatingOrFailed")
    for rule in (spec.get("podFailurePolicy") or {}).get("rules") or []:
        for condition in rule.get("onPodConditions") or []:
            condition.setdefault("status", "True")
    spec_defaults(spec.setdefault("template", {}).setdefault("spec", {}))


def new_job(job: Object) -> None:
    """The labels and the selector that tie a Job to its pods (Jobs, "Specifying your own Pod selector")."""
    spec, metadata = job["spec"], job["metadata"]
    if spec.get("manualSelector"):
        return
    own = {"batch.kubernetes.io/job-name": metadata["name"], _UID_LABEL: metadata["uid"]}
    old = {"controller-uid": metadata["uid"], "job-name": metadata["name"]}
    template = spec["template"].setdefault("metadata", {})
    template["labels"] = {**(template.get("labels") or {}), **own, **old}
    spec.setdefault("selector", {"matchLabels": {_UID_LABEL: metadata["uid"]}})


def job_faults(job: Object) -> Iterator[Problem]:
    spec = job["spec"]
    here: Path = ("spec",)
    for name in ("parallelism", "completions", "backoffLimit", "activeDeadlineSeconds", "ttlSecondsAfterFinished",
                 "backoffLimitPerIndex", "maxFailedIndexes"):  # fmt: skip
        yield from faults.not_negative((*here, name), spec.get(name))
    yield from faults.selector_and_template(spec, "job")
    yield from template_faults(spec["template"], (*here, "template"))
    policy = spec["template"]["spec"].get("restartPolicy")
    place: Path = (*here, "template", "spec", "restartPolicy")
    if policy not in ("OnFailure", "Never"):
        yield faults.required(place, 'valid values: "OnFailure", "Never"')
    elif spec.get("podFailurePolicy") and policy != "Never":
        yield faults.invalid(place, policy, 'only "Never" is supported when podFailurePolicy is specified')
    yield from faults.one_of((*here, "completionMode"), spec["completionMode"], ("Indexed", "NonIndexed"))
    yield from faults.one_of(
        (*here, "podReplacementPolicy"), spec["podReplacementPolicy"],
        ("Failed",) if spec.get("podFailurePolicy") else ("Failed", "TerminatingOrFailed"),
    )  # fmt: skip
    yield from _indexes(spec, here)
    yield from _failure_rules(spec, (*here, "podFailurePolicy", "rules"))
    manager = str(spec.get("managedBy") or "")
    if manager and ("/" not in manager or len(manager) > 63 or not faults.is_qualified(manager)):
        yield faults.invalid((*here, "managedBy"), manager, 'must be a domain-prefixed path (such as "acme.io/foo")')


def _indexes(spec: Mapping[str, Any], here: Path) -> Iterator[Problem]:
    indexed, completions = spec["completionMode"] == "Indexed", spec.get("completions")
    if indexed:
        if completions is None:
            yield faults.required((*here, "completions"), "when completion mode is Indexed")
        for name in ("parallelism", "completions"):
            if (spec.get(name) or 0) > _MOST_INDEXES:
                text = f"must be less than or equal to {_MOST_INDEXES} when completion mode is Indexed"
                yield faults.invalid((*here, name), spec[name], text)
    else:
        for name in ("backoffLimitPerIndex", "maxFailedIndexes"):
            if spec.get(name) is not None:
                yield faults.invalid((*here, name), spec[name], "requires indexed completion mode")
        if spec.get("successPolicy"):
            yield faults.invalid((*here, "successPolicy"), spec["successPolicy"], "requires indexed completion mode")
    failed = spec.get("maxFailedIndexes")
    if failed is not None and spec.get("backoffLimitPerIndex") is None:
        yield faults.required((*here, "backoffLimitPerIndex"), "when maxFailedIndexes is specified")
    if failed is not None and completions is not None and failed > completions:
        yield faults.invalid((*here, "maxFailedIndexes"), failed, "must be less than or equal to completions")
    if (success := spec.get("successPolicy")) is not None:
        if not success.get("rules"):
            yield faults.required((*here, "successPolicy", "rules"), "at least one rules must be specified")
        for number, rule in enumerate(success.get("rules") or []):
            at: Path = (*here, "successPolicy", "rules", number)
            if rule.get("succeededCount") is None and rule.get("succeededIndexes") is None:
                yield faults.required(at, "at least one of succeededCount or succeededIndexes must be specified")
            text = rule.get("succeededIndexes")
            if text is not None and parsed_indexes(str(text)) is None:
                yield faults.invalid((*at, "succeededIndexes"), text, "must be indexes and intervals such as 0,2-4")


def parsed_indexes(text: str) -> set[int] | None:
    """`1,3-5` as numbers; None when it is not of that form."""
    found: set[int] = set()
    for part in filter(None, text.split(",")):
        first, dash, last = part.partition("-")
        if not first.isdigit() or (dash and not last.isdigit()):
            return None
        end = int(last) if dash else int(first)
        if end < int(first) or end > _MOST_INDEXES:
            return None
        found.update(range(int(first), end + 1))
    return found


def _failure_rules(spec: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    for index, rule in enumerate((spec.get("podFailurePolicy") or {}).get("rules") or []):
        at: Path = (*path, index)
        yield from faults.one_of((*at, "action"), rule.get("action"), _POLICY_ACTIONS)
        if rule.get("action") == "FailIndex" and spec.get("backoffLimitPerIndex") is None:
            yield faults.invalid((*at, "action"), "FailIndex", "requires the backoffLimitPerIndex to be set")
        codes, conditions = rule.get("onExitCodes"), rule.get("onPodConditions")
        if not codes and not conditions:
            yield faults.invalid(at, "", "specifying one of OnExitCodes and OnPodConditions is required")
        if codes and conditions:
            yield faults.invalid(at, "", "specifying both OnExitCodes and OnPodConditions is not supported")
        if codes:
            yield from faults.one_of((*at, "onExitCodes", "operator"), codes.get("operator"), ("In", "NotIn"))
            if not codes.get("values"):
                yield faults.invalid((*at, "onExitCodes", "values"), [], "at least one value is required")
            if codes.get("operator") == "In" and 0 in (codes.get("values") or []):
                number = codes["values"].index(0)
                yield faults.invalid((*at, "onExitCodes", "values", number), 0, "must not be 0 for the In operator")


_FIXED = ("completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy", "selector")


def job_change(old: Object, new: Object) -> Iterator[Problem]:
    before, after = old["spec"], new["spec"]
    for name in _FIXED:
        if before.get(name) != after.get(name):
            yield faults.immutable(("spec", name), after.get(name))
    if before.get("completions") != after.get("completions"):
        elastic = after["completionMode"] == "Indexed" and after.get("completions") == after.get("parallelism")
        if not elastic:
            yield faults.immutable(("spec", "completions"), after.get("completions"))
    started = (old.get("status") or {}).get("startTime")
    if _fixed(before["template"], bool(before.get("suspend")) and not started) != _fixed(
        after["template"], bool(before.get("suspend")) and not started
    ):
        yield faults.immutable(("spec", "template"), after["template"])


def _fixed(template: Mapping[str, Any], held: bool) -> dict[str, Any]:
    """The part of a template that may not change; where pods go may, of a Job that is suspended and never ran."""
    if not held:
        return dict(template)
    scheduling = ("nodeSelector", "tolerations", "affinity", "schedulingGates")
    spec = {key: value for key, value in (template.get("spec") or {}).items() if key not in scheduling}
    return {"spec": spec}
