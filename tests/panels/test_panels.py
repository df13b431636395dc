"""Panels in the notebook: what they show, and what their buttons do, on a real engine."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from pathlib import Path

import ipywidgets as widgets
import pytest
from parrot import predictor

from cpod_jupyter import panels
from cpod_jupyter.errors import CpodError, NotFound
from cpod_jupyter.panels import ChatPanel, JobPanel, JobsPanel, LauncherPanel
from cpod_jupyter.panels.base import Panel
from cpod_jupyter.sdk import Job, Session

Eventually = Callable[..., object]
WAITS = """import pathlib, time
print("it begins", flush=True)
while not pathlib.Path("{go}").exists(): time.sleep(0.05)
print("it ends")
"""


def command(text: str) -> list[str]:
    return [sys.executable, "-c", text]


def button(panel: widgets.Box, words: str) -> widgets.Button:
    """The button of these words, wherever in the panel."""
    found = [each for each in everything(panel) if isinstance(each, widgets.Button) and each.description == words]
    assert len(found) == 1, f"{len(found)} buttons {words!r}"
    return found[0]


def everything(box: widgets.Box) -> list[widgets.Widget]:
    children = list(getattr(box, "children", ()))
    return [*children, *(inner for child in children for inner in everything(child))]


def offered(panel: JobsPanel) -> list[widgets.Button]:
    """The buttons that are shown for what is chosen."""
    tools = [tool for tool in panel._tools.values() if tool.layout.display != "none"]
    return [tool.children[0] if isinstance(tool, widgets.HBox) else tool for tool in tools]


def watching() -> bool:
    return any(thread.name.startswith("cpod-list-") for thread in threading.enumerate())


def shown(panel: Panel) -> str:
    """All that the panel's HTML shows."""
    return "".join(each.value for each in everything(panel) if isinstance(each, widgets.HTML))


def test_a_job_is_followed_with_its_log_and_manifest(session: Session, tmp_path: Path, eventually: Eventually) -> None:
    go = tmp_path / "go"
    session.job("slow", image="python", command=command(WAITS.format(go=go)))
    panel = panels.job("slow", session)
    eventually(lambda: "Running" in shown(panel), "it is shown as running")
    logs = next(each for each in everything(panel) if isinstance(each, widgets.ToggleButton))
    logs.value = True
    eventually(lambda: "it begins" in shown(panel), "its log is shown")
    button(panel, "YAML").click()
    eventually(lambda: "kind: CPodJob" in shown(panel), "its manifest is shown")
    go.touch()
    eventually(lambda: "Succeeded" in shown(panel), "its end is shown")
    bundle = panel._repr_mimebundle_()
    assert "job/slow  Succeeded" in bundle["text/plain"]
    assert "Succeeded" in bundle["text/html"]
    assert "application/vnd.jupyter.widget-view+json" in bundle
    panel.follower.join(10)
    assert not panel.follower.is_alive()
    panel.close()


def test_cancel_asks_first(session: Session, tmp_path: Path, eventually: Eventually) -> None:
    session.training("pytorchjob", "long", image="python", command=command(WAITS.format(go=tmp_path / "never")))
    panel = panels.job("long", session)
    eventually(lambda: "Running" in shown(panel), "it runs")
    button(panel, "Cancel").click()
    eventually(lambda: any(getattr(each, "description", "") == "No" for each in everything(panel)), "it is asked")
    button(panel, "Cancel long").click()
    eventually(lambda: "Suspended" in shown(panel), "it is suspended")
    panel.close()


def test_the_list_keeps_itself_up_to_date_and_opens_what_is_chosen(session: Session, eventually: Eventually) -> None:
    panel = panels.jobs(session)
    assert "nothing in namespace" in panel.text()
    assert [each.description for each in offered(panel)] == []
    job = session.job("one", image="python", command=command("print(1)")).wait(60)
    assert isinstance(job, Job)
    eventually(lambda: "job/one" in panel.chosen.options, "the job is in the list")
    panel.filter.value = "nothing like it"
    assert panel.chosen.options == ()
    panel.filter.value = "ONE"
    panel.chosen.value = "job/one"
    button(panel, "Open").click()
    eventually(lambda: panel.opened is not None and "Succeeded" in shown(panel.opened), "it is opened")
    tools = panel.children[2]  # what was opened has a button of its own
    button(tools, "Delete").click()
    sure = "Delete it with all that was made for it"
    eventually(lambda: any(getattr(each, "description", "") == sure for each in everything(tools)), "it is asked")
    button(tools, sure).click()
    eventually(lambda: not panel.chosen.options, "the job is gone")
    panel.close()


def test_each_group_has_its_list_and_each_object_what_can_be_done_with_it(
    session: Session, tmp_path: Path, eventually: Eventually
) -> None:
    with pytest.raises(CpodError, match="there is no list of pods"):
        panels.jobs(session, kind="pods")
    session.inference("answers", predictor=predictor()).wait(60)
    panel = panels.jobs(session, kind="deployments")
    assert panel.text().splitlines()[1].split()[:3] == ["inference", "answers", "Ready"]
    assert offered(panel) == []
    panel.chosen.value = "inference/answers"
    assert [each.description for each in offered(panel)] == ["Open", "Logs", "Chat", "Clone into the form", "Delete"]
    button(panel, "Chat").click()
    eventually(lambda: isinstance(panel.opened, ChatPanel), "its chat is open")
    panel.kind.value = "jobs"
    eventually(lambda: "no jobs" in panel.text(), "there are none")
    session.job("b2", image="python", command=command("print(1)")).wait(60)
    session.job("b10", image="python", command=command(WAITS.format(go=tmp_path / "go")))
    eventually(lambda: "Running" in panel.text() and "Succeeded" in panel.text(), "they are seen by themselves")
    panel.order.value = "by name"
    assert panel.chosen.options == ("job/b2", "job/b10")
    panel.filter.value = "job SUCCEEDED"
    assert panel.chosen.options == ("job/b2",)
    panel.chosen.value = "job/b2"
    again = ["Open", "Logs", "Run again", "Clone into the form", "Delete"]
    assert [each.description for each in offered(panel)] == again
    button(panel, "Clone into the form").click()
    eventually(lambda: isinstance(panel.opened, LauncherPanel), "the form is open")
    form = panel.opened
    assert isinstance(form, LauncherPanel)
    form.name.value = "b3"
    assert form.manifest["spec"]["command"] == command("print(1)")
    button(panel, "Run again").click()
    eventually(lambda: isinstance(panel.opened, JobPanel) and "b2-2" in panel.opened.text(), "the new one is opened")
    panel.filter.value = "b10"
    panel.chosen.value = "job/b10"
    assert "Cancel" in [each.description for each in offered(panel)]
    panel.close()
    eventually(lambda: not watching(), "nothing is read any more")


def test_a_run_is_compared_with_another(session: Session, eventually: Eventually) -> None:
    for name, factor in (("slow", 1), ("quick", 2)):
        lines = [f"print({{'loss': {4 / (factor * step)}, 'epoch': {step}}})" for step in range(1, 5)]
        session.job(name, image="python", command=command("; ".join(lines))).wait(60)
    panel = panels.job("slow", session)
    assert panel.beside.options == ("quick",)
    panel.beside.value = "quick"
    eventually(lambda: "quick: Training loss by step: 2 at step" in shown(panel), "both are drawn")
    panel.beside.value = "missing"
    eventually(lambda: "missing" in shown(panel) and "not found" in shown(panel), "it is said that there is none")
    panel.close()


def test_the_form_is_made_from_the_schema_checks_and_submits(session: Session, eventually: Eventually) -> None:
    panel = panels.launcher(session)
    panel.kind.value = "job"
    assert next(iter(panel.fields)) == "jobType"
    panel.fields["image"].widget.value = "python"
    button(panel, "Check").click()
    eventually(lambda: "give it a name first" in shown(panel), "the fault is said")
    panel.name.value = "formed"
    panel.fields["workerReplicas"].widget.value = "many"
    button(panel, "Check").click()
    eventually(lambda: "workerReplicas" in shown(panel), "the field is named")
    panel.fields["workerReplicas"].widget.value = "1"
    panel.fields["command"].widget.value = f"[{sys.executable}, -c, print(40 + 2)]"
    button(panel, "Check").click()
    eventually(lambda: "checked; nothing was submitted" in shown(panel), "it is checked")
    assert not session.ls("job")
    button(panel, "Show as cell").click()
    cells = lambda: [each.value for each in everything(panel) if isinstance(each, widgets.Textarea)]  # noqa: E731
    eventually(lambda: any(cell.startswith("%%cpod job formed\n") for cell in cells()), "it is a cell")
    button(panel, "Submit").click()
    eventually(lambda: panel.opened is not None and "Succeeded" in shown(panel.opened), "it has run")
    assert list(session.get("job", "formed").logs()) == ["42"]
    panel.close()


def test_a_conversation_goes_on_and_two_deployments_get_the_same_question(
    session: Session, eventually: Eventually
) -> None:
    for name in ("first", "second"):
        session.inference(name, predictor=predictor()).wait(60)
    panel = panels.chat("first", session)
    panel.question.value = "how deep?"
    panel.send.click()
    eventually(lambda: "how deep?" in panel.text() and not panel.send.disabled, "it is answered")
    (talk,) = panel.conversations
    assert [message["role"] for message in talk.messages] == ["user", "assistant"]
    assert "how deep?" in talk.messages[1]["content"]
    panel.send.click()
    eventually(lambda: "write a question first" in shown(panel), "an empty question is not sent")
    panel.close()
    both = panels.compare("first", "second", session)
    both.question.value = "<b>how wide?</b>"
    both.send.click()
    eventually(lambda: both.html().count("&lt;b&gt;how wide?") == 4 and not both.send.disabled, "both have answered")
    both.close()


def test_what_is_not_there_is_said_when_a_panel_is_asked_for(session: Session) -> None:
    with pytest.raises(NotFound):
        panels.job("missing", session)
    with pytest.raises(CpodError):
        panels.chat("missing", session)
