"""random://ARCHITECTURE: a tiny model of an architecture with random weights, and a tokenizer of bytes.

It has learnt nothing: with it a pipeline is tried out in seconds, where the real model is too large or not there.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from cpod_jupyter.errors import WorkFailed
from cpod_jupyter.runtime.libraries import SELDOM_USED, prepare_libraries
from cpod_jupyter.runtime.report import log
from cpod_jupyter.runtime.sources import Sums, Wanted

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedTokenizerFast

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
_SIZES: dict[str, Any] = {
    "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 16, "max_position_embeddings": 4096, "num_experts": 4,
    "num_local_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 64,
    "shared_expert_intermediate_size": 64, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
"""Of the model, by the names that configurations have in common; each has those that it knows."""


def make_random(wanted: Wanted, directory: Path) -> Sums:
    """Write the model; the same for the same architecture. Raises WorkFailed for one that transformers lacks."""
    if wanted.kind != "model":
        raise WorkFailed(f"{wanted.source}: random:// is for models, not for data sets")
    prepare_libraries(offline=True, unused=SELDOM_USED)
    import torch
    from transformers import AutoModelForCausalLM

    directory.mkdir(parents=True, exist_ok=True)
    tokenizer = _tokenizer()
    torch.manual_seed(0)
    try:
        model = AutoModelForCausalLM.from_config(_config(wanted, len(tokenizer)))
        model(torch.ones(1, 2, dtype=torch.long))  # not every architecture can be made so small
    except (ValueError, TypeError, AttributeError, RuntimeError, KeyError) as error:
        raise WorkFailed(f"{wanted.source}: no tiny model of this architecture can be made: {error}") from error
    model.to(torch.bfloat16).save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    log(f"a {wanted.rest} of {sum(weights.numel() for weights in model.parameters()):,} random parameters")
    return {}


def _config(wanted: Wanted, vocabulary: int) -> PretrainedConfig:
    from transformers import AutoConfig
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    if wanted.rest not in CONFIG_MAPPING:
        raise WorkFailed(
            f'{wanted.source}: the installed transformers has no architecture "{wanted.rest}", and code that comes '
            "with a model is not run"
        )
    usual = AutoConfig.for_model(wanted.rest)
    sizes = {name: value for name, value in _SIZES.items() if hasattr(usual, name)}
    return AutoConfig.for_model(wanted.rest, vocab_size=vocabulary, **sizes)


def _tokenizer() -> PreTrainedTokenizerFast:
    """Every byte is a token, so that it takes any text; ChatML's template, for want of the model's own."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = [*_SPECIAL, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    made = Tokenizer(models.BPE(vocab={letter: number for number, letter in enumerate(letters)}, merges=[]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    end, begin, turn = _SPECIAL
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=made, bos_token=begin, eos_token=turn, pad_token=end)
    tokenizer.chat_template = CHATML
    return tokenizer
