"""Quantities as Kubernetes writes them: `500m`, `2`, `1.5Gi`, `100M` (apimachinery, resource.Quantity)."""

from __future__ import annotations

import re
from decimal import ROUND_CEILING, Decimal

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


def format_quantity(amount: Decimal, *, binary: bool = False) -> str:
    """An amount as a quantity: whole, in thousandths (`500m`), or with `binary` in the largest of Ki, Mi, Gi, …
    that divides it."""
    if amount != amount.to_integral_value():
        return f"{int((amount * 1000).to_integral_value(ROUND_CEILING))}m"
    if binary and amount:
        for suffix in ("Ei", "Pi", "Ti", "Gi", "Mi", "Ki"):
            if amount % _SUFFIX[suffix] == 0:
                return f"{int(amount / _SUFFIX[suffix])}{suffix}"
    return str(int(amount))
