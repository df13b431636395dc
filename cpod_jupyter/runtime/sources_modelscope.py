"""modelscope://ORG/NAME[@REVISION]: a repository of the ModelScope hub.

By its official client, with MODELSCOPE_API_TOKEN and MODELSCOPE_ENDPOINT from the environment; that goes on with
what an earlier try left, and the hub states the hash of each file.
"""

from __future__ import annotations

import importlib.util
import logging
import os
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from cpod_jupyter.errors import TemporaryFailure, WorkFailed
from cpod_jupyter.runtime.report import progress
from cpod_jupyter.runtime.sources import UNWANTED_MODEL_FILES, Sums, Wanted
from cpod_jupyter.runtime.sources_hub import bytes_in, report_growth
from cpod_jupyter.runtime.transfer import require_space


def fetch_from_modelscope(wanted: Wanted, directory: Path) -> Sums:
    """Download a snapshot with modelscope_hub."""
    source = wanted.source
    name, _, revision = wanted.rest.partition("@")
    if importlib.util.find_spec("modelscope_hub") is None:
        raise WorkFailed(
            f"{source}: the package modelscope-hub is not installed in this environment; "
            "install it with pip install 'cpod-jupyter[storage]'"
        )
    os.environ |= {"TQDM_DISABLE": "1"}
    logging.getLogger("modelscope_hub").setLevel(logging.ERROR)
    from modelscope_hub import HubApi
    from modelscope_hub.errors import (
        APIError,
        AuthenticationError,
        FileDownloadError,
        FileIntegrityError,
        NetworkError,
        NotExistError,
        PermissionDeniedError,
        RateLimitError,
        ServerError,
    )

    directory.mkdir(parents=True, exist_ok=True)
    # Never whoever is logged in on this machine: a pod has the keys that it was given.
    api = HubApi(token=os.environ.get("MODELSCOPE_API_TOKEN", ""))
    try:
        listed = api.list_repo_files(name, wanted.repository_type, revision=revision or None)
        files = [_entry(file) for file in listed if file.type != "tree" and _is_wanted(wanted, file.path)]
        if not files:
            raise WorkFailed(f"{source}: the repository has no files")
        total = sum(int(file["Size"]) for file in files)
        require_space(directory, total, bytes_in(directory), source)
        with report_growth(directory, total):
            api.download_repo(
                name,
                wanted.repository_type,
                revision=revision or None,
                local_dir=directory,
                file_list=files,
                max_workers=4,
            )
    except (AuthenticationError, PermissionDeniedError) as error:
        raise WorkFailed(f"{source}: the hub wants an account for it: set MODELSCOPE_API_TOKEN ({error})") from error
    except NotExistError as error:
        raise WorkFailed(f"{source}: no such repository or revision, or a private one ({error})") from error
    except FileDownloadError as error:
        failed = "; ".join(f"{path}: {why}" for path, why in list(error.failed_files.items())[:3])
        raise TemporaryFailure(f"{source}: {failed or error}") from error
    except (NetworkError, ServerError, RateLimitError, FileIntegrityError) as error:
        raise TemporaryFailure(f"{source}: {error}") from error
    except APIError as error:
        raise WorkFailed(f"{source}: the hub refuses: {error}") from error
    progress("download", total, total, "B")
    return {file["Path"]: file["Sha256"] for file in files if file.get("Sha256")}


def _entry(file: Any) -> dict[str, Any]:
    """A file of the list in the form that the downloader takes back."""
    return {"Path": file.path, "Size": int(file.size or 0), "Sha256": file.sha256, "Type": "blob"}


def _is_wanted(wanted: Wanted, path: str) -> bool:
    return wanted.kind != "model" or not any(fnmatch(path, pattern) for pattern in UNWANTED_MODEL_FILES)
