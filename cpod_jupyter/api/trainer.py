"""The arguments of the trainer: their names and types, which of them a person may set, and how one is read.

They are fields of TRL's SFTConfig and DPOConfig, `lora_rank`, `lora_alpha`, … for PEFT's LoraConfig, and a few of our
own (OURS). Whoever checks them has no torch at hand, so `trainer_arguments.json` has the names and types of the first
ones; `tools/trainer_arguments.py` makes it from the installed libraries, and a test keeps the two the same.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from typing import Any

from cpod_jupyter.api.problem import Problem, nearest
from cpod_jupyter.api.rows import FORMATS

Kind = str | list[str]
"""What a value may be: `bool`, `int`, `float`, `str`, `list`, `dict`, `none`, or one of a list of words."""

_EVALUATES = "what is evaluated is the loss, and for preferences the rewards; see val_size and eval_strategy"
_PUBLISHES = "the trainer publishes nothing; `upload: true` uploads the result"
_REPORTS = "progress is told in records, which the notebook shows as a curve"
_PREPARED = "the data is prepared before the trainer sees it"
_LOADED = "the model is loaded before the trainer sees it"
_SPREAD = "how the work is spread over GPUs is the plan's, see status.plan; `deepspeed` takes a configuration of yours"
_RESERVED_FOR = {
    "the output goes where --output says": ("output_dir",),
    "the last checkpoint of the same run is found by itself": ("resume_from_checkpoint",),
    "a fine-tune trains, whatever it says": ("do_train",),
    "the loss is on the assistant's turns, see assistant_only_loss": ("completion_only_loss",),
    "the chat template is the model's own": ("chat_template_path",),
    "only models that transformers knows are trained; code that comes with a model is not run": ("trust_remote_code",),
    _PUBLISHES: (
        "push_to_hub", "hub_token", "hub_private_repo", "hub_model_id", "hub_strategy", "hub_always_push",
        "hub_revision",
    ),
    _EVALUATES: (
        "eval_do_concat_batches", "eval_use_gather_object", "batch_eval_metrics", "prediction_loss_only",
        "include_for_metrics", "do_eval", "do_predict",
    ),
    _PREPARED: ("dataset_kwargs", "dataset_text_field"),
    "the reference of DPO is the model before it is trained": (
        "sync_ref_model", "ref_model_mixup_alpha", "ref_model_sync_steps", "precompute_ref_log_probs",
        "precompute_ref_batch_size",
    ),
    _LOADED: ("model_init_kwargs",),
    _REPORTS: (
        "disable_tqdm", "report_to", "project", "trackio_space_id", "trackio_bucket_id", "trackio_static_space_id",
    ),
    _SPREAD: ("local_rank", "fsdp", "fsdp_config", "parallelism_config"),
}  # fmt: skip
RESERVED = {name: reason for reason, names in _RESERVED_FOR.items() for name in names}
"""Arguments that a fine-tune sets itself, with the reason a person is given."""

OURS: dict[str, list[Kind]] = {
    "dataset_format": [["auto", *FORMATS]],
    "val_size": ["float"],
    "early_stopping_patience": ["int"],
    "early_stopping_threshold": ["float"],
    "checkpoint_minutes": ["float"],
    "export_gguf": [["f32", "f16", "bf16", "q8_0"]],
}
"""Arguments of this trainer beside the libraries':

    dataset_format            how rows are read (api/rows/formats.py); `auto` is by their fields
    val_size                  rows that are kept to evaluate with: a share below 1, or a number (LLaMA-Factory's name)
    early_stopping_patience   evaluations without a better loss after which it ends, with the best weights
    early_stopping_threshold  by how much a loss has to be better to count (transformers, EarlyStoppingCallback)
    checkpoint_minutes        a checkpoint is saved after so many minutes at most, beside those of save_strategy
    export_gguf               the result as a GGUF file too, in that type; llama.cpp's converter has to be there
"""


def _same(text: str) -> str:
    return text


def _all_linear(text: str) -> str:
    return "all-linear" if text.strip() == "all" else text


def _opposite(text: str) -> str:
    value = coerce(text, ["bool"])
    return "false" if value else "true"


def _grouped(text: str) -> str:
    return "group_by_length" if coerce(text, ["bool"]) else "random"


def _share(text: str) -> str:
    """A share of all steps is a number of steps below 1 (transformers, TrainingArguments.warmup_steps)."""
    if not 0 <= float(text) < 1:
        raise ValueError("it must be a share of the steps, from 0 to below 1")
    return text


TRANSLATED: dict[str, tuple[str, Callable[[str], str]]] = {
    "cutoff_len": ("max_length", _same),
    "max_seq_length": ("max_length", _same),
    "warmup_ratio": ("warmup_steps", _share),
    "train_on_prompt": ("assistant_only_loss", _opposite),
    "disable_gradient_checkpointing": ("gradient_checkpointing", _opposite),
    "group_by_length": ("train_sampling_strategy", _grouped),
    "preprocessing_num_workers": ("dataset_num_proc", _same),
    "lora_target": ("lora_target", _all_linear),
    "evaluation_strategy": ("eval_strategy", _same),
    "neat_packing": ("packing", _same),
    "pref_beta": ("beta", _same),
    "pref_loss": ("loss_type", _same),
}
"""LLaMA-Factory's names (and earlier ones of transformers' and TRL's) with the same meaning under another name here."""

ELSEWHERE = {
    "stage": "the data decide: preferences are learnt by DPO, all else by supervised fine-tuning; leave it out",
    "finetuning_type": "say it in the FineTune's own field finetuneType: lora, qlora or full",
    "quantization_bit": "ask for a base model in 4 bits with finetuneType: qlora",
    "quantization_method": "ask for a base model in 4 bits with finetuneType: qlora",
    "template": "the chat template is the model's own; a ModelStorage's field template names another for serving",
    "model_name_or_path": "name the model in the FineTune's own field model",
    "adapter_name_or_path": "name a model that the adapter is merged into in the FineTune's own field model",
    "dataset": "name the dataset in the FineTune's own field dataset",
    "dataset_dir": "name the dataset in the FineTune's own field dataset",
    "export_dir": "the result goes into a ModelStorage, see status.modelStorage",
    "logging_dir": _REPORTS,
    "plot_loss": _REPORTS,
    "overwrite_output_dir": "each fine-tune has an output of its own; leave it out",
    "overwrite_cache": "there is no cache of prepared data; leave it out",
    "pure_bf16": "use bf16, which is the plan's choice where the GPU has it",
    "flash_attn": "the attention is what the model and the machine allow; leave it out",
    "max_samples": "every row of the dataset is used; name a smaller dataset, or set max_steps",
    "num_processes": "set the FineTune's own field gpuCount",
    "zero_stage": _SPREAD,
}
"""Names that people know from elsewhere, which stand for something that is said otherwise here: where."""

_NOT_FOR_TYPE = "is for finetuneType lora or qlora; this one trains all weights"


@functools.cache
def _table() -> dict[str, dict[str, list[Kind]]]:
    text = files(__package__).joinpath("trainer_arguments.json").read_text("utf-8")
    return {part: entries for part, entries in json.loads(text).items() if isinstance(entries, dict)}


def trainer_fields() -> dict[str, list[Kind]]:
    """The trainer's arguments that may be set, each with what it may be: of supervised fine-tuning, DPO, and ours."""
    return {**_table()["dpo"], **_table()["trainer"], **OURS}


def lora_fields() -> dict[str, list[Kind]]:
    """The arguments for PEFT's LoraConfig by our names, each with what it may be."""
    return dict(_table()["lora"])


def config_problems(config: Mapping[str, Any], adapter: bool) -> list[Problem]:
    """The faults of a FineTune's `config`; `adapter` is whether it trains an adapter and not all weights."""
    found = []
    fields = {**trainer_fields(), **lora_fields()}
    for name, value in config.items():
        reason, message = _fault(name, str(value), fields, adapter)
        ours = TRANSLATED[name][0] if name in TRANSLATED else name
        if not message and ours != name and ours in config:
            reason, message = "FieldValueInvalid", f"is the same as {ours}, which is given too; keep one of them"
        if message:
            found.append(Problem(("spec", "config", name), reason, message))
    return found


def argument_fault(name: str, value: Any, adapter: bool) -> str:
    """What is wrong with an argument by the trainer's own name; empty when nothing is."""
    if name in TRANSLATED and name != TRANSLATED[name][0]:
        return f"is {TRANSLATED[name][0]} here"
    text = value if isinstance(value, str) else json.dumps(value)
    return _fault(name, text, {**trainer_fields(), **lora_fields()}, adapter)[1]


def _fault(name: str, text: str, fields: Mapping[str, list[Kind]], adapter: bool) -> tuple[str, str]:
    """What is wrong with one argument, as a reason and a sentence; empty when nothing is."""
    if name in RESERVED:
        return "FieldValueForbidden", f"can't be set: {RESERVED[name]}"
    if name in ELSEWHERE:
        return "FieldValueForbidden", f"is no argument of this trainer: {ELSEWHERE[name]}"
    ours, translate = TRANSLATED.get(name, (name, _same))
    if ours in lora_fields() and not adapter:
        return "FieldValueForbidden", _NOT_FOR_TYPE
    if ours not in fields:
        hint = nearest(name, [*fields, *TRANSLATED])
        return "FieldValueUnknown", f"is not an argument of the trainer{hint}"
    try:
        coerce(translate(text), fields[ours])
    except ValueError as error:
        return "FieldValueInvalid", f"is {json.dumps(text)}, {_must(error, fields[ours])}"
    return "", ""


def _must(error: ValueError, kinds: Sequence[Kind]) -> str:
    text = str(error)
    return text if text.startswith("it must be") else _wanted(kinds)


def trainer_config(config: Mapping[str, str]) -> dict[str, str]:
    """A `config` without faults by the trainer's own names."""
    return {
        ours: translate(str(value))
        for name, value in config.items()
        for ours, translate in [TRANSLATED.get(name, (name, _same))]
    }


def coerce(raw: Any, kinds: Sequence[Kind]) -> Any:
    """`raw`, mostly a string, as a value of one of `kinds`; raises ValueError with what it must be.

    Words to choose from are tried alone where there are some: what they are mixed with is any text, and a typing
    error is better found here than by the trainer.
    """
    text = raw.strip() if isinstance(raw, str) else json.dumps(raw)
    if "none" in kinds and text.lower() in ("none", "null", ""):
        return None
    several = "," in text or text.startswith("[")
    for kind in sorted(_read_as(kinds), key=lambda kind: (kind == "list" and not several, kind == "str")):
        try:
            return _coerce_one(text, kind)
        except ValueError:
            continue
    raise ValueError(_wanted(kinds))


def _read_as(kinds: Sequence[Kind]) -> list[Kind]:
    words: list[Kind] = [kind for kind in kinds if isinstance(kind, list)]
    return words or [kind for kind in kinds if kind != "none"]


def _wanted(kinds: Sequence[Kind]) -> str:
    return "it must be " + " or ".join(_describe(kind) for kind in _read_as(kinds))


_BOOLEANS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


def _coerce_one(text: str, kind: Kind) -> Any:
    if isinstance(kind, list):
        if text in kind:
            return text
    elif kind == "str":
        return text
    elif kind == "bool" and text.lower() in _BOOLEANS:
        return _BOOLEANS[text.lower()]
    elif kind == "int" and float(text).is_integer():
        return int(float(text))
    elif kind == "float" and math.isfinite(float(text)):
        return float(text)
    elif kind == "list" and text.startswith("["):
        return [str(item) for item in json.loads(text)]
    elif kind == "list":
        return [part.strip() for part in text.split(",")]
    elif kind == "dict" and isinstance(value := json.loads(text), dict):
        return value
    raise ValueError(f"{text!r} is not {_describe(kind)}")


def _describe(kind: Kind) -> str:
    """What a value may be, in a person's words."""
    if isinstance(kind, list):
        return "one of " + ", ".join(kind)
    names = {"bool": "true or false", "int": "a whole number", "float": "a number", "str": "a text"}
    return {**names, "list": "a list with commas between", "dict": "a JSON object"}[kind]
