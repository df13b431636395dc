"""hf://ORG/NAME[@REVISION]: a repository of the Hugging Face hub, with HF_TOKEN from the environment."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cpod_jupyter.errors import TemporaryFailure, WorkFailed
from cpod_jupyter.runtime.libraries import prepare_libraries
from cpod_jupyter.runtime.report import progress
from cpod_jupyter.runtime.sources import UNWANTED_MODEL_FILES, Sums, Wanted
from cpod_jupyter.runtime.transfer import require_space

POLL_SECONDS = 0.5


def fetch_from_hub(wanted: Wanted, directory: Path) -> Sums:
    """Download a snapshot with huggingface_hub, which goes on with what an earlier try left in `directory`."""
    kind, source = wanted.kind, wanted.source
    match = re.fullmatch(r"hf://([\w.-]+/[\w.-]+)(?:@([\w./-]+))?", source)
    if not match:
        raise WorkFailed(f"{source}: not of the form hf://ORG/NAME or hf://ORG/NAME@REVISION")
    prepare_libraries(offline=False)
    from huggingface_hub import HfApi
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HTTPError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )
    from huggingface_hub.utils import filter_repo_objects

    directory.mkdir(parents=True, exist_ok=True)
    ignored = UNWANTED_MODEL_FILES if kind == "model" else None
    api = HfApi(token=os.environ.get("HF_TOKEN") or False)
    repository = {"repo_id": match[1], "revision": match[2], "repo_type": wanted.repository_type}
    try:
        info = api.repo_info(**repository, files_metadata=True)
        repository["revision"] = info.sha or repository["revision"]  # one commit, should the branch move meanwhile
        names = set(filter_repo_objects([file.rfilename for file in info.siblings], ignore_patterns=ignored))
        listed = {file.rfilename: file for file in info.siblings if file.rfilename in names}
        total = sum(file.size or 0 for file in listed.values())
        require_space(directory, total, bytes_in(directory), source)
        with report_growth(directory, total):
            api.snapshot_download(**repository, local_dir=directory, ignore_patterns=ignored)
    except GatedRepoError as error:
        raise WorkFailed(f"{source}: its owner restricts access, accept the terms and set HF_TOKEN") from error
    except RevisionNotFoundError as error:
        raise WorkFailed(f"{source}: there is no such revision") from error
    except RepositoryNotFoundError as error:
        raise WorkFailed(f"{source}: no such repository, or a private one: then set HF_TOKEN") from error
    except HfHubHTTPError as error:
        raise WorkFailed(f"{source}: the hub refuses: {error}") from error
    except (LocalEntryNotFoundError, OfflineModeIsEnabled, HTTPError) as error:
        raise TemporaryFailure(f"{source}: the hub can't be reached: {error.__cause__ or error}") from error
    progress("download", total, total, "B")
    return {name: str(file.lfs["sha256"]) for name, file in listed.items() if file.lfs}


def bytes_in(directory: Path) -> int:
    """Of all files, unfinished ones too, some of which move while one looks."""
    total = 0
    for path in directory.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:  # finished and moved meanwhile
            continue
    return total


@contextmanager
def report_growth(directory: Path, total: int) -> Iterator[None]:
    """Report the bytes in `directory`, unfinished files too, while something else fills it."""
    finished = threading.Event()

    def poll() -> None:
        while not finished.wait(POLL_SECONDS):
            progress("download", min(bytes_in(directory), total), total, "B")

    watcher = threading.Thread(target=poll, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        finished.set()
        watcher.join()
