"""An object's values as rules see them (Kubernetes, "Validation rules": types, and escaping of names)."""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import re
from collections.abc import Mapping
from typing import Any

Schema = Mapping[str, Any]

_RESERVED = {
    "true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if", "import",
    "let", "loop", "package", "namespace", "return",
}  # fmt: skip
_FORMATS = {"date-time", "datetime", "date", "duration", "byte"}
_SIGNS = {".": "__dot__", "-": "__dash__", "/": "__slash__"}
_DURATION = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def escaped(name: str) -> str:
    """A field's name as an identifier of an expression."""
    if name in _RESERVED:
        return f"__{name}__"
    text = name.replace("__", "__underscores__")
    return "".join(_SIGNS.get(char, char) for char in text)


def converts(schema: Schema) -> bool:
    """Whether values of a schema differ for rules from what they are in JSON."""
    if schema.get("format") in _FORMATS or schema.get("type") == "number":
        return True
    properties = schema.get("properties") or {}
    if any(escaped(name) != name or converts(child) for name, child in properties.items()):
        return True
    inner = (schema.get("items"), schema.get("additionalProperties"))
    return any(isinstance(child, Mapping) and converts(child) for child in inner)


def converted(schema: Schema, value: Any) -> Any:
    """The value for rules: times, durations and bytes by their formats, numbers as doubles, fields under
    the names that expressions can write as well as under their own."""
    if isinstance(value, dict):
        properties, additional = schema.get("properties") or {}, schema.get("additionalProperties")
        result = {}
        for name, item in value.items():
            child = properties.get(name) or (additional if isinstance(additional, Mapping) else {})
            result[name] = converted(child, item)
            if name in properties and escaped(name) != name:
                result[escaped(name)] = result[name]
        return result
    if isinstance(value, list):
        items = schema.get("items")
        return [converted(items, item) for item in value] if isinstance(items, Mapping) else value
    if schema.get("type") == "number" and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return _formatted(str(schema.get("format")), value) if isinstance(value, str) else value


def _formatted(name: str, text: str) -> Any:
    try:
        if name in ("date-time", "datetime", "date"):
            time = dt.datetime.fromisoformat(text.replace("Z", "+00:00"))
            return time if time.tzinfo else time.replace(tzinfo=dt.UTC)
        if name == "byte":
            return base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        return text
    if name == "duration" and (parts := _DURATION.findall(text)):
        seconds = sum(float(number) * _SECONDS[unit] for number, unit in parts)
        return dt.timedelta(seconds=-seconds if text.startswith("-") else seconds)
    return text
