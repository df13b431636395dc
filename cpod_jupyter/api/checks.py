"""What a schema says about one value alone: lengths, ranges, patterns, formats, choices.

Each check is a closure that answers None for a good value. The texts after `in body` are the schema
validator's of kube-openapi (`pkg/validation/errors`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cpod_jupyter.api.formats import INTEGERS, string_check
from cpod_jupyter.api.patterns import compiled
from cpod_jupyter.api.problem import Path, Problem, dotted, nearest, quoted


@dataclass(frozen=True)
class Fault:
    """What is wrong with a value, before it is known where it stands."""

    reason: str
    message: str
    detail: str
    """The server's text; `{field}` in it is the place."""

    def at(self, path: Path) -> Problem:
        detail = self.detail.replace("{field}", dotted(path), 1)
        return Problem(path, self.reason, self.message, detail)


Check = Callable[[Any], Fault | None]


def invalid(value: Any, body: str, message: str, reason: str = "FieldValueInvalid") -> Fault:
    """A fault worded by the schema validator: `VALUE: FIELD in body BODY`."""
    return Fault(reason, message, f"{quoted(value).replace('{field}', '{ field}')}: {{field}} in body {body}")


def equal(one: Any, other: Any) -> bool:
    """Whether two JSON values are the same; unlike Python, true is not 1."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(equal(value, other[name]) for name, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(equal, one, other))
    return bool(one == other)


def choices(schema: Mapping[str, Any]) -> Check | None:
    """`enum`."""
    allowed = schema.get("enum")
    if not allowed:
        return None

    def check(value: Any) -> Fault | None:
        if any(equal(value, choice) for choice in allowed):
            return None
        listed = ", ".join(quoted(choice if isinstance(choice, str) else quoted(choice)) for choice in allowed)
        hint = nearest(str(value), allowed)
        plain = ", ".join(f'"{choice}"' for choice in allowed)
        detail = f"{quoted(value)}: supported values: {listed}{hint}"
        return Fault("FieldValueNotSupported", f'"{value}" is not one of {plain}{hint}', detail)

    return check


def strings(schema: Mapping[str, Any]) -> tuple[Check, ...]:
    """`pattern`, `minLength`, `maxLength`, `format`."""
    found: list[Check] = []
    if pattern := schema.get("pattern"):
        found.append(_pattern(pattern))
    if (low := schema.get("minLength")) is not None:
        found.append(
            lambda value: (
                invalid(value, f"should be at least {low} chars long", f"must have at least {low} characters")
                if len(value) < low
                else None
            )
        )
    if (high := schema.get("maxLength")) is not None:
        long = Fault("FieldValueTooLong", f"must have at most {high} characters", f"may not be more than {high} bytes")
        found.append(lambda value: long if len(value) > high else None)
    if check := string_check(schema.get("format") or ""):
        found.append(_format(schema["format"], check))
    return tuple(found)


def _pattern(pattern: str) -> Check:
    try:
        search = compiled(pattern).search
    except ValueError:  # the definition was admitted before such patterns were refused
        return lambda value: None
    return lambda value: (
        None
        if search(value)
        else invalid(value, f"should match '{pattern}'", f"must match {pattern}, and {value!r} does not")
    )


def _format(name: str, check: Callable[[str], bool]) -> Check:
    what = "a quantity such as 2, 500m or 1.5Gi" if name == "quantity" else f"of the format {name}"

    def checked(value: str) -> Fault | None:
        if check(value):
            return None
        body = f"must be of type {name}: {quoted(value)}"
        return invalid(value, body, f"must be {what}, not {value!r}", "FieldValueTypeInvalid")

    return checked


def numbers(schema: Mapping[str, Any]) -> tuple[Check, ...]:
    """`minimum`, `maximum`, their exclusive forms, `multipleOf`, and an integer's format."""
    found: list[Check] = []
    if (low := schema.get("minimum")) is not None:
        found.append(_bound(low, bool(schema.get("exclusiveMinimum")), below=True))
    if (high := schema.get("maximum")) is not None:
        found.append(_bound(high, bool(schema.get("exclusiveMaximum")), below=False))
    if factor := schema.get("multipleOf"):
        found.append(
            lambda value: (
                invalid(value, f"should be a multiple of {factor}", f"must be a multiple of {factor}, not {value}")
                if abs(value / factor - round(value / factor)) > 1e-9
                else None
            )
        )
    if schema.get("type") == "integer" and (span := INTEGERS.get(schema.get("format") or "int64")):
        found.append(_range(schema.get("format") or "int64", *span))
    return tuple(found)


def _bound(limit: float, exclusive: bool, *, below: bool) -> Check:
    words = {
        (True, False): f"should be greater than or equal to {limit}",
        (True, True): f"should be greater than {limit}",
        (False, False): f"should be less than or equal to {limit}",
        (False, True): f"should be less than {limit}",
    }[below, exclusive]
    plain = {
        (True, False): f"must be at least {limit}",
        (True, True): f"must be more than {limit}",
        (False, False): f"must be at most {limit}",
        (False, True): f"must be less than {limit}",
    }[below, exclusive]

    def check(value: float) -> Fault | None:
        beyond = value < limit if below else value > limit
        if beyond or (exclusive and value == limit):
            return invalid(value, words, f"{plain}, not {value}")
        return None

    return check


def _range(name: str, low: int, high: int) -> Check:
    def check(value: float) -> Fault | None:
        if low <= value <= high:
            return None
        detail = f"{quoted(value)}: Checked value must be of type integer with format {name} in {{field}}"
        return Fault("FieldValueInvalid", f"must be an integer of {name[3:]} bits, not {value}", detail)

    return check


def lists(schema: Mapping[str, Any]) -> tuple[Check, ...]:
    """`minItems` and `maxItems`."""
    return _sized(schema.get("minItems"), schema.get("maxItems"), "items")


def mappings(schema: Mapping[str, Any]) -> tuple[Check, ...]:
    """`minProperties` and `maxProperties`."""
    return _sized(schema.get("minProperties"), schema.get("maxProperties"), "properties")


def _sized(low: int | None, high: int | None, what: str) -> tuple[Check, ...]:
    plain = "items" if what == "items" else "entries"
    found: list[Check] = []
    if low is not None:
        found.append(
            lambda value: (
                invalid(len(value), f"should have at least {low} {what}", f"must have at least {low} {plain}")
                if len(value) < low
                else None
            )
        )
    if high is not None:
        found.append(
            lambda value: (
                Fault(
                    "FieldValueTooMany",
                    f"must have at most {high} {plain}",
                    f"{len(value)}: must have at most {high} items",
                )
                if len(value) > high
                else None
            )
        )
    return tuple(found)
