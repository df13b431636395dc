"""A fine-tune as a person writes it with TRL's own examples at hand, none of our code in it: what ours is held against.

    python plain_trl.py MODEL ROWS.jsonl OUTPUT '{"max_steps": 20, …}' '{"r": 16, …}'

Rows are `{"messages": […]}`; the chat template has to mark what the assistant says. It prints a loss a line.
"""

from __future__ import annotations

import json
import sys

from datasets import load_dataset
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
from trl import SFTConfig, SFTTrainer


class Tell(TrainerCallback):  # type: ignore[misc]
    def on_log(self, _args: object, _state: object, _control: object, logs: dict[str, float], **_: object) -> None:
        if "loss" in logs:
            print("loss", repr(logs["loss"]), flush=True)


def main(model: str, rows: str, output: str, arguments: str, adapter: str) -> None:
    given = json.loads(arguments)
    tokenizer = AutoTokenizer.from_pretrained(model)
    if template := given.pop("chat_template", None):
        tokenizer.chat_template = template
    trainer = SFTTrainer(
        model=AutoModelForCausalLM.from_pretrained(model, dtype="float32"),
        args=SFTConfig(output_dir=output, report_to="none", use_cpu=True, bf16=False, disable_tqdm=True, **given),
        train_dataset=load_dataset("json", data_files=rows, split="train", cache_dir=f"{output}/cache"),
        processing_class=tokenizer,
        peft_config=LoraConfig(task_type="CAUSAL_LM", **json.loads(adapter)) if adapter else None,
        callbacks=[Tell()],
    )
    trainer.train()


if __name__ == "__main__":
    main(*sys.argv[1:])
