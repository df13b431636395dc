"""The model card of a fine-tune: what it was made from, and how, for whoever finds the directory later."""

from __future__ import annotations

import importlib.metadata
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cpod_jupyter.runtime.arguments import LORA_ARGUMENTS
from cpod_jupyter.runtime.data import ChatData

if TYPE_CHECKING:
    from peft import LoraConfig
    from trl import SFTConfig

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
    "seed",
    "bf16",
    "fp16",
)

LIBRARIES = ("torch", "transformers", "trl", "peft")


@dataclass(frozen=True)
class Outcome:
    """How a training ended."""

    loss: float
    """Mean over the last epoch, in nats a token that is learnt."""
    steps: int
    seconds: float
    """Of this process: what an earlier one did before its checkpoint isn't in it."""


def write_model_card(
    directory: Path, base: Path, data: ChatData, arguments: SFTConfig, lora: LoraConfig | None, outcome: Outcome
) -> None:
    """Write README.md into `directory`."""
    settings: dict[str, object] = {}
    for name in SHOWN_ARGUMENTS:
        value = getattr(arguments, name)
        settings[name] = getattr(value, "value", value)
    if lora is not None:
        for ours, (theirs, _, default) in LORA_ARGUMENTS.items():
            value = getattr(lora, theirs)
            # PEFT replaces "all-linear" by the set of the layers it found.
            settings[ours] = default if isinstance(value, set) and ours == "lora_target" else value
    lines = [
        f"# Fine-tune of {base.name}",
        "",
        f"- base model: `{base}`",
        f"- method: {'LoRA' if lora is not None else 'full fine-tuning'}",
        f"- data: {len(data.rows)} conversations, sha256 `{data.sha256}`",
        f"- result: {outcome.steps} steps, mean loss of the last epoch {outcome.loss:.4f}, {outcome.seconds:.0f} s",
        f"- made with: {', '.join(f'{name} {importlib.metadata.version(name)}' for name in LIBRARIES)}",
        "",
        "| argument | value |",
        "|---|---|",
        *(f"| {name} | {value} |" for name, value in settings.items()),
        "",
    ]
    (directory / "README.md").write_text("\n".join(lines), "utf-8")
