"""What Kubernetes adds to CEL (Kubernetes, "Common Expression Language in Kubernetes"): lists, regular
expressions, URLs, addresses, quantities, formatting.

The library knows no types of our own, so a URL, an address and a quantity are canonical texts here, and
their functions read them. Texts may be told from one another by their content only.
"""

from __future__ import annotations

import functools
import ipaddress
import itertools
import re
import urllib.parse
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from cpod_jupyter.api.patterns import compiled
from cpod_jupyter.api.quantity import is_quantity, parse_quantity

Function = Callable[..., Any]

CORE = frozenset(
    {
        "size", "cpodSize", "contains", "startsWith", "endsWith", "matches", "string", "int", "uint", "double",
        "bytes", "dyn", "type", "duration", "timestamp", "getDate", "getDayOfMonth", "getDayOfWeek", "getDayOfYear",
        "getFullYear", "getHours", "getMilliseconds", "getMinutes", "getMonth", "getSeconds", "hasValue", "value",
        "orValue", "or", "none", "of", "ofNonZeroValue", "@in", "@not_strictly_false",
    }
)  # fmt: skip
"""Functions that the library has without being given them."""


def _is(parse: Callable[[str], object]) -> Function:
    def check(text: Any) -> bool:
        try:
            parse(text)
        except (ValueError, TypeError):
            return False
        return True

    return check


def _plain(number: Any) -> str:
    """A quantity's number as text, the same for equal quantities."""
    return format(parse_quantity(number).normalize(), "f")


def _url(text: str) -> str:
    parts = urllib.parse.urlsplit(text)
    if not parts.scheme and not text.startswith("/"):
        raise ValueError(f"{text!r} is no absolute URL")
    return text


def _host(text: str) -> str:
    return urllib.parse.urlsplit(text).netloc.rpartition("@")[2]


def _port(text: str) -> str:
    return str(urllib.parse.urlsplit(text).port or "")


def _query(text: str) -> dict[str, list[str]]:
    return urllib.parse.parse_qs(urllib.parse.urlsplit(text).query, keep_blank_values=True)


def _ip(value: Any) -> str:
    """An address; of a network, its address."""
    if "/" in str(value):
        return str(ipaddress.ip_interface(value).ip)
    return str(ipaddress.ip_address(value))


def _contains_network(network: str, other: str) -> bool:
    one, two = ipaddress.ip_network(network, strict=False), ipaddress.ip_network(other, strict=False)
    return one.version == two.version and two.subnet_of(one)  # type: ignore[arg-type]


def _index(items: Any, wanted: Any, *start: int) -> int:
    if isinstance(items, str):
        return items.find(wanted, *start)
    return next((index for index, item in enumerate(items) if item == wanted), -1)


def _last_index(items: Any, wanted: Any) -> int:
    if isinstance(items, str):
        return items.rfind(wanted)
    return max((index for index, item in enumerate(items) if item == wanted), default=-1)


def _find_all(text: str, pattern: str, limit: int = -1) -> list[str]:
    found = [match[0] for match in compiled(pattern).finditer(text)]
    return found if limit < 0 else found[:limit]


def _find(text: str, pattern: str) -> str:
    match = compiled(pattern).search(text)
    return match[0] if match else ""


def _format(pattern: str, values: list[Any]) -> str:
    """`format` of cel-go's strings extension: %s %d %f %e %b %o %x %X %%."""
    rest = iter(values)

    def one(match: re.Match[str]) -> str:
        verb = match[2]
        if verb == "%":
            return "%"
        value = next(rest)
        if verb == "s":
            return str(value).lower() if isinstance(value, bool) else str(value)
        return format(value, f"{match[1] or ''}{verb}")

    return re.sub(r"%(\.\d+)?([sdfeboxX%])", one, pattern)


def _order(one: Decimal, two: Decimal) -> int:
    return (one > two) - (one < two)


FUNCTIONS: dict[str, Function] = {
    "cpodSize": len,
    "isSorted": lambda items: all(one <= two for one, two in itertools.pairwise(items)),
    "indexOf": _index,
    "lastIndexOf": _last_index,
    "find": _find,
    "findAll": _find_all,
    "format": _format,
    "url": _url,
    "isURL": _is(_url),
    "getScheme": lambda text: urllib.parse.urlsplit(text).scheme,
    "getHost": _host,
    "getHostname": lambda text: urllib.parse.urlsplit(text).hostname or "",
    "getPort": _port,
    "getEscapedPath": lambda text: urllib.parse.urlsplit(text).path,
    "getQuery": _query,
    "ip": _ip,
    "isIP": _is(ipaddress.ip_address),
    "ip.isCanonical": lambda text: str(ipaddress.ip_address(text)) == text,
    "family": lambda text: ipaddress.ip_address(text).version,
    "isUnspecified": lambda text: ipaddress.ip_address(text).is_unspecified,
    "isLoopback": lambda text: ipaddress.ip_address(text).is_loopback,
    "isLinkLocalMulticast": lambda text: ipaddress.ip_address(text) in ipaddress.ip_network("224.0.0.0/24"),
    "isLinkLocalUnicast": lambda text: ipaddress.ip_address(text).is_link_local,
    "isGlobalUnicast": lambda text: ipaddress.ip_address(text).is_global,
    "cidr": lambda text: str(ipaddress.ip_interface(text)),
    "isCIDR": lambda text: "/" in text and _is(ipaddress.ip_interface)(text),
    "containsIP": lambda network, ip: ipaddress.ip_address(ip) in ipaddress.ip_network(network, strict=False),
    "containsCIDR": _contains_network,
    "prefixLength": lambda text: ipaddress.ip_network(text, strict=False).prefixlen,
    "masked": lambda text: str(ipaddress.ip_network(text, strict=False)),
    "quantity": _plain,
    "isQuantity": is_quantity,
    "isInteger": lambda text: parse_quantity(text) % 1 == 0,
    "asInteger": lambda text: int(parse_quantity(text)),
    "asApproximateFloat": lambda text: float(parse_quantity(text)),
    "sign": lambda text: _order(parse_quantity(text), Decimal(0)),
    "add": lambda one, two: _plain(parse_quantity(one) + parse_quantity(two)),
    "sub": lambda one, two: _plain(parse_quantity(one) - parse_quantity(two)),
    "compareTo": lambda one, two: _order(parse_quantity(one), parse_quantity(two)),
    "isGreaterThan": lambda one, two: parse_quantity(one) > parse_quantity(two),
    "isLessThan": lambda one, two: parse_quantity(one) < parse_quantity(two),
}  # fmt: skip


@functools.cache
def functions() -> dict[str, Function]:
    """Every function that a rule may call besides CORE."""
    from cel import stdlib  # takes a tenth of a second, and only definitions with rules need it

    known = ("core", "strings", "sets", "lists", "math", "encoders")
    given = {name: function for library in known for name, function in stdlib.EXTENSIONS[library].items()}
    return {**given, **FUNCTIONS}
