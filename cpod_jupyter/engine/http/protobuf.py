"""Built-in objects in protobuf, as Go clients send them, to the JSON form that everything else here works with.

A body is `k8s\\0` and a runtime.Unknown: the type, and the object's bytes (Kubernetes API concepts, "Kubernetes
Protobuf encoding"). `protobuf_fields.json` beside this file has the fields of the published `generated.proto` files;
`tools/protobuf_table.py` made it, and explains the flags. Only bodies are decoded: answers are always JSON.
"""

from __future__ import annotations

import base64
import datetime as dt
import functools
import json
from collections.abc import Callable, Iterator
from importlib.resources import files
from typing import Any

from cpod_jupyter.api.resources import Object
from cpod_jupyter.errors import BadRequest, UnsupportedMediaType

MEDIA_TYPE = "application/vnd.kubernetes.protobuf"
_MAGIC = b"k8s\x00"
_DEPTH = 40
"""Messages within messages; the deepest of the built-in kinds has about 15."""
_VALUES = 300_000
"""Values in one body, so that 3 MiB of empty messages do not become gigabytes."""
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5

Fields = dict[int, tuple[str, str, str]]


@functools.cache
def _table() -> dict[str, Fields]:
    text = files(__package__).joinpath("protobuf_fields.json").read_text()
    return {
        name: {int(number): tuple(field) for number, field in fields.items()}
        for name, fields in json.loads(text).items()
    }


def decode(body: bytes) -> Object:
    """The object of a protobuf body, as JSON would have it.

    Raises BadRequest for what is not such a body, UnsupportedMediaType for a kind that only JSON can carry.
    """
    if not body.startswith(_MAGIC):
        raise BadRequest("the body of the request is not Kubernetes protobuf: it does not begin with k8s\\0")
    try:
        return _Decoder().whole(memoryview(body)[len(_MAGIC) :])
    except (ValueError, IndexError, OverflowError) as error:  # JSON and text that are none are ValueErrors
        raise BadRequest(f"the body of the request is not valid protobuf: {error}") from error


def _message_of(api_version: str, kind: str) -> str:
    """`rbac.authorization.k8s.io/v1`, `Role` → `rbac.v1.Role`, the name in the table."""
    if kind == "DeleteOptions":  # of any group
        return "meta.v1.DeleteOptions"
    group, _, version = api_version.rpartition("/")
    name = f"{group.split('.')[0] or 'core'}.{version}.{kind}"
    if name not in _table() or (group.count(".") and not group.endswith(".k8s.io")):
        raise UnsupportedMediaType(
            f"{kind or 'an object without a kind'} of {api_version or 'no group'} cannot be read from protobuf here - "
            "accepted media types include: application/json, application/yaml"
        )
    return name


class _Decoder:
    """One body; counts what it makes."""

    def __init__(self) -> None:
        self._left = _VALUES

    def whole(self, body: memoryview) -> Object:
        unknown = {number: value for number, value in _fields(body) if isinstance(value, memoryview)}
        about = {number: _text(value) for number, value in _fields(unknown.get(1, body[:0]))}
        raw, content_type = unknown.get(2, body[:0]), _text(unknown.get(4, b""))
        if content_type == "application/json":
            found = json.loads(bytes(raw))
            if not isinstance(found, dict):
                raise ValueError("the object inside is not an object")
            return found
        api_version, kind = about.get(1, ""), about.get(2, "")
        obj = self.message(_message_of(api_version, kind), raw, 0)
        return {"apiVersion": api_version, "kind": kind, **obj}

    def message(self, name: str, body: memoryview, depth: int) -> Any:
        if depth > _DEPTH:
            raise ValueError(f"messages are nested deeper than {_DEPTH}")
        known = _table()[name]
        result: dict[str, Any] = {}
        for number, value in _fields(body):
            self._left -= 1
            if self._left < 0:
                raise ValueError(f"there are more than {_VALUES} values")
            if number not in known:  # of a newer version
                continue
            field, type_, flags = known[number]
            if type_.startswith("map:"):
                key, item = self._entry(type_[4:], _bytes(value, field), depth)
                result.setdefault(field, {})[key] = item
                continue
            made = self._value(type_, value, field, depth)
            if "=" in flags:
                result.update(made)
            elif "*" in flags:
                result.setdefault(field, []).append(made)
            elif (made not in ("", None) and made is not False and made != 0) or "0" in flags:
                result[field] = made
        if list(known.values()) == [("items", "string", "*")]:
            return result.get("items", [])  # a named list of texts (ExtraValue, Verbs): in JSON the list itself
        return result

    def _entry(self, type_: str, body: memoryview, depth: int) -> tuple[str, Any]:
        key, item = "", self._value(type_, memoryview(b""), "value", depth)
        for number, value in _fields(body):
            if number == 1:
                key = _text(value)
            elif number == 2:
                item = self._value(type_, value, key, depth)
        return key, item

    def _value(self, type_: str, value: int | memoryview, field: str, depth: int) -> Any:
        if type_ in ("int", "bool"):
            if not isinstance(value, int):
                raise ValueError(f"{field} is not a number")
            return bool(value) if type_ == "bool" else _signed(value)
        body = _bytes(value, field)
        if type_ == "string":
            return _text(body)
        if type_ == "bytes":
            return base64.b64encode(body).decode()
        if type_ in _SPECIAL:
            return _SPECIAL[type_](dict(_fields(body)))
        return self.message(type_, body, depth + 1)


def _fields(body: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Number and value of each field. Raises ValueError or IndexError where the bytes end too early."""
    at = 0
    while at < len(body):
        tag, at = _varint(body, at)
        number, wire = tag >> 3, tag & 7
        if not number:
            raise ValueError("a field has the number 0")
        if wire == _VARINT:
            value, at = _varint(body, at)
            yield number, value
            continue
        if wire == _LENGTH:
            size, at = _varint(body, at)
        elif wire in (_FIXED32, _FIXED64):
            size = 4 if wire == _FIXED32 else 8
        else:
            raise ValueError(f"field {number} has the wire type {wire}")
        if at + size > len(body):
            raise ValueError(f"field {number} ends after the body's end")
        yield number, body[at : at + size]
        at += size


def _varint(body: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(body):
            raise ValueError("the body ends within a number")
        byte = body[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value & (2**64 - 1), at
    raise ValueError("a number is longer than 64 bits")


def _signed(value: int) -> int:
    return value - 2**64 if value >= 2**63 else value


def _bytes(value: int | memoryview, field: str) -> memoryview:
    if isinstance(value, int):
        raise ValueError(f"{field} is a number where it should not be")
    return value


def _text(value: int | memoryview | bytes) -> str:
    if isinstance(value, int):
        raise ValueError("there is a number where there should be text")
    return bytes(value).decode()


# ---- types that JSON has in a form of their own


def _time(fields: dict[int, Any], *, micro: bool = False) -> str | None:
    """RFC 3339; Go's zero time is an empty message, and null in JSON."""
    if not fields:
        return None
    moment = dt.datetime(1970, 1, 1) + dt.timedelta(seconds=_signed(fields.get(1, 0)))
    if micro:
        moment += dt.timedelta(microseconds=_signed(fields.get(2, 0)) // 1000)
        return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _int_or_string(fields: dict[int, Any]) -> int | str:
    return _text(fields.get(3, b"")) if fields.get(1) else _signed(fields.get(2, 0))


def _embedded(fields: dict[int, Any]) -> Any:
    """FieldsV1 and RawExtension: JSON as it is."""
    raw = bytes(fields.get(1, b""))
    return json.loads(raw) if raw else None


_SPECIAL: dict[str, Callable[[dict[int, Any]], Any]] = {
    "meta.v1.Time": _time,
    "meta.v1.MicroTime": functools.partial(_time, micro=True),
    "resource.Quantity": lambda fields: _text(fields.get(1, b"0")) or "0",
    "util.intstr.IntOrString": _int_or_string,
    "meta.v1.FieldsV1": _embedded,
    "runtime.RawExtension": _embedded,
}
