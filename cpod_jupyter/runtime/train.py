"""Fine-tune a model with TRL and PEFT: the whole of it, from rows of data to a model that serves.

    python -m cpod_jupyter.runtime train --config finetune.json --model MODEL --dataset DATA \\
        --output OUT --checkpoints CKPT

The steps, in order, each a phase in the progress records:

    validate  every row of DATA, before anything heavy is loaded                                    (data.py)
    encode    rows to token ids, with labels on what is to be learnt                                (encode.py)
    load      the model
    train     conversations and texts by supervised fine-tuning (SFT), preferences by DPO (Rafailov et al. 2023,
              "Direct Preference Optimization"); as LoRA (Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language
              Models"), QLoRA (Dettmers et al. 2023: the frozen base in 4 bits) or of all weights
    merge     W + (alpha / r) B A into the base weights, in float32 (an adapter with autoMerge)
    save      into OUT at once, when everything is written; with a card and the training's record

torchrun starts several processes where there are several GPUs. They share each step's examples, plainly (DDP) or
under DeepSpeed where the argument `deepspeed` says so; the first alone merges and writes, and the others wait.

SIGTERM while training saves a checkpoint and exits with 143; whatever ended it, the next start with the same
configuration, data and model goes on from the last checkpoint, as if it had not been broken off.

Shapes: B examples of a micro-batch, T tokens of the longest of them. A step sees input_ids and labels (B, T); their
loss is the mean negative log-likelihood, in nats, of the tokens whose label is not MASKED.
"""

from __future__ import annotations

import contextlib
import copy
import hashlib
import os
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cpod_jupyter.errors import WorkFailed
from cpod_jupyter.runtime.arguments import FineTuneConfig, Method, read_config, trainer_arguments
from cpod_jupyter.runtime.card import Outcome, write_model_card
from cpod_jupyter.runtime.data import DataSet, read_data
from cpod_jupyter.runtime.encode import Counts, Encoder, encode_rows, read_encoded
from cpod_jupyter.runtime.files import PARTIAL, files_in, plain_disk_errors, publish, size_of
from cpod_jupyter.runtime.gguf import check_export, export_gguf
from cpod_jupyter.runtime.libraries import (
    SELDOM_USED,
    keep_freed_memory,
    plain_load_errors,
    plain_memory_errors,
    prepare_libraries,
    require_model,
)
from cpod_jupyter.runtime.peers import Peers, join_deepspeed, whole_weights
from cpod_jupyter.runtime.report import emit, is_main_process, leave_message, log, progress
from cpod_jupyter.runtime.shape import read_shape
from cpod_jupyter.runtime.stopping import TERMINATED, StopOnTerm
from cpod_jupyter.runtime.tries import Tries
from cpod_jupyter.version import VERSION

if TYPE_CHECKING:
    import torch
    from datasets import Dataset
    from peft import LoraConfig, PeftModel
    from transformers import BitsAndBytesConfig, PreTrainedModel, PreTrainedTokenizerFast
    from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer

STATE, EVENTS = "trainer_state.json", "runs"
"""What is kept with the result beside the model: every figure that was logged, and TensorBoard's files."""


@dataclass(frozen=True)
class TrainPaths:
    """Where a fine-tune reads and writes."""

    config: Path
    model: Path
    dataset: Path
    output: Path
    checkpoints: Path


def train(paths: TrainPaths) -> None:
    """Run the fine-tune of `paths`; raises WorkFailed, and SystemExit(143) on SIGTERM."""
    config = read_config(paths.config)
    if paths.output.resolve() == paths.model.resolve():
        raise WorkFailed(f"the output {paths.output} is the model's own directory, choose another")
    own = config.own
    data = read_data(
        paths.dataset, format=own.dataset_format, val_size=own.val_size, seed=config.seed, most=config.rows
    )
    require_model(paths.model)
    log(f"{data.summary()}; {config.finetune_type} fine-tune of {paths.model}")

    prepare_libraries(offline=True, unused=_unused(config))
    keep_freed_memory()
    if own.export_gguf and is_main_process():
        check_export(paths.model)
    method: Method = "dpo" if data.kind == "preferences" else "sft"
    run = paths.checkpoints / f"run-{_fingerprint(config, data, paths.model)[:12]}"
    os.environ["TENSORBOARD_LOGGING_DIR"] = str(run / EVENTS)
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    arguments, lora = trainer_arguments(config, run, data.rows, data.eval_rows, processes, method)
    partial = paths.output / PARTIAL
    advice = f"lower per_device_train_batch_size ({arguments.per_device_train_batch_size}) or max_length"
    tries = Tries(run, _step_of(_last_whole_checkpoint(run)), advice) if is_main_process() else contextlib.nullcontext()
    with plain_disk_errors(paths.output, "the fine-tune"), plain_memory_errors(advice), tries:
        if is_main_process():
            shutil.rmtree(partial, ignore_errors=True)  # what an earlier start was ended in the middle of
            partial.mkdir(parents=True)
        peers = Peers()
        tokenizer, examples = encode(paths.model, data, arguments, run, peers)
        trainer = load(paths.model, tokenizer, examples, arguments, lora, quantized=config.finetune_type == "qlora")
        outcome = fit(trainer, run, config, peers)
        save(trainer, paths.model, partial, merge_adapter=config.is_adapter and config.auto_merge)
        if is_main_process():
            write_model_card(
                partial, paths.model, data, examples.counts, config.finetune_type, arguments, lora, outcome
            )
            keep_record(trainer, run, partial)
            if own.export_gguf:
                export_gguf(partial, own.export_gguf)
            publish(partial, paths.output)
        peers.wait()
        if is_main_process():
            shutil.rmtree(run, ignore_errors=True)
    adapter = config.is_adapter and not config.auto_merge
    result: dict[str, Any] = {"size": size_of(paths.output), "adapter": adapter}
    result |= {"loss": round(outcome.loss, 4), "steps": outcome.steps}
    if (shape := read_shape(paths.model if adapter else paths.output)) is not None:
        result["model"] = shape
    log(f"done: {outcome.steps} steps, loss {outcome.loss:.3f}, {result['size'] / 1e6:.0f} MB in {paths.output}")
    leave_message(result)


def _unused(config: FineTuneConfig) -> list[str]:
    """Packages that only take time here, a sixth of what all imports take."""
    needed = {"deepspeed": bool(config.arguments.get("deepspeed")), "scipy": config.finetune_type == "qlora"}
    return [name for name in SELDOM_USED if not needed[name]]


# ---- encode


@dataclass(frozen=True)
class Examples:
    """What is learnt from, as token ids, and what is evaluated with."""

    train: Dataset
    evaluation: Dataset | None
    counts: Counts


def encode(
    model_dir: Path, data: DataSet, arguments: SFTConfig | DPOConfig, run: Path, peers: Peers
) -> tuple[PreTrainedTokenizerFast, Examples]:
    """The model's tokenizer, and all rows as token ids; raises WorkFailed if none has a token to learn from.

    One process of each node writes them, into files that the others and a later start read too.
    """
    from transformers import AutoTokenizer

    with plain_load_errors(f"the tokenizer of {model_dir}"):
        tokenizer = AutoTokenizer.from_pretrained(model_dir)
    packed = getattr(arguments, "packing", False)
    encoder = Encoder(
        tokenizer,
        assistant_only=getattr(arguments, "assistant_only_loss", True),
        max_length=None if packed or data.kind == "preferences" else arguments.max_length,
        keep_end=arguments.truncation_mode == "keep_end",
    )
    folder = run / f"encoded-{os.environ.get('GROUP_RANK', '0')}"
    files = {"train": (data.train(), data.rows), "eval": (data.evaluation(), data.eval_rows)}
    if os.environ.get("LOCAL_RANK", "0") == "0":
        for name, (rows, total) in files.items():
            if total and read_encoded(folder / f"{name}.arrow") is None:
                encode_rows(folder / f"{name}.arrow", rows, total, encoder)
    peers.wait()
    train, counts = read_encoded(folder / "train.arrow") or (None, Counts())
    evaluation, eval_counts = read_encoded(folder / "eval.arrow") or (None, Counts())
    if train is None or not counts.examples:
        raise WorkFailed(f"no answer begins within max_length {arguments.max_length} tokens, set a larger max_length")
    _tell(counts, arguments.max_length)
    emit("data", rows=data.rows, eval_rows=data.eval_rows, duplicates=data.duplicates, leaked=data.leaked,
         **vars(counts), eval_tokens=eval_counts.tokens)  # fmt: skip
    return tokenizer, Examples(train, evaluation if eval_counts.examples else None, counts)


def _tell(counts: Counts, limit: int | None) -> None:
    log(
        f"{counts.tokens:,} tokens, {counts.learnt_tokens:,} of them to learn; "
        f"the longest example has {counts.longest:,}"
    )
    if counts.cut:
        log(
            f"{counts.cut} of {counts.examples} examples are longer than max_length {limit} tokens; "
            "what is beyond is cut off"
        )
    if counts.dropped:
        log(f"{counts.dropped} examples are left out: no answer of theirs begins within max_length {limit} tokens")


# ---- load


def load(
    model_dir: Path,
    tokenizer: PreTrainedTokenizerFast,
    examples: Examples,
    arguments: SFTConfig | DPOConfig,
    lora: LoraConfig | None,
    quantized: bool = False,
) -> SFTTrainer | DPOTrainer:
    """The trainer with its model.

    Full fine-tuning keeps float32 weights and computes in half precision where `arguments` say so (Micikevicius
    et al. 2018, "Mixed Precision Training", section 3.1), unless DeepSpeed does, which keeps a float32 copy of its
    own. LoRA's frozen base weights are held in that precision, QLoRA's in 4 bits.
    """
    import torch
    from transformers import AutoModelForCausalLM, PrinterCallback

    progress("load", 0, 2, "steps")
    if arguments.deepspeed:
        join_deepspeed()
    half = torch.bfloat16 if arguments.bf16 else torch.float16 if arguments.fp16 else torch.float32
    with plain_load_errors(f"the model {model_dir}"):
        model = AutoModelForCausalLM.from_pretrained(
            model_dir,
            dtype=half if lora or arguments.deepspeed else torch.float32,
            **({"quantization_config": nf4(half), "device_map": {"": arguments.device}} if quantized else {}),
        )
    progress("load", 1, 2, "steps")
    settings = copy.copy(arguments)
    trainer = _trainer_class(settings)(
        model=model,
        args=settings,
        train_dataset=examples.train,
        eval_dataset=examples.evaluation,
        processing_class=tokenizer,
        peft_config=lora,
    )
    trainer.remove_callback(PrinterCallback)
    progress("load", 2, 2, "steps")
    sizes = [(getattr(p, "ds_numel", p.numel()), p.requires_grad) for p in trainer.model.parameters()]  # whole ones
    log(f"training {sum(n for n, trained in sizes if trained):,} of {sum(n for n, _ in sizes):,} parameters")
    return trainer


def _trainer_class(settings: SFTConfig | DPOConfig) -> Any:
    """TRL's trainer for examples that are encoded already; `settings` are changed to say so."""
    from trl import DPOTrainer, SFTConfig, SFTTrainer

    if isinstance(settings, SFTConfig):
        settings.assistant_only_loss = False  # the labels say it; TRL would ask for markers in the template
        if not settings.packing and not settings.shuffle_dataset:
            settings.dataset_kwargs = {"skip_prepare_dataset": True}
        return SFTTrainer

    class EncodedDPOTrainer(DPOTrainer):  # type: ignore[misc]
        def _prepare_dataset(self, dataset: Any, *_: Any, **__: Any) -> Any:
            return dataset

    return EncodedDPOTrainer


def nf4(compute: torch.dtype) -> BitsAndBytesConfig:
    """Weights as 4-bit normal floats whose constants are quantised too (Dettmers et al. 2023, "QLoRA", section 3)."""
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=compute,
    )


# ---- train


def fit(trainer: SFTTrainer | DPOTrainer, run: Path, config: FineTuneConfig, peers: Peers) -> Outcome:
    """Train to the end, from the run's last checkpoint if there is one; SystemExit(143) on SIGTERM.

    Of several processes all stop at the same step, whichever hears of the SIGTERM first.
    """
    from transformers import EarlyStoppingCallback

    from cpod_jupyter.runtime.metrics import MetricsReporter, peak_memory

    stop = StopOnTerm(peers, save_after=60 * config.own.checkpoint_minutes)
    trainer.add_callback(MetricsReporter(stop))
    if patience := config.own.early_stopping_patience:
        trainer.add_callback(EarlyStoppingCallback(patience, config.own.early_stopping_threshold))
    checkpoint = _last_whole_checkpoint(run)
    if checkpoint:
        log(f"going on from {checkpoint}")
    begin = time.monotonic()
    with stop, plain_disk_errors(run, "saving a checkpoint"):
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    state = trainer.state
    if stop.agreed and state.global_step < state.max_steps:
        log(f"stopped by SIGTERM after step {state.global_step} of {state.max_steps}; a checkpoint is saved")
        leave_message(f"stopped by SIGTERM after step {state.global_step} of {state.max_steps}")
        sys.exit(TERMINATED)
    if state.global_step < state.max_steps:
        log(f"stopped early after step {state.global_step} of {state.max_steps}: the loss gets no better")
    log(f"peak memory {peak_memory() / 1e9:.1f} GB")
    return Outcome.of(state, time.monotonic() - begin)


def _last_whole_checkpoint(run: Path) -> Path | None:
    """The newest checkpoint with its state file, which the trainer writes last: a kill can leave half of one."""
    whole = [path.parent for path in run.glob("checkpoint-*/trainer_state.json")]
    return max(whole, key=_step_of, default=None)


def _step_of(checkpoint: Path | None) -> int:
    return int(checkpoint.name.removeprefix("checkpoint-")) if checkpoint else 0


def _fingerprint(config: FineTuneConfig, data: DataSet, model: Path) -> str:
    """The same for the same configuration, data and model: whose checkpoints may be gone on from.

    Under DeepSpeed a checkpoint is in as many shares as there were processes.
    """
    listing = [f"{file.relative_to(model)} {file.stat().st_size}" for file in files_in(model)]
    if config.arguments.get("deepspeed"):
        listing.append(os.environ.get("WORLD_SIZE", "1"))
    return hashlib.sha256("\n".join((VERSION, config.as_json(), data.sha256, *listing)).encode()).hexdigest()


# ---- merge and save


def save(trainer: SFTTrainer | DPOTrainer, model_dir: Path, partial: Path, merge_adapter: bool) -> None:
    """Write the adapter, or a whole model in the dtype of `model_dir`, with tokenizer and generation config.

    Every process comes here, for under ZeRO-3 the weights are gathered from all of them; the first one writes.
    """
    import torch
    from peft import PeftModel
    from transformers import AutoConfig
    from transformers.integrations.deepspeed import unset_hf_deepspeed_config

    model = trainer.accelerator.unwrap_model(trainer.model)
    adapted = isinstance(model, PeftModel)
    gathered = whole_weights(model, is_main_process(), lambda parameter: parameter.requires_grad or not adapted)
    if not is_main_process():
        return
    unset_hf_deepspeed_config()  # what is loaded from here on is whole, not shared out among processes
    if merge_adapter:
        model, gathered = merge(model, model_dir, partial / ".adapter", gathered), None
    progress("save", 0, 1, "steps")
    if not isinstance(model, PeftModel):
        dtype = AutoConfig.from_pretrained(model_dir).dtype or torch.float32
        if gathered is None:
            model = model.to(dtype)
        else:
            model.config.dtype = dtype
            gathered = {name: weight.to(dtype) for name, weight in gathered.items()}
    model.save_pretrained(partial, **({} if gathered is None else {"state_dict": gathered}))
    trainer.processing_class.save_pretrained(partial)
    progress("save", 1, 1, "steps")


def merge(
    adapted: PeftModel, model_dir: Path, scratch: Path, gathered: dict[str, torch.Tensor] | None = None
) -> PreTrainedModel:
    """The base model with the adapter's weights added, in float32 on the CPU.

    The base is read again: while training it may have been held in half precision, where sums of large and small
    weights lose the small ones, in 4 bits, or in shares; of those `gathered` has the adapter's.
    """
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    progress("merge", 0, 1, "steps")
    adapted.save_pretrained(scratch, **({} if gathered is None else {"state_dict": gathered}))
    base = AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32)
    merged = PeftModel.from_pretrained(base, scratch).merge_and_unload()
    shutil.rmtree(scratch)
    progress("merge", 1, 1, "steps")
    return merged


def keep_record(trainer: SFTTrainer | DPOTrainer, run: Path, partial: Path) -> None:
    """Put the training's record beside the model."""
    trainer.state.save_to_json(str(partial / STATE))
    if (run / EVENTS).is_dir():
        shutil.copytree(run / EVENTS, partial / EVENTS)
