"""EleutherAI's lm-eval harness, put to a deployment: a process of its own, local task files, no network."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cpod_jupyter import local
from cpod_jupyter.errors import CpodError, Interrupted, WaitTimeout
from cpod_jupyter.sdk.evaluate.asked import Tell
from cpod_jupyter.sdk.evaluate.relay import Relay
from cpod_jupyter.sdk.questions.questioned import Questioned
from cpod_jupyter.sdk.view import table, theme

if TYPE_CHECKING:
    import pandas as pd

PYTHON_VARIABLE = "CPOD_LM_EVAL_PYTHON"
"""In the environment: the Python of an environment that has lm-eval, where this one has not."""
_OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_EVALUATE_OFFLINE": "1"}
_LIKELIHOOD = ("multiple_choice", "loglikelihood", "loglikelihood_rolling")
"""Values of a task's `output_type` that ask how likely a text is, which chat completions cannot say."""
_BAR = re.compile(r"Requesting API: +0%\|[^|\r\n]*\| 0/(\d+) \[")
"""Of tqdm, as the harness begins it."""
_LOOK_SECONDS = 0.2
_END_SECONDS = 10.0
_LINES = 12
"""Of the harness's output, that an error shows."""
_COLUMNS = ("task", "filter", "metric", "value", "stderr", "rows")


class LmEvalResult:
    """What the harness found. `results` is its own JSON, which `file` keeps; `folder` has the samples and its log."""

    def __init__(self, name: str, file: Path, folder: Path) -> None:
        self.name, self.file, self.folder = name, file, folder
        self.results: dict[str, Any] = json.loads(file.read_text("utf-8"))

    def rows(self) -> list[dict[str, Any]]:
        """A row a task, filter and metric, as the harness's own table has them; `rows` is how many it was asked."""
        found = []
        for task, values in (self.results.get("results") or {}).items():
            counts = (self.results.get("n-samples") or {}).get(task) or {}
            for key, value in values.items():
                metric, _, kept = key.partition(",")
                if not kept or metric.endswith("_stderr"):
                    continue
                stderr = values.get(f"{metric}_stderr,{kept}")
                cells = (task, kept, metric, value, stderr, counts.get("effective"))
                found.append(dict(zip(_COLUMNS, cells, strict=True)))
        return found

    def to_df(self) -> pd.DataFrame:
        """The same as a DataFrame."""
        import pandas

        return pandas.DataFrame(self.rows(), columns=list(_COLUMNS))

    def samples(self, task: str) -> list[dict[str, Any]]:
        """Every question of a task with the model's answer and its scores. Raises CpodError for a task not there."""
        files = sorted(self.folder.rglob(f"samples_{task}_*.jsonl"))
        if not files:
            raise CpodError(f"there are no samples of {task} in {self.folder}")
        return [json.loads(line) for line in files[-1].read_text("utf-8").splitlines()]

    def _cells(self) -> list[list[str]]:
        return [[_shown(row[column]) for column in _COLUMNS] for row in self.rows()]

    def __repr__(self) -> str:
        return table.text(_COLUMNS, self._cells())

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        kept = theme.block(f'<span class="cpod-dim">lm-eval of {escape(self.name)}; {escape(_short(self.file))}</span>')
        return {"text/plain": f"{self!r}\n{_short(self.file)}", "text/html": table.html(_COLUMNS, self._cells()) + kept}


def run_lm_eval(
    deployment: Questioned,
    tasks: str | Sequence[str],
    *,
    include_path: str | Path | None = None,
    limit: int | float | None = None,
    num_fewshot: int | None = None,
    kind: Literal["chat", "completions"] | None = None,
    tokenizer: str | Path | None = None,
    parallel: int = 2,
    folder: str | Path | None = None,
    python: str | Path | None = None,
    offline: bool = True,
    timeout: float | None = None,
    tell: Tell | None = None,
) -> LmEvalResult:
    """Put tasks of lm-eval to a deployment, or an `Endpoint`, through `local-chat-completions` or `local-completions`
    (`kind`; found out from local task files when left out: completions where a task asks how likely a text is).

    `include_path` is a folder of task files (YAML), whose data may lie beside them: it is the harness's working folder.
    `limit` is rows a task, or a part of them below 1. `tokenizer` is a folder with the model's tokenizer, which
    likelihoods need. `folder` keeps the results, below the home folder when left out. `python` is that of an
    environment with lm-eval, where this one has none (the variable CPOD_LM_EVAL_PYTHON says it too). `offline` keeps
    Hugging Face's libraries off the network. `tell` is told how many questions are answered, and of how many: 0 while
    the harness has not said.

    Raises CpodError for what cannot be evaluated so, with the deployment's or the harness's own words, WaitTimeout
    after `timeout` seconds, and Interrupted at Ctrl-C or ■: the harness has ended then.
    """
    names = [tasks] if isinstance(tasks, str) else list(tasks)
    if not names:
        raise CpodError("name at least one task")
    path = Path(include_path).expanduser().resolve() if include_path else None
    if path is not None and not path.is_dir():
        raise CpodError(f"there is no folder {path} of tasks")
    chosen = _chosen(names, path, kind, tokenizer)
    program = _python(python)
    kept = Path(folder).expanduser().resolve() if folder else _folder(deployment.name)
    kept.mkdir(parents=True, exist_ok=True)
    before = set(kept.rglob("results_*.json"))
    try:
        with Relay(deployment) as relay:
            config = {
                "model": f"local-{chosen if chosen == 'completions' else 'chat-completions'}",
                "model_args": _model_args(deployment, relay, chosen, tokenizer, parallel),
                "tasks": names,
                "output_path": str(kept),
                "log_samples": True,
                "apply_chat_template": chosen == "chat",
                **({"include_path": str(path)} if path else {}),
                **({"limit": limit} if limit is not None else {}),
                **({"num_fewshot": num_fewshot} if num_fewshot is not None else {}),
            }
            (kept / "config.yaml").write_text(json.dumps(config, indent=2), "utf-8")  # JSON is YAML
            _run([program, "-m", "lm_eval", "run", "--config", str(kept / "config.yaml")], path or kept, kept, relay,
                 offline, timeout, tell)  # fmt: skip
    except KeyboardInterrupt:
        raise Interrupted(f"{deployment.title}: interrupted; lm-eval was ended, and has no results") from None
    found = sorted(set(kept.rglob("results_*.json")) - before)
    if not found:
        raise CpodError(f"lm-eval left no results in {kept}; it said:\n{_tail(kept)}")
    return LmEvalResult(deployment.name, found[-1], kept)


def tasks_in(folder: str | Path) -> list[str]:
    """The names of the tasks in a folder's files; none where there is no such folder."""
    path = Path(folder).expanduser()
    return sorted(_output_types(path)) if path.is_dir() else []


def _chosen(names: Sequence[str], path: Path | None, kind: str | None, tokenizer: str | Path | None) -> str:
    """How the tasks are put: `chat`, or `completions`. Raises CpodError where that cannot be, or lacks a tokenizer."""
    output_types = _output_types(path)
    likely = [name for name in names if output_types.get(name) in _LIKELIHOOD]
    chosen = kind or ("completions" if likely else "chat")
    if likely and chosen == "chat":
        raise CpodError(
            f"{', '.join(likely)}: chat completions cannot say how likely a text is; kind='completions' (on a line "
            "--kind completions)"
        )
    if likely and tokenizer is None:
        raise CpodError(
            f"{', '.join(likely)}: likelihoods need the model's tokenizer: tokenizer=FOLDER (on a line "
            "--tokenizer FOLDER)"
        )
    return chosen


def _model_args(
    deployment: Questioned, relay: Relay, kind: str, tokenizer: str | Path | None, parallel: int
) -> dict[str, Any]:
    place = "chat/completions" if kind == "chat" else "completions"
    backend: dict[str, Any] = {"tokenizer_backend": None}
    if tokenizer:
        backend = {"tokenizer": str(Path(tokenizer).expanduser().resolve()), "tokenizer_backend": "huggingface"}
    return {
        "model": deployment.model,
        "base_url": f"{relay.url}/{place}",
        "num_concurrent": parallel,
        "max_retries": 1,
        "tokenized_requests": False,
        **backend,
    }


def _run(
    command: list[str], where: Path, kept: Path, relay: Relay, offline: bool, timeout: float | None,
    tell: Tell | None,
) -> None:  # fmt: skip
    """The harness to its end, its output in a file; ended where the deployment cannot do what it asks."""
    inherited = dict(os.environ)
    if command[0] != sys.executable:
        inherited.pop("PYTHONPATH", None)  # it is of this Python
    environment = {**inherited, **(_OFFLINE if offline else {}), "OPENAI_API_KEY": "none"}
    until, told = time.monotonic() + (timeout or float("inf")), 0
    with (kept / "harness.log").open("wb") as log:
        harness = subprocess.Popen(
            command, cwd=where, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            start_new_session=True,
        )  # fmt: skip
        try:
            while harness.poll() is None and not relay.fault:
                if time.monotonic() > until:
                    raise WaitTimeout(f"lm-eval was not done after {timeout:g} s; {relay.answered} answers were there")
                if tell is not None and relay.answered != told:
                    told = relay.answered
                    tell(told, _total(kept))
                time.sleep(_LOOK_SECONDS)
        finally:
            _end(harness)
    if relay.fault:
        raise CpodError(f"lm-eval was ended: {relay.fault}")
    if harness.returncode:
        raise CpodError(f"lm-eval failed ({kept / 'harness.log'}):\n{_tail(kept)}")
    if tell is not None:
        tell(relay.answered, _total(kept))


def _total(kept: Path) -> int:
    """How many questions the harness has begun to ask, by its bars, each of which begins at none; 0 before them."""
    text = (kept / "harness.log").read_text("utf-8", "replace")
    return sum(int(total) for total in _BAR.findall(text))


def _end(harness: subprocess.Popen[bytes]) -> None:
    """With what it has started: it is the first of a session of its own."""
    if harness.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(harness.pid, signal.SIGTERM)
        try:
            harness.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(harness.pid, signal.SIGKILL)
            harness.wait()


def _python(wanted: str | Path | None) -> str:
    """The Python of an environment that has the harness. Raises CpodError where none is known."""
    given = str(wanted or os.environ.get(PYTHON_VARIABLE) or "")
    if given:
        program = Path(given).expanduser()
        if not program.is_file():
            raise CpodError(f"{program} is no Python; name the bin/python of an environment with lm-eval")
        return str(program)
    if importlib.util.find_spec("lm_eval") is None:
        raise CpodError(
            "lm-eval is not installed: pip install 'cpod-jupyter[lm-eval]', or name the Python of an environment that "
            f"has it: python=… (on a line --python), or the variable {PYTHON_VARIABLE}"
        )
    return sys.executable


def _output_types(path: Path | None) -> dict[str, str]:
    """Of the tasks in a folder's files, read as lines: what else is in them may be the harness's own YAML."""
    found = {}
    for file in path.rglob("*.yaml") if path else ():
        text = file.read_text("utf-8", "replace")
        named = re.search(r"^task:\s*[\"']?([^\s\"'#]+)", text, re.MULTILINE)
        kind = re.search(r"^output_type:\s*[\"']?(\w+)", text, re.MULTILINE)
        if named and kind:
            found[named[1]] = kind[1]
    return found


def _folder(name: str) -> Path:
    return local.home() / "lm-eval" / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}"


def _tail(kept: Path) -> str:
    lines = (kept / "harness.log").read_text("utf-8", "replace").strip().splitlines()
    return "\n".join(f"  {line}" for line in lines[-_LINES:])


def _short(path: Path) -> str:
    """As a shell understands it, without the name of the home folder."""
    return f"~/{path.relative_to(Path.home())}" if path.is_relative_to(Path.home()) else str(path)


def _shown(value: Any) -> str:
    if value is None or value == "N/A":
        return ""
    return f"{value:.4f}" if isinstance(value, float) else str(value)
