"""Clones: at a branch, a tag or a commit; and what cannot be cloned, in one sentence."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from runtime_commands import Run


def git(repository: Path, *arguments: str) -> str:
    command = ["git", "-C", str(repository), "-c", "user.name=t", "-c", "user.email=t@example.com", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    """A repository with two commits: `old`, a tag, and the branch `main`."""
    folder = tmp_path / "origin"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    for text in ("old", "new"):
        (folder / "file").write_text(text)
        git(folder, "add", ".")
        git(folder, "commit", "-q", "-m", text)
        if text == "old":
            git(folder, "tag", "old")
    return folder


@pytest.mark.parametrize(("revision", "text"), [("", "new"), ("main", "new"), ("old", "old"), ("commit", "old")])
def test_a_repository_is_there_at_its_revision(
    run: Run, origin: Path, tmp_path: Path, revision: str, text: str
) -> None:
    destination = tmp_path / "code"
    destination.mkdir()
    (destination / "stale").touch()
    wanted = git(origin, "rev-parse", "old") if revision == "commit" else revision
    given = ("--revision", wanted) if wanted else ()
    ended = run("clone", "--repository", origin.as_uri(), *given, "--destination", destination)
    assert ended.result() == {"commit": git(destination, "rev-parse", "HEAD")}
    assert (destination / "file").read_text() == text
    assert not (destination / "stale").exists()


@pytest.mark.parametrize(
    ("repository", "revision", "said"),
    [
        pytest.param("--upload-pack=touch x", "", "a URL", id="an option"),
        pytest.param("ext::sh -c touch% x", "", "a URL", id="a command"),
        pytest.param("file:///nowhere/at/all", "", "git fetch failed", id="nothing there"),
        pytest.param("", "none-such", "git fetch failed", id="no such revision"),
    ],
)
def test_what_cannot_be_cloned_is_said(
    run: Run, origin: Path, tmp_path: Path, repository: str, revision: str, said: str
) -> None:
    given = f"--repository={repository or origin.as_uri()}"
    ended = run("clone", given, "--revision", revision, "--destination", tmp_path / "code")
    assert ended.code == 1
    assert said in ended.message
