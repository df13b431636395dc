"""The trainer does what TRL does: its loss is that of a plain script, step by step."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from runtime_commands import Run, conversation, write_rows
from test_runtime_methods import losses
from test_runtime_train import command
from tiny_model import CHATML

MARKED = CHATML.replace(
    "{{ message['content'] }}<|im_end|>\n",
    "{% if message['role'] == 'assistant' %}{% generation %}{{ message['content'] }}<|im_end|>{% endgeneration %}"
    "{% else %}{{ message['content'] }}<|im_end|>{% endif %}{{ '\n' }}",
)
"""ChatML with TRL's marks of what the assistant says, which our trainer needs none of."""

SETTINGS: dict[str, Any] = {
    "max_steps": 20,
    "per_device_train_batch_size": 2,
    "gradient_accumulation_steps": 2,
    "learning_rate": 0.005,
    "lr_scheduler_type": "cosine",
    "warmup_steps": 0.1,
    "max_length": 64,
    "logging_steps": 1,
    "seed": 7,
    "weight_decay": 0.01,
    "save_strategy": "no",
    "gradient_checkpointing": False,
}
LORA = {"r": 8, "lora_alpha": 16, "lora_dropout": 0.1, "target_modules": "all-linear"}


@pytest.mark.parametrize("finetune_type", ["lora", "full"])
def test_the_loss_of_the_first_20_steps_is_that_of_a_plain_trl_script(
    run: Run, tiny_model: Path, tmp_path: Path, finetune_type: str
) -> None:
    rows = tmp_path / "data" / "train.jsonl"
    rows.parent.mkdir()
    talks = [
        conversation((f"Who rows boat {n}?", f"My sister rows boat {n}."), ("Why?", "Before school." * (n % 5 + 1)))
        for n in range(60)
    ]
    write_rows(rows, [{"messages": talk} for talk in talks])

    adapter = json.dumps(LORA) if finetune_type == "lora" else ""
    plain = subprocess.run(
        [
            *(sys.executable, Path(__file__).with_name("plain_trl.py"), tiny_model, rows, tmp_path / "plain"),
            json.dumps({**SETTINGS, "assistant_only_loss": True, "chat_template": MARKED}),
            adapter,
        ],
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert plain.returncode == 0, plain.stderr
    theirs = [float(line.split()[1]) for line in plain.stdout.splitlines() if line.startswith("loss ")]

    ours = {"bf16": False, **({"lora_rank": 8, "lora_alpha": 16, "lora_dropout": 0.1} if adapter else {})}
    ended = run(*command(tmp_path, tiny_model, rows.parent, finetuneType=finetune_type, arguments={**SETTINGS, **ours}))
    assert len(theirs) == 20
    assert losses(ended) == pytest.approx(theirs, rel=1e-6)
