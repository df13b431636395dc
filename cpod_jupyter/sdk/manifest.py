"""From YAML text to API objects, or to every fault in it with its line and column.

A text is either the bare `spec` of a kind (a notebook cell), or whole manifests, several of them
separated by `---`. Nothing is sent from here.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any

from yaml.nodes import MappingNode, Node

from cpod_jupyter.api import meta
from cpod_jupyter.api.crds import engine_crds
from cpod_jupyter.api.finetune import hyper_parameter_problems
from cpod_jupyter.api.model import built_in_schema, kubernetes_schema
from cpod_jupyter.api.resources import (
    DATASETSTORAGES,
    FINETUNES,
    KNOWN,
    MODELSTORAGES,
    Object,
    Resource,
    of_object,
)
from cpod_jupyter.api.schema import Path, Problem, nearest, problems
from cpod_jupyter.api.sources import SCHEMES, source_uri, split_checksum
from cpod_jupyter.api.trainer import config_problems
from cpod_jupyter.errors import CpodError, ManifestError
from cpod_jupyter.sdk import shortforms, yamltext
from cpod_jupyter.sdk.attach import FIELDS, as_path
from cpod_jupyter.sdk.kinds import word_of
from cpod_jupyter.sdk.yamltext import Document, Fault, Locate

SchemaOf = Callable[[Resource], Mapping[str, Any]]
"""The structural schema of a kind's whole objects."""


@dataclass(frozen=True)
class Origin:
    """Where a text comes from.

    `where` names it in messages (`cell`, a file name); `directory` is what relative paths in it are
    relative to; `locate` maps places in the text to places that the person sees.
    """

    where: str = "manifest"
    directory: FilePath = FilePath()
    locate: Locate = lambda line, column: (line + 1, column + 1)


@functools.cache
def known_schema(resource: Resource) -> Mapping[str, Any]:
    """The schema of a kind as this version of the project knows it, without asking a server."""
    for definition in engine_crds():
        for version in definition["spec"]["versions"]:
            if definition["metadata"]["name"] == resource.qualified and version["name"] == resource.version:
                schema: Mapping[str, Any] = version["schema"]["openAPIV3Schema"]
                return schema
    return built_in_schema(resource.kind)


def load(
    text: str,
    *,
    kind: Resource | None = None,
    name: str | None = None,
    origin: Origin | None = None,
    schema_of: SchemaOf = known_schema,
) -> list[Object]:
    """The objects that a text describes, ready to be submitted but without a namespace of their own
    unless the text gives one.

    With `kind`, the text may be the bare spec of one object, whose name is `name`.
    Raises ManifestError with every fault.
    """
    origin = origin or Origin()
    faults: list[Fault] = []
    documents = yamltext.read(text, origin.locate, faults)
    found = []
    if not documents and not faults and kind is None:
        faults.append(Fault(origin.locate(0, 0), "there is no object in it"))
    if not documents and not faults and kind is not None:
        documents = [(MappingNode("tag:yaml.org,2002:map", []), Document({}))]
        documents[0][1].values[()] = origin.locate(0, 0)
    for node, document in documents:
        reader = _Reader(node, document, kind, name, origin, schema_of, faults)
        if len(documents) > 1 and not reader.whole:
            faults.append(Fault(document.place(()), "a document without apiVersion and kind among several"))
            continue
        found.append(reader.object())
    if faults:
        in_order = sorted(dict.fromkeys(faults), key=lambda fault: fault.place)
        raise ManifestError([str(fault) for fault in in_order], origin.where, in_order)
    return [obj for obj in found if obj is not None]


def check(obj: Object, *, schema_of: SchemaOf = known_schema, directory: FilePath | None = None) -> Object:
    """An object that was made in Python, checked in the same way; faults name fields only.

    Returns it as it is to be submitted. Raises ManifestError.
    """
    resource = of_object(obj)
    if resource is None:
        raise ManifestError([_unknown_kind(obj)])
    obj = _with_strings(obj)
    obj, found = _checked(obj, resource, schema_of(resource), directory or FilePath())
    if found:
        raise ManifestError([f"{yamltext.dotted(_seen(p.path))}: {p.message}" for p in found], word_of(resource))
    return obj


def _with_strings(obj: Object) -> Object:
    """Python numbers in a FineTune's maps of strings, as text: `n_epochs=3` is meant so."""
    spec = dict(obj.get("spec") or {})
    for field in ("hyperParameters", "config"):
        if isinstance(spec.get(field), dict):
            spec[field] = {key: value if isinstance(value, str) else _text(value) for key, value in spec[field].items()}
    return {**obj, "spec": spec} if "spec" in obj else obj


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _seen(path: Path) -> Path:
    return path[1:] if path[:1] == ("spec",) and len(path) > 1 else path


def _unknown_kind(obj: Mapping[str, Any]) -> str:
    """Why no resource is known for an object that says what it is."""
    kind, version = str(obj.get("kind", "")), str(obj.get("apiVersion", ""))
    same_kind = [resource.api_version for resource in KNOWN if resource.kind == kind]
    if same_kind:
        return f'{kind} is not of apiVersion "{version}", but of "{same_kind[0]}"'
    hint = nearest(kind, [resource.kind for resource in KNOWN])
    return f'unknown kind "{kind}" of apiVersion "{version}"{hint}'


class _Reader:
    """One document on its way to one object."""

    def __init__(
        self,
        node: Node,
        document: Document,
        kind: Resource | None,
        name: str | None,
        origin: Origin,
        schema_of: SchemaOf,
        faults: list[Fault],
    ) -> None:
        self.node = node
        self.document = document
        self.kind = kind
        self.name = name
        self.origin = origin
        self.schema_of = schema_of
        self.faults = faults
        value = document.value
        self.whole = isinstance(value, dict) and ("apiVersion" in value or "kind" in value)

    def fault(self, path: Path, message: str, *, key: bool = False) -> None:
        place = self.document.place(path, key=key)
        self.faults.append(Fault(place, message, yamltext.dotted(path)))

    def object(self) -> Object | None:
        """The object, or None when a fault makes it impossible to say what it is."""
        value = self.document.value
        if not isinstance(value, dict):
            what = "the fields of a spec" if self.kind else "an object with apiVersion and kind"
            self.fault((), f"must be a mapping, {what}")
            return None
        resource = self._resource(value)
        if resource is None:
            return None
        schema = self.schema_of(resource)
        if not self.whole and shortforms.is_short(resource, value):
            short = self._short(value, resource)
            if short is None:
                return None
            value = short
        elif not self.whole:
            spec_schema = (schema.get("properties") or {}).get("spec") or {}
            value = yamltext.written_strings(self.node, value, spec_schema)
            value = {"apiVersion": resource.api_version, "kind": resource.kind, "spec": value}
        else:
            value = yamltext.written_strings(self.node, value, schema)
        value = self._named(value)
        checked, found = _checked(value, resource, schema, self.origin.directory)
        for problem in found:
            self._report(problem)
        return checked

    def _short(self, value: Mapping[str, Any], resource: Resource) -> Object | None:
        """The object that a short form stands for; None when the form has faults."""
        schema = shortforms.schema_of(resource)
        body = yamltext.written_strings(self.node, value, schema)
        found = problems(schema, body, unknown=True)
        for problem in found:
            self.fault(problem.path, problem.message, key=problem.reason == "FieldValueUnknown")
        if found:
            return None
        spec = shortforms.expanded(resource, body)
        return {"apiVersion": resource.api_version, "kind": resource.kind, "spec": spec}

    def _resource(self, value: Mapping[str, Any]) -> Resource | None:
        if not self.whole:
            if self.kind is None:
                self.fault((), "must be a whole object: apiVersion and kind are missing")
            return self.kind
        for field in ("apiVersion", "kind"):
            if not isinstance(value.get(field), str):
                self.fault((field,), f"{field} is required, as text")
                return None
        resource = of_object(dict(value))
        if resource is None:
            same_kind = any(known.kind == value["kind"] for known in KNOWN)
            self.fault(("apiVersion" if same_kind else "kind",), _unknown_kind(value))
        elif self.kind is not None and resource != self.kind:
            self.fault(("kind",), f"this cell is for a {self.kind.kind}, not a {resource.kind}")
            return None
        return resource

    def _named(self, value: Object) -> Object:
        metadata = value.get("metadata")
        metadata = dict(metadata) if isinstance(metadata, dict) else {}
        written = metadata.get("name")
        if self.name and written and written != self.name:
            self.fault(("metadata", "name"), f'is "{written}", but the magic line says "{self.name}"')
        name = self.name or written
        if not name and not metadata.get("generateName"):
            where = ("metadata",) if self.whole else ()
            self.fault(where, "a name is needed" + ("" if self.whole else " on the magic line"))
        elif isinstance(name, str) and not (meta.NAME_PATTERN.fullmatch(name) and len(name) <= 253):
            wanted = f'"{name}" must be lower-case letters, digits and "-", beginning and ending with a letter or digit'
            if self.whole:
                self.fault(("metadata", "name"), wanted)
            else:
                self.faults.append(Fault(self.document.place(("metadata", "name")), f"the name {wanted}"))
        return {**value, "metadata": {**metadata, **({"name": name} if name else {})}}

    def _report(self, problem: Problem) -> None:
        path = problem.path
        if path[:2] == ("metadata", "name"):
            return  # said already, in better words
        if not self.whole:
            path = _seen(path) if path[:1] == ("spec",) else path
            path = () if path == ("spec",) else path
        self.fault(path, problem.message, key=problem.reason == "FieldValueUnknown")


def _checked(
    obj: Object, resource: Resource, schema: Mapping[str, Any], directory: FilePath
) -> tuple[Object, list[Problem]]:
    """The object with its paths made absolute, and what is wrong with it."""
    obj = {key: value for key, value in obj.items() if key != "status"}
    found = list(problems(_with_metadata(schema), obj, unknown=True))
    spec = obj.get("spec")
    if not isinstance(spec, dict):
        return obj, found
    if resource == FINETUNES:
        found.extend(_unless_known(_arguments(spec), found))
    if isinstance(named := spec.get(FIELDS.get(resource, "")), str):
        try:
            path = as_path(named, directory)
        except CpodError as error:
            found.append(Problem(("spec", FIELDS[resource]), "FieldValueInvalid", str(error)))
        else:
            obj = {**obj, "spec": {**spec, FIELDS[resource]: str(path)}} if path is not None else obj
    if resource in (MODELSTORAGES, DATASETSTORAGES):
        spec, more = _storage(spec, resource, directory)
        obj = {**obj, "spec": spec}
        found.extend(_unless_known(more, found))
    return obj, found


def _arguments(spec: Mapping[str, Any]) -> Iterator[Problem]:
    """What is wrong with the maps of arguments in a FineTune."""
    hyper, config, kind = spec.get("hyperParameters"), spec.get("config"), spec.get("finetuneType")
    if isinstance(hyper, dict):
        yield from hyper_parameter_problems(hyper)
    if isinstance(config, dict):
        yield from config_problems(config, adapter=kind not in ("full", "pt"))


def _unless_known(more: Iterable[Problem], found: list[Problem]) -> list[Problem]:
    known = {problem.path for problem in found}
    return [problem for problem in more if problem.path not in known]


def _with_metadata(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """A CRD's schema leaves metadata open; a misspelt field there is still a fault."""
    properties = dict(schema.get("properties") or {})
    properties["metadata"] = kubernetes_schema("V1ObjectMeta")
    return {**schema, "properties": properties}


def _storage(spec: dict[str, Any], resource: Resource, directory: FilePath) -> tuple[dict[str, Any], list[Problem]]:
    """A storage whose file, where it names one, is there and absolute, and whose source is known."""
    prefix = "model" if resource == MODELSTORAGES else "dataset"
    type_field, name_field = f"{prefix}type", f"{prefix}name"
    kind, name = spec.get(type_field) or "", spec.get(name_field) or ""
    path = ("spec", name_field)
    if spec.get("pvc") or not isinstance(kind, str) or not isinstance(name, str):
        return spec, []
    if name and (name.startswith("file://") or ("://" not in name and kind.lower() in ("", "file"))):
        address, checksum = split_checksum(name.removeprefix("file://"))
        file = (directory / FilePath(address).expanduser()).resolve()
        if not file.exists():
            return spec, [Problem(path, "FieldValueInvalid", f"there is no file or folder {file}")]
        return {**spec, name_field: f"file://{file}" + (f"#sha256={checksum}" if checksum else "")}, []
    if kind == "trained":
        return spec, []
    try:
        source_uri(kind, name)
    except ValueError as error:
        at = path if "://" in name or not name or kind.lower() in SCHEMES else ("spec", type_field)
        hint = nearest(kind, SCHEMES) if at[1] == type_field else ""
        return spec, [Problem(at, "FieldValueInvalid", f"{error}{hint}")]
    return spec, []
