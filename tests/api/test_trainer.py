"""The trainer's arguments as a FineTune's `config` may name them."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from cpod_jupyter.api.trainer import (
    ELSEWHERE,
    RESERVED,
    TRANSLATED,
    coerce,
    config_problems,
    lora_fields,
    trainer_config,
    trainer_fields,
)


def said(config: dict[str, str], adapter: bool = True) -> dict[str, str]:
    return {str(problem.path[-1]): problem.message for problem in config_problems(config, adapter)}


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    """tools/trainer_arguments.py, where the trainer's libraries are installed."""
    pytest.importorskip("trl", reason="the trainer's libraries are not installed")
    path = Path(__file__).parents[2] / "tools/trainer_arguments.py"
    spec = importlib.util.spec_from_file_location("trainer_arguments", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_file_says_what_the_installed_trainer_takes(tool: ModuleType) -> None:
    assert tool.TARGET.read_text() == tool.text(), "run tools/trainer_arguments.py"


def test_what_is_reserved_or_translated_is_an_argument_of_the_trainer(tool: ModuleType) -> None:
    import dataclasses

    from trl import DPOConfig, SFTConfig

    names = {field.name for kind in (SFTConfig, DPOConfig) for field in dataclasses.fields(kind)}
    assert set(RESERVED) <= names
    assert {ours for ours, _ in TRANSLATED.values()} <= {*trainer_fields(), *lora_fields()}
    assert not set(ELSEWHERE) & names


@pytest.mark.parametrize(
    ("config", "words"),
    [
        pytest.param({"learning_rte": "1"}, ('did you mean "learning_rate"?',), id="a typing error"),
        pytest.param({"lora_rnk": "1"}, ('did you mean "lora_rank"?',), id="one in a lora argument"),
        pytest.param({"zzz": "1"}, ("is not an argument of the trainer",), id="nothing like it"),
        pytest.param({"output_dir": "/x"}, ("can't be set", "--output"), id="reserved"),
        pytest.param({"report_to": "wandb"}, ("can't be set", "records"), id="reserved, by reports"),
        pytest.param({"max_steps": "few"}, ('is "few"', "a whole number"), id="not of its type"),
        pytest.param({"max_steps": "1.5"}, ("a whole number",), id="not whole"),
        pytest.param({"lr_scheduler_type": "banana"}, ("one of linear, cosine",), id="not a word it knows"),
        pytest.param({"deepspeed": "/etc/ds.json"}, ("a JSON object",), id="a file nobody has"),
        pytest.param({"finetuning_type": "lora"}, ("finetuneType",), id="a field of our own"),
        pytest.param({"quantization_bit": "4"}, ("finetuneType: qlora",), id="qlora said otherwise"),
        pytest.param({"template": "llama2"}, ("the chat template is the model's own",), id="template"),
        pytest.param({"warmup_ratio": "3"}, ("a share of the steps",), id="no share"),
        pytest.param({"dataset_format": "excel"}, ("one of auto, messages, sharegpt",), id="no format"),
        pytest.param({"train_on_prompt": "perhaps"}, ("true or false",), id="no boolean, translated"),
    ],
)  # fmt: skip
def test_an_argument_that_cannot_be_is_refused_with_what_to_do(config: dict[str, str], words: tuple[str, ...]) -> None:
    """Fault 2 (B3): nothing is dropped in silence."""
    message = said(config)[next(iter(config))]
    assert all(word in message for word in words), message


def test_lora_arguments_are_for_adapters() -> None:
    assert said({"lora_rank": "8"}) == {}
    assert "is for finetuneType lora or qlora" in said({"lora_rank": "8"}, adapter=False)["lora_rank"]


def test_the_same_argument_under_two_names_is_refused() -> None:
    assert "is the same as max_length" in said({"cutoff_len": "512", "max_length": "256"})["cutoff_len"]


def test_llama_factorys_names_become_the_trainers_own() -> None:
    config = {
        "cutoff_len": "512",
        "warmup_ratio": "0.1",
        "train_on_prompt": "true",
        "disable_gradient_checkpointing": "True",
        "lora_target": "all",
        "lora_rank": "8",
        "gradient_accumulation_steps": "2",
    }
    assert said(config) == {}
    assert trainer_config(config) == {
        "max_length": "512",
        "warmup_steps": "0.1",
        "assistant_only_loss": "false",
        "gradient_checkpointing": "false",
        "lora_target": "all-linear",
        "lora_rank": "8",
        "gradient_accumulation_steps": "2",
    }


@pytest.mark.parametrize(
    ("raw", "kinds", "value"),
    [
        pytest.param(" 3 ", ["int"], 3, id="whole"),
        pytest.param("3.0", ["int"], 3, id="whole, as JSON may write it"),
        pytest.param(2, ["int"], 2, id="a number as it is"),
        pytest.param("5e-5", ["float"], 5e-5, id="exponent"),
        pytest.param("Yes", ["bool"], True, id="yes"),
        pytest.param("none", ["int", "none"], None, id="none"),
        pytest.param("cosine", [["linear", "cosine"], "str"], "cosine", id="word"),
        pytest.param("q_proj,v_proj", ["str", "list"], ["q_proj", "v_proj"], id="several"),
        pytest.param("all-linear", ["str", "list"], "all-linear", id="one"),
        pytest.param('["a"]', ["list", "none"], ["a"], id="JSON list"),
        pytest.param(json.dumps({"a": 1}), ["dict", "none"], {"a": 1}, id="object"),
    ],
)
def test_a_text_is_read_as_what_the_trainer_takes(raw: Any, kinds: list[Any], value: Any) -> None:
    assert coerce(raw, kinds) == value
    assert type(coerce(raw, kinds)) is type(value)


@pytest.mark.parametrize(
    ("raw", "kinds"),
    [
        pytest.param("nan", ["float"], id="nan"),
        pytest.param("none", ["int"], id="none where a number must be"),
        pytest.param("[1]", ["dict"], id="a list for an object"),
        pytest.param("{", ["dict"], id="no JSON"),
    ],
)
def test_a_text_of_another_kind_is_refused(raw: str, kinds: list[Any]) -> None:
    with pytest.raises(ValueError, match="it must be"):
        coerce(raw, kinds)
