"""Tools that a model may call: Python functions, described to it by their signatures and docstrings."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from cpod_jupyter.errors import CpodError

if TYPE_CHECKING:
    import pydantic

Function = Callable[..., Any]
_PARAMETER = re.compile(r"^\s*(?::param\s+(?:\w+\s+)?)?(\w+)\s*(?:\([^)]*\))?\s*:\s+(\S.*)$")
"""A parameter's line in a docstring, as Google's style and Sphinx have it."""


class Tools:
    """What a model may call. `schemas` describe it to the server (OpenAI, "Function calling").

    `given` are functions, and schemas for what somebody else answers. Raises CpodError for what is neither.
    """

    def __init__(self, given: Sequence[Function | dict[str, Any]] | Function) -> None:
        self.schemas: list[dict[str, Any]] = []
        self._functions: dict[str, pydantic.TypeAdapter[Any]] = {}
        for each in [given] if callable(given) else given:
            self.schemas.append(self._known(each) if callable(each) else _checked(each))
        names = [schema["function"]["name"] for schema in self.schemas]
        if not names or len(set(names)) != len(names):
            raise CpodError(f"tools must be one or several of different names, not {', '.join(names) or 'none'}")

    def has(self, name: str) -> bool:
        """Whether a function of that name can be called here."""
        return name in self._functions

    def call(self, name: str, arguments: str) -> str:
        """What the function answers to arguments as the model wrote them (JSON), as text; an error in words too, for
        the model may do better then."""
        import pydantic
        from pydantic_core import ArgsKwargs

        known = ", ".join(schema["function"]["name"] for schema in self.schemas)
        if name not in self._functions:
            return f"Error: there is no tool {name}; there are {known}"
        try:
            given = json.loads(arguments or "{}")
            if not isinstance(given, dict):
                raise ValueError("the arguments are no JSON object")
            result = self._functions[name].validate_python(ArgsKwargs((), given))
            return result if isinstance(result, str) else json.dumps(result, ensure_ascii=False, default=str)
        except pydantic.ValidationError as error:
            faults = (f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
            return f"Error: {'; '.join(faults)}"
        except Exception as error:  # the user's own function may raise anything
            return f"Error: {type(error).__name__}: {error}"

    def _known(self, function: Function) -> dict[str, Any]:
        import pydantic

        name = getattr(function, "__name__", type(function).__name__)
        if not name.isidentifier():
            raise CpodError(f"{name} cannot be a tool: give a function that has a name")
        try:
            adapter: pydantic.TypeAdapter[Any] = pydantic.TypeAdapter(function)  # type: ignore[arg-type]  # it takes them
            parameters = adapter.json_schema()
        except (pydantic.errors.PydanticUserError, NameError, TypeError) as error:
            raise CpodError(f"{name} cannot be a tool: its parameters cannot be described: {error}") from error
        if parameters.get("type") != "object":
            raise CpodError(f"{name} cannot be a tool: a model gives arguments by name, and some of its have none")
        self._functions[name] = adapter
        words = inspect.getdoc(function) or ""
        told = {found[1]: found[2] for line in words.splitlines() if (found := _PARAMETER.match(line))}
        properties = {
            key: {**_without_title(schema), **({"description": told[key]} if key in told else {})}
            for key, schema in (parameters.get("properties") or {}).items()
        }
        described = {**parameters, "properties": properties}
        told_of = {"name": name, "description": words.split("\n\n")[0], "parameters": described}
        return {"type": "function", "function": told_of}


def _without_title(schema: dict[str, Any]) -> dict[str, Any]:
    """A title made from a parameter's name tells a model nothing, and costs tokens."""
    return {key: value for key, value in schema.items() if key != "title"}


def _checked(schema: Any) -> dict[str, Any]:
    if not isinstance(schema, dict) or not isinstance(schema.get("function"), dict):
        raise CpodError(f"a tool is a function, or a schema with type and function, not {schema!r:.80}")
    if not schema["function"].get("name"):
        raise CpodError("a tool's schema has no name under `function`")
    return {"type": "function", **schema}
