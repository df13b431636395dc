"""The model card of a fine-tune: what it was made from, and how, for whoever finds the directory later.

The base's own documents come along. Its licence binds the result too, so LICENSE, NOTICE and the like keep their
names, and what its card says of the licence stands at the head of ours. The base's README.md becomes BASE_README.md;
a base that was itself fine-tuned has one already, which is appended, so that the line of cards goes on to the first.
"""

from __future__ import annotations

import importlib.metadata
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from cpod_jupyter.runtime.arguments import LORA_ARGUMENTS
from cpod_jupyter.runtime.data import DataSet
from cpod_jupyter.runtime.encode import Counts
from cpod_jupyter.version import VERSION

if TYPE_CHECKING:
    from peft import LoraConfig
    from transformers import TrainerState
    from trl import DPOConfig, SFTConfig

SHOWN_ARGUMENTS = (
    "num_train_epochs",
    "max_steps",
    "per_device_train_batch_size",
    "gradient_accumulation_steps",
    "learning_rate",
    "lr_scheduler_type",
    "warmup_steps",
    "weight_decay",
    "max_length",
    "assistant_only_loss",
    "packing",
    "beta",
    "seed",
    "bf16",
    "fp16",
)

LIBRARIES = ("torch", "transformers", "trl", "peft", "accelerate", "datasets")

METHODS = {"lora": "LoRA", "qlora": "QLoRA (the base in 4 bits while training)", "full": "full fine-tuning"}

CARD, BASE_CARD = "README.md", "BASE_README.md"
DOCUMENTS = ("*.md", "LICEN[SC]E*", "NOTICE*", "USE_POLICY*", "COPYING*")
"""Names of what a model's makers have to say, at the top of its directory."""
KEPT_KEYS = ("license", "license_name", "license_link", "language", "pipeline_tag", "tags")
"""Keys at the head of a card on the Hugging Face hub ("Model Cards", metadata) that are true of a fine-tune too."""
_LONGEST_DOCUMENT = 4 << 20
"""Bytes; what is longer is no document."""


@dataclass(frozen=True)
class Outcome:
    """How a training ended."""

    loss: float
    """Mean over the last epoch, in nats a token that is learnt."""
    steps: int
    seconds: float
    """Of this process: what an earlier one did before its checkpoint isn't in it."""
    eval_loss: float | None = None
    """Of the last evaluation, or of the weights that were kept."""

    @classmethod
    def of(cls, state: TrainerState, seconds: float) -> Outcome:
        """What the trainer's state says at the end."""
        losses = [entry for entry in state.log_history if "loss" in entry]
        last = [entry["loss"] for entry in losses if entry["epoch"] > losses[-1]["epoch"] - 1]
        evaluated = [entry["eval_loss"] for entry in state.log_history if "eval_loss" in entry]
        best = state.best_metric if state.best_model_checkpoint else None
        mean = sum(last) / len(last) if last else float("nan")
        return cls(mean, state.global_step, seconds, best if best is not None else evaluated[-1] if evaluated else None)


def write_model_card(
    directory: Path,
    base: Path,
    data: DataSet,
    counts: Counts,
    finetune_type: str,
    arguments: SFTConfig | DPOConfig,
    lora: LoraConfig | None,
    outcome: Outcome,
) -> None:
    """Write README.md into `directory`, beside the documents of the base."""
    settings: dict[str, object] = {}
    for name in (name for name in SHOWN_ARGUMENTS if hasattr(arguments, name)):
        value = getattr(arguments, name)
        settings[name] = getattr(value, "value", value)
    if lora is not None:
        for ours, (theirs, _, default) in LORA_ARGUMENTS.items():
            value = getattr(lora, theirs)
            # PEFT replaces "all-linear" by the set of the layers it found.
            settings[ours] = default if isinstance(value, set) and ours == "lora_target" else value
    name = _name_of(base)
    preferred = data.kind == "preferences"
    evaluated = "" if outcome.eval_loss is None else f", evaluated {outcome.eval_loss:.4f}"
    lines = [
        *_head(base),
        f"# Fine-tune of {name}",
        "",
        f"- base model: `{name}`, whose own card is {BASE_CARD} where it has one",
        f"- method: {METHODS[finetune_type]}{', by direct preference optimization' if preferred else ''}",
        f"- data: {data.summary()}, {counts.tokens:,} tokens, sha256 `{data.sha256}`",
        f"- result: {outcome.steps} steps, mean loss of the last epoch {outcome.loss:.4f}{evaluated}, "
        f"{outcome.seconds:.0f} s; every figure is in trainer_state.json, and for TensorBoard in runs/",
        f"- made with: {', '.join([f'cpod-jupyter {VERSION}', *(_version(name) for name in LIBRARIES)])}",
        "",
        "| argument | value |",
        "|---|---|",
        *(f"| {name} | {value} |" for name, value in settings.items()),
        "",
    ]
    _keep_documents(base, directory)
    (directory / CARD).write_text("\n".join(lines), "utf-8")


def _version(library: str) -> str:
    return f"{library} {importlib.metadata.version(library)}"


def _name_of(base: Path) -> str:
    """Where the base comes from, if the download left word; else the directory's name."""
    try:
        marker = json.loads((base / ".cpod-source.json").read_text("utf-8"))
        return str(marker["source"])
    except (OSError, ValueError, KeyError, TypeError):
        return base.name


def _head(base: Path) -> list[str]:
    """The metadata at the head of the card: what the base's card says that stays true."""
    kept = {name: value for name, value in _metadata(base / CARD).items() if name in KEPT_KEYS}
    if not kept:
        return []
    return ["---", yaml.safe_dump(kept, sort_keys=False, allow_unicode=True).rstrip(), "---", ""]


def _metadata(card: Path) -> dict[str, Any]:
    """The YAML between two lines of three hyphens at the head of a card; empty where there is none."""
    text = _text_of(card)
    parts = text.split("\n---", 1) if text.startswith("---\n") else []
    try:
        found = yaml.safe_load(parts[0].removeprefix("---")) if len(parts) == 2 else None
    except yaml.YAMLError:
        return {}
    return found if isinstance(found, dict) else {}


def _keep_documents(base: Path, directory: Path) -> None:
    cards = [text for text in (_text_of(base / CARD), _text_of(base / BASE_CARD)) if text]
    if cards:
        (directory / BASE_CARD).write_text("\n\n---\n\n".join(cards), "utf-8")
    for pattern in DOCUMENTS:
        for file in base.glob(pattern):
            if file.is_file() and file.name not in (CARD, BASE_CARD) and file.stat().st_size <= _LONGEST_DOCUMENT:
                shutil.copyfile(file, directory / file.name)


def _text_of(file: Path) -> str:
    try:
        if file.stat().st_size > _LONGEST_DOCUMENT:
            return ""
        return file.read_text("utf-8", errors="replace")
    except OSError:
        return ""
