"""A language model that trains in seconds, of 2 layers with random weights, a tokenizer of its own, and rows for it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

ROLES = ("user", "assistant")

WORDS = [
    "What colour is the boat?", "The boat is green.", "How many oars does it have?", "It has two oars.",
    "Who rows the boat?", "My sister rows the boat every morning before school.", "user assistant system",
]  # fmt: skip


def rows(path: Path, *extra: str) -> Path:
    """A dataset of conversations about a boat, and lines of any kind after them."""
    pairs = list(zip(WORDS[0:6:2], WORDS[1:6:2], strict=True))
    turns = [[{"role": "user", "content": ask}, {"role": "assistant", "content": say}] for ask, say in pairs * 2]
    path.write_text("".join(json.dumps({"messages": each}) + "\n" for each in turns) + "".join(extra))
    return path


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tmp_path_factory.mktemp("tiny-model"))


def saved(directory: Path) -> Path:
    """A Llama of 2 layers and 64 hidden units with random weights, and a tokenizer with ChatML's template."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    bpe.train_from_iterator(
        WORDS, trainers.BpeTrainer(vocab_size=400, special_tokens=specials, initial_alphabet=alphabet)
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe, bos_token="<|im_start|>", eos_token="<|im_end|>", pad_token="<|endoftext|>"
    )
    tokenizer.chat_template = CHATML
    tokenizer.save_pretrained(directory)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
        tie_word_embeddings=True,
    )
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(directory)
    return directory


def chat_rows(directory: Path) -> Path:
    """Make a directory with eight conversations in one file, one of them of two questions."""
    directory.mkdir()
    pairs = list(zip(WORDS[0:6:2], WORDS[1:6:2], strict=True))
    talks = [[pair] for pair in pairs * 2] + [pairs[:2]]
    rows = [
        {"messages": [{"role": role, "content": text} for pair in talk for role, text in zip(ROLES, pair, strict=True)]}
        for talk in talks
    ]
    lines = [json.dumps(row) for row in (*rows, {"prompt": pairs[2][0], "completion": pairs[2][1]})]
    (directory / "train.jsonl").write_text("".join(f"{line}\n" for line in lines))
    return directory
