"""Validation rules of definitions: `x-kubernetes-validations`, in the Common Expression Language.

The expressions are run by cel-rust (PyPI: common-expression-language); what it or we cannot run makes a
definition invalid, so that no rule is passed over in silence. Not checked when a definition comes, other
than in the API server: types of expressions, fields that no schema declares, and estimated costs. In the
place of costs there is a bound on the steps of nested comprehensions.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from typing import Any

from cpod_jupyter.api.nodes import LIST_KEYS, LIST_TYPE, RULES
from cpod_jupyter.api.problem import Path, Problem, quoted
from cpod_jupyter.engine.rule_functions import CORE, functions
from cpod_jupyter.engine.rule_values import converted, converts
from cpod_jupyter.engine.structural import MAP_TYPE, forbidden, invalid, key, required, unsupported

Schema = Mapping[str, Any]

_REASONS = ("FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired")
_STEPS = 2_000_000
"""Steps that nested comprehensions of one rule may take: about a second."""
_LITERAL = r"\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'"
_MACRO = re.compile(rf"{_LITERAL}|\.(all|exists|exists_one|map|filter)\s*\(|[()]")
_BOUND = re.compile(rf"{_LITERAL}|\.(?:all|exists|exists_one|map|filter)\s*\(\s*([A-Za-z_]\w*)\s*,")
_SIZE = re.compile(rf"({_LITERAL})|\bsize\s*\(")
_WORDS = {
    "self", "oldSelf", "int", "uint", "double", "bool", "string", "bytes", "list", "map", "null_type", "type",
    "optional", "math", "sets", "strings", "lists", "base64", "ip",
}  # fmt: skip
"""Names that an expression may use besides those that it binds: variables, types, and libraries."""


class Expression:
    """One compiled expression. Raises ValueError, with why, when it cannot be run here."""

    def __init__(self, text: str) -> None:
        import cel  # takes a tenth of a second, and only definitions with rules need it

        try:
            self._program = cel.compile(_SIZE.sub(lambda match: match[1] or "cpodSize(", text))
        except (ValueError, RuntimeError, TypeError) as error:
            raise ValueError(str(error).splitlines()[0]) from error
        used = {name for name in self._program.functions() if re.match(r"@?[A-Za-z]", name)}
        self._functions = {name: function for name, function in functions().items() if name.rpartition(".")[2] in used}
        missing = used - CORE - {name.rpartition(".")[2] for name in self._functions}
        if missing:
            raise ValueError(f"undeclared reference to {', '.join(sorted(missing))}: this engine has no such function")
        bound = {match[1] for match in _BOUND.finditer(text) if match[1]}
        if strange := set(self._program.variables()) - bound - _WORDS:
            raise ValueError(f"undeclared reference to {', '.join(sorted(strange))}")
        self.uses_old = "oldSelf" in self._program.variables()
        self.nesting = _nesting(text)

    def run(self, variables: dict[str, Any]) -> Any:
        """The value. Raises ValueError when evaluating fails."""
        import cel

        try:
            return self._program.execute(cel.Context(variables, self._functions))
        except (ValueError, RuntimeError, TypeError, KeyError, ArithmeticError, LookupError) as error:
            raise ValueError(str(error).splitlines()[0] if str(error) else repr(error)) from error


def _nesting(text: str) -> int:
    """How deep comprehensions stand in one another."""
    deepest, open_ = 0, []
    for match in _MACRO.finditer(text):
        if match[1] or match[0] == "(":
            open_.append(bool(match[1]))
            deepest = max(deepest, sum(open_))
        elif match[0] == ")" and open_:
            open_.pop()
    return deepest


@functools.lru_cache(maxsize=4096)
def expression(text: str) -> Expression:
    """The compiled expression, kept. Raises ValueError, with why, when it cannot be run here."""
    return Expression(text)


# ---- when a definition comes


def rule_problems(schema: Schema, path: Path, *, follows: bool = True) -> Iterator[Problem]:
    """What is wrong with the rules of a structural schema. `follows` says whether an old value can be found
    for a new one here, which it cannot inside lists that are not maps."""
    for index, rule in enumerate(schema.get(RULES) or []):
        yield from _rule(rule, schema, (*path, RULES, index), follows)
    for name, child in (schema.get("properties") or {}).items():
        inner = follows and schema.get(MAP_TYPE) != "atomic"
        yield from rule_problems(child, key(path, "properties", name), follows=inner)
    if isinstance(items := schema.get("items"), Mapping):
        yield from rule_problems(items, (*path, "items"), follows=follows and schema.get(LIST_TYPE) == "map")
    if isinstance(additional := schema.get("additionalProperties"), Mapping):
        inner = follows and schema.get(MAP_TYPE) != "atomic"
        yield from rule_problems(additional, (*path, "additionalProperties"), follows=inner)


def _rule(rule: Mapping[str, Any], schema: Schema, path: Path, follows: bool) -> Iterator[Problem]:
    text, message = (rule.get("rule") or "").strip(), rule.get("message")
    if not text:
        yield required((*path, "rule"), "rule is not specified")
        return
    if message is not None and not message.strip():
        yield invalid((*path, "message"), message, "message must be non-empty if specified")
    elif "\n" in (message or "").strip():
        yield invalid((*path, "message"), message, "message must not contain line breaks")
    elif not message and "\n" in text:
        yield required((*path, "message"), "message must be specified if rule contains line breaks")
    if rule.get("reason") and rule["reason"] not in _REASONS:
        yield unsupported((*path, "reason"), rule["reason"], _REASONS)
    if (field := rule.get("fieldPath")) is not None and _inside(schema, field) is None:
        yield invalid((*path, "fieldPath"), field, "fieldPath must be a valid path to a field of this schema")
    try:
        compiled = expression(text)
    except ValueError as error:
        yield invalid((*path, "rule"), text, f"compilation failed: {error}")
        return
    if compiled.uses_old and not follows:
        yield forbidden((*path, "rule"), "oldSelf cannot be used on the uncorrelatable portion of the schema")
    if rule.get("optionalOldSelf") and not compiled.uses_old:
        yield invalid((*path, "optionalOldSelf"), True, "may not be set if oldSelf is not used in rule")
    if words := rule.get("messageExpression"):
        try:
            expression(words)
        except ValueError as error:
            yield invalid((*path, "messageExpression"), words, f"messageExpression compilation failed: {error}")


def _inside(schema: Schema, field: str) -> Path | None:
    """The parts of a rule's `fieldPath`, or None when it leads nowhere."""
    parts: list[str] = []
    for match in re.finditer(r"\.([^.\[\]]+)|\['([^']+)'\]|(.)", field):
        name = match[1] or match[2]
        if not name:
            return None
        found = (schema.get("properties") or {}).get(name) or schema.get("additionalProperties")
        if not isinstance(found, Mapping):
            return None
        schema = found
        parts.append(name)
    return tuple(parts) or None


# ---- when an object comes


class RuleNode:
    """The part of a schema that has rules, with the rules ready to run."""

    __slots__ = ("additional", "converts", "items", "keys", "kind", "properties", "rules", "schema")

    def __init__(self, schema: Schema) -> None:
        get = schema.get
        self.schema = schema
        self.kind = get("type") or ""
        self.rules = [(rule, expression(rule["rule"].strip())) for rule in get(RULES) or []]
        children = {name: rules_of(child) for name, child in (get("properties") or {}).items()}
        self.properties = {name: child for name, child in children.items() if child is not None}
        self.items = rules_of(items) if isinstance(items := get("items"), Mapping) else None
        additional = get("additionalProperties")
        self.additional = rules_of(additional) if isinstance(additional, Mapping) else None
        self.keys: tuple[str, ...] = tuple(get(LIST_KEYS) or ()) if get(LIST_TYPE) == "map" else ()
        self.converts = bool(self.rules) and converts(schema)


def rules_of(schema: Schema) -> RuleNode | None:
    """The rules of a schema, or None when it has none. Raises ValueError for one that cannot be run here."""
    node = RuleNode(schema)
    return node if node.rules or node.properties or node.items or node.additional else None


def broken_rules(node: RuleNode, new: Any, old: Any = None, path: Path = (), *, root: bool = True) -> list[Problem]:
    """The rules that a value breaks; `old` is the value before the change, None when there was none."""
    found: list[Problem] = []
    if new is None:
        return found
    if node.rules:
        found += _evaluated(node, _identity(new) if root else new, _identity(old) if root and old else old, path)
    if isinstance(new, dict):
        before = old if isinstance(old, dict) else {}
        for name, item in new.items():
            child = node.properties.get(name) or (
                None if name in node.schema.get("properties", ()) else node.additional
            )
            if child is not None:
                found += broken_rules(child, item, before.get(name), (*path, name), root=False)
    elif isinstance(new, list) and node.items is not None:
        before = _by_key(node, old)
        for index, item in enumerate(new):
            found += broken_rules(node.items, item, before.get(_key(node, item)), (*path, index), root=False)
    return found


def _identity(obj: Any) -> Any:
    """An object as its rules see it: of the metadata, only the names."""
    metadata = obj.get("metadata") or {}
    names = {name: metadata[name] for name in ("name", "generateName") if name in metadata}
    return {**obj, "metadata": names}


def _key(node: RuleNode, item: Any) -> str:
    if not node.keys or not isinstance(item, dict):
        return ""
    return quoted([item.get(name) for name in node.keys])


def _by_key(node: RuleNode, old: Any) -> dict[str, Any]:
    return {_key(node, item): item for item in old or []} if node.keys and isinstance(old, list) else {}


def _evaluated(node: RuleNode, new: Any, old: Any, path: Path) -> Iterator[Problem]:
    if node.converts:
        new, old = converted(node.schema, new), converted(node.schema, old)
    kind = node.kind or ("string" if isinstance(new, str) else "integer")
    for rule, compiled in node.rules:
        variables = {"self": new}
        if rule.get("optionalOldSelf"):
            variables["oldSelf"] = _optional(old)
        elif compiled.uses_old:
            if old is None:
                continue
            variables["oldSelf"] = old
        text = rule.get("message") or f"failed rule: {rule['rule'].strip()}"
        if compiled.nesting > 1 and _count(new) ** compiled.nesting > _STEPS:
            words = "validation failed due to running out of cost budget, no further validation rules will be run"
            yield invalid(path, kind, words)
            return
        try:
            holds = compiled.run(variables)
        except ValueError as error:
            yield invalid(path, kind, f"{error} evaluating rule: {text}")
            continue
        if holds is not True:
            yield _broken(rule, node.schema, kind, _message(rule, variables) or text.strip(), path)


def _optional(value: Any) -> Any:
    import cel

    return cel.OptionalValue.none() if value is None else cel.OptionalValue.of(value)


def _count(value: Any) -> int:
    """How many values there are in a value."""
    if isinstance(value, dict):
        return 1 + sum(map(_count, value.values()))
    return 1 + sum(map(_count, value)) if isinstance(value, list) else 1


def _message(rule: Mapping[str, Any], variables: dict[str, Any]) -> str:
    """What a rule's messageExpression says; nothing when it fails or says nothing that fits a line."""
    if not rule.get("messageExpression"):
        return ""
    try:
        text = expression(rule["messageExpression"]).run(variables)
    except ValueError:
        return ""
    text = text.strip() if isinstance(text, str) else ""
    return "" if "\n" in text or len(text) > 5120 else text


def _broken(rule: Mapping[str, Any], schema: Schema, kind: str, text: str, path: Path) -> Problem:
    where = (*path, *(_inside(schema, rule["fieldPath"]) or ())) if rule.get("fieldPath") else path
    reason = rule.get("reason") or "FieldValueInvalid"
    if reason in ("FieldValueRequired", "FieldValueForbidden"):
        return Problem(where, reason, text, text)
    if reason == "FieldValueDuplicate":
        return Problem(where, reason, text, quoted(kind))
    return invalid(where, kind, text)
