"""The operator's entry point: its controllers over an API."""

from __future__ import annotations

from cpod_jupyter.api.resources import EVENTS
from cpod_jupyter.control.api import KubeApi
from cpod_jupyter.control.controller import Controller, Recorder
from cpod_jupyter.operator import catalogue, cpodjob, finetune, inference, leftovers, storage
from cpod_jupyter.operator.settings import Settings
from cpod_jupyter.operator.storage_kinds import DATASET, MODEL

COMPONENT = "cpod-operator"
"""Who the operator's events are from."""


def controllers(api: KubeApi, settings: Settings | None = None) -> list[Controller]:
    """The controllers of the project's kinds; hand them to `control.controller.Manager` and start it."""
    settings = settings or Settings()
    recorder = Recorder(api, COMPONENT, EVENTS)
    return [
        storage.controller(api, MODEL, settings, recorder),
        storage.controller(api, DATASET, settings, recorder),
        catalogue.controller(api, settings, recorder),
        finetune.controller(api, settings, recorder),
        cpodjob.controller(api, settings, recorder),
        leftovers.controller(api),
        inference.controller(api, settings, recorder),
    ]
