"""The configuration of a fine-tune: its file, and its arguments by the trainer's own names.

    {"finetuneType": "lora", "autoMerge": true, "arguments": {"num_train_epochs": "5", "lora_rank": "8"}}

`arguments` are fields of TRL's SFTConfig, and `lora_rank`, `lora_alpha`, `lora_dropout`, `lora_target` for
PEFT's LoraConfig. They come from a map of strings, so each is read as its field's type says. What the operator's
plan chooses (api/planning) comes as arguments like these; `deepspeed`, a configuration for DeepSpeed, may be the path
of its file. `rows`, where it is given, is how many of the first rows are trained on.
"""

from __future__ import annotations

import dataclasses
import difflib
import enum
import json
import math
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cpod_jupyter.api.planning.ways import DEFAULT_BATCH_SIZE, DEFAULT_LORA_RANK, DEFAULT_MAX_LENGTH
from cpod_jupyter.api.trainer import RESERVED, Kind, coerce
from cpod_jupyter.errors import WorkFailed
from cpod_jupyter.runtime.libraries import require_deepspeed, require_quantization

if TYPE_CHECKING:
    from peft import LoraConfig
    from trl import SFTConfig

LORA_ARGUMENTS: dict[str, tuple[str, Any, Any]] = {
    "lora_rank": ("r", int, DEFAULT_LORA_RANK),
    "lora_alpha": ("lora_alpha", int, 32),
    "lora_dropout": ("lora_dropout", float, 0.0),
    "lora_target": ("target_modules", str | list[str], "all-linear"),
}
"""Our name: LoraConfig's name, its type, the default."""

MAX_LOGGED_STEPS = 300
"""A curve of more points than this shows no more; longer runs log every so many steps."""


@dataclass(frozen=True)
class FineTuneConfig:
    """The configuration file, checked as far as it goes without the trainer's libraries."""

    finetune_type: Literal["lora", "qlora", "full"]
    auto_merge: bool
    arguments: dict[str, Any]
    rows: int = 0
    """Of the data set, the first ones that are trained on; 0 for all."""

    @property
    def is_adapter(self) -> bool:
        """Whether an adapter is trained and the base stays as it is."""
        return self.finetune_type != "full"

    def as_json(self) -> str:
        """The same for the same configuration, whatever the order of its keys."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)


def read_config(path: Path) -> FineTuneConfig:
    """The configuration in `path`; raises WorkFailed with the fault."""
    raw = _read_object(path, "the configuration")
    known = ("finetuneType", "autoMerge", "arguments", "rows")
    for name in raw:
        if name not in known:
            raise WorkFailed(f"the configuration {path} has an unknown key `{name}`{_nearest(name, known)}")
    finetune_type = raw.get("finetuneType", "lora")
    if finetune_type not in ("lora", "qlora", "full"):
        raise WorkFailed(f"finetuneType is {json.dumps(finetune_type)}, it must be lora, qlora or full")
    auto_merge, arguments = raw.get("autoMerge", True), raw.get("arguments", {})
    if not isinstance(auto_merge, bool):
        raise WorkFailed(f"autoMerge is {json.dumps(auto_merge)}, it must be true or false")
    if not isinstance(arguments, dict):
        raise WorkFailed("arguments must be a map of the trainer's argument names to values")
    rows = raw.get("rows", 0)
    if not isinstance(rows, int) or isinstance(rows, bool) or rows < 0:
        raise WorkFailed(f"rows is {json.dumps(rows)}, it must be a whole number")
    file = arguments.get("deepspeed")
    if isinstance(file, str) and file.startswith("/"):
        arguments = {**arguments, "deepspeed": _read_object(Path(file), "the configuration of DeepSpeed")}
    return FineTuneConfig(finetune_type, auto_merge, arguments, rows)


def _read_object(path: Path, what: str) -> dict[str, Any]:
    """The JSON object in a file; raises WorkFailed with the fault."""
    try:
        raw = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise WorkFailed(f"{what} {path} can't be read: {error.strerror}") from error
    except ValueError as error:
        raise WorkFailed(f"{what} {path} is not JSON: {error}") from error
    if not isinstance(raw, dict):
        raise WorkFailed(f"{what} {path} is not a JSON object")
    return raw


def fields_of_trainer() -> dict[str, Any]:
    """The fields of the trainer's configuration that a person may set, with their types."""
    from trl import SFTConfig

    hints = typing.get_type_hints(SFTConfig)
    names = [field.name for field in dataclasses.fields(SFTConfig) if field.init]
    return {name: hints[name] for name in names if name not in RESERVED}


def trainer_arguments(
    config: FineTuneConfig, output: Path, rows: int, processes: int = 1
) -> tuple[SFTConfig, LoraConfig | None]:
    """The trainer's and PEFT's configuration: the user's arguments over our defaults.

    Args:
        output: where the trainer keeps its checkpoints.
        rows: of the data set, to log a long run more rarely.
        processes: that share a step.

    Raises:
        WorkFailed: an argument is unknown, not of its type, or refused by the trainer; all of the first
            two sorts in one message. Or the machine lacks what the arguments need.
    """
    from peft import LoraConfig
    from trl import SFTConfig

    fields = fields_of_trainer()
    if config.is_adapter:
        fields |= {name: annotation for name, (_, annotation, _) in LORA_ARGUMENTS.items()}
    given = _read_arguments(config, fields)
    if config.finetune_type == "qlora":
        require_quantization()
    if given.get("deepspeed") is not None:
        require_deepspeed()
    lora = None
    if config.is_adapter:
        values = {theirs: given.pop(ours, default) for ours, (theirs, _, default) in LORA_ARGUMENTS.items()}
        lora = LoraConfig(task_type="CAUSAL_LM", **values)
    values = _defaults(config.is_adapter) | given
    if given.get("fp16"):
        values["bf16"] = False  # the one that was asked for, not both
    if "logging_steps" not in given:
        batch = values["per_device_train_batch_size"] * values.get("gradient_accumulation_steps", 1) * processes
        steps = math.ceil(rows / max(batch, 1)) * values["num_train_epochs"]
        steps = values["max_steps"] if values.get("max_steps", -1) > 0 else steps
        values["logging_steps"] = max(1, math.ceil(steps / MAX_LOGGED_STEPS))
    try:
        return SFTConfig(output_dir=str(output), disable_tqdm=True, report_to="none", **values), lora
    except (ValueError, TypeError, ImportError) as error:
        raise WorkFailed(f"the trainer refuses the arguments: {error}") from error


def _defaults(adapter: bool) -> dict[str, Any]:
    import torch

    gpu = torch.cuda.is_available()
    bf16 = gpu and torch.cuda.get_device_capability() >= (8, 0)  # Ampere: the first with bf16 in hardware
    return {
        "num_train_epochs": 3.0,
        "per_device_train_batch_size": DEFAULT_BATCH_SIZE,
        "learning_rate": 2e-4 if adapter else 2e-5,
        "lr_scheduler_type": "cosine",
        "warmup_steps": 0.05,  # below 1: a share of all steps
        "max_length": DEFAULT_MAX_LENGTH,
        "seed": 42,
        "assistant_only_loss": True,
        "logging_nan_inf_filter": False,  # a training that diverges must not look well
        "save_strategy": "epoch",
        "save_total_limit": 1,
        # What checkpointing saves in memory it costs in time, and a CPU has little time and much memory.
        "gradient_checkpointing": gpu,
        "dataloader_pin_memory": gpu,
        # Said outright: the processes of a torchrun on CPUs would each train alone otherwise.
        "use_cpu": not torch.accelerator.is_available(),
        "bf16": bf16,
        "fp16": gpu and not bf16,
    }


def _read_arguments(config: FineTuneConfig, fields: Mapping[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    faults: list[str] = []
    for name, raw in config.arguments.items():
        if name in RESERVED:
            faults.append(f"{name} can't be set: {RESERVED[name]}")
        elif name in LORA_ARGUMENTS and name not in fields:
            faults.append(f"{name} is for finetuneType lora or qlora, this one is {config.finetune_type}")
        elif name not in fields:
            faults.append(f"{name} is not an argument of the trainer{_nearest(name, fields)}")
        else:
            try:
                values[name] = coerce(raw, kinds_of(fields[name]))
            except ValueError as error:
                faults.append(f"{name} is {json.dumps(raw)}, {error}")
    if faults:
        raise WorkFailed("the arguments of the fine-tune are wrong:\n" + "\n".join(f"  {fault}" for fault in faults))
    return values


def _nearest(name: str, known: typing.Iterable[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f", did you mean {close[0]}?" if close else ""


def kinds_of(annotation: Any) -> list[Kind]:
    """What a value of that type may be.

    Where a JSON object will do, text is no other choice: the trainer takes it as the same object, or as a file's
    name on its own machine.
    """
    members: tuple[Any, ...] = typing.get_args(annotation) if _is_union(annotation) else (annotation,)
    kinds = [_kind_of(member) for member in members]
    return [kind for kind in kinds if kind != "str" or "dict" not in kinds]


def _is_union(annotation: Any) -> bool:
    return typing.get_origin(annotation) in (typing.Union, types.UnionType)


def _kind_of(member: Any) -> Kind:
    origin: Any = typing.get_origin(member) or member
    if isinstance(origin, type) and issubclass(origin, enum.Enum):
        return [str(choice.value) for choice in origin]
    return "none" if origin is type(None) else str(origin.__name__)
