"""A scorer that compares what texts mean: the cosine of their embeddings."""

from __future__ import annotations

import importlib.util
import json
import math
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cpod_jupyter.errors import CpodError
from cpod_jupyter.sdk.evaluate.scorers import embedding_program
from cpod_jupyter.sdk.evaluate.scorers.base import Answered, Score, Scorer
from cpod_jupyter.sdk.evaluate.scorers.reach import reached

if TYPE_CHECKING:
    from cpod_jupyter.sdk.session import Session

_AT_ONCE = 64
"""Texts in a request."""


@dataclass
class Embedding(Scorer):
    """The cosine of the embeddings of the answer and the right one, at most 1, by an embeddings `deployment`: a name,
    a handle, or a URL of a server with `/v1/embeddings`; or by a model in a `folder`, of transformers, on this
    machine."""

    deployment: Any = ""
    folder: str = ""
    model: str = ""
    api_key_env: str = ""
    name: str = "embedding"

    def prepare(self, session: Session | None) -> None:
        if not self.folder:
            self._reached = reached(self.deployment, session, self.model, self.api_key_env)
        elif self.deployment:
            raise CpodError(f"the scorer {self.name} takes a deployment or a folder, not both")
        elif not (Path(self.folder).expanduser() / "config.json").is_file():
            raise CpodError(f"{self.folder} has no config.json: it is no folder of a model")
        else:
            for library in ("torch", "transformers"):
                if importlib.util.find_spec(library) is None:
                    raise CpodError(f'a model in a folder needs {library}: pip install "cpod-jupyter[runtime]"')

    def score(self, answered: Answered) -> Score:
        return self.score_all([answered])[0]

    def score_all(self, rows: Sequence[Answered]) -> list[Score]:
        texts = list(dict.fromkeys(text for row in rows for text in (row.answer, *row.rights) if text.strip()))
        vectors: dict[str, list[float]] = {}
        errors: dict[str, str] = {}
        if self.folder:
            vectors = dict(zip(texts, self._in_folder(texts), strict=True)) if texts else {}
            texts = []
        for start in range(0, len(texts), _AT_ONCE):
            self._take(texts[start : start + _AT_ONCE], vectors, errors)
        return [self._scored(row, vectors, errors) for row in rows]

    def _take(self, texts: list[str], vectors: dict[str, list[float]], errors: dict[str, str]) -> None:
        """Where the server refuses a request, its texts are sent one by one: one of them may be too long."""
        import openai

        try:
            vectors.update(zip(texts, self._embedded(texts), strict=True))
        except CpodError as error:
            if len(texts) > 1 and isinstance(error.__cause__, openai.BadRequestError):
                for text in texts:
                    self._take([text], vectors, errors)
            else:
                errors.update(dict.fromkeys(texts, str(error)))

    def _scored(self, row: Answered, vectors: dict[str, list[float]], errors: dict[str, str]) -> Score:
        rights = [right for right in row.rights if right.strip()]
        failed = next((errors[text] for text in (row.answer, *rights) if text in errors), "")
        if failed:
            return Score(error=failed)
        if not rights:
            return Score(error="the right answer is empty")
        if not row.answer.strip():
            return Score.of(0, "the answer is empty")
        return Score.of(max(cosine(vectors[row.answer], vectors[right]) for right in rights))

    def _in_folder(self, texts: list[str]) -> list[list[float]]:
        command = [sys.executable, embedding_program.__file__, str(Path(self.folder).expanduser())]
        ran = subprocess.run(command, input=json.dumps(texts), capture_output=True, text=True, check=False)
        if ran.returncode != 0:
            last = (ran.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise CpodError(f"the model in {self.folder} embeds nothing: {last}")
        return json.loads(ran.stdout)  # type: ignore[no-any-return]

    def _embedded(self, texts: list[str]) -> list[list[float]]:
        import openai

        there = self._reached
        try:
            found = there.client.embeddings.create(model=there.model, input=texts, encoding_format="float").data
        except (openai.APIError, ValueError) as error:  # the latter when the answer has no data
            raise CpodError(there.redacted(f"{there.title} gave no embeddings: {error}")) from error
        if len(found) != len(texts):
            raise CpodError(f"{there.title} gave {len(found)} embeddings of {len(texts)} texts")
        return [each.embedding for each in sorted(found, key=lambda each: each.index)]


def cosine(one: Sequence[float], other: Sequence[float]) -> float:
    """Of two vectors; 0 where one has no length."""
    if len(one) != len(other):
        raise CpodError("the embeddings are of different lengths")
    length = math.hypot(*one) * math.hypot(*other)
    return sum(a * b for a, b in zip(one, other, strict=True)) / length if length else 0.0
