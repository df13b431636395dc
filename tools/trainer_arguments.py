"""Make `cpod_jupyter/api/trainer_arguments.json` from the installed TRL: `python tools/trainer_arguments.py`.

The file has every argument that a FineTune's `config` may name, with what it may be, for those who check a
FineTune without the trainer's libraries: the operator, the notebook. To be run again when TRL or transformers changes;
`tests/api/test_trainer.py` says when that was forgotten.
"""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

from cpod_jupyter.runtime.arguments import LORA_ARGUMENTS, fields_of_trainer, kinds_of

TARGET = Path(__file__).parents[1] / "cpod_jupyter/api/trainer_arguments.json"


def table() -> dict[str, Any]:
    """What the file has to say."""
    supervised = {name: kinds_of(annotation) for name, annotation in fields_of_trainer("sft").items()}
    by_preference = {name: kinds_of(annotation) for name, annotation in fields_of_trainer("dpo").items()}
    return {
        "from": {name: version(name) for name in ("trl", "transformers")},
        "trainer": {name: _either(kinds, by_preference.get(name, [])) for name, kinds in supervised.items()},
        "dpo": {name: kinds for name, kinds in by_preference.items() if name not in supervised},
        "lora": {name: kinds_of(annotation) for name, (_, annotation, _) in LORA_ARGUMENTS.items()},
    }


def _either(kinds: list[Any], others: list[Any]) -> list[Any]:
    """What an argument may be that both trainers have."""
    return [*kinds, *(kind for kind in others if kind not in kinds)]


def text() -> str:
    """The file: an argument a line, so that a change shows as one."""
    parts = []
    for part, entries in table().items():
        lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in sorted(entries.items()))
        parts.append(f"{json.dumps(part)}: {{\n{lines}\n }}")
    return "{\n " + ",\n ".join(parts) + "\n}\n"


if __name__ == "__main__":
    TARGET.write_text(text(), "utf-8")
