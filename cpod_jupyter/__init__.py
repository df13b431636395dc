"""Fine-tune, train, deploy and question language models from a notebook, on a Kubernetes API.

%load_ext cpod_jupyter        then %cpod and %%cpod; %cpod? for help
from cpod_jupyter import Session
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from cpod_jupyter.version import VERSION as __version__

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from cpod_jupyter.errors import CpodError
    from cpod_jupyter.sdk import (
        Comparison,
        Deployment,
        Detached,
        Endpoint,
        Handle,
        Job,
        Session,
        Snapshot,
        Storage,
        accuracy,
        compare,
    )

_HOMES = {
    "cpod_jupyter.errors": ("CpodError",),
    "cpod_jupyter.sdk": (
        "Comparison", "Deployment", "Detached", "Endpoint", "Handle", "Job", "Session", "Snapshot", "Storage",
        "accuracy", "compare",
    ),
}  # fmt: skip
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "Comparison",
    "CpodError",
    "Deployment",
    "Detached",
    "Endpoint",
    "Handle",
    "Job",
    "Session",
    "Snapshot",
    "Storage",
    "__version__",
    "accuracy",
    "compare",
    "load_ipython_extension",
]


def __getattr__(name: str) -> Any:
    """Public names, imported when first used: `import cpod_jupyter` alone costs nothing."""
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return __all__


def load_ipython_extension(shell: InteractiveShell) -> None:
    """`%load_ext cpod_jupyter`."""
    from cpod_jupyter.jupyter.magics import load

    load(shell)
