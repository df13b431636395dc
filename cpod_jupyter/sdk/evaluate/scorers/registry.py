"""Scorers by name, as YAML and the command line give them."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pydantic
import yaml

from cpod_jupyter.api.schema import nearest
from cpod_jupyter.errors import CpodError
from cpod_jupyter.sdk.evaluate.scorers.base import Function, Scorer
from cpod_jupyter.sdk.evaluate.scorers.choice import Choice
from cpod_jupyter.sdk.evaluate.scorers.code import Code
from cpod_jupyter.sdk.evaluate.scorers.embedding import Embedding
from cpod_jupyter.sdk.evaluate.scorers.judge import Judge, JudgePair
from cpod_jupyter.sdk.evaluate.scorers.match import Numeric, Regex, contains, exact, normalised
from cpod_jupyter.sdk.evaluate.scorers.structure import JsonSchema
from cpod_jupyter.sdk.evaluate.scorers.texts import Bleu, Chrf, Rouge

Wanted = str | Scorer | Callable[..., Any] | Mapping[str, Any]
"""A scorer's name, one with options as `{name: {option: value}}`, a scorer, or a function of the answer and the right
one."""

_FUNCTIONS: dict[str, Callable[[str, str], float]] = {"contains": contains, "exact": exact, "normalised": normalised}
_CLASSES: dict[str, type[Scorer]] = {
    "regex": Regex, "numeric": Numeric, "choice": Choice, "json_schema": JsonSchema, "rouge": Rouge, "bleu": Bleu,
    "chrf": Chrf, "embedding": Embedding, "judge": Judge, "judge_pair": JudgePair, "code": Code,
}  # fmt: skip
SCORERS = (*_FUNCTIONS, *_CLASSES)
"""The names there are."""


def options_of(name: str) -> list[str]:
    """The options that a scorer takes; none for a name that there is not."""
    kind = _CLASSES.get(name)
    if kind is None:
        return ["name"] if name in _FUNCTIONS else []
    return [field.name for field in dataclasses.fields(kind) if field.init]  # type: ignore[arg-type]


def scorer_of(wanted: Wanted, own: Mapping[str, Any] | None = None) -> Scorer:
    """A scorer, from its name or as it is; `own` are functions that may be named too. Raises CpodError."""
    if isinstance(wanted, Scorer):
        return wanted
    if isinstance(wanted, Mapping):
        if len(wanted) != 1:
            raise CpodError("a scorer with options is one name and its options: {rouge: {kind: rougeL}}")
        ((name, options),) = wanted.items()
        return _named(str(name), options or {}, own or {})
    if isinstance(wanted, str):
        return _named(wanted, {}, own or {})
    if callable(wanted):
        return Function(wanted, takes_row=_takes_row(wanted))
    raise CpodError(f"a scorer is a name or a function of the answer and the right one, not {wanted!r}")


def scorers_of(wanted: Wanted | Sequence[Wanted], own: Mapping[str, Any] | None = None) -> list[Scorer]:
    """One or several, of different names. Raises CpodError."""
    each: Sequence[Any] = wanted if isinstance(wanted, Sequence) and not isinstance(wanted, str) else [wanted]
    found = [scorer_of(one, own) for one in each]
    if not found:
        raise CpodError("there is no scorer to score with")
    called = [scorer.name for scorer in found]
    if twice := next((name for name in called if called.count(name) > 1), ""):
        raise CpodError(f'there are two scorers "{twice}"; give one of them another name: {{{twice}: {{name: other}}}}')
    return found


def written(text: str) -> Wanted:
    """A scorer as the command line has it: a name, or YAML such as `rouge: {kind: rouge1}`. Raises CpodError."""
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise CpodError(f"{text!r} is neither the name of a scorer nor YAML") from error
    return value if isinstance(value, Mapping) else text


def _named(name: str, options: Any, own: Mapping[str, Any]) -> Scorer:
    held = own.get(name)
    if isinstance(held, Scorer) and not options:
        return held
    if callable(held) and not isinstance(held, type) and name not in SCORERS:
        return _function(held, name, options)
    if name in _FUNCTIONS:
        return _function(_FUNCTIONS[name], name, options)
    if name not in _CLASSES:
        hint = nearest(name, SCORERS) or f"; there are {', '.join(SCORERS)}"
        raise CpodError(f'there is no scorer "{name}"{hint}, or give a function of the answer and the right one')
    _check_options(name, options)
    try:
        return pydantic.TypeAdapter(_CLASSES[name]).validate_python(options)
    except pydantic.ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(str(part) for part in fault["loc"])
        raise CpodError(f"the scorer {name}: {where}: {fault['msg']}") from error


def _function(function: Callable[..., Any], name: str, options: Any) -> Scorer:
    _check_options("contains", options, name)
    return Function(function, str(options.get("name") or name), _takes_row(function))


def _check_options(name: str, options: Any, shown: str = "") -> None:
    known, shown = options_of(name), shown or name
    if not isinstance(options, Mapping):
        raise CpodError(f"the options of the scorer {shown} are a mapping, not {options!r}")
    for option in options:
        if option not in known:
            hint = nearest(str(option), known) or f"; there are {', '.join(known)}"
            raise CpodError(f'the scorer {shown} has no option "{option}"{hint}')


def _takes_row(function: Callable[..., Any]) -> bool:
    """Whether it must be given a third argument."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # a built-in one
        return False
    wanted = [each for each in parameters if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]
    return len([each for each in wanted if each.default is each.empty]) >= 3
