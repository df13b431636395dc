"""Embeds texts by a model in a folder, in a process of its own: no torch in a kernel.

    python embedding_program.py FOLDER < texts.json > vectors.json

The mean of the last hidden states, as sentence-transformers has it, or the first token's where the folder's
`1_Pooling/config.json` says so.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

_AT_ONCE = 16


def embedded(folder: Path, texts: list[str]) -> list[list[float]]:
    import torch
    import transformers

    tokenizer: Any = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model: Any = transformers.AutoModel.from_pretrained(folder, local_files_only=True).eval().float()
    pooling = folder / "1_Pooling" / "config.json"
    first = pooling.exists() and json.loads(pooling.read_text())["pooling_mode_cls_token"]
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    tokenizer.padding_side = "right"
    longest = min(tokenizer.model_max_length, getattr(model.config, "max_position_embeddings", 512))
    vectors: list[list[float]] = []
    for start in range(0, len(texts), _AT_ONCE):
        part = tokenizer(
            texts[start : start + _AT_ONCE], padding=True, truncation=True, max_length=longest, return_tensors="pt"
        )
        with torch.no_grad():
            states = model(**{name: part[name] for name in ("input_ids", "attention_mask")}).last_hidden_state
        mask = part["attention_mask"][..., None]  # batch, tokens, 1
        pooled = states[:, 0] if first else (states * mask).sum(1) / mask.sum(1).clamp(min=1)  # batch, hidden
        vectors += pooled.tolist()
    return vectors


if __name__ == "__main__":
    json.dump(embedded(Path(sys.argv[1]), json.load(sys.stdin)), sys.stdout)
