"""Kubeflow Trainer's TrainJob on one machine: a runtime's jobs carried out with the batch Jobs that the engine has.

`steps.py` puts a TrainJob and its runtime together, `policies.py` and `mpi.py` have the variables of each framework,
`jobs.py` makes the Jobs, `status.py` judges, `reconciler.py` acts; `shipped.py` has the runtimes that the engine
brings. A JobSet, which the Trainer has in between, is not made: its rules are followed here.
"""

from __future__ import annotations

from cpod_jupyter.engine.controllers.trainer.reconciler import trainer_controller
from cpod_jupyter.engine.controllers.trainer.shipped import shipped_runtimes

__all__ = ["shipped_runtimes", "trainer_controller"]
