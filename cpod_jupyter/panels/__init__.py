"""Panels for who lives in the notebook: the sidebar's functions as ipywidgets, in any notebook that shows them.

    from cpod_jupyter import panels
    panels.jobs()
    panels.job("facts")
    panels.launcher()
    panels.chat("facts")
    panels.compare("base", "facts")

Each returns a widget: the cell's value shows it, `close()` ends it with its threads. Beside the widget every panel has
text and HTML of what it shows, for notebooks that are opened without a kernel.
"""

from __future__ import annotations

from cpod_jupyter.panels.chat import ChatPanel, ComparePanel
from cpod_jupyter.panels.job import JobPanel
from cpod_jupyter.panels.jobs import JobsPanel
from cpod_jupyter.panels.launcher import LauncherPanel
from cpod_jupyter.sdk import Session

__all__ = [
    "ChatPanel",
    "ComparePanel",
    "JobPanel",
    "JobsPanel",
    "LauncherPanel",
    "chat",
    "compare",
    "job",
    "jobs",
    "launcher",
]


def jobs(session: Session | None = None, *, kind: str = "jobs") -> JobsPanel:
    """What is there in a namespace, live: `jobs`, `deployments`, `models`, `datasets`, or what a kind's word says; with
    all that can be done with each. Raises as Session does, CpodError for a kind that there is not."""
    return JobsPanel(session or Session(), kind)


def job(name: str, session: Session | None = None) -> JobPanel:
    """One job (or deployment, model, dataset) to its end: its block, log, manifest. Raises NotFound."""
    session = session or Session()
    return JobPanel(session.find(name), session)


def launcher(session: Session | None = None) -> LauncherPanel:
    """A form for a FineTune, a CPodJob or an Inference, made from what the server says of the kind."""
    return LauncherPanel(session or Session())


def chat(name: str, session: Session | None = None) -> ChatPanel:
    """A conversation with a deployment. Raises NotFound, CpodError for what is none."""
    return ChatPanel(session or Session(), name)


def compare(first: str, second: str, session: Session | None = None) -> ComparePanel:
    """Two deployments side by side with the same prompt. Raises NotFound, CpodError for what is none."""
    return ComparePanel(session or Session(), first, second)
