"""Every manifest in examples/, submitted as a reader would, comes to the end that its head promises.

The head of each file says what it shows, what it needs and how its objects end:

    # Shows: one sentence.
    # Needs: program mpirun
    # Ends:  CPodJob/pi Succeeded

`Needs` may be `gpu`, `hub` (a remote service), `container` (real images), `program NAME`, `module NAME` or
`kind PLURAL.GROUP`. Without a program or module that is asked for, the test is skipped; where a GPU, a remote
service or real images lack, the manifest is accepted, and nothing of it fails at once or is wrongly done.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from whole_engine import whole_engine

from cpod_jupyter.errors import ApiError, NotFound
from cpod_jupyter.local import Engine
from cpod_jupyter.sdk import Session
from cpod_jupyter.sdk.handles import Handle
from cpod_jupyter.sdk.pods import unscheduled
from cpod_jupyter.sdk.states import State

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

EXAMPLES = Path(__file__).parents[1] / "examples"
FILES = sorted(EXAMPLES.glob("*.yaml"))
_NEED = re.compile(r"gpu|hub|container|(program|module|kind) \S+")
_SHARED = ("smollm2", "capitals")
"""The model and the dataset that several examples have in common; they stay for the next."""


@dataclass(frozen=True)
class End:
    kind: str
    name: str
    state: State


@dataclass(frozen=True)
class Head:
    """What the first lines of an example say of it."""

    shows: str
    needs: tuple[str, ...]
    ends: tuple[End, ...]


def head_of(path: Path) -> Head:
    shows, needs, ends = "", [], []
    for line in path.read_text("utf-8").splitlines():
        if not line.startswith("#"):
            break
        word, _, said = line.removeprefix("# ").partition(":")
        said = said.strip()
        if word == "Shows":
            shows = said
        elif word == "Needs":
            needs += [need.strip() for need in said.split(",")]
        elif word == "Ends":
            what, state = said.split()
            kind, name = what.split("/")
            ends.append(End(kind, name, State(state)))
    return Head(shows, tuple(needs), tuple(ends))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_an_example_says_what_it_shows_needs_and_how_it_ends(path: Path) -> None:
    head = head_of(path)
    assert head.shows.endswith("."), "a sentence"
    assert head.ends
    assert all(_NEED.fullmatch(need) for need in head.needs), head.needs


def test_no_two_examples_have_an_object_of_one_name() -> None:
    """A result outlives its run: the next of that name would be refused."""
    named: dict[tuple[str, str], set[str]] = {}
    for path in FILES:
        for obj in yaml.safe_load_all(path.read_text("utf-8")):
            named.setdefault((obj["kind"], obj["metadata"]["name"]), set()).add(path.name)
    twice = {name: files for (_, name), files in named.items() if len(files) > 1 and name not in _SHARED}
    assert twice == {}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with whole_engine(tmp_path_factory.mktemp("examples")) as found:
        yield found


@pytest.fixture
def session(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Session:
    monkeypatch.setenv("CPOD_HOME", str(engine.home))
    monkeypatch.setenv("CPOD_CONTEXT", "engine")
    return Session()


def submit(path: Path) -> None:
    """As a person does it: `cpod apply -f FILE`."""
    command = [sys.executable, "-m", "cpod_jupyter.cli", "apply", "-f", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=os.environ, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def lacking(session: Session, needs: tuple[str, ...]) -> list[str]:
    """What of an example's needs this machine does not have. Skips where there is no point in trying."""
    lacks = []
    for need in needs:
        word, _, name = need.partition(" ")
        if word == "program" and shutil.which(name) is None:
            pytest.skip(f"needs the program {name}")
        elif word == "module" and importlib.util.find_spec(name) is None:
            pytest.skip(f"needs the Python module {name}")
        elif (word == "kind" and not serves(session, name)) or word in ("gpu", "hub", "container"):
            lacks.append(need)
    return lacks


def serves(session: Session, kind: str) -> bool:
    try:
        session.get("customresourcedefinition", kind)
    except (NotFound, ApiError):
        return False
    return True


def delete(session: Session, path: Path) -> None:
    for obj in reversed(list(yaml.safe_load_all(path.read_text("utf-8")))):
        if obj["metadata"]["name"] not in _SHARED:
            with contextlib.suppress(NotFound):
                session.delete(obj["kind"].lower(), obj["metadata"]["name"])


def waits_with_a_reason(handle: Handle) -> bool:
    """Whether an object that this machine cannot carry out says so, on itself or on its pods."""
    status = handle.status
    if status.message or status.state is State.FAILED:
        return True
    family = handle.family()
    return any(unscheduled(pod) for pod in family.pods()) or bool(family.told(warnings=True))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_an_example_is_accepted_and_comes_to_its_end(path: Path, session: Session) -> None:
    head = head_of(path)
    lacks = lacking(session, head.needs)
    submit(path)
    try:
        for end in head.ends:
            handle = session.get(end.kind.lower(), end.name)
            if lacks:
                until_it_waits(handle, lacks)
            else:
                reached(handle, end.state)
    finally:
        delete(session, path)


def until_it_waits(handle: Handle, lacks: list[str]) -> None:
    deadline = time.monotonic() + 120  # Google's client alone tries for twenty seconds
    while not waits_with_a_reason(handle):
        assert time.monotonic() < deadline, f"{handle.title} says nothing of lacking {lacks}: {handle.object}"
        time.sleep(0.2)
    may_fail = "hub" in lacks or any(lack.startswith("kind ") for lack in lacks)
    assert may_fail or handle.status.state is not State.FAILED, handle.status


def reached(handle: Handle, wanted: State) -> None:
    """Follow it to the end. Raises AssertionError with the object's own words when it is another one."""
    last = None
    for last in handle.follow(timeout=240):
        if last.state is wanted:
            return
    assert last is not None
    assert last.state is wanted, f"{handle.title} ended as {last.status}: {last.reason} {last.evidence}"
