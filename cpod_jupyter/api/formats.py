"""The string formats that the API server checks in a CustomResourceDefinition's schema.

The list is that of apiextensions-apiserver, `pkg/apiserver/validation/formats.go`; a format that is not
in it means nothing to the server, and nothing here.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import ipaddress
import re
import urllib.parse
from collections.abc import Callable

from cpod_jupyter.api.quantity import is_quantity

_HEX = "[0-9a-fA-F]"
_TEXTS = {
    "bsonobjectid": rf"{_HEX}{{24}}",
    "email": r"[^@\s<>]+@[^@\s<>]+",
    "mac": rf"({_HEX}{{2}}([:-]{_HEX}{{2}}){{5}}(([:-]{_HEX}{{2}}){{2}})?|({_HEX}{{4}}\.){{2,3}}{_HEX}{{4}})",
    "uuid": rf"{_HEX}{{8}}-?({_HEX}{{4}}-?){{3}}{_HEX}{{12}}",
    "uuid3": rf"{_HEX}{{8}}-?{_HEX}{{4}}-?3{_HEX}{{3}}-?{_HEX}{{4}}-?{_HEX}{{12}}",
    "uuid4": rf"{_HEX}{{8}}-?{_HEX}{{4}}-?4{_HEX}{{3}}-?[89abAB]{_HEX}{{3}}-?{_HEX}{{12}}",
    "uuid5": rf"{_HEX}{{8}}-?{_HEX}{{4}}-?5{_HEX}{{3}}-?[89abAB]{_HEX}{{3}}-?{_HEX}{{12}}",
    "ssn": r"[0-9]{3}[- ]?[0-9]{2}[- ]?[0-9]{4}",
    "hexcolor": rf"#?({_HEX}{{3}}|{_HEX}{{6}})",
    "creditcard": r"(4\d{12}(\d{3})?|5[1-5]\d{14}|6(011|5\d\d)\d{12}|3[47]\d{13}|3(0[0-5]|[68]\d)\d{11}|(2131|1800|35\d{3})\d{11})",  # noqa: E501
    "duration": r"[+-]?(0|((\d+(\.\d*)?|\.\d+)\s*(ns|us|µs|μs|ms|s|m|h|d|w|days?|hours?|minutes?|seconds?)\s*)+)",
    "k8sshortname": r"(?=.{1,63}\Z)[a-z0-9]([-a-z0-9]*[a-z0-9])?",
    "k8slongname": r"(?=.{1,253}\Z)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*",
}
_HOST_LABEL = re.compile(r"[a-zA-Z0-9_]([-a-zA-Z0-9_]{0,61}[a-zA-Z0-9_])?")
_COLOR = r"(25[0-5]|2[0-4]\d|1?\d?\d)"
_TEXTS["rgbcolor"] = rf"rgb\(\s*{_COLOR}\s*,\s*{_COLOR}\s*,\s*{_COLOR}\s*\)"
_DATE_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d([.,]\d+)?([Zz]|[+-]\d\d:?\d\d)?", re.ASCII)


def _parses(parse: Callable[[str], object]) -> Callable[[str], bool]:
    def check(text: str) -> bool:
        try:
            parse(text)
        except (ValueError, binascii.Error):
            return False
        return True

    return check


def _uri(text: str) -> bool:
    try:
        parts = urllib.parse.urlsplit(text)
    except ValueError:
        return False
    whole = bool(parts.scheme) and bool(parts.netloc or parts.path)
    return (whole or text.startswith("/")) and not re.search(r"[\s\x00-\x1f\x7f]", text)


def _hostname(text: str) -> bool:
    """RFC 1034, section 3.1; a dot at the end is the root's."""
    return len(text) <= 255 and all(_HOST_LABEL.fullmatch(label) for label in text.removesuffix(".").split("."))


def _date_time(text: str) -> bool:
    """RFC 3339's date-time, with what strfmt lets pass besides: a space for the T, no zone."""
    if not _DATE_TIME.fullmatch(text):
        return False
    return _parses(dt.datetime.fromisoformat)(re.sub(r"[.,]\d+", "", text[:10] + "T" + text[11:]).upper())


def _isbn(*lengths: int) -> Callable[[str], bool]:
    def check(text: str) -> bool:
        digits = re.sub(r"[\s-]", "", text)
        if len(digits) not in lengths:
            return False
        if len(digits) == 10 and re.fullmatch(r"\d{9}[\dXx]", digits):
            return sum((10 - i) * (10 if d in "Xx" else int(d)) for i, d in enumerate(digits)) % 11 == 0
        return digits.isdecimal() and sum(int(d) * (3 if i % 2 else 1) for i, d in enumerate(digits)) % 10 == 0

    return check


def _matches(pattern: str) -> Callable[[str], bool]:
    compiled = re.compile(pattern, re.ASCII)
    return lambda text: compiled.fullmatch(text) is not None


CHECKS: dict[str, Callable[[str], bool]] = {
    **{name: _matches(pattern) for name, pattern in _TEXTS.items()},
    "creditcard": lambda text: re.fullmatch(_TEXTS["creditcard"], re.sub(r"\D+", "", text)) is not None,
    "uri": _uri,
    "hostname": _hostname,
    "ipv4": _parses(ipaddress.IPv4Address),
    "ipv6": _parses(ipaddress.IPv6Address),
    "cidr": lambda text: "/" in text and _parses(ipaddress.ip_interface)(text),
    "byte": _parses(lambda text: base64.b64decode(re.sub(r"[\r\n]", "", text), validate=True)),
    "date": lambda text: len(text) == 10 and _parses(dt.date.fromisoformat)(text),
    "datetime": _date_time,
    "isbn": _isbn(10, 13),
    "isbn10": _isbn(10),
    "isbn13": _isbn(13),
    "quantity": is_quantity,
}
"""From a format's name without hyphens to its check. `password` takes any text and has none."""

INTEGERS = {"int32": (-(2**31), 2**31 - 1), "int64": (-(2**63), 2**63 - 1)}
"""The ranges that an integer's format allows."""


def string_check(name: str) -> Callable[[str], bool] | None:
    """The check of a string format, by its name as a schema writes it (`date-time`)."""
    return CHECKS.get(name.replace("-", ""))
