"""The training operator's kinds on one machine: a generic job controller, with a small part for each kind.

`kind.py` says what a kind is, `addresses.py` where its pods listen, `children.py` makes their objects, `status.py`
judges, `reconciler.py` acts. A module a kind has its variables and its rules of success.
"""

from __future__ import annotations

from pathlib import Path

from cpod_jupyter.api.resources import ELASTICDLJOBS, ELASTICDLJOBS_OLD, MARSJOBS, MARSJOBS_OLD
from cpod_jupyter.control.api import KubeApi
from cpod_jupyter.control.controller import Controller
from cpod_jupyter.engine.controllers.training.jax import JAX
from cpod_jupyter.engine.controllers.training.kind import TrainingKind
from cpod_jupyter.engine.controllers.training.kubedl import ElasticDL, Mars
from cpod_jupyter.engine.controllers.training.mpi import MPIv1, MPIv2
from cpod_jupyter.engine.controllers.training.paddle import Paddle
from cpod_jupyter.engine.controllers.training.pytorch import PyTorch
from cpod_jupyter.engine.controllers.training.reconciler import training_controller
from cpod_jupyter.engine.controllers.training.tensorflow import TensorFlow
from cpod_jupyter.engine.controllers.training.xgboost import XGBoost


def training_kinds(home: Path) -> list[TrainingKind]:
    """All kinds; the engine's files are below `home`."""
    kubeconfig = home.resolve() / "kubeconfig"
    return [
        PyTorch(),
        TensorFlow(),
        XGBoost(),
        Paddle(),
        JAX(),
        MPIv1(home),
        MPIv2(home),
        *(ElasticDL(resource, kubeconfig) for resource in (ELASTICDLJOBS, ELASTICDLJOBS_OLD)),
        *(Mars(resource) for resource in (MARSJOBS, MARSJOBS_OLD)),
    ]


def training_controllers(api: KubeApi, home: Path) -> list[Controller]:
    """One controller for each kind."""
    return [training_controller(api, kind) for kind in training_kinds(home)]
