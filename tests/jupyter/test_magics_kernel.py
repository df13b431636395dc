"""The magics in a real kernel, over its protocol, on an engine that the kernel itself starts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from kernels import Kernel
from nbformat.v4 import new_code_cell, new_notebook
from parrot import predictor

from cpod_jupyter import local
from cpod_jupyter.jupyter.magics import grammar
from cpod_jupyter.jupyter.magics import help as texts
from cpod_jupyter.sdk import Session

ROW = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}
SLEEP = f'command: ["{sys.executable}", -c, "import time; print(\'awake\', flush=True); time.sleep(100)"]'
HUGE = "image: python:3.12\ngpuRequiredPerReplica: 64\ncommand: [python, -V]"
SOON = 0.3
"""Seconds that completion may take."""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """What makes an engine of its own the one that is meant; it does not run yet, and is gone at the end."""
    made = {"CPOD_HOME": str(tmp_path_factory.mktemp("home")), "CPOD_CONTEXT": "engine", "CPOD_NAMESPACE": "default"}
    yield made
    with pytest.MonkeyPatch.context() as patch:
        for name, value in made.items():
            patch.setenv(name, value)
        if local.find() is not None:
            session = Session()
            for obj in session.ls():
                session.delete(obj["kind"].lower(), obj["metadata"]["name"])
            session.client.close()
            local.stop()


@pytest.fixture(scope="module")
def kernel(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    folder = tmp_path_factory.mktemp("work")
    (folder / "facts.jsonl").write_text(json.dumps(ROW) + "\n")
    found = Kernel({**environment, "IPYTHONDIR": str(folder / "ipython")}, str(folder))
    loaded = found.run("%load_ext cpod_jupyter")
    assert (loaded.status, loaded.text) == ("ok", "\n"), "loading is silent"
    yield found
    found.close()


@pytest.fixture
def engine(kernel: Kernel) -> Kernel:
    """The kernel once its engine runs."""
    assert kernel.run("%cpod up").status == "ok"
    return kernel


def test_completion_starts_no_engine(
    kernel: Kernel, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CPOD_HOME", environment["CPOD_HOME"])
    assert local.find() is None
    kernel.complete("import o")  # IPython's own completer is imported when it is first asked
    matches, seconds = kernel.complete("%cpod logs --t")
    assert matches == ["--tail"]
    assert seconds < SOON
    kernel.complete("%cpod logs ")
    assert local.find() is None


def test_the_line_alone_says_where_one_is_and_what_there_is(engine: Kernel) -> None:
    ran = engine.run("%cpod")
    assert "the engine on this machine at https://127.0.0.1:" in ran.text
    assert "namespace default; " in ran.text
    assert "GPUs" in ran.text


def test_that_the_engine_was_started_is_told_once(kernel: Kernel) -> None:
    for first in ("%cpod", "%cpod connect engine", "%cpod ls"):
        assert kernel.run("%cpod down").status == "ok"
        assert "started the engine on this machine" in kernel.run(first).text
        assert "started the engine" not in kernel.run("%cpod ls").text


def prepared(kernel: Kernel, command: str) -> None:
    """What the example of a command speaks of."""
    hello = texts.example_of("job")
    if command in ("status", "follow", "logs", "events", "yaml", "delete", "rerun"):
        assert kernel.run(hello).status == "ok"
    elif command == "fix":
        broken = 'image: python:3.12\ncommand: [pyhton, -c, "print(1)"]\nbackoffLimit: 0'
        assert "WorkFailed" in kernel.run(f"%%cpod job broken\n{broken}").text
    elif command == "cancel":
        assert kernel.run(f"%%cpod job long --detach\nimage: python:3.12\n{SLEEP}").status == "ok"
    elif command == "resume":
        spec = f"image: python:3.12\n{SLEEP}"
        assert kernel.run(f"%%cpod pytorchjob stopped --detach\n{spec}").status == "ok"
        assert kernel.run("%cpod cancel stopped").status == "ok"


NEED_A_MODEL = ("chat", "scale", "accuracy", "bench", "lm-eval", "compare", "eval")
"""Their examples question a deployment: the tests of the quick start and of comparisons run them."""
EXAMPLES = [command for command in (*grammar.LINES, *grammar.CELLS) if command not in NEED_A_MODEL]


@pytest.mark.parametrize("command", EXAMPLES, ids=lambda command: command or "alone")
def test_the_example_in_the_help_of_a_command_runs(engine: Kernel, command: str) -> None:
    assert texts.example_of(command).strip() in grammar.help_of(command).replace("\n  ", "\n") or not command
    prepared(engine, command)
    ran = engine.run(texts.example_of(command))
    assert ran.status == "ok", ran.text
    assert ran.text.strip()


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        ("%cpod logs?", "usage: %cpod logs"),
        ("%cpod help logs", "--grep TEXT"),
        ("%cpod lm-eval?", "--tasks TASK"),
        ("%cpod logs --help", "usage: %cpod logs"),
        ("%%cpod finetune?", "usage: %%cpod finetune"),
        ("%%cpod finetune --help", "usage: %%cpod finetune"),
        ("%%cpod finetune?", "hyperParameters: {n_epochs: 3, batch_size: 4}"),
    ],
)
def test_a_question_mark_shows_the_help_with_an_example(kernel: Kernel, asked: str, wanted: str) -> None:
    ran = kernel.run(asked)
    assert ran.status == "ok"
    assert wanted in ran.text


def test_the_magic_explains_itself_to_the_front_end(kernel: Kernel) -> None:
    [page] = kernel.run("%cpod?").payload
    assert "%cpod status NAME" in page["data"]["text/plain"]
    assert "%%cpod finetune NAME" in kernel.inspect("%cpod")


@pytest.mark.parametrize(
    ("code", "wanted"),
    [
        ("%cpod sta", "status"),
        ("%%cpod fine", "finetune"),
        ("%cpod logs there --gr", "--grep"),
        ("%cpod logs the", "there"),
        ("%cpod ls -n kube-sy", "kube-system"),
        ("%%cpod finetune x\nhyperP", "hyperParameters: "),
        ("%%cpod finetune x\nhyperParameters: {n_ep", "n_epochs: "),
        ("%%cpod finetune x\nmodel: google/ge", "google/gemma-2b-it"),
        ("%%cpod pytorchjob x\npytorchReplicaSpecs:\n  Master:\n    restartP", "restartPolicy: "),
    ],
)
def test_completion_over_the_protocol_is_right_and_quick(engine: Kernel, code: str, wanted: str) -> None:
    if " the" in code:
        made = engine.run(f"%%cpod job there --detach\nimage: python:3.12\ncommand: [{sys.executable}, -V]")
        assert made.status == "ok", made.text
    engine.complete(code)  # the first call of a kernel imports its completer
    matches, seconds = engine.complete(code)
    assert wanted in matches
    assert seconds < SOON


def test_connecting_is_for_all_lines_after_it(engine: Kernel) -> None:
    assert "namespace team" in engine.run("%cpod connect engine -n team").text
    assert "nothing in namespace team yet" in engine.run("%cpod ls").text
    failed = engine.run("%cpod connect nowhere")
    assert failed.status == "error"
    assert "nothing in namespace team yet" in engine.run("%cpod ls").text, "what cannot be reached changes nothing"
    assert "namespace default" in engine.run("%cpod connect engine -n default").text


def test_an_answer_is_bound_to_a_variable(engine: Kernel) -> None:
    assert engine.run(texts.example_of("job")).status == "ok"
    engine.run("%cpod logs hello -o lines\n%cpod ls jobs -o listing\n%cpod events hello -o events")
    ran = engine.run("print(lines, 'hello' in set(listing.to_df().name), len(events) > 0)")
    assert ran.printed == "['hello'] True True\n"


def test_a_wrong_body_is_an_error_with_place_field_and_the_nearest_name(engine: Kernel) -> None:
    ran = engine.run("%%cpod job x\nimage: python:3.12\ncomand: [a]")
    assert ran.status == "error"
    assert 'line 3, column 1: comand: unknown field; did you mean "command"?' in ran.error
    assert "Traceback" not in ran.error


def test_a_long_log_is_bounded_in_the_notebook_and_whole_on_request(engine: Kernel) -> None:
    code = "[print('line', n) for n in range(3000)]"
    made = engine.run(f'%%cpod job many -o many\nimage: python:3.12\ncommand: ["{sys.executable}", -c, "{code}"]')
    assert made.status == "ok", made.text
    printed = engine.run("%cpod logs many").printed
    assert printed.startswith("line 0\n")
    assert printed.endswith("line 2999\n")
    assert "2,200 lines left out; %cpod logs many --all shows them" in printed
    assert len(engine.run("%cpod logs many --all").printed.splitlines()) == 3000
    assert engine.run("print(len(list(many.logs())))").printed == "3000\n"


def test_a_followed_log_is_shown_as_it_is_written_with_its_pods_in_colour_and_bounded(
    engine: Kernel, tmp_path: Path
) -> None:
    flag = tmp_path / "go on"
    body = (
        "import os, time\n  for n in range(2000): print('line', n)\n"
        f'  print("live", flush=True)\n  while not os.path.exists("{flag}"):\n      time.sleep(0.02)\n'
        "  for n in range(2000): print('more', n)\n"
    )
    made = engine.run(
        f"%%cpod job alive --detach\nimage: python:3.12\ncommand:\n- {sys.executable}\n- -c\n- |\n  {body}"
    )
    assert made.status == "ok", made.text
    cell = engine.begin("%cpod logs alive -f --all-ranks")
    engine.until_shown(cell, "live")
    flag.touch()
    ran = engine.end(cell)
    assert ran.status == "ok", ran.text
    last = ran.shown[-1]["text/plain"].splitlines()
    assert last[0] == "… 3,201 lines left out; %cpod logs alive --all shows them …"
    assert last[-1].endswith("more 1999")
    assert last[-1].startswith("\x1b[36m")
    assert len(last) == 401
    again = engine.run("%cpod logs alive -f")
    assert again.printed.startswith("line 0\n")
    assert len(again.printed.splitlines()) == 400


def test_an_interrupt_detaches_the_job_goes_on_and_queued_cells_do_not_run(engine: Kernel) -> None:
    cell = engine.begin(f"%%cpod job idle -o idle\nimage: python:3.12\n{SLEEP}")
    engine.until_shown(cell, "Running")
    queued = engine.begin("print('never')")
    engine.until_read()
    engine.interrupt()
    ran = engine.end(cell)
    assert ran.status == "error"
    assert "detached from job/idle; it goes on without this cell" in ran.error
    assert "%cpod follow idle" in ran.error
    assert "%cpod cancel idle" in ran.error
    assert engine.end(queued).status == "aborted"
    assert "Running" in engine.run("%cpod status idle").text
    assert engine.run("%cpod cancel idle").status == "ok"


def test_while_a_pod_is_pending_the_cell_says_what_it_waits_for(engine: Kernel) -> None:
    cell = engine.begin(
        "%%cpod job large --force\nimage: python:3.12\ngpuRequiredPerReplica: 64\ncommand: [python, -V]"
    )
    engine.until_shown(cell, "it asks for 64 nvidia.com/gpu")
    engine.interrupt()
    assert engine.end(cell).status == "error"
    assert engine.run("%cpod delete large").status == "ok"


def test_progress_is_shown_before_the_end(engine: Kernel, tmp_path: Path) -> None:
    flag = tmp_path / "go on"
    record = '@cpod {\\"type\\": \\"metrics\\", \\"step\\": 3, \\"total_steps\\": 10, \\"loss\\": 1.5}'
    body = (
        f'import os, time\n  print("{record}", flush=True)\n'
        f'  while not os.path.exists("{flag}"):\n      time.sleep(0.05)\n'
    )
    cell = engine.begin(f"%%cpod job halfway\nimage: python:3.12\ncommand:\n- {sys.executable}\n- -c\n- |\n  {body}")
    engine.until_shown(cell, "3 of 10")
    flag.touch()
    assert engine.end(cell).status == "ok"


def test_a_restarted_kernel_finds_the_job_again_without_a_second_run(engine: Kernel) -> None:
    record = '@cpod {\\"type\\": \\"metrics\\", \\"step\\": 1, \\"loss\\": 0.25}'
    cell = f'%%cpod job again --new\nimage: python:3.12\ncommand:\n- {sys.executable}\n- -c\n- |\n  print("{record}")\n'
    first = engine.run(cell)
    assert first.status == "ok", first.text
    assert engine.run("%reset -f\n%load_ext cpod_jupyter").status == "ok"
    uid = "print(__import__('cpod_jupyter').Session().find('again').object['metadata']['uid'])"
    before = engine.run(uid).printed
    engine.manager.restart_kernel(now=True)
    engine.client.wait_for_ready(timeout=60)
    assert engine.run("%load_ext cpod_jupyter").status == "ok"
    ran = engine.run(cell.replace(" --new", ""))
    assert "job/again is as submitted before; following that one" in ran.text
    assert "loss 0.25" in ran.text
    assert engine.run(uid).printed == before


def test_a_cell_without_a_name_finds_its_object_again(engine: Kernel) -> None:
    cell = "%%cpod job -o nameless\nimage: python:3.12\ncommand: [python, -V]"
    assert engine.run(cell).status == "ok"
    first = engine.run("print(nameless.name)").printed
    assert first.startswith("job-")
    assert "is as submitted before" in engine.run(cell).text
    assert engine.run(cell.replace("-V", "-VV")).status == "ok"
    assert engine.run("print(nameless.name)").printed != first, "another body is another run"


@pytest.mark.parametrize("tool", ["nbconvert", "papermill"])
@pytest.mark.parametrize("fails", [True, False], ids=["a failing notebook", "a good one"])
def test_headless_runs_end_with_the_right_exit_code(
    tool: str, fails: bool, environment: dict[str, str], engine: Kernel, tmp_path: Path
) -> None:
    exits = f"import sys; sys.exit({int(fails)})"
    name = f"exit-{tool}-{int(fails)}"
    job = f'%%cpod job {name}\nimage: python:3.12\nbackoffLimit: 0\ncommand: ["{sys.executable}", -c, "{exits}"]'
    cells = [new_code_cell(code) for code in ("%load_ext cpod_jupyter", job, "print('reached the end')")]
    spec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    made = new_notebook(cells=cells, metadata={"kernelspec": spec, "language_info": {"name": "python"}})
    nbformat.write(made, tmp_path / "in.ipynb")  # type: ignore[no-untyped-call]
    words = {
        "nbconvert": ["-m", "nbconvert", "--to", "notebook", "--execute", "--output", "out.ipynb", "in.ipynb"],
        "papermill": ["-m", "papermill", "in.ipynb", "out.ipynb"],
    }[tool]
    done = subprocess.run(
        [sys.executable, *words],
        cwd=tmp_path, env={**os.environ, **environment}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert (done.returncode != 0) is fails, done.stderr
    if fails:
        assert f"job/{name} failed" in done.stderr
    else:
        assert "reached the end" in (tmp_path / "out.ipynb").read_text()


def test_what_can_never_run_is_refused_before_it_is_submitted(engine: Kernel) -> None:
    ran = engine.run(f"%%cpod job huge\n{HUGE}")
    assert "PreflightFailed" in ran.error
    assert "64 GPUs" in ran.text
    shown = [data["text/plain"].splitlines()[0] for data in ran.shown if data["text/plain"].startswith("job/huge  ")]
    assert shown == ["job/huge  Checking", "job/huge  Not submitted"], "it says at once what it does"
    assert "job/huge was not submitted" in ran.error
    assert "--force" in ran.printed
    assert "NotFound" in engine.run("%cpod status job/huge").error


def test_the_cell_that_mends_a_failure_is_put_below_and_runs(engine: Kernel) -> None:
    failed = engine.run('%%cpod job typo\nimage: python:3.12\ncommand: [pyhton, -c, "print(1)"]\nbackoffLimit: 0')
    assert "%cpod fix typo puts that cell below" in failed.error
    ran = engine.run("%cpod fix typo")
    [payload] = [item for item in ran.payload if item["source"] == "set_next_input"]
    assert payload["text"].startswith("%%cpod job typo")
    assert engine.run(payload["text"]).status == "ok"
    assert "nothing is wrong with job/typo" in engine.run("%cpod fix typo").text


def test_a_job_runs_again_beside_itself_under_the_next_name(engine: Kernel) -> None:
    cell = "%%cpod job twice\nimage: python:3.12\ncommand: [python, -V]"
    assert engine.run(cell).status == "ok"
    assert "job/twice-2  Succeeded" in engine.run("%cpod rerun twice -o again").text
    assert "twice-3" in engine.run("%cpod rerun twice-2 --detach").text
    assert engine.run("print(again.title)").printed == "job/twice-2\n"


def test_the_gpus_and_the_contexts_are_shown(engine: Kernel) -> None:
    assert "no node has GPUs" in engine.run("%cpod gpus").text
    shown = engine.run("%cpod context").text
    assert "*  engine   https://127.0.0.1:" in shown
    assert "namespace default" in engine.run("%cpod context use engine").text
    assert "say which: %cpod context use NAME" in engine.run("%cpod context use").error


@pytest.mark.parametrize(
    ("form", "wanted"),
    [("yaml", "kind: CPodJob"), ("python", "handle = session.job("), ("cli", "cpod apply -f - <<'YAML'")],
)
def test_a_cell_is_exported_and_not_submitted(engine: Kernel, form: str, wanted: str) -> None:
    ran = engine.run(f"%%cpod job gone --export {form}\nimage: python:3.12\ncommand: [python, -V]")
    assert ran.status == "ok"
    assert wanted in ran.text
    assert "NotFound" in engine.run("%cpod status job/gone").error


def test_the_body_of_a_comparison_is_checked_at_its_lines(engine: Kernel) -> None:
    ran = engine.run("%%cpod eval\ntargets: [a]\nrowz: x.jsonl")
    assert 'line 3, column 1: rowz: unknown field; did you mean "rows"' in ran.error
    assert "rows: required" in ran.error or "rows" in ran.error


@pytest.mark.parametrize(
    ("scorers", "wanted"),
    [
        ("scorer: roug", 'line 4, column 9: scorer: there is no scorer "roug"; did you mean "rouge"'),
        (
            "scorers:\n- contains\n- rouge: {knd: x}",
            'line 6, column 3: scorers[1]: the scorer rouge has no option "knd"',
        ),
        ("scorers: [bleu, bleu]", 'line 4, column 10: scorers: there are two scorers "bleu"'),
        ("scorer: bleu\nscorers: [bleu]", "line 4, column 1: scorer: give scorer or scorers, not both"),
    ],
)
def test_a_scorer_that_cannot_be_is_told_at_its_line_with_the_nearest(
    kernel: Kernel, scorers: str, wanted: str
) -> None:
    assert wanted in kernel.run(f"%%cpod eval\ntargets: [a]\nrows: x.jsonl\n{scorers}").error


def test_a_comparison_takes_several_scorers_and_ones_own(engine: Kernel) -> None:
    made = f"from cpod_jupyter import Session\nSession().inference('parrot', predictor={predictor()!r}).wait(60).name"
    assert engine.run(made).status == "ok"
    assert engine.run("def brief(given, right):\n    return float(len(given) < 20)").status == "ok"
    ran = engine.run(
        "%%cpod eval -o found\ntargets: [parrot]\nscorers: [contains, brief, {chrf: {word_order: 2}}]\n"
        "rows:\n- {question: green, answer: green}\n- {question: red is not what was asked, answer: green}"
    )
    assert ran.status == "ok", ran.error
    assert "contains  parrot      50%" in ran.text
    assert engine.run("print(sorted(found.measures))").printed == "['brief', 'chrf', 'contains']\n"
    frame = "import pandas\ndf = pandas.DataFrame({'question': ['green', 'red'], 'answer': ['green', 'red']})"
    assert engine.run(frame).status == "ok"
    ran = engine.run("%%cpod eval -o found\ntargets: [parrot]\nrows: {{ df }}  # both")
    assert ran.status == "ok", ran.error
    assert engine.run("print(found['parrot'], len(found.to_df()))").printed == "1.0 2\n"
    assert "row 1 must have messages" in engine.run("%%cpod eval\ntargets: [a]\nrows: {{ [{'answer': 'x'}] }}").error
    assert engine.run("%cpod delete inference parrot").status == "ok"
