"""A scorer that holds the answer to a JSON Schema."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cpod_jupyter.errors import CpodError
from cpod_jupyter.sdk.evaluate.scorers.base import Answered, Score, Scorer, needed

if TYPE_CHECKING:
    from cpod_jupyter.sdk.session import Session

_BLOCK = re.compile(r"```(?:json)?\s*\n(.*?)```", re.DOTALL | re.IGNORECASE)


@dataclass
class JsonSchema(Scorer):
    """1 when the answer is JSON, or has a block of it, that the schema takes; the schema is the option, else the row's
    `schema`. References outside the schema are not followed."""

    schema: dict[str, Any] = field(default_factory=dict)
    name: str = "json_schema"

    def prepare(self, session: Session | None) -> None:
        self._library = needed("jsonschema", self.name)
        self._registry = needed("referencing", self.name).Registry()
        if self.schema:
            self._validator(self.schema)

    def score(self, answered: Answered) -> Score:
        schema = self.schema or answered.row.get("schema")
        if not isinstance(schema, dict):
            raise CpodError("there is no schema: give the scorer one, or each row its own as `schema`")
        validator = self._validator(schema)
        found = json_in(answered.answer)
        if not found:
            return Score.of(0, "there is no JSON in the answer")
        fault = self._library.exceptions.best_match(validator.iter_errors(found[0]))
        return Score.of(1) if fault is None else Score.of(0, f"{fault.json_path}: {fault.message}"[:300])

    def _validator(self, schema: dict[str, Any]) -> Any:
        kind = self._library.validators.validator_for(schema, default=self._library.Draft202012Validator)
        try:
            kind.check_schema(schema)
        except self._library.SchemaError as error:
            raise CpodError(f"the schema is not a JSON Schema: {error.json_path}: {error.message}") from error
        return kind(schema, registry=self._registry)


def json_in(text: str) -> list[Any]:
    """The JSON that an answer is, else that its last block holds, else that stands in it first; one value or none."""
    for candidate in (text, *reversed(_BLOCK.findall(text))):
        try:
            return [json.loads(candidate)]
        except ValueError:
            continue
    decoder = json.JSONDecoder()
    for start in re.finditer(r"[\[{]", text):
        try:
            return [decoder.raw_decode(text, start.start())[0]]
        except ValueError:
            continue
    return []
