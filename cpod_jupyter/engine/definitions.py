"""CustomResourceDefinitions: what they must be, what is filled in, and the status they get.

As apiextensions-apiserver has it: `pkg/apis/apiextensions/validation`, `v1/defaults.go`, and the
controllers for names and for what is established. There those work in the background; here a definition
is served, with its conditions, when the request that made it is answered.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from cpod_jupyter.api import meta
from cpod_jupyter.api.problem import Path, Problem
from cpod_jupyter.api.resources import Object
from cpod_jupyter.engine import rules
from cpod_jupyter.engine.structural import forbidden, invalid, required, structural_problems, unsupported

FINALIZER = "customresourcecleanup.apiextensions.k8s.io"
"""Holds a definition until its objects are gone."""

_LABEL = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
_LABEL_TEXT = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, "
    "and end with an alphanumeric character"
)
_JSON_PATH = re.compile(r"(\.[A-Za-z_][-\w]*|\[['\"][^'\"\]]+['\"]\]|\.\w*\\\.[\w./\\-]+)+")
_COLUMN_PATH = re.compile(r"\.[^\s{}]*")
_COLUMN_TYPES = ("boolean", "date", "integer", "number", "string")
_COLUMN_FORMATS = ("int32", "int64", "float", "double", "byte", "date", "date-time", "password")
_APPROVED = "api-approved.kubernetes.io"
_MOST_SELECTABLE = 8


def defaults(definition: Object) -> None:
    """Fill in what the definition leaves out. Its parts that change are made anew."""
    spec = dict(definition["spec"])
    names = dict(spec["names"])
    names["singular"] = names.get("singular") or str(names["kind"]).lower()
    names["listKind"] = names.get("listKind") or f"{names['kind']}List"
    spec["names"] = names
    conversion = spec.get("conversion") or {}
    spec["conversion"] = {**conversion, "strategy": conversion.get("strategy") or "None"}
    if spec.get("preserveUnknownFields") is False:
        del spec["preserveUnknownFields"]
    metadata = dict(definition["metadata"])
    finalizers = metadata.get("finalizers") or []
    if FINALIZER not in finalizers and not metadata.get("deletionTimestamp"):
        metadata["finalizers"] = [*finalizers, FINALIZER]
    definition.update(metadata=metadata, spec=spec)


def definition_faults(definition: Object) -> Iterator[Problem]:
    """What forbids a definition. The types of its fields have been checked."""
    spec, path = definition["spec"], ("spec",)
    name, wanted = meta.name_of(definition), f"{spec['names'].get('plural')}.{spec.get('group')}"
    if name != wanted:
        yield invalid(("metadata", "name"), name, 'must be spec.names.plural+"."+spec.group')
    yield from _group(definition, spec, path)
    yield from _names(spec["names"], (*path, "names"))
    if not spec.get("scope"):
        yield required((*path, "scope"))
    elif spec["scope"] not in ("Cluster", "Namespaced"):
        yield unsupported((*path, "scope"), spec["scope"], ("Cluster", "Namespaced"))
    if spec.get("preserveUnknownFields"):
        text = "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead"
        yield invalid((*path, "preserveUnknownFields"), True, text)
    yield from _conversion(spec["conversion"], (*path, "conversion"))
    yield from _versions(spec.get("versions") or [], (*path, "versions"))


def definition_change(old: Object, new: Object) -> Iterator[Problem]:
    """What forbids the change of a definition."""
    before, after = old["spec"], new["spec"]
    fixed: list[tuple[Path, Any, Any]] = [
        (("spec", "group"), before.get("group"), after.get("group")),
        (("spec", "names", "plural"), before["names"].get("plural"), after["names"].get("plural")),
    ]
    if meta.is_true(old, "Established"):
        fixed += [
            (("spec", "scope"), before.get("scope"), after.get("scope")),
            (("spec", "names", "kind"), before["names"].get("kind"), after["names"].get("kind")),
        ]
    for path, was, now in fixed:
        if was != now:
            yield invalid(path, now, "field is immutable")
    there = {version.get("name") for version in after.get("versions") or []}
    for index, stored in enumerate((new.get("status") or {}).get("storedVersions") or []):
        if stored not in there:
            text = (
                f"missing from spec.versions; {stored} was previously a storage version, and must remain in "
                "spec.versions until a storage migration ensures no data remains persisted in "
                f"{stored} and removes {stored} from status.storedVersions"
            )
            yield invalid(("status", "storedVersions", index), stored, text)


def _group(definition: Object, spec: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    group = spec.get("group") or ""
    if not group:
        yield required((*path, "group"))
    elif not meta.NAME_PATTERN.fullmatch(group):
        yield invalid((*path, "group"), group, "a lowercase RFC 1123 subdomain is expected, such as example.com")
    elif "." not in group:
        yield invalid((*path, "group"), group, "should be a domain with at least one dot")
    elif group.endswith((".k8s.io", ".kubernetes.io")) or group in ("k8s.io", "kubernetes.io"):
        annotations = definition["metadata"].get("annotations") or {}
        if not annotations.get(_APPROVED):
            text = (
                f'protected groups must have approval annotation "{_APPROVED}", '
                "see https://github.com/kubernetes/enhancements/pull/1111"
            )
            yield required(("metadata", f"annotations[{_APPROVED}]"), text)


def _names(names: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    for field in ("plural", "singular", "kind", "listKind"):
        value = names.get(field) or ""
        if not value:
            yield required((*path, field))
        elif not _LABEL.fullmatch(value.lower() if field in ("kind", "listKind") else value):
            mixed = "may have mixed case, but should otherwise match: " if field in ("kind", "listKind") else ""
            yield invalid((*path, field), value, mixed + _LABEL_TEXT)
    for field in ("shortNames", "categories"):
        for index, value in enumerate(names.get(field) or []):
            if not _LABEL.fullmatch(value):
                yield invalid((*path, field, index), value, _LABEL_TEXT)
    if names.get("kind") and names.get("kind") == names.get("listKind"):
        yield invalid((*path, "listKind"), names["listKind"], "kind and listKind may not be the same")


def _conversion(conversion: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    strategy = conversion["strategy"]
    if strategy == "Webhook":
        text = "this engine calls no conversion webhooks: versions that differ in apiVersion alone need None"
        yield invalid((*path, "strategy"), strategy, text)
    elif strategy != "None":
        yield unsupported((*path, "strategy"), strategy, ("None", "Webhook"))
    elif conversion.get("webhook"):
        yield forbidden((*path, "webhook"), "should not be set when strategy is not set to Webhook")


def _versions(versions: list[Any], path: Path) -> Iterator[Problem]:
    if sum(bool(version.get("storage")) for version in versions) != 1:
        names = [version.get("name") for version in versions]
        yield invalid(path, names, "must have exactly one version marked as storage version")
    if len({version.get("name") for version in versions}) != len(versions):
        yield invalid(path, [version.get("name") for version in versions], "must contain unique version names")
    for index, version in enumerate(versions):
        place = (*path, index)
        if not _LABEL.fullmatch(version.get("name") or ""):
            yield invalid((*place, "name"), version.get("name") or "", _LABEL_TEXT)
        if version.get("deprecationWarning") is not None:
            yield from _deprecation(version, place)
        schema = (version.get("schema") or {}).get("openAPIV3Schema")
        where = (*place, "schema", "openAPIV3Schema")
        if not schema:
            yield required(where, "schemas are required")
            continue
        found = list(structural_problems(schema, where))
        yield from found
        if not found:
            yield from rules.rule_problems(schema, where)
        yield from _subresources(version.get("subresources") or {}, (*place, "subresources"))
        yield from _columns(version.get("additionalPrinterColumns") or [], (*place, "additionalPrinterColumns"))
        yield from _selectable(version.get("selectableFields") or [], schema, (*place, "selectableFields"))


def _deprecation(version: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    text, place = version["deprecationWarning"], (*path, "deprecationWarning")
    if not version.get("deprecated"):
        yield invalid(place, text, "can only be set for deprecated versions")
    elif not text or len(text) > 256 or not text.isprintable():
        yield invalid(place, text, "must be 1 to 256 printable characters")


def _subresources(subresources: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    if (scale := subresources.get("scale")) is None:
        return
    roots = {"specReplicasPath": (".spec.",), "statusReplicasPath": (".status.",)}
    for field, allowed in {**roots, "labelSelectorPath": (".status.", ".spec.")}.items():
        value, place = scale.get(field) or "", (*path, "scale", field)
        if not value:
            if field in roots:
                yield required(place)
        elif not _JSON_PATH.fullmatch(value):
            yield invalid(place, value, "must be a simple json path starting with .")
        elif not value.startswith(allowed):
            named = " or ".join(root.rstrip(".") for root in allowed)
            yield invalid(place, value, f"should be a json path under {named}")


def _columns(columns: list[Any], path: Path) -> Iterator[Problem]:
    for index, column in enumerate(columns):
        place = (*path, index)
        if not column.get("name"):
            yield required((*place, "name"))
        if not column.get("type"):
            yield required((*place, "type"), f"must be one of {','.join(_COLUMN_TYPES)}")
        elif column["type"] not in _COLUMN_TYPES:
            yield invalid((*place, "type"), column["type"], f"must be one of {','.join(_COLUMN_TYPES)}")
        if column.get("format") and column["format"] not in _COLUMN_FORMATS:
            yield invalid((*place, "format"), column["format"], f"must be one of {','.join(_COLUMN_FORMATS)}")
        if not column.get("jsonPath"):
            yield required((*place, "jsonPath"))
        elif not _COLUMN_PATH.fullmatch(re.sub(r"'[^']*'|\"[^\"]*\"", "_", column["jsonPath"]).replace(" ", "")):
            yield invalid((*place, "jsonPath"), column["jsonPath"], "must be a simple json path starting with .")


def _selectable(fields: list[Any], schema: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    if len(fields) > _MOST_SELECTABLE:
        detail = f"{len(fields)}: must have at most {_MOST_SELECTABLE} items"
        yield Problem(path, "FieldValueTooMany", f"must have at most {_MOST_SELECTABLE} items", detail)
    seen: set[str] = set()
    for index, entry in enumerate(fields):
        value, place = entry.get("jsonPath") or "", (*path, index, "jsonPath")
        if value in seen:
            yield Problem(place, "FieldValueDuplicate", "repeats an earlier field", f'"{value}"')
        seen.add(value)
        if not value:
            yield required(place)
        elif not _JSON_PATH.fullmatch(value):
            yield invalid(place, value, "is an invalid path: does not begin with . or is no simple path")
        elif value.startswith(".metadata."):
            yield invalid(place, value, "must not point to fields in metadata")
        elif (kind := _type_at(schema, value)) is None:
            yield invalid(place, value, "is an invalid path: does not refer to a valid field")
        elif kind not in ("string", "boolean", "integer"):
            text = f"must point to a field of type string, boolean or integer, not {kind}"
            yield invalid(place, value, text)


def _type_at(schema: Mapping[str, Any], path: str) -> str | None:
    """The type of the field that a simple JSON path leads to, or None when no field is declared there."""
    for part in path.split(".")[1:]:
        found = (schema.get("properties") or {}).get(part)
        if not isinstance(found, Mapping):
            return None
        schema = found
    return str(schema.get("type") or "")


# ---- status


def status(definition: Object, others: Iterable[Object], taken: Iterable[Mapping[str, Any]] = ()) -> dict[str, Any]:
    """The status of a definition among the others of its group, and the names `taken` by built-in kinds."""
    spec, old = definition["spec"], definition.get("status") or {}
    accepted = [
        other["status"]["acceptedNames"] for other in others if (other.get("status") or {}).get("acceptedNames")
    ]
    clash, names = _accepted(spec["names"], old.get("acceptedNames") or {}, [*accepted, *taken])
    storage = [version["name"] for version in spec["versions"] if version.get("storage")]
    stored = list(old.get("storedVersions") or [])
    conditions = [item for item in old.get("conditions") or [] if item.get("type") != "NonStructuralSchema"]
    if clash is None:
        conditions = meta.with_condition(conditions, "NamesAccepted", True, "NoConflicts", "no conflicts found")
        conditions = meta.with_condition(
            conditions, "Established", True, "InitialNamesAccepted", "the initial names have been accepted"
        )
    else:
        reason, message = clash
        conditions = meta.with_condition(conditions, "NamesAccepted", False, reason, message)
        if not meta.is_true({"status": old}, "Established"):
            conditions = meta.with_condition(
                conditions, "Established", False, "NotAccepted", "not all names are accepted"
            )
    if meta.is_going(definition):
        conditions = meta.with_condition(
            conditions, "Terminating", True, "InstanceDeletionInProgress", "CustomResource deletion is in progress"
        )
    return {
        "conditions": conditions,
        "acceptedNames": names,
        "storedVersions": [*stored, *(name for name in storage if name not in stored)],
    }


def _accepted(
    names: Mapping[str, Any], before: Mapping[str, Any], taken: list[Mapping[str, Any]]
) -> tuple[tuple[str, str] | None, dict[str, Any]]:
    """What clashes (reason and message), and the names that may be used."""
    resources = {
        word for item in taken for word in (item.get("plural"), item.get("singular"), *(item.get("shortNames") or []))
    }
    kinds = {word for item in taken for word in (item.get("kind"), item.get("listKind"))}
    result = dict(names)
    clash: tuple[str, str] | None = None
    for field, used in (("plural", resources), ("singular", resources), ("kind", kinds), ("listKind", kinds)):
        if names.get(field) in used:
            clash = clash or (f"{field[0].upper()}{field[1:]}Conflict", f'"{names[field]}" is already in use')
            result[field] = before.get(field, "")
    for short in names.get("shortNames") or []:
        if short in resources:
            clash = clash or ("ShortNamesConflict", f'"{short}" is already in use')
            result["shortNames"] = list(before.get("shortNames") or [])
    return clash, result


def is_established(definition: Object) -> bool:
    """Whether the definition's kinds are served."""
    return meta.is_true(definition, "Established")
