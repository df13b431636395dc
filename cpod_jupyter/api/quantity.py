"""Quantities as Kubernetes writes them: `500m`, `2`, `1.5Gi`, `100M` (apimachinery, resource.Quantity)."""

from __future__ import annotations

import re
from decimal import Decimal

_SUFFIX = {
    "n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3"), "": Decimal(1),
    "k": Decimal(10**3), "M": Decimal(10**6), "G": Decimal(10**9), "T": Decimal(10**12), "P": Decimal(10**15),
    "E": Decimal(10**18),
    "Ki": Decimal(2**10), "Mi": Decimal(2**20), "Gi": Decimal(2**30), "Ti": Decimal(2**40), "Pi": Decimal(2**50),
    "Ei": Decimal(2**60),
}  # fmt: skip
_QUANTITY = re.compile(r"([+-]?[0-9.]+)(?:([eE][+-]?[0-9]+)|([a-zA-Z]{0,2}))")


def parse_quantity(value: str | int | float) -> Decimal:
    """The number a quantity stands for. Raises ValueError when it is not a quantity."""
    match = _QUANTITY.fullmatch(str(value).strip())
    if match is None or (match[3] or "") not in _SUFFIX:
        raise ValueError(f"{value!r} is not a quantity such as 2, 500m or 1.5Gi")
    try:
        return Decimal(match[1] + (match[2] or "")) * _SUFFIX[match[3] or ""]
    except ArithmeticError as error:
        raise ValueError(f"{value!r} is not a quantity such as 2, 500m or 1.5Gi") from error


def is_quantity(value: str | int | float) -> bool:
    """Whether a value can be read as a quantity."""
    try:
        parse_quantity(value)
    except ValueError:
        return False
    return True
