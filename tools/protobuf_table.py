"""Make `cpod_jupyter/engine/http/protobuf_fields.json`: `python tools/protobuf_table.py /usr/bin/kubectl`.

A released kubectl (tried: 1.32 and 1.33, linux/amd64) holds what the published `generated.proto` files say, in two
forms: the descriptors that generated code registers (gzip of a FileDescriptorProto, descriptor.proto), with every
message and field number; and the struct tags of the Go types in the run-time type tables, with each field's JSON name,
whether it is inlined, and whether it is a pointer (a pointer's false and 0 mean something, a plain field's mean
"unset"). Only the messages that can be reached from ROOTS are kept. Numbers never change: a newer kubectl only adds.
"""

from __future__ import annotations

import bisect
import json
import re
import struct
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

TARGET = Path(__file__).parents[1] / "cpod_jupyter/engine/http/protobuf_fields.json"
ROOTS = """
core.v1: Namespace Node Pod Service ConfigMap Secret ServiceAccount Event PersistentVolumeClaim PersistentVolume
    Endpoints ResourceQuota Binding
batch.v1: Job CronJob
apps.v1: Deployment ReplicaSet StatefulSet DaemonSet ControllerRevision
discovery.v1: EndpointSlice
coordination.v1: Lease
events.v1: Event
networking.v1: Ingress IngressClass
policy.v1: Eviction
rbac.v1: Role RoleBinding ClusterRole ClusterRoleBinding
autoscaling.v1: Scale
authentication.v1: TokenReview TokenRequest SelfSubjectReview
authorization.v1: SubjectAccessReview SelfSubjectAccessReview LocalSubjectAccessReview SelfSubjectRulesReview
meta.v1: DeleteOptions
"""
_PACKAGES = re.compile(r"\.k8s\.io\.(?:apimachinery\.pkg(?:\.apis?)?|api)\.")
_SCALARS = {1: "double", 3: "int", 4: "int", 5: "int", 8: "bool", 9: "string", 12: "bytes"}
"""FieldDescriptorProto.Type by number; 11 is a message."""
_POINTER = 22
"""reflect.Pointer, the kind in Go's run-time type tables."""
_ZEROES = ("bool", "int", "string", "util.intstr.IntOrString")
_SPECIAL = {"resource.Quantity", "util.intstr.IntOrString", "meta.v1.Time", "meta.v1.MicroTime"}
"""Messages that JSON has in another form; the decoder knows them."""


def fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Number and value of each field; of a descriptor, so only varints and lengths occur."""
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(message):
        tag = varint()
        value: int | bytes = varint()
        if tag & 7 == 2:
            at += value
            value = message[at - value : at]
        yield tag >> 3, value


def text(message: bytes, number: int) -> str:
    return next((value.decode() for found, value in fields(message) if found == number), "")


def short(name: str) -> str:
    return _PACKAGES.sub("", name)


def messages(binary: bytes) -> dict[str, dict[int, tuple[str, str, bool]]]:
    """Message → field number → (protobuf name, type, repeated). A map's type is `map:TYPE`."""
    found: dict[str, dict[int, tuple[str, str, bool]]] = {}
    for match in re.finditer(b"\x1f\x8b\x08", binary):
        try:
            file = zlib.decompressobj(31).decompress(binary[match.start() : match.start() + 2**19])
            if not file.startswith(b"\n") or not text(file, 1).endswith("generated.proto"):
                continue
        except (zlib.error, IndexError, UnicodeDecodeError):
            continue
        package = text(file, 2)
        for number, message in fields(file):
            if number == 4:  # message_type
                found[short(f".{package}.{text(message, 1)}")] = _message(message)
    return found


def _message(message: bytes) -> dict[int, tuple[str, str, bool]]:
    maps = {}
    for number, nested in fields(message):
        if number == 3:  # nested_type: the entry of a map
            maps[text(nested, 1)] = "map:" + _message(nested)[2][1]
    result = {}
    for number, entry in fields(message):
        if number != 2:  # field
            continue
        values = dict(fields(entry))
        type_ = _SCALARS.get(values[5]) or short(values[6].decode())
        type_ = maps.get(type_.rsplit(".", 1)[-1], type_) if values[5] == 11 else type_
        repeated = values[4] == 3 and not type_.startswith("map:")
        result[values[3]] = (values[1].decode(), type_, repeated)
    return result


class Tags:
    """What the struct tags say, by protobuf name and number."""

    def __init__(self, binary: bytes) -> None:
        self._binary = binary
        self._segments = []
        start, (size, count) = struct.unpack_from("<Q", binary, 32)[0], struct.unpack_from("<HH", binary, 54)
        for index in range(count):
            kind, _, offset, address, _, length = struct.unpack_from("<IIQQQQ", binary, start + index * size)
            if kind == 1:  # PT_LOAD
                self._segments.append((offset, address, length))
        self.json: dict[tuple[str, int], set[str]] = {}
        self.kinds: dict[tuple[str, int], set[int]] = {}
        self._read()

    def _read(self) -> None:
        names: dict[int, tuple[str, int]] = {}
        pattern = rb'json:"([^"]*)"(?: patch\w+:"[^"]*")* protobuf:"[a-z0-9]+,(\d+),[^"]*?name=(\w+)[^"]*"'
        for match in re.finditer(pattern, self._binary):
            key = (match[3].decode(), int(match[2]))
            self.json.setdefault(key, set()).add(match[1].decode())
            if (offset := self._name_before(match)) is not None:
                names[self._address(offset)] = key
        wanted = sorted(names)
        for offset, _, length in self._segments:
            for at, (word,) in enumerate(struct.iter_unpack("<Q", self._binary[offset : offset + length & ~7])):
                place = bisect.bisect_left(wanted, word)
                if place < len(wanted) and wanted[place] == word:
                    (type_,) = struct.unpack_from("<Q", self._binary, offset + at * 8 + 8)
                    if (found := self._offset(type_)) is not None:
                        self.kinds.setdefault(names[word], set()).add(self._binary[found + 23] & 31)

    def _name_before(self, tag: re.Match[bytes]) -> int | None:
        """Where the field's name record begins: flags, length, name, and the tag's length before the tag."""
        for end in (tag.start() - 1, tag.start() - 2):
            for size in range(1, 80):
                if self._binary[end - size - 1] == size and self._binary[end - size : end].isalnum():
                    return end - size - 2
        return None

    def _address(self, offset: int) -> int:
        return next(
            address + offset - start for start, address, size in self._segments if start <= offset < start + size
        )

    def _offset(self, address: int) -> int | None:
        return next((start + address - at for start, at, size in self._segments if at <= address < at + size), None)


def table(binary: bytes) -> dict[str, dict[str, list[str]]]:
    """Message → number → [JSON name, type, flags]: `*` repeated, `=` inlined, `0` its zero value is kept."""
    known, tags = messages(binary), Tags(binary)
    waiting = []
    for line in re.sub(r"\n\s+", " ", ROOTS.strip()).splitlines():
        group, names = line.split(":")
        waiting += [f"{group}.{name}" for name in names.split()]
    result: dict[str, dict[str, list[str]]] = {}
    while waiting:
        name = waiting.pop()
        if name in result:
            continue
        result[name] = {}
        for number, (field, type_, repeated) in sorted(known[name].items()):
            said, kinds = tags.json.get((field, number), set()), tags.kinds.get((field, number), set())
            named = {tag.split(",")[0] for tag in said} - {"", "-"}
            embedded = not said and type_.rsplit(".", 1)[-1].lower() == field.lower()
            if not said and not embedded and name not in _SPECIAL:
                print(f"{name}.{field}: no tag found, taken as plain", file=sys.stderr)
            inlined = embedded or any(tag.startswith(",") for tag in said)
            # The same name and number occur in several structs. Where these differ, a number is kept when it is 0
            # (replicas, ports), and a false or an empty text is not.
            written = [not ("omitempty" in tag or tag.startswith(",")) for tag in said]
            kept = type_ in _ZEROES and (kinds == {_POINTER} or (bool(written) and all(written)))
            kept = kept or (type_ == "int" and (_POINTER in kinds or any(written)))
            flags = "*" * repeated + "=" * inlined + "0" * kept
            result[name][str(number)] = [named.pop() if len(named) == 1 else field, type_, flags]
            target = type_.removeprefix("map:")
            if "." in target:
                waiting.append(target)
    return dict(sorted(result.items()))


def main() -> None:
    made = table(Path(sys.argv[1]).read_bytes())
    lines = [f"{json.dumps(name)}:{json.dumps(made[name], separators=(',', ':'))}" for name in made]
    TARGET.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
