"""The training operator's kinds on one machine: a generic job controller, with a small part for each kind.

`kind.py` says what a kind is, `addresses.py` where its pods listen, `children.py` makes their objects, `status.py`
judges, `reconciler.py` acts. A module a kind has its variables and its rules of success.
"""

from __future__ import annotations

from cpod_jupyter.control.api import KubeApi
from cpod_jupyter.control.controller import Controller
from cpod_jupyter.engine.controllers.training.kind import TrainingKind
from cpod_jupyter.engine.controllers.training.pytorch import PyTorch
from cpod_jupyter.engine.controllers.training.reconciler import training_controller
from cpod_jupyter.engine.controllers.training.tensorflow import TensorFlow

KINDS: tuple[TrainingKind, ...] = (PyTorch(), TensorFlow())


def training_controllers(api: KubeApi) -> list[Controller]:
    """One controller for each kind."""
    return [training_controller(api, kind) for kind in KINDS]
