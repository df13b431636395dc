"""Faults in the words of the API server, and the checks of metadata that every kind shares.

The wording follows apimachinery's `field.Error`; `objects` puts the kind of fault before each message.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from cpod_jupyter.api.quantity import parse_quantity
from cpod_jupyter.api.schema import Path, Problem

ANNOTATIONS_LIMIT = 256 * 1024
"""Bytes of all annotations of an object together (apimachinery, TotalAnnotationSizeLimitB)."""

_NAME_PART = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_PERCENT = re.compile(r"[0-9]+%")


def shown(value: Any) -> str:
    """A value as a message shows it: strings quoted, the rest as JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)


def required(path: Path, detail: str = "") -> Problem:
    return Problem(path, "FieldValueRequired", detail)


def invalid(path: Path, value: Any, detail: str) -> Problem:
    return Problem(path, "FieldValueInvalid", f"{shown(value)}: {detail}")


def immutable(path: Path, value: Any) -> Problem:
    return invalid(path, value, "field is immutable")


def forbidden(path: Path, detail: str) -> Problem:
    return Problem(path, "FieldValueForbidden", detail)


def duplicate(path: Path, value: Any) -> Problem:
    return Problem(path, "FieldValueDuplicate", shown(value))


def missing(path: Path, value: Any) -> Problem:
    """A reference to something that is not there (`Not found`)."""
    return Problem(path, "FieldValueNotFound", shown(value))


def too_long(path: Path, limit: int) -> Problem:
    return Problem(path, "FieldValueTooLong", f"may not be more than {limit} bytes")


def one_of(path: Path, value: Any, choices: tuple[str, ...]) -> Iterator[Problem]:
    """A fault when a value that is set is none of the choices."""
    if value is not None and value not in choices:
        listed = ", ".join(shown(choice) for choice in sorted(choices))
        yield Problem(path, "FieldValueNotSupported", f"{shown(value)}: supported values: {listed}")


def not_negative(path: Path, value: Any) -> Iterator[Problem]:
    if value is not None and value < 0:
        yield invalid(path, value, "must be greater than or equal to 0")


def positive(path: Path, value: Any) -> Iterator[Problem]:
    if value is not None and value <= 0:
        yield invalid(path, value, "must be greater than 0")


def int_or_percent(path: Path, value: Any) -> Iterator[Problem]:
    if isinstance(value, str) and not _PERCENT.fullmatch(value):
        yield invalid(path, value, "must be an integer or a percentage such as '25%'")
    elif isinstance(value, int):
        yield from not_negative(path, value)


def quantity(path: Path, value: Any) -> Iterator[Problem]:
    """A fault when the value is no quantity, or one below 0."""
    try:
        amount = parse_quantity(value)
    except ValueError:
        yield invalid(path, value, "quantities must be a number with an optional suffix, such as 500m or 1Gi")
        return
    if amount < Decimal(0):
        yield invalid(path, value, "must be greater than or equal to 0")


def is_qualified(name: str) -> bool:
    """`NAME` or `PREFIX/NAME`, as keys of labels and annotations are (apimachinery, IsQualifiedName)."""
    prefix, slash, rest = name.rpartition("/")
    if slash and (len(prefix) > 253 or not _SUBDOMAIN.fullmatch(prefix)):
        return False
    return _NAME_PART.fullmatch(rest) is not None


def is_label_value(value: Any) -> bool:
    return isinstance(value, str) and (not value or _NAME_PART.fullmatch(value) is not None)


def is_label_name(name: Any) -> bool:
    """A DNS label (RFC 1123), as names of containers and volumes are."""
    return isinstance(name, str) and _LABEL.fullmatch(name) is not None


def is_subdomain(name: Any) -> bool:
    return isinstance(name, str) and len(name) <= 253 and _SUBDOMAIN.fullmatch(name) is not None


def dns_label(path: Path, name: Any) -> Iterator[Problem]:
    if not name:
        yield required(path)
    elif not is_label_name(name):
        yield invalid(
            path, name, "must be a lowercase RFC 1123 label: lower-case letters, digits and '-', at most 63 characters"
        )


def labels(path: Path, found: Mapping[str, Any] | None) -> Iterator[Problem]:
    for key, value in (found or {}).items():
        if not is_qualified(key):
            yield invalid(path, key, "name part must be letters, digits, '-', '_' or '.', at most 63 characters")
        if not is_label_value(value):
            yield invalid(
                path, value,
                "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', "
                "at most 63 characters",
            )  # fmt: skip


def annotation_map(path: Path, found: Mapping[str, Any] | None) -> Iterator[Problem]:
    size = 0
    for key, value in (found or {}).items():
        size += len(key.encode()) + len(str(value).encode())
        if not is_qualified(key.lower()):
            yield invalid(path, key, "name part must be letters, digits, '-', '_' or '.', at most 63 characters")
    if size > ANNOTATIONS_LIMIT:
        yield too_long(path, ANNOTATIONS_LIMIT)


def metadata(found: Mapping[str, Any]) -> Iterator[Problem]:
    """Faults of an object's own metadata (apimachinery, ValidateObjectMeta); its name is checked elsewhere."""
    here: Path = ("metadata",)
    yield from labels((*here, "labels"), found.get("labels"))
    yield from annotation_map((*here, "annotations"), found.get("annotations"))
    for finalizer in found.get("finalizers") or []:
        if not is_qualified(finalizer):
            yield invalid((*here, "finalizers"), finalizer, "must be a qualified name, such as example.com/hold")
    controllers = 0
    for index, reference in enumerate(found.get("ownerReferences") or []):
        at: Path = (*here, "ownerReferences", index)
        for field, word in (("apiVersion", "version"), ("kind", "kind"), ("name", "name"), ("uid", "uid")):
            if not reference.get(field):
                yield invalid((*at, field), reference.get(field) or "", f"{word} must not be empty")
        controllers += bool(reference.get("controller"))
    if controllers > 1:
        yield invalid(
            (*here, "ownerReferences"),
            found["ownerReferences"],
            f"Only one reference can have Controller set to true, and {controllers} have",
        )


_OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist")


def label_selector(path: Path, selector: Mapping[str, Any]) -> Iterator[Problem]:
    """Faults of a LabelSelector (matchLabels, matchExpressions)."""
    yield from labels((*path, "matchLabels"), selector.get("matchLabels"))
    for index, term in enumerate(selector.get("matchExpressions") or []):
        at: Path = (*path, "matchExpressions", index)
        operator, values = term.get("operator"), term.get("values") or []
        if operator not in _OPERATORS:
            yield invalid((*at, "operator"), operator, "not a valid selector operator")
        elif operator in ("In", "NotIn") and not values:
            yield required((*at, "values"), "must be specified when `operator` is 'In' or 'NotIn'")
        elif operator in ("Exists", "DoesNotExist") and values:
            yield forbidden((*at, "values"), "may not be specified when `operator` is 'Exists' or 'DoesNotExist'")
        if not is_qualified(str(term.get("key") or "")):
            yield invalid((*at, "key"), term.get("key"), "must be the name of a label")


def selector_and_template(spec: Mapping[str, Any], kind: str, path: Path = ("spec",)) -> Iterator[Problem]:
    """A workload's selector, which must be there and select its own template's labels."""
    selector = spec.get("selector")
    here: Path = (*path, "selector")
    if selector is None:
        yield required(here)
        return
    found = list(label_selector(here, selector))
    yield from found
    if not selector.get("matchLabels") and not selector.get("matchExpressions"):
        yield invalid(here, selector, f"empty selector is invalid for {kind}")
    template = ((spec.get("template") or {}).get("metadata") or {}).get("labels") or {}
    if not found and not selects(selector, template):
        place: Path = (*path, "template", "metadata", "labels")
        yield invalid(place, template, "`selector` does not match template `labels`")


def selects(selector: Mapping[str, Any], found: Mapping[str, str]) -> bool:
    """Whether a LabelSelector matches labels; an empty one matches all."""
    for key, value in (selector.get("matchLabels") or {}).items():
        if found.get(key) != value:
            return False
    for term in selector.get("matchExpressions") or []:
        key, values = term["key"], term.get("values") or []
        holds = {
            "In": key in found and found[key] in values,
            "NotIn": found.get(key) not in values,
            "Exists": key in found,
            "DoesNotExist": key not in found,
        }
        if not holds[term["operator"]]:
            return False
    return True
