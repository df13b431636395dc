"""The magic line, the templates in a body, and completion: what needs no server."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cpod_jupyter.errors import ManifestError
from cpod_jupyter.jupyter.magics import grammar, template
from cpod_jupyter.jupyter.magics.completion import ANY_JOB, DATA, candidates
from cpod_jupyter.jupyter.magics.grammar import HelpWanted, MagicUsage

TASKS = Path(__file__).parents[2] / "examples" / "lm-eval"

WRONG = {
    "an unknown command": ("finetun x", True, 'unknown command "finetun"; did you mean "finetune"?'),
    "no such command at all": ("xyzzy", False, 'unknown command "xyzzy"; there are connect, context, up, down, ls'),
    "a missing name": ("status a b", False, "%cpod status: unrecognized arguments: b"),
    "a wrong option": ("finetune x --nwe", True, 'unrecognized arguments: --nwe; did you mean "--new"?'),
    "a number that is none": ("up --port x", False, "%cpod up: argument --port: invalid int value: 'x'"),
    "an open quote": ("chat x --system 'a", True, "the magic line cannot be read: No closing quotation"),
    "a variable that is none": ("finetune x -o 3a", True, "'3a' cannot be the name of a variable"),
    "a word of Python as a variable": ("ls -o class", False, "'class' cannot be the name of a variable"),
    "a cell as a line": ("finetune x", False, "finetune needs a body: %%cpod finetune x as the first line of a cell"),
    "tasks that are not named": ("lm-eval x", False, "the following arguments are required: --tasks"),
    "half a row": ("lm-eval x --tasks a --limit 1.5", False, "'1.5' is neither a number of rows nor a part of them"),
    "a line as a cell": ("ls models", True, "ls takes no body: write %cpod ls models"),
}


@pytest.mark.parametrize(("line", "cell", "message"), WRONG.values(), ids=WRONG)
def test_a_wrong_line_is_one_clear_error(line: str, cell: bool, message: str) -> None:
    with pytest.raises(MagicUsage) as caught:
        grammar.parse(line, cell=cell)
    assert message in str(caught.value)


def test_a_cell_line_has_its_options() -> None:
    options = grammar.parse("finetune facts -o job -n team --context engine --timeout 5 --new", cell=True)
    assert (options.command, options.name, options.output, options.namespace) == ("finetune", "facts", "job", "team")
    assert (options.context, options.timeout, options.new, options.detach) == ("engine", 5.0, True, False)


def test_every_command_explains_itself() -> None:
    for command in grammar.CELLS:
        with pytest.raises(HelpWanted, match=rf"%%cpod {command}"):
            grammar.parse(f"{command} --help", cell=True)
    for command in grammar.LINES[1:]:
        assert f"%cpod {command}" in grammar.help_of(command)
    assert "For example:" in grammar.help_of(None)


def test_the_options_of_lm_eval_are_read() -> None:
    options = grammar.parse("lm-eval x --tasks a,b --include tasks --limit 0.5 -o found", cell=False)
    assert (options.tasks, options.include, options.limit, options.output) == (["a", "b"], "tasks", 0.5, "found")
    limit = grammar.parse("lm-eval x --tasks a --limit 3", cell=False).limit
    assert (limit, type(limit)) == (3, int)
    with pytest.raises(HelpWanted, match="--include FOLDER"):
        grammar.parse("lm-eval?", cell=False)


NAMES: dict[str, Any] = {"epochs": 3, "name": 'a"b', "rows": [{"x": 1}], "flag": True}
RENDERED = {
    "a whole value keeps its type": ("n: {{ epochs + 1 }}", "n: 4"),
    "text is quoted": ("n: {{ name }}", 'n: "a\\"b"'),
    "a list": ("n: {{ rows }}", 'n: [{"x": 1}]'),
    "a boolean in a flow mapping": ("n: {a: {{ flag }}, b: 1}", "n: {a: true, b: 1}"),
    "inside plain text": ("n: x-{{ epochs }}-y", "n: x-3-y"),
    "inside double quotes": ('n: "x {{ name }}"', 'n: "x a\\"b"'),
    "two on a line": ("n: {{ epochs }}{{ epochs }}", "n: 33"),
    "JSON survives": ('n: \'{"a": {"b": {"c": 1}}}\'', 'n: \'{"a": {"b": {"c": 1}}}\''),
    "a comment is left alone": ("# {{ nothing }}", "# {{ nothing }}"),
}


@pytest.mark.parametrize(("body", "text"), RENDERED.values(), ids=RENDERED)
def test_an_expression_becomes_its_value(body: str, text: str) -> None:
    assert template.render(body, NAMES).text == text


def test_an_undefined_name_is_an_error_at_its_line_in_the_cell() -> None:
    with pytest.raises(ManifestError) as caught:
        template.render("a: 1\nb: {{ job.result }}\nc: {{ 1/0 }}", NAMES)
    assert caught.value.problems == [
        "line 3, column 4: {{ job.result }}: name 'job' is not defined; is the cell that defines it run?",
        "line 4, column 4: {{ 1/0 }}: ZeroDivisionError: division by zero",
    ]


def test_places_after_an_expression_are_those_of_the_cell() -> None:
    rendered = template.render("{a: {{ epochs }}, b: x}", NAMES)
    column = rendered.text.index("b")
    assert rendered.locate(0, column) == (2, len("{a: {{ epochs }}, ") + 1)
    assert rendered.locate(0, rendered.text.index("3")) == (2, 5)


def names(kind: str | None) -> list[str]:
    return {
        "model": ["smollm2"],
        "dataset": ["facts"],
        "inference": ["tuned"],
        "namespace": ["team"],
        ANY_JOB: ["long"],
        DATA: ["frame"],
        None: ["smollm2", "tuned"],
    }[kind]


COMPLETED = {
    "commands of a line": (["%cpod "], "status"),
    "commands of a cell": (["%%cpod fine"], "finetune"),
    "names": (["%cpod logs "], "tuned"),
    "deployments to chat with": (["%%cpod chat "], "tuned"),
    "fields": (["%%cpod finetune x", "hyp"], "hyperParameters: "),
    "models": (["%%cpod finetune x", "model: "], "smollm2"),
    "choices": (["%%cpod finetune x", "finetuneType: "], "lora"),
    "truth": (["%%cpod finetune x", "upload: "], "true"),
    "options of a command": (["%cpod logs x --t"], "--tail"),
    "options of a cell": (["%%cpod finetune x --d"], "--dry-run"),
    "a smoke run": (["%%cpod pytorchjob x --s"], "--smoke"),
    "jobs to cancel": (["%cpod cancel "], "long"),
    "a name after an option": (["%cpod logs --tail 3 "], "tuned"),
    "namespaces": (["%cpod ls -n "], "team"),
    "variables that hold rows": (["%cpod upload "], "frame"),
    "data as a dataset": (["%%cpod finetune x", "dataset: "], "{{ frame }}"),
    "data as a job's dataset": (["%%cpod job x", "datasetName: "], "{{ frame }}"),
    "deployments to scale": (["%cpod scale "], "tuned"),
    "the word before a name": (["%cpod upload frame "], "as"),
    "models of the catalogue": (["%%cpod finetune x", "model: goo"], "google/gemma-2b-it"),
    "hyperparameters in a block": (["%%cpod finetune x", "hyperParameters:", "  n"], "n_epochs: "),
    "hyperparameters in a flow": (["%%cpod finetune x", "hyperParameters: {n_epochs: 3, ba"], "batch_size: "),
    "a hyperparameter's value": (["%%cpod finetune x", "hyperParameters: {n_epochs: "], "auto"),
    "arguments of the trainer": (["%%cpod finetune x", "config:", "  lora_r"], "lora_rank: "),
    "choices of the trainer": (["%%cpod finetune x", "config:", "  lr_scheduler_type: "], "cosine"),
    "fields of list items": (["%%cpod job x", "env:", "- name: A", "  va"], "value: "),
    "fields of a list item's first line": (["%%cpod job x", "env:", "  - na"], "name: "),
    "deep fields of a training kind": (
        [
            "%%cpod pytorchjob x",
            "pytorchReplicaSpecs:",
            "  Master:",
            "    template:",
            "      spec:",
            "        containers:",
            "        - ima",
        ],
        "image: ",
    ),
    "fields of flow items": (["%%cpod job x", "env: [{na"], "name: "),
    "the kinds of a manifest": (["%%cpod apply", "kind: Fine"], "FineTune"),
    "fields of a manifest of that kind": (["%%cpod apply", "kind: FineTune", "spec:", "  hyp"], "hyperParameters: "),
    "fields of the second manifest": (
        ["%%cpod apply", "kind: FineTune", "---", "kind: Inference", "spec:", "  mod"],
        "modelId: ",
    ),
    "fields further in": (["%%cpod inference x", "autoscalerOptions:", "  min"], "minReplicas: "),
    "fields of a comparison": (["%%cpod eval", "sc"], "scorers: "),
    "a scorer": (["%%cpod eval", "scorer: ro"], "rouge"),
    "a scorer of a list": (["%%cpod eval", "targets: [a]", "scorers: [contains, ro"], "rouge"),
    "a scorer of a block list": (["%%cpod eval", "scorers:", "- contains", "- ju"], "judge"),
    "a scorer's options": (["%%cpod eval", "scorers:", "- rouge: {ki"], "kind: "),
    "a scorer's options in a block": (["%%cpod eval", "scorers:", "- judge:", "    ru"], "rubric: "),
    "options of the only scorer": (["%%cpod eval", "scorer: {numeric: {ab"], "absolute: "),
    "what is compared": (["%%cpod eval", "targets: [tu"], "tuned"),
    "what is compared in a block": (["%%cpod eval", "targets:", "- sm"], "smollm2"),
    "deployments to put tasks to": (["%cpod lm-eval "], "tuned"),
    "tasks of a folder": ([f"%cpod lm-eval x --include {TASKS} --tasks cap"], "capitals_choice"),
    "a scorer on the line": (["%cpod compare a --rows x --scorer ro"], "rouge"),
}


@pytest.mark.parametrize(("lines", "wanted"), COMPLETED.values(), ids=COMPLETED)
def test_completion_offers(lines: list[str], wanted: str) -> None:
    assert wanted in candidates(lines, names)


SILENT = {
    "in a text": ["%%cpod job x", "args:", "- |", "  import o"],
    "in a template": ["%%cpod finetune x", "model: {{ jo"],
    "in a comment": ["%%cpod finetune x", "# mod"],
    "for an argument that a fine-tune sets itself": ["%%cpod finetune x", "config:", "  output_d"],
}


@pytest.mark.parametrize("lines", SILENT.values(), ids=SILENT)
def test_completion_is_silent(lines: list[str]) -> None:
    word = lines[-1].split()[-1]
    assert [found for found in candidates(lines, names) if found.startswith(word)] == []


def test_completion_leaves_other_cells_alone() -> None:
    assert candidates(["import os", "mod"], names) == []


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = (
        "import cpod_jupyter, sys; print([n for n in ('torch', 'kubernetes', 'IPython', 'pandas') if n in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_the_sdk_never_loads_torch() -> None:
    code = "import cpod_jupyter.sdk, sys; cpod_jupyter.Session; print('torch' in sys.modules, 'openai' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        == "False False\n"
    )


def test_every_public_name_is_there() -> None:
    import cpod_jupyter

    for name in cpod_jupyter.__all__:
        assert getattr(cpod_jupyter, name) is not None
    with pytest.raises(AttributeError, match="nothing"):
        _ = cpod_jupyter.nothing
