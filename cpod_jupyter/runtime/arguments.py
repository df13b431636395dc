"""The configuration of a fine-tune: its file, and its arguments by the trainer's own names.

    {"finetuneType": "lora", "autoMerge": true, "arguments": {"num_train_epochs": "5", "lora_rank": "8"}}

`arguments` are fields of TRL's SFTConfig or, for preferences, DPOConfig; `lora_rank`, `lora_alpha`, `lora_dropout`,
`lora_target`, `use_dora`, `use_rslora` for PEFT's LoraConfig; and those of `api.trainer.OURS`. They come from a map of
strings, so each is read as its field's type says. What the operator's plan chooses (api/planning) comes as arguments
like these; `deepspeed`, a configuration for DeepSpeed, may be the path of its file. `rows`, where it is given, is how
many of the first rows are trained on.
"""

from __future__ import annotations

import dataclasses
import enum
import importlib.util
import json
import math
import os
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cpod_jupyter.api.planning.ways import DEFAULT_BATCH_SIZE, DEFAULT_LORA_RANK, DEFAULT_MAX_LENGTH
from cpod_jupyter.api.problem import nearest
from cpod_jupyter.api.trainer import OURS, RESERVED, Kind, argument_fault, coerce, lora_fields, trainer_fields
from cpod_jupyter.errors import WorkFailed
from cpod_jupyter.runtime.gguf import converter
from cpod_jupyter.runtime.libraries import cpu_is_quick_in_bf16, require_deepspeed, require_quantization

if TYPE_CHECKING:
    from peft import LoraConfig
    from trl import DPOConfig, SFTConfig

Method = Literal["sft", "dpo"]

LORA_ARGUMENTS: dict[str, tuple[str, Any, Any]] = {
    "lora_rank": ("r", int, DEFAULT_LORA_RANK),
    "lora_alpha": ("lora_alpha", int, 32),
    "lora_dropout": ("lora_dropout", float, 0.0),
    "lora_target": ("target_modules", str | list[str], "all-linear"),
    "use_dora": ("use_dora", bool, False),
    "use_rslora": ("use_rslora", bool, False),
}
"""Our name: LoraConfig's name, its type, the default."""

MAX_LOGGED_STEPS = 300
"""A curve of more points than this shows no more; longer runs log every so many steps."""
EVALUATIONS = 10
"""In a run of one epoch; longer ones evaluate after each."""


@dataclass(frozen=True)
class Own:
    """Arguments of ours, see `api.trainer.OURS`."""

    dataset_format: str = "auto"
    val_size: float = 0.0
    early_stopping_patience: int = 0
    early_stopping_threshold: float = 0.0
    checkpoint_minutes: float = 10.0
    export_gguf: str = ""


@dataclass(frozen=True)
class FineTuneConfig:
    """The configuration file, checked as far as it goes without the trainer's libraries."""

    finetune_type: Literal["lora", "qlora", "full"]
    auto_merge: bool
    arguments: dict[str, Any]
    """The trainer's, each of its type."""
    own: Own = dataclasses.field(default_factory=Own)
    rows: int = 0
    """Of the data set, the first ones that are trained on; 0 for all."""

    @property
    def is_adapter(self) -> bool:
        """Whether an adapter is trained and the base stays as it is."""
        return self.finetune_type != "full"

    @property
    def seed(self) -> int:
        return int(self.arguments.get("seed", 42))

    def as_json(self) -> str:
        """The same for the same configuration, whatever the order of its keys."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)


def read_config(path: Path) -> FineTuneConfig:
    """The configuration in `path`. Raises WorkFailed with the fault, of the arguments with all of them."""
    raw = _read_object(path, "the configuration")
    known = ("finetuneType", "autoMerge", "arguments", "rows")
    for name in raw:
        if name not in known:
            raise WorkFailed(f"the configuration {path} has an unknown key `{name}`{nearest(name, known)}")
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
    values = _read_arguments(arguments, adapter=finetune_type != "full")
    own = Own(**{name: values.pop(name) for name in OURS if name in values})
    _check_own(own, values)
    if own.export_gguf:
        if finetune_type != "full" and not auto_merge:
            raise WorkFailed("export_gguf is for a whole model, and autoMerge is false: the result is an adapter")
        converter()
    return FineTuneConfig(finetune_type, auto_merge, values, own, rows)


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


def _read_arguments(arguments: Mapping[str, Any], adapter: bool) -> dict[str, Any]:
    """Each argument as a value of its type. Raises WorkFailed that names every one that is wrong."""
    fields = {**trainer_fields(), **lora_fields()}
    faults = []
    for name, raw in arguments.items():
        if fault := argument_fault(name, raw, adapter):
            faults.append(f"{name} {fault}")
    if faults:
        raise WorkFailed("the arguments of the fine-tune are wrong:\n" + "\n".join(f"  {fault}" for fault in faults))
    return {name: coerce(raw, fields[name]) for name, raw in arguments.items()}


def _check_own(own: Own, values: Mapping[str, Any]) -> None:
    """Raise WorkFailed where numbers make no sense."""
    if own.val_size < 0 or (own.val_size >= 1 and own.val_size != int(own.val_size)):
        raise WorkFailed(f"val_size is {own.val_size:g}, it must be a share below 1, or a number of rows")
    for name in ("early_stopping_patience", "early_stopping_threshold", "checkpoint_minutes"):
        if getattr(own, name) < 0:
            raise WorkFailed(f"{name} is {getattr(own, name):g}, it must not be below 0")
    if own.early_stopping_patience and values.get("eval_strategy") == "no":
        raise WorkFailed("early_stopping_patience needs evaluations, and eval_strategy is no")


def fields_of_trainer(method: Method) -> dict[str, Any]:
    """The fields of a trainer's configuration that a person may set, with their types."""
    kind = _config_class(method)
    hints = typing.get_type_hints(kind)
    names = [field.name for field in dataclasses.fields(kind) if field.init]
    return {name: hints[name] for name in names if name not in RESERVED}


def _config_class(method: Method) -> Any:
    from trl import DPOConfig, SFTConfig

    return DPOConfig if method == "dpo" else SFTConfig


def trainer_arguments(
    config: FineTuneConfig, output: Path, rows: int, eval_rows: int = 0, processes: int = 1, method: Method = "sft"
) -> tuple[SFTConfig | DPOConfig, LoraConfig | None]:
    """The trainer's and PEFT's configuration: the user's arguments over our defaults.

    Args:
        output: where the trainer keeps its checkpoints.
        rows: of the data set, to log a long run more rarely.
        eval_rows: to evaluate with.
        processes: that share a step.

    Raises:
        WorkFailed: an argument is for another method, or refused by the trainer. Or the machine lacks what the
            arguments need.
    """
    kind, given = _config_class(method), dict(config.arguments)
    if config.finetune_type == "qlora":
        require_quantization()
    if given.get("deepspeed") is not None:
        require_deepspeed()
    lora = _lora(config, given)
    _check_method(given, method, {field.name for field in dataclasses.fields(kind)})
    values = _defaults(config.is_adapter, method) | given
    if given.get("fp16"):
        values["bf16"] = False  # the one that was asked for, not both
    batch = values["per_device_train_batch_size"] * values.get("gradient_accumulation_steps", 1) * processes
    steps = math.ceil(rows / max(batch, 1)) * values["num_train_epochs"]
    steps = values["max_steps"] if values.get("max_steps", -1) > 0 else steps
    if "logging_steps" not in given:
        values["logging_steps"] = max(1, math.ceil(steps / MAX_LOGGED_STEPS))
    _evaluation(values, config.own, eval_rows, steps)
    try:
        # The TensorBoard files go where the checkpoints are, and with the result at the end.
        return kind(output_dir=str(output), disable_tqdm=True, report_to=reports(), **values), lora
    except (ValueError, TypeError, ImportError) as error:
        raise WorkFailed(f"the trainer refuses the arguments: {error}") from error


def _lora(config: FineTuneConfig, given: dict[str, Any]) -> LoraConfig | None:
    """The adapter's configuration, whose arguments are taken out of those given."""
    if not config.is_adapter:
        return None
    from peft import LoraConfig

    values = {theirs: given.pop(ours, default) for ours, (theirs, _, default) in LORA_ARGUMENTS.items()}
    return LoraConfig(task_type="CAUSAL_LM", **values)


def _check_method(given: Mapping[str, Any], method: Method, known: set[str]) -> None:
    other = sorted(given.keys() - known)
    if other:
        these = {"sft": "conversations and texts", "dpo": "preferences"}
        verb = "are" if len(other) > 1 else "is"
        raise WorkFailed(f"{', '.join(other)} {verb} no argument for data like these ({these[method]})")


def _evaluation(values: dict[str, Any], own: Own, eval_rows: int, steps: float) -> None:
    """When to evaluate, and with what of it to stop. Raises WorkFailed where there is nothing to evaluate with."""
    asked = [name for name in ("eval_strategy", "eval_steps", "load_best_model_at_end") if values.get(name)]
    asked = [name for name in asked if values[name] != "no"] + ["early_stopping_patience"] * bool(
        own.early_stopping_patience
    )
    if not eval_rows:
        if asked:
            raise WorkFailed(
                f"{asked[0]} needs rows to evaluate with: set val_size (0.1 for a tenth of the rows), or have a file "
                "called validation beside the others"
            )
        return
    if "eval_strategy" not in values:
        several = values["num_train_epochs"] > 1 and values.get("max_steps", -1) <= 0
        values["eval_strategy"] = "steps" if "eval_steps" in values or not several else "epoch"
    if values["eval_strategy"] == "steps":
        values.setdefault("eval_steps", max(1, math.ceil(steps / EVALUATIONS)))
    if own.early_stopping_patience:
        values.setdefault("load_best_model_at_end", True)
        values.setdefault("metric_for_best_model", "eval_loss")
        values.setdefault("greater_is_better", False)
    if values.get("load_best_model_at_end"):
        # The best one has to be among what is saved.
        values["save_strategy"] = values["eval_strategy"]
        values["save_steps"] = values.get("eval_steps", values.get("save_steps", 500))
        values["save_total_limit"] = 2


def reports() -> list[str]:
    """Where the trainer reports to beside its records: TensorBoard files, and MLflow or W&B where their variables are
    set. Raises WorkFailed where such a variable is set and its library is missing."""
    found = ["tensorboard"] if importlib.util.find_spec("tensorboardX") else []
    for name, variable in (("mlflow", "MLFLOW_TRACKING_URI"), ("wandb", "WANDB_API_KEY"), ("wandb", "WANDB_MODE")):
        if os.environ.get(variable) and name not in found:
            if importlib.util.find_spec(name) is None:
                raise WorkFailed(f"{variable} is set, and the package {name} is missing: install it, or unset that")
            found.append(name)
    return found or ["none"]


def _defaults(adapter: bool, method: Method) -> dict[str, Any]:
    import torch

    gpu = torch.cuda.is_available()
    # Of GPUs, Ampere is the first with bf16 in hardware.
    bf16 = torch.cuda.get_device_capability() >= (8, 0) if gpu else cpu_is_quick_in_bf16()
    learnt: dict[str, Any] = {"learning_rate": 2e-4 if adapter else 2e-5, "assistant_only_loss": True}
    if method == "dpo":
        # Rafailov et al. 2023, "Direct Preference Optimization", appendix B: 1e-6 for all weights; LoRA's are ten
        # times those, as in supervised fine-tuning.
        learnt = {"learning_rate": 1e-5 if adapter else 1e-6}
    return {
        **learnt,
        "num_train_epochs": 3.0 if method == "sft" else 1.0,
        "per_device_train_batch_size": DEFAULT_BATCH_SIZE,
        "lr_scheduler_type": "cosine",
        "warmup_steps": 0.05,  # below 1: a share of all steps
        "max_length": DEFAULT_MAX_LENGTH,
        "seed": 42,
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
