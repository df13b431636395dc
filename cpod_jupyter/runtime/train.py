"""Fine-tune a model on conversations with TRL and PEFT: the whole of it, from data to a model that serves.

    python -m cpod_jupyter.runtime train --config finetune.json --model MODEL --dataset DATA \\
        --output OUT --checkpoints CKPT

The steps, in order, each a phase in the progress records:

    validate  every row of DATA, before anything heavy is loaded
    load      tokenizer, model, and the conversations as token ids
    train     LoRA (Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models"), QLoRA (Dettmers et al.
              2023: the frozen base in 4 bits) or all weights
    merge     W + (alpha / r) B A into the base weights, in float32 (an adapter with autoMerge)
    save      into OUT at once, when everything is written

torchrun starts several processes where there are several GPUs. They share each step's examples, plainly (DDP) or
under DeepSpeed where the argument `deepspeed` says so; the first alone merges and writes, and the others wait.

SIGTERM while training saves a checkpoint and exits with 143; the next start with the same configuration,
data and model goes on from there.
"""

from __future__ import annotations

import copy
import hashlib
import os
import shutil
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from cpod_jupyter.api.chatrows import Message
from cpod_jupyter.errors import WorkFailed
from cpod_jupyter.runtime.arguments import FineTuneConfig, read_config, trainer_arguments
from cpod_jupyter.runtime.card import Outcome, write_model_card
from cpod_jupyter.runtime.data import ChatData, read_chat_data
from cpod_jupyter.runtime.files import PARTIAL, files_in, plain_disk_errors, publish, size_of
from cpod_jupyter.runtime.libraries import plain_load_errors, plain_memory_errors, prepare_libraries, require_model
from cpod_jupyter.runtime.peers import Peers, join_deepspeed, whole_weights
from cpod_jupyter.runtime.report import is_main_process, leave_message, log, progress
from cpod_jupyter.runtime.shape import read_shape

if TYPE_CHECKING:
    import torch
    from peft import LoraConfig, PeftModel
    from transformers import BitsAndBytesConfig, PreTrainedModel, PreTrainedTokenizerFast
    from trl import SFTConfig, SFTTrainer

MASKED = -100
"""The label of a token without loss (torch.nn.CrossEntropyLoss, `ignore_index`)."""

TERMINATED = 128 + signal.SIGTERM
"""The exit code of a process that ended because of SIGTERM."""


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
    data = read_chat_data(paths.dataset).first(config.rows)
    require_model(paths.model)
    log(f"{len(data.rows)} conversations, {config.finetune_type} fine-tune of {paths.model}")

    prepare_libraries(offline=True)
    run = paths.checkpoints / f"run-{_fingerprint(config, data, paths.model)[:12]}"
    arguments, lora = trainer_arguments(config, run, len(data.rows), int(os.environ.get("WORLD_SIZE", "1")))
    partial = paths.output / PARTIAL
    advice = f"lower per_device_train_batch_size ({arguments.per_device_train_batch_size}) or max_length"
    with plain_disk_errors(paths.output, "the fine-tune"), plain_memory_errors(advice):
        if is_main_process():
            shutil.rmtree(partial, ignore_errors=True)  # what an earlier start was ended in the middle of
            partial.mkdir(parents=True)
        peers = Peers()
        trainer = load(paths.model, data, arguments, lora, quantized=config.finetune_type == "qlora")
        outcome = fit(trainer, run, peers)
        save(trainer, paths.model, partial, merge_adapter=config.is_adapter and config.auto_merge)
        if is_main_process():
            write_model_card(partial, paths.model, data, config.finetune_type, arguments, lora, outcome)
            publish(partial, paths.output)
        peers.wait()
        if not is_main_process():
            return
        shutil.rmtree(run, ignore_errors=True)
    adapter = config.is_adapter and not config.auto_merge
    result: dict[str, Any] = {"size": size_of(paths.output), "adapter": adapter}
    result |= {"loss": round(outcome.loss, 4), "steps": outcome.steps}
    if (shape := read_shape(paths.model if adapter else paths.output)) is not None:
        result["model"] = shape
    log(f"done: {outcome.steps} steps, loss {outcome.loss:.3f}, {result['size'] / 1e6:.0f} MB in {paths.output}")
    leave_message(result)


# ---- load


def load(
    model_dir: Path, data: ChatData, arguments: SFTConfig, lora: LoraConfig | None, quantized: bool = False
) -> SFTTrainer:
    """The trainer with its model and the encoded data.

    Full fine-tuning keeps float32 weights and computes in half precision where `arguments` say so (Micikevicius
    et al. 2018, "Mixed Precision Training", section 3.1), unless DeepSpeed does, which keeps a float32 copy of its
    own. LoRA's frozen base weights are held in that precision, QLoRA's in 4 bits.
    """
    import torch
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer, PrinterCallback
    from trl import SFTTrainer

    progress("load", 0, 2, "steps")
    if arguments.deepspeed:
        join_deepspeed()
    half = torch.bfloat16 if arguments.bf16 else torch.float16 if arguments.fp16 else torch.float32
    with plain_load_errors(f"the model {model_dir}"):
        tokenizer = AutoTokenizer.from_pretrained(model_dir)
        model = AutoModelForCausalLM.from_pretrained(
            model_dir,
            dtype=half if lora or arguments.deepspeed else torch.float32,
            **({"quantization_config": nf4(half), "device_map": {"": arguments.device}} if quantized else {}),
        )
    progress("load", 1, 2, "steps")
    examples = encode_all(tokenizer, data, arguments)
    settings = copy.copy(arguments)
    settings.assistant_only_loss = False  # the labels say it already; TRL would ask for markers in the template
    trainer = SFTTrainer(
        model=model,
        args=settings,
        train_dataset=Dataset.from_list(examples),
        processing_class=tokenizer,
        peft_config=lora,
    )
    trainer.remove_callback(PrinterCallback)
    progress("load", 2, 2, "steps")
    sizes = [(getattr(p, "ds_numel", p.numel()), p.requires_grad) for p in trainer.model.parameters()]  # whole ones
    log(f"training {sum(n for n, trained in sizes if trained):,} of {sum(n for n, _ in sizes):,} parameters")
    return trainer


def nf4(compute: torch.dtype) -> BitsAndBytesConfig:
    """Weights as 4-bit normal floats whose constants are quantised too (Dettmers et al. 2023, "QLoRA", section 3)."""
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=compute,
    )


def encode_all(tokenizer: PreTrainedTokenizerFast, data: ChatData, arguments: SFTConfig) -> list[dict[str, list[int]]]:
    """Every conversation as token ids and labels; raises WorkFailed if none has a token to learn from."""
    from jinja2 import TemplateError

    if not tokenizer.chat_template:
        raise WorkFailed("the model has no chat template: fine-tune an instruct or chat model")
    if not tokenizer.is_fast:
        raise WorkFailed("the model has only a slow tokenizer, which can't tell a token's place in the text")
    examples = []
    for row in data.rows:
        try:
            examples += encode(tokenizer, row.messages, arguments.assistant_only_loss)
        except TemplateError as error:
            raise WorkFailed(f"{row.place}: the model's chat template refuses the conversation: {error}") from error
    limit = arguments.max_length
    if limit is not None and not arguments.packing:
        long = sum(len(example["input_ids"]) > limit for example in examples)
        if long:
            log(f"{long} of {len(examples)} examples are longer than max_length {limit} tokens; their end is cut off")
        if all(set(example["labels"][:limit]) == {MASKED} for example in examples):
            raise WorkFailed(f"no answer begins within max_length {limit} tokens, set a larger max_length")
    return examples


def encode(
    tokenizer: PreTrainedTokenizerFast, messages: list[Message], assistant_only: bool
) -> list[dict[str, list[int]]]:
    """A conversation of T tokens as `input_ids` (T,) and `labels` (T,).

    The labels repeat the ids where the assistant speaks, its end-of-turn token included, and are MASKED
    elsewhere. What the assistant says is found in the text the chat template makes: rendered up to a turn and
    beyond it, the two differ by the turn. So it needs no markers in the template, and no table of templates.

    Mostly one example. A template that shows an earlier answer otherwise once the talk goes on (reasoning
    models drop their thoughts) gives one for each answer, as the model sees it when it has to give it.
    """

    def render(turns: list[Message], prompt: bool = False) -> str:
        return str(tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=prompt))

    whole = render(messages)
    if not assistant_only:
        return [_tokenize(tokenizer, whole, [(0, len(whole))])]
    answers: list[tuple[str, tuple[int, int]]] = []
    for index, message in enumerate(messages):
        if message["role"] == "assistant":
            before, text = render(messages[:index], prompt=True), render(messages[: index + 1])
            answers.append((text, _answer_span(before, text, tokenizer.eos_token)))
    if all(whole.startswith(text[:end]) for text, (_, end) in answers):
        return [_tokenize(tokenizer, whole, [span for _, span in answers])]
    return [_tokenize(tokenizer, text, [span]) for text, span in answers]


def _answer_span(before: str, text: str, end_of_turn: str | None) -> tuple[int, int]:
    """Where the answer is in `text`, from its first character to behind its end-of-turn token."""
    pairs = enumerate(zip(before, text, strict=False))
    start = next((index for index, (one, other) in pairs if one != other), min(len(before), len(text)))
    end = text.rfind(end_of_turn, start) if end_of_turn else -1
    return start, end + len(end_of_turn or "") if end >= 0 else len(text)


def _tokenize(tokenizer: PreTrainedTokenizerFast, text: str, spans: list[tuple[int, int]]) -> dict[str, list[int]]:
    """Ids and labels of `text`; a token that ends within a span is learnt, also one that begins before it."""
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    labels = [
        token if any(start < last <= end for start, end in spans) else MASKED
        for token, (_, last) in zip(encoded["input_ids"], encoded["offset_mapping"], strict=True)
    ]
    return {"input_ids": list(encoded["input_ids"]), "labels": labels}


# ---- train


def fit(trainer: SFTTrainer, run: Path, peers: Peers) -> Outcome:
    """Train to the end, from the run's last checkpoint if there is one; SystemExit(143) on SIGTERM.

    Of several processes all stop at the same step, whichever hears of the SIGTERM first.
    """
    from cpod_jupyter.runtime.metrics import MetricsReporter, peak_memory

    stop = _StopOnTerm(peers)
    trainer.add_callback(MetricsReporter(stop_requested=stop.everywhere))
    checkpoint = _last_whole_checkpoint(run)
    if checkpoint:
        log(f"going on from {checkpoint}")
    begin = time.monotonic()
    with stop:
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    state = trainer.state
    if stop.agreed and state.global_step < state.max_steps:
        log(f"stopped by SIGTERM after step {state.global_step} of {state.max_steps}; a checkpoint is saved")
        leave_message(f"stopped by SIGTERM after step {state.global_step} of {state.max_steps}")
        sys.exit(TERMINATED)
    losses = [entry for entry in state.log_history if "loss" in entry]
    last = [entry["loss"] for entry in losses if entry["epoch"] > losses[-1]["epoch"] - 1]
    log(f"peak memory {peak_memory() / 1e9:.1f} GB")
    return Outcome(sum(last) / len(last) if last else float("nan"), state.global_step, time.monotonic() - begin)


class _StopOnTerm:
    """While entered, a first SIGTERM asks for a stop after the step in progress; a second one ends at once."""

    def __init__(self, peers: Peers) -> None:
        self.requested = False
        self.agreed = False
        """All processes know that one of them is asked to stop."""
        self._peers = peers

    def everywhere(self) -> bool:
        """Whether any process is asked to stop; each of them has to ask after the same step."""
        self.agreed = self._peers.any(self.requested)
        return self.agreed

    def __enter__(self) -> None:
        self._before = signal.signal(signal.SIGTERM, self._on_term)

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGTERM, self._before)

    def _on_term(self, _number: int, _frame: FrameType | None) -> None:
        if self.requested:
            sys.exit(TERMINATED)
        self.requested = True


def _last_whole_checkpoint(run: Path) -> Path | None:
    """The newest checkpoint with its state file, which the trainer writes last: a kill can leave half of one."""
    whole = [path.parent for path in run.glob("checkpoint-*/trainer_state.json")]
    return max(whole, key=lambda path: int(path.name.removeprefix("checkpoint-")), default=None)


def _fingerprint(config: FineTuneConfig, data: ChatData, model: Path) -> str:
    """The same for the same configuration, data and model: whose checkpoints may be gone on from.

    Under DeepSpeed a checkpoint is in as many shares as there were processes.
    """
    listing = [f"{file.relative_to(model)} {file.stat().st_size}" for file in files_in(model)]
    if config.arguments.get("deepspeed"):
        listing.append(os.environ.get("WORLD_SIZE", "1"))
    return hashlib.sha256("\n".join((config.as_json(), data.sha256, *listing)).encode()).hexdigest()


# ---- merge and save


def save(trainer: SFTTrainer, model_dir: Path, partial: Path, merge_adapter: bool) -> None:
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
